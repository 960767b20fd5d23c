//! Turns with a stand-in for the broker: sockets, mail, panics and closing, one turn at a time.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Cause, ConnectRequest, Input},
    output::Outbox,
    routing::mail::Mail,
};
use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::time::Instant;
use tokio::sync::mpsc;

use crate::{clock::Clock, counts::Counts, lobby::fights::Fights, memory::gauge::Gauge, seats::Seats};

use super::{
    admission::Admission,
    connection_io::READ_BYTES,
    mailbox::{Post, Shards},
    neighbours::Neighbours,
    poller::Poller,
    surroundings::Surroundings,
    turn::{Machine, Turns},
};

/// What the stand-in was told.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Told {
    Arrived(u32, Vec<u8>),
    Received(u32, Vec<u8>),
    Left(u32, Cause),
    Drained(u32),
    Letter(u8, u64),
    Stop,
}

type Reaction = Box<dyn FnMut(&Told, &mut Outbox) + Send>;

/// Notes what it is told and reacts as the test wants.
struct StandIn {
    told: Sender<Told>,
    reaction: Reaction,
    /// All who come are the same Client.
    is_one_client: bool,
    last: Option<ConnectionId>,
}

impl Machine for StandIn {
    fn handle(&mut self, _: Instant, input: Input<'_>, out: &mut Outbox) {
        let told = match input {
            Input::Arrived(arrival) => Told::Arrived(arrival.connection.0, arrival.unread),
            Input::Received { connection, bytes } => Told::Received(connection.0, bytes.to_vec()),
            Input::Left { connection, cause } => Told::Left(connection.0, cause),
            Input::Drained { connection } => Told::Drained(connection.0),
            Input::Routed { from, mail: Mail::Fence { ask } } => Told::Letter(from.0, ask),
            Input::Stop => Told::Stop,
            other => panic!("the tests do not cause {other:?}"),
        };
        if let Told::Arrived(number, _) = told {
            self.last = Some(ConnectionId(number));
        }
        self.told.send(told.clone()).expect("the test listens");
        (self.reaction)(&told, out);
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn connection_of(&self, _: &str) -> Option<ConnectionId> {
        self.last.filter(|_| self.is_one_client)
    }

    fn settle(&mut self, _: Instant, _: Instant, _: &mut Outbox) {}
}

/// One shard of a Server of stand-ins.
struct Bench {
    turns: Turns<StandIn>,
    poller: Poller,
    told: Receiver<Told>,
    post: Arc<Post>,
    seats: Arc<Seats>,
    listener: TcpListener,
}

impl Bench {
    fn new(reaction: impl FnMut(&Told, &mut Outbox) + Send + 'static) -> Self {
        Self::several(1, vec![Box::new(reaction)]).remove(0)
    }

    /// `count` shards; those without a reaction have nobody who takes their mail.
    fn several(count: u8, reactions: Vec<Reaction>) -> Vec<Self> {
        let (pollers, wakers): (Vec<_>, Vec<_>) = (0..count).map(|_| Poller::new().unwrap()).unzip();
        let post = Arc::new(Post::new(wakers));
        let seats = Seats::new(100);
        let (providers, _) = mpsc::channel(1);
        let around = Surroundings {
            post: Arc::clone(&post),
            neighbours: Arc::new(Neighbours::new(count)),
            clock: Clock::start(),
            husks: Arc::default(),
            seats: Arc::clone(&seats),
            memory: Arc::new(Gauge::new(0)),
            fights: Arc::new(Fights::new(Duration::ZERO)),
            providers,
            counts: Arc::new(Counts::default()),
            backlog_max: BACKLOG_MAX,
            storage: None,
            startup: channel().0,
        };
        let shards = pollers.into_iter().zip(reactions).zip(0..);
        shards
            .map(|((poller, reaction), shard)| {
                let (sender, told) = channel();
                let machine = StandIn { told: sender, reaction, is_one_client: false, last: None };
                Self {
                    turns: Turns::new(
                        ShardId(shard),
                        machine,
                        Outbox::new(count),
                        poller.registrar().unwrap(),
                        around.clone(),
                    ),
                    poller,
                    told,
                    post: Arc::clone(&post),
                    seats: Arc::clone(&seats),
                    listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                }
            })
            .collect()
    }

