//! Plays conversations over real sockets, in real time. Packets are cut in pieces on their way to the Server.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use dunlin_sim::script::play::{Player, Received};

/// How long the player waits for something that must come.
const WAIT: Duration = Duration::from_secs(10);

/// Where a packet is cut: after the first byte, inside the header, inside the rest.
const CUTS: [usize; 3] = [1, 3, 17];

/// Network Connections to the Server at one address.
pub(crate) struct TcpPlayer<'a> {
    server: &'a mut dyn Host,
    connections: BTreeMap<String, Connection>,
    sender: Sender<(usize, Event)>,
    events: Receiver<(usize, Event)>,
    opened: usize,
}

/// The Server that is played against.
pub(crate) trait Host {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Kills it and starts it again with the same data.
    fn crash_and_restart(&mut self) -> Result<(), String>;
}

struct Connection {
    number: usize,
    stream: TcpStream,
    events: VecDeque<Event>,
}

enum Event {
    Bytes(Vec<u8>),
    Closed,
}

impl<'a> TcpPlayer<'a> {
    /// Nothing is opened yet.
    pub(crate) fn new(server: &'a mut dyn Host) -> TcpPlayer<'a> {
        let (sender, events) = channel();
        TcpPlayer { server, connections: BTreeMap::new(), sender, events, opened: 0 }
    }

    fn connection(&mut self, client: &str) -> &mut Connection {
        self.connections.get_mut(client).expect("the conversation opened it")
    }

    /// Takes one event of any connection; `false` if none comes before `deadline`.
    fn take_event(&mut self, deadline: Instant) -> bool {
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((number, event)) => {
                let mut connections = self.connections.values_mut();
                if let Some(connection) = connections.find(|connection| connection.number == number) {
                    connection.events.push_back(event);
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the player keeps a sender"),
        }
    }
}

impl Player for TcpPlayer<'_> {
    fn open(&mut self, client: &str) -> Result<(), String> {
        let unreachable = |error| format!("the Server cannot be reached: {error}");
        let stream = TcpStream::connect(self.server.address()).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_write_timeout(Some(WAIT)).map_err(unreachable)?;
        let reader = stream.try_clone().map_err(unreachable)?;
        self.opened += 1;
        let (number, sender) = (self.opened, self.sender.clone());
        thread::spawn(move || read(reader, number, &sender));
        self.connections.insert(client.to_owned(), Connection { number, stream, events: VecDeque::new() });
        Ok(())
    }

    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String> {
        let stream = &mut self.connection(client).stream;
        let mut rest = bytes;
        for cut in CUTS.into_iter().chain([bytes.len()]) {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            match stream.write_all(piece) {
                Ok(()) => rest = after,
                Err(error) if has_closed(error.kind()) => return Ok(()),
                Err(error) => return Err(format!("{client} cannot send: {error}")),
            }
        }
        Ok(())
    }

    fn receive(&mut self, clients: &[&str]) -> Result<Received, String> {
        let deadline = Instant::now() + WAIT;
        loop {
            for (place, client) in clients.iter().enumerate() {
                match self.connection(client).events.pop_front() {
                    Some(Event::Bytes(bytes)) => return Ok(Received::Bytes(place, bytes)),
                    Some(Event::Closed) => {
                        self.connections.remove(*client);
                        return Ok(Received::Closed(place));
                    }
                    None => {}
                }
            }
            if !self.take_event(deadline) {
                return Ok(Received::Nothing);
            }
        }
    }

    fn cut(&mut self, client: &str) -> Result<(), String> {
        let Some(connection) = self.connections.remove(client) else { return Ok(()) };
        match connection.stream.shutdown(Shutdown::Both) {
            Err(error) if !has_closed(error.kind()) => Err(format!("{client} cannot be cut: {error}")),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while self.take_event(end) {}
        Ok(())
    }

    fn crash_and_restart(&mut self) -> Result<(), String> {
        // The Server goes first: it does not see its Clients leave.
        let restarted = self.server.crash_and_restart();
        self.connections.clear();
        restarted
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Ends the reading thread; that the Server was faster is no fault.
        self.stream.shutdown(Shutdown::Both).unwrap_or(());
    }
}

fn has_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

/// Passes on what comes, until the connection ends; a player that has gone no longer listens.
fn read(mut stream: TcpStream, number: usize, sender: &Sender<(usize, Event)>) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let event = match stream.read(&mut bytes) {
            Ok(length @ 1..) => Event::Bytes(bytes[..length].to_vec()),
            Ok(0) => Event::Closed,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Event::Closed, // reset: closed in a hurry
        };
        let is_last = matches!(event, Event::Closed);
        if sender.send((number, event)).is_err() || is_last {
            return;
        }
    }
}
