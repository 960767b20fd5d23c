//! Plays a conversation against a Server, whichever way that Server is reached.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::{Display, Formatter},
    time::Duration,
};

use super::{
    decoding::decode,
    encoding::encode,
    language::{Action, Clients, Script, Step},
    matching::{Names, compare},
    packet::{Body, Number, Packet, PropertyValue, Version},
    vocabulary::Kind,
};

/// What brings bytes to a Server and back: the pure broker in memory, or sockets to a program.
///
/// Errors are faults of the test itself (a Server that cannot be reached), in words for a person.
#[expect(clippy::missing_errors_doc, reason = "the trait says it for all of them")]
pub trait Player {
    /// Opens a Network Connection under the name `client`, which has none open.
    fn open(&mut self, client: &str) -> Result<(), String>;
    /// Sends `bytes`. If the Server has closed meanwhile, that is no error: it is seen in `receive`.
    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String>;
    /// Waits until the Server has sent something to one of `clients` or closed its Network Connection.
    fn receive(&mut self, clients: &[&str]) -> Result<Received, String>;
    /// Drops the Network Connection without a word.
    fn cut(&mut self, client: &str) -> Result<(), String>;
    /// Lets `time` pass.
    fn advance(&mut self, time: Duration) -> Result<(), String>;
    /// Ends the Server at once and starts it again; all Network Connections are gone.
    fn crash_and_restart(&mut self) -> Result<(), String>;
}

/// What came from the Server; the number is the place among the clients asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// Some bytes, cut anywhere.
    Bytes(usize, Vec<u8>),
    /// The Server has closed the Network Connection.
    Closed(usize),
    /// Nothing, and nothing will come unless something happens.
    Nothing,
}

/// Why a conversation does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The file of the conversation.
    pub file: String,
    /// The line that did not hold.
    pub line: usize,
    /// What was expected and what came.
    pub message: String,
    /// The exchange so far, with the packets decoded.
    pub exchange: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}:{}: {}", self.file, self.line, self.message)?;
        writeln!(f, "  the whole exchange:")?;
        self.exchange.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Plays `script` to its end, where nothing may be left over.
///
/// # Errors
/// The first line that does not hold.
pub fn play(script: &Script, player: &mut dyn Player) -> Result<(), Failure> {
    let mut stage = Stage {
        player,
        connections: BTreeMap::new(),
        names: Names::default(),
        exchange: String::new(),
        last_receivers: BTreeMap::new(),
    };
    let fail = |stage: &Stage<'_>, line, message| Failure {
        file: script.file.clone(),
        line,
        message,
        exchange: stage.exchange.clone(),
    };
    for step in &script.steps {
        stage.step(step).map_err(|message| fail(&stage, step.line, message))?;
    }
    let last_line = script.steps.last().map_or(1, |step| step.line);
    stage.finish().map_err(|message| fail(&stage, last_line, format!("after the last line: {message}")))
}

struct Stage<'a> {
    player: &'a mut dyn Player,
    connections: BTreeMap<String, Connection>,
    names: Names,
    exchange: String,
    /// Which of `a|b` got the last packet.
    last_receivers: BTreeMap<Vec<String>, String>,
}

/// A Network Connection, as the Client sees it.
struct Connection {
    version: Version,
    /// Bytes that are no whole packet yet.
    buffer: Vec<u8>,
    /// Packets that came before they were asked for.
    pending: VecDeque<Packet>,
    /// The Server has closed.
    is_closed: bool,
    /// CONNACK Success has come.
    is_connected: bool,
    /// The Client has sent DISCONNECT.
    has_said_disconnect: bool,
    /// A fence must not keep it alive.
    has_keep_alive: bool,
    /// The Maximum Packet Size of CONNECT.
    packet_bytes_max: usize,
}

/// What one of the Clients got.
enum Came {
    Packet(String, Packet),
    Closed(String),
    Nothing,
}

/// How often a fence goes around: a message may pass from the publisher's shard to that of its topic and to the subscriber's.
const FENCE_ROUNDS: usize = 3;