    /// A Client of this shard, with the number it has there.
    fn connect(&mut self, unread: &[u8]) -> (TcpStream, u32) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(WAIT)).unwrap();
        self.admit(unread);
        match self.until(|told| matches!(told, Told::Arrived(..))).pop() {
            Some(Told::Arrived(number, bytes)) if bytes == unread => (client, number),
            other => panic!("{other:?}"),
        }
    }

    /// Hands in the Client that has just connected to the listener.
    fn admit(&self, unread: &[u8]) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let admission = Admission {
            stream,
            door: 0,
            passage: None,
            request: Box::new(request()),
            unread: unread.to_vec(),
            seat: self.seats.take_any().unwrap(),
            permit: None,
            exchange: None,
        };
        self.post.admit(self.turns.shard, admission);
    }

    /// Turns until the stand-in was told `wanted`; returns all it was told.
    fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            for told in self.told.try_iter() {
                all.push(told);
            }
            if all.iter().any(&wanted) {
                return all;
            }
            assert!(self.turn(), "the shard ended; it was told {all:?}");
        }
    }

    /// Waits for something to do and does it.
    fn turn(&mut self) -> bool {
        let timeout = self.turns.time_to_wait();
        self.poller.wait(timeout).unwrap();
        self.turns.turn(&self.poller)
    }

    fn until_closed(&mut self, connections: usize) {
        while self.turns.connections.count() > connections {
            self.turn();
        }
    }
}

fn request() -> ConnectRequest {
    ConnectRequest { receive_maximum: 1, ..ConnectRequest::new(ProtocolVersion::V5_0, "client") }
}

/// Reads from `client`, on a thread of its own, until the end; gives what was read.
fn read_all(mut client: TcpStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("the end comes, and no reset");
        bytes
    })
}

/// Each byte that came is sent back a thousand times.
fn echo_a_thousandfold(told: &Told, out: &mut Outbox) {
    if let Told::Received(number, bytes) = told {
        let buffer = out.buffer(ConnectionId(*number));
        bytes.iter().for_each(|&byte| buffer.resize(buffer.len() + 1_000, byte));
        out.ask_drained(ConnectionId(*number));
    }
}

#[test]
fn bytes_go_in_and_out_and_the_end_is_told() {
    let mut bench = Bench::new(echo_a_thousandfold);
    let (mut client, number) = bench.connect(b"behind CONNECT");
    client.write_all(b"ab").unwrap();
    assert_eq!(bench.until(|told| *told == Told::Drained(number)).len(), 2);
    let mut answer = [0; 2_000];
    client.read_exact(&mut answer).unwrap();
    assert!(answer[..1_000].iter().all(|&byte| byte == b'a') && answer[1_999] == b'b');
    // The last bytes and the end come together, and both are told.
    client.write_all(b"c").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let all = bench.until(|told| matches!(told, Told::Left(..)));
    assert_eq!(all.first(), Some(&Told::Received(number, b"c".to_vec())));
    assert_eq!(all.last(), Some(&Told::Left(number, Cause::Closed)));
    assert_eq!((bench.turns.connections.count(), bench.seats.taken()), (0, 0));
}

#[test]
fn what_was_sent_before_coming_again_is_read_before() {
    let mut bench = Bench::new(|told, out| match told {
        Told::Received(number, bytes) if bytes == b"last words" => out.closings.push(ConnectionId(*number)),
        _ => {}
    });
    bench.turns.machine.is_one_client = true;
    let (mut old, old_number) = bench.connect(b"");
    old.write_all(b"last words").unwrap();
    old.shutdown(Shutdown::Write).unwrap();
    let mut new = TcpStream::connect(bench.listener.local_addr().unwrap()).unwrap();
    bench.admit(b"");
    let told = bench.until(|told| matches!(told, Told::Arrived(..)));
    assert_eq!(told.first(), Some(&Told::Received(old_number, b"last words".to_vec())));
    // Whichever number the new one has, the end of the old one was not its own.
    new.write_all(b"here").unwrap();
    let told = bench.until(|told| matches!(told, Told::Received(_, bytes) if bytes == b"here"));
    assert_eq!(told.len(), 1, "{told:?}");
    bench.until_closed(1);
}

#[test]
fn what_the_socket_does_not_take_is_written_when_it_can() {
    let mut bench = Bench::new(|told, out| {
        if let Told::Received(number, _) = told {
            out.buffer(ConnectionId(*number)).resize(LARGE, 7);
            out.ask_drained(ConnectionId(*number));
        }
    });
    let (mut client, number) = bench.connect(b"");
    client.write_all(b"x").unwrap();
    bench.until(|told| matches!(told, Told::Received(..)));
    assert!(bench.turns.outbox.backlog(ConnectionId(number)) > 0, "the socket has not taken all");
    let (mut other, other_number) = bench.connect(b"");
    other.write_all(b"y").unwrap();
    bench.until(|told| *told == Told::Received(other_number, b"y".to_vec()));

    let reading = thread::spawn(move || {
        let mut bytes = vec![0; LARGE];
        client.read_exact(&mut bytes).unwrap();
        (client, bytes.iter().all(|&byte| byte == 7))
    });
    bench.until(|told| *told == Told::Drained(number));
    let (_client, is_right) = reading.join().unwrap();
    assert!(is_right);
}

#[test]
fn a_client_that_reads_nothing_is_not_read_until_it_reads() {
    let mut bench = Bench::new(|told, out| {
        if let Told::Received(number, _) = told {
            let buffer = out.buffer(ConnectionId(*number));
            buffer.resize(buffer.len() + BACKLOG_MAX / 4, 1);
        }
    });
    let (mut client, number) = bench.connect(b"");
    while !bench.turns.connections.open(ConnectionId(number)).unwrap().is_paused() {
        client.write_all(b"x").unwrap();
        bench.until(|told| matches!(told, Told::Received(..)));
    }
    client.write_all(b"not read").unwrap();
    let (mut other, other_number) = bench.connect(b"");
    other.write_all(b"y").unwrap();
    let told = bench.until(|told| *told == Told::Received(other_number, b"y".to_vec()));
    assert_eq!(told.len(), 1, "the other one is read, this one is not: {told:?}");
    let reading = read_all(client.try_clone().unwrap());
    bench.until(|told| *told == Told::Received(number, b"not read".to_vec()));
    client.shutdown(Shutdown::Write).unwrap();
    bench.until(|told| *told == Told::Left(number, Cause::Closed));
    reading.join().unwrap();
}

#[test]
fn one_that_sends_without_end_does_not_keep_the_others_waiting() {
    let mut bench = Bench::new(|_, _| {});
    let (mut flood, flood_number) = bench.connect(b"");
    let (mut small, small_number) = bench.connect(b"");
    let flooding = thread::spawn(move || flood.write_all(&vec![0; LARGE]).map(|()| flood));
    let mut flooded = 0;
    while flooded < LARGE {
        small.write_all(b"s").unwrap();
        let told = bench.until(|told| matches!(told, Told::Received(number, _) if *number == small_number));
        let mut before = 0;
        for told in told {
            match told {
                Told::Received(number, bytes) if number == flood_number => before += bytes.len(),
                _ => {}
            }
        }
        assert!(before <= 2 * READ_BYTES, "{before} bytes were read first");
        flooded += before;
        if flooding.is_finished() && before == 0 {
            break;
        }
    }
    flooding.join().unwrap().unwrap();
}

#[test]
fn what_is_pending_reaches_a_client_that_is_closed() {
    let mut bench = Bench::new(|told, out| {
        if let Told::Received(number, _) = told {
            out.buffer(ConnectionId(*number)).resize(LARGE, 9);
            out.closings.push(ConnectionId(*number));
        }
    });
    let (mut client, _) = bench.connect(b"");
    client.write_all(b"bye").unwrap();
    bench.until(|told| matches!(told, Told::Received(..)));
    // These bytes are never handled, but they must not turn the close into a reset.
    client.write_all(&[0; 10_000]).unwrap();
    let reading = read_all(client);
    bench.until_closed(0);
    assert_eq!(reading.join().unwrap().len(), LARGE);
    assert!(bench.told.try_iter().next().is_none(), "the broker hears no more of it");
    assert_eq!(bench.seats.taken(), 0);
}

#[test]
fn a_client_that_does_not_close_is_cut_after_a_while() {
    let mut bench = Bench::new(|told, out| {
        if let Told::Received(number, _) = told {
            out.closings.push(ConnectionId(*number));
        }
    });
    let (mut stays, _) = bench.connect(b"");
    stays.write_all(b"x").unwrap();
    bench.until(|told| matches!(told, Told::Received(..)));
    assert_eq!(stays.read(&mut [0]).unwrap(), 0, "the end came at once");
    assert_eq!(bench.turns.connections.count(), 1);
    bench.turns.around.clock.advance(Duration::from_secs(4));
    let (_other, _) = bench.connect(b"");
    assert_eq!(bench.turns.connections.count(), 1, "only the other one is left");
}

#[test]
fn a_panic_costs_one_connection_and_is_counted() {
    let mut bench = Bench::new(|told, _| assert_ne!(*told, Told::Received(0, b"panic".to_vec())));
    let ((mut victim, number), (mut other, other_number)) = (bench.connect(b""), bench.connect(b""));
    victim.write_all(b"panic").unwrap();
    let told = bench.until(|told| matches!(told, Told::Left(..)));
    assert_eq!(told.last(), Some(&Told::Left(number, Cause::Panicked)));
    assert_eq!(victim.read(&mut [0]).unwrap(), 0);
    other.write_all(b"alive").unwrap();
    bench.until(|told| *told == Told::Received(other_number, b"alive".to_vec()));
    assert_eq!(bench.turns.around.counts.panics(), 1);
}