impl Stage<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Send(clients, packet) => {
                let client = self.speaker(clients)?;
                self.send(&client, packet, step)
            }
            Action::SendRaw(clients, bytes, version) => {
                let client = self.speaker(clients)?;
                self.send_raw(&client, bytes, *version, step)
            }
            Action::Expect(clients, packets) => self.expect(clients, packets, step),
            Action::ExpectNothing(clients) => {
                clients.0.iter().try_for_each(|client| self.expect_nothing(client))?;
                self.note(&step.text);
                Ok(())
            }
            Action::ExpectClosed(clients) => {
                clients.0.iter().try_for_each(|client| self.expect_closed(client, &step.text))
            }
            Action::Cut(clients) => {
                self.note(&step.text);
                clients.0.iter().try_for_each(|client| self.cut(client))
            }
            Action::Advance(time) => {
                self.note(&step.text);
                self.player.advance(*time)
            }
            Action::CrashAndRestart => {
                self.note(&step.text);
                self.connections.clear();
                self.player.crash_and_restart()
            }
        }
    }

    /// Who speaks for `clients`: of several, the one that got the last packet.
    fn speaker(&self, clients: &Clients) -> Result<String, String> {
        match clients.0.as_slice() {
            [client] => Ok(client.clone()),
            several => {
                let last = self.last_receivers.get(several).cloned();
                last.ok_or_else(|| format!("none of {} has got a packet", several.join("|")))
            }
        }
    }

    fn send(&mut self, client: &str, packet: &Packet, step: &Step) -> Result<(), String> {
        let has_left = self.connections.get(client).is_some_and(|connection| connection.has_said_disconnect);
        if has_left && packet.kind == Kind::Connect {
            self.expect_closed(client, &format!("{client} < closed"))?;
        }
        self.note(&step.text);
        self.open(client)?;
        let connection = self.connections.get_mut(client).expect("it was opened");
        if let Body::Connect(connect) = &packet.body
            && !connection.is_connected
        {
            connection.version = connect.version;
            connection.has_keep_alive = connect.keep_alive_s > 0;
            connection.packet_bytes_max = maximum_packet_size(packet);
        }
        connection.has_said_disconnect |= packet.kind == Kind::Disconnect;
        let bytes = encode(packet, connection.version, &self.names)?;
        self.player.send(client, &bytes)
    }

    fn send_raw(
        &mut self,
        client: &str,
        bytes: &[u8],
        version: Option<Version>,
        step: &Step,
    ) -> Result<(), String> {
        self.note(&step.text);
        self.open(client)?;
        let connection = self.connections.get_mut(client).expect("it was opened");
        if let Some(version) = version
            && !connection.is_connected
        {
            connection.version = version;
        }
        self.player.send(client, bytes)
    }

    /// Opens a Network Connection for `client` unless it has one.
    fn open(&mut self, client: &str) -> Result<(), String> {
        match self.connections.get(client) {
            Some(connection) if connection.is_closed => {
                Err(format!("the Server has closed the connection of {client}"))
            }
            Some(_) => Ok(()),
            None => {
                self.player.open(client)?;
                let connection = Connection {
                    version: Version::V5,
                    buffer: Vec::new(),
                    pending: VecDeque::new(),
                    is_closed: false,
                    is_connected: false,
                    has_said_disconnect: false,
                    has_keep_alive: false,
                    packet_bytes_max: usize::MAX,
                };
                self.connections.insert(client.to_owned(), connection);
                Ok(())
            }
        }
    }

    /// All of `expected` come, in any order.
    fn expect(&mut self, clients: &Clients, expected: &[Packet], step: &Step) -> Result<(), String> {
        let mut left: Vec<&Packet> = expected.iter().collect();
        while !left.is_empty() {
            let (client, packet) = match self.next(&clients.0)? {
                Came::Packet(client, packet) => (client, packet),
                Came::Closed(client) => {
                    return Err(instead(step, &format!("the connection of {client} was closed")));
                }
                Came::Nothing => return Err(instead(step, "nothing")),
            };
            self.note(&format!("{client} < {packet}"));
            self.last_receivers.insert(clients.0.clone(), client);
            let mut difference = String::new();
            let place = left.iter().position(|expected| {
                compare(expected, &packet, &mut self.names)
                    .inspect_err(|why| difference.clone_from(why))
                    .is_ok()
            });
            let place = place.ok_or_else(|| instead(step, &format!("{packet}    ({difference})")))?;
            left.remove(place);
        }
        Ok(())
    }

    fn expect_nothing(&mut self, client: &str) -> Result<(), String> {
        self.fence()?;
        let connection = self.connection(client)?;
        if let Some(packet) = connection.pending.pop_front() {
            self.note(&format!("{client} < {packet}"));
            return Err(format!("nothing more was expected for {client}, but came {packet}"));
        }
        match connection.is_closed {
            true => Err(format!("nothing more was expected for {client}, but its connection was closed")),
            false => Ok(()),
        }
    }

    fn expect_closed(&mut self, client: &str, text: &str) -> Result<(), String> {
        match self.next(&[client.to_owned()])? {
            Came::Closed(_) => {
                self.note(text);
                self.connections.remove(client);
                Ok(())
            }
            Came::Packet(_, packet) => {
                self.note(&format!("{client} < {packet}"));
                Err(format!("the connection of {client} should be closed, but came {packet}"))
            }
            Came::Nothing => Err(format!("the connection of {client} should be closed, but is open")),
        }
    }

    fn cut(&mut self, client: &str) -> Result<(), String> {
        self.connections.remove(client).ok_or_else(|| format!("{client} has no connection"))?;
        self.player.cut(client)
    }

    /// Lets every Client that can do so ask for a PINGRESP, so that all that was under way arrives.
    ///
    /// What comes before the PINGRESP stays pending.
    fn fence(&mut self) -> Result<(), String> {
        for _ in 0..FENCE_ROUNDS {
            let can_ping = |connection: &Connection| {
                connection.is_connected
                    && !connection.is_closed
                    && !connection.has_said_disconnect
                    && !connection.has_keep_alive
            };
            let clients: Vec<String> = self
                .connections
                .iter()
                .filter(|(_, connection)| can_ping(connection))
                .map(|(client, _)| client.clone())
                .collect();
            clients.iter().try_for_each(|client| self.ping(client))?;
        }
        Ok(())
    }

    fn ping(&mut self, client: &str) -> Result<(), String> {
        let version = self.connection(client)?.version;
        let bytes = encode(&Packet::pingreq(), version, &self.names)?;
        self.player.send(client, &bytes)?;
        let mut before = std::mem::take(&mut self.connection(client)?.pending);
        loop {
            match self.next(&[client.to_owned()])? {
                Came::Packet(_, packet) if packet.kind == Kind::Pingresp => break,
                Came::Packet(_, packet) => before.push_back(packet),
                Came::Closed(_) => break,
                Came::Nothing => return Err(format!("{client} got no PINGRESP [MQTT-3.12.4-1]")),
            }
        }
        self.connection(client)?.pending = before;
        Ok(())
    }

    /// What comes next to one of `clients`.
    fn next(&mut self, clients: &[String]) -> Result<Came, String> {
        loop {
            for client in clients {
                if let Some(packet) = self.connection(client)?.next_packet()? {
                    return Ok(Came::Packet(client.clone(), packet));
                }
            }
            if let Some(client) = clients.iter().find(|client| self.connections[*client].is_closed) {
                return Ok(Came::Closed(client.clone()));
            }
            let asked: Vec<&str> = clients.iter().map(String::as_str).collect();
            match self.player.receive(&asked)? {
                Received::Bytes(place, bytes) => self.connection(&clients[place])?.buffer.extend(bytes),
                Received::Closed(place) => self.connection(&clients[place])?.is_closed = true,
                Received::Nothing => return Ok(Came::Nothing),
            }
        }
    }

    fn connection(&mut self, client: &str) -> Result<&mut Connection, String> {
        self.connections.get_mut(client).ok_or_else(|| format!("{client} has no connection"))
    }

    /// At the end, nothing may be left over, and a Client that said DISCONNECT is let go.
    fn finish(&mut self) -> Result<(), String> {
        let clients: Vec<String> = self.connections.keys().cloned().collect();
        for client in clients {
            let connection = &self.connections[&client];
            if connection.has_said_disconnect {
                self.expect_closed(&client, &format!("{client} < closed"))?;
            } else {
                self.expect_nothing(&client)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.exchange.push_str(line);
        self.exchange.push('\n');
    }
}

impl Connection {
    fn next_packet(&mut self) -> Result<Option<Packet>, String> {
        if let Some(packet) = self.pending.pop_front() {
            return Ok(Some(packet));
        }
        let wrong =
            |error| format!("the Server sent what it must not: {error}\n  bytes {:02x?}", self.buffer);
        let Some((packet, length)) = decode(&self.buffer, self.version).map_err(wrong)? else {
            return if self.is_closed && !self.buffer.is_empty() {
                Err(format!("the Server closed inside a packet\n  bytes {:02x?}", self.buffer))
            } else {
                Ok(None)
            };
        };
        self.buffer.drain(..length);
        if length > self.packet_bytes_max {
            return Err(format!("{packet} has {length} bytes [MQTT-3.1.2-24]"));
        }
        if let Body::Connack { reason, .. } = &packet.body {
            if self.is_connected {
                return Err("a second CONNACK [MQTT-3.2.0-2]".into());
            }
            self.is_connected = reason.first() == 0;
        } else if !self.is_connected && packet.kind != Kind::Auth {
            return Err(format!("{packet} before CONNACK [MQTT-3.2.0-1]"));
        }
        Ok(Some(packet))
    }
}

/// The Maximum Packet Size that a CONNECT names (3.1.2.11.4).
fn maximum_packet_size(connect: &Packet) -> usize {
    let size = connect.properties.iter().find(|property| property.identifier == MAXIMUM_PACKET_SIZE);
    match size.map(|property| &property.value) {
        Some(PropertyValue::Number(Number::Exact(size @ 1..))) => *size as usize,
        _ => usize::MAX,
    }
}

const MAXIMUM_PACKET_SIZE: u8 = 0x27;

fn instead(step: &Step, came: &str) -> String {
    format!("expected was\n    {}\n  but came\n    {came}", step.text)
}