#[test]
fn a_shard_that_cannot_send_reads_no_sockets_but_its_mail() {
    let to_one = |told: &Told, out: &mut Outbox| {
        if let Told::Received(_, bytes) = told {
            let count = if bytes == b"fill" { LETTERS_THAT_FILL } else { 1 };
            out.routes[1].extend((0..count).map(|_| Mail::Fence { ask: 0 }));
        }
    };
    let mut bench = Bench::several(2, vec![Box::new(to_one)]).remove(0);
    let (mut client, number) = bench.connect(b"");
    for text in ["fill", "more"] {
        client.write_all(text.as_bytes()).unwrap();
        bench.until(|told| *told == Told::Received(number, text.into()));
    }
    assert!(bench.turns.is_kept_back);
    client.write_all(b"later").unwrap();
    assert!(bench.post.send(ShardId(1), &mut [vec![Mail::Fence { ask: 5 }], vec![]], &mut Shards::new()));
    let told = bench.until(|told| *told == Told::Letter(1, 5));
    assert_eq!(told.len(), 1, "the socket is not read");
    // Shard 1 takes its mail: shard 0 is woken, sends the rest and reads.
    let mut taken = super::mailbox::Contents::default();
    bench.post.take(ShardId(1), &mut taken);
    assert_eq!(taken.letters.len(), LETTERS_THAT_FILL);
    bench.until(|told| *told == Told::Received(number, b"later".to_vec()));
    let mut rest = super::mailbox::Contents::default();
    bench.post.take(ShardId(1), &mut rest);
    assert_eq!(rest.letters.len(), 2);
}

/// Each shard answers every letter but the last ones, and both begin with more than a mailbox holds.
#[test]
fn two_shards_with_full_mailboxes_do_not_wait_for_each_other() {
    const ROUNDS: u64 = 5;
    let reaction = |peer: usize| -> Reaction {
        Box::new(move |told, out| match told {
            Told::Received(..) => {
                out.routes[peer].extend((0..2 * LETTERS_THAT_FILL).map(|_| Mail::Fence { ask: ROUNDS }));
            }
            Told::Letter(_, ask) if *ask > 0 => out.routes[peer].push(Mail::Fence { ask: ask - 1 }),
            _ => {}
        })
    };
    let shards = Bench::several(2, vec![reaction(1), reaction(0)]);
    let shards = shards.into_iter().map(|mut bench| {
        let (client, _) = bench.connect(b"");
        (bench, client)
    });
    let shards: Vec<_> = shards.collect();
    let playing = shards.into_iter().map(|(mut bench, mut client)| {
        thread::spawn(move || {
            client.write_all(b"go").unwrap();
            let mut letters = 0;
            let wanted = 2 * LETTERS_THAT_FILL * (ROUNDS as usize + 1);
            while letters < wanted {
                bench.turn();
                letters += bench.told.try_iter().filter(|told| matches!(told, Told::Letter(..))).count();
            }
            // What it still has to send is sent before it goes.
            while bench.turns.is_kept_back {
                bench.turn();
            }
        })
    });
    let playing: Vec<_> = playing.collect();
    playing.into_iter().for_each(|shard| shard.join().unwrap());
}

#[test]
fn after_a_stop_the_thread_ends_when_all_connections_have() {
    let mut bench = Bench::new(|told, out| {
        if *told == Told::Stop {
            for number in 0..3 {
                out.buffer(ConnectionId(number)).extend_from_slice(b"last words");
                out.closings.push(ConnectionId(number));
            }
        }
    });
    let clients: Vec<TcpStream> = (0..3).map(|_| bench.connect(b"").0).collect();
    let reading: Vec<_> = clients.into_iter().map(read_all).collect();
    bench.post.stop();
    while bench.turn() {}
    for client in reading {
        assert_eq!(client.join().unwrap(), b"last words");
    }
    assert_eq!(bench.turns.connections.count(), 0);
}

/// More than the buffers of a socket take.
const LARGE: usize = 32 << 20;

/// The limit of the bench.
const BACKLOG_MAX: usize = 4 << 20;

/// Letters of 64 bytes that fill a mailbox.
const LETTERS_THAT_FILL: usize = 65_536;

const WAIT: Duration = Duration::from_secs(10);
