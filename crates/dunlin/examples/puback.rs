//! How long PUBACK takes beside what the disk takes: the real program, real connections, and a kept Session that is away.
//!
//! `cargo run --release -p dunlin --example puback -- target/release/dunlin [folder on the disk to measure] [seconds]`
//!
//! Three loads, each with a Server and data of its own: one Client that waits for each PUBACK; four Clients that always
//! have 200 messages unacknowledged, which is what the Server can take; and the same four with half as many messages a
//! second, evenly spread. Beside the times from PUBLISH to PUBACK stand those that the Server's writer has measured
//! for a commit with its fsync, and those of a file of our own with 4 KiB and `fdatasync` in between.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: usize = 4;
const WINDOW: usize = 200;
const PAYLOAD: usize = 256;
/// Time between two sendings of a Client that sends evenly.
const TICK: Duration = Duration::from_millis(1);

/// How a Client sends.
#[derive(Clone, Copy)]
enum Pace {
    /// So many unacknowledged at any time.
    Window(usize),
    /// So many a second, whatever is acknowledged.
    Rate(f64),
}

fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let program = PathBuf::from(arguments.next().ok_or("the path of the program is missing")?);
    let place = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(10), |it| it.parse())?;
    let run = |name: &str, clients: usize, pace: Pace| -> Outcome<f64> {
        let server = Server::start(&program, &place.join("dunlin-puback"))?;
        let probe = Probe::start(&place.join("dunlin-puback-probe"));
        let mut times = load(&server.address, clients, pace, Duration::from_secs(seconds))?;
        let mut probed = probe.stop()?;
        let rate = times.len() as f64 / seconds as f64;
        println!("{name}: {rate:.0} messages/s");
        println!("  PUBLISH to PUBACK      {}", shown(&mut times));
        println!("  commit with fsync      {}", server.stop()?);
        println!("  fdatasync beside it    {}", shown(&mut probed));
        Ok(rate)
    };
    run("one Client alone", 1, Pace::Window(1))?;
    let most = run("as much as it takes", CLIENTS, Pace::Window(WINDOW))?;
    run("half of that", CLIENTS, Pace::Rate(most / 2.0 / CLIENTS as f64))?;
    Ok(())
}

fn shown(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len().saturating_sub(1) as f64 * share) as usize).copied();
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or_default());
    format!("p50 {p50:?}, p99 {p99:?}, max {max:?}")
}

struct Server {
    child: Child,
    address: String,
    lines: Receiver<String>,
    folder: PathBuf,
}

impl Server {
    fn start(program: &Path, folder: &Path) -> Outcome<Self> {
        let _ = fs::remove_dir_all(folder); // Left by a run that was ended.
        fs::create_dir(folder)?;
        let config = folder.join("dunlin.toml");
        fs::write(&config, "[mqtt]\nqueue_messages_max = 100000000\nqueue_bytes_max = 1099511627776\n")?;
        let mut child = Command::new(program)
            .args(["serve", "--port", "0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        thread::spawn({
            let sender = sender.clone();
            move || pass_on(stdout, &sender)
        });
        thread::spawn(move || pass_on(stderr, &sender));
        let mut server = Self { child, address: String::new(), lines, folder: folder.to_owned() };
        let line = server.await_line("mqtt://127.0.0.1:")?;
        server.address = line.split("mqtt://").nth(1).unwrap_or_default().trim().to_owned();
        Ok(server)
    }

    fn await_line(&self, wanted: &str) -> Outcome<String> {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(30))?;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
    }

    /// Stops it; what its writer says of the disk.
    fn stop(mut self) -> Outcome<String> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let line = self.await_line("what was made durable")?;
        self.child.wait()?;
        fs::remove_dir_all(&self.folder)?;
        let number = |name: &str| -> Outcome<u64> {
            let rest = line.split(&format!("{name}=")).nth(1).ok_or("the log has changed")?;
            Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
        };
        let [p50, p99] = [number("fsync_p50_us")?, number("fsync_p99_us")?].map(Duration::from_micros);
        Ok(format!("p50 {p50:?}, p99 {p99:?}, {} times", number("fsyncs")?))
    }
}

fn pass_on(stream: Option<impl Read>, sender: &Sender<String>) {
    let lines = BufReader::new(stream.expect("it is piped")).lines();
    lines.map_while(Result::ok).for_each(|line| drop(sender.send(line)));
}

/// A file of our own on the same disk, synced ten times a second.
struct Probe {
    stop: Sender<()>,
    thread: thread::JoinHandle<Outcome<Vec<Duration>>>,
}

impl Probe {
    fn start(path: &Path) -> Self {
        let (stop, stopped) = mpsc::channel();
        let path = path.to_owned();
        let thread = thread::spawn(move || {
            let (mut file, mut times) = (File::create(&path)?, Vec::new());
            while stopped.recv_timeout(Duration::from_millis(100)).is_err() {
                file.write_all(&[1; 4_096])?;
                let started = Instant::now();
                file.sync_data()?;
                times.push(started.elapsed());
            }
            fs::remove_file(path)?;
            Ok(times)
        });
        Self { stop, thread }
    }

    fn stop(self) -> Outcome<Vec<Duration>> {
        self.stop.send(())?;
        self.thread.join().expect("it does not panic")
    }
}

fn load(address: &str, clients: usize, pace: Pace, time: Duration) -> Outcome<Vec<Duration>> {
    let mut away = connect(address, "away", false)?;
    away.write_all(&[0x82, 7, 0, 1, 0, 0, 1, b't', 1])?;
    away.read_exact(&mut [0; 6])?;
    away.write_all(&[0xE0, 0])?;
    let publishers: Vec<TcpStream> =
        (0..clients).map(|number| connect(address, &format!("p{number}"), true)).collect::<Outcome<_>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> =
            publishers.iter().map(|stream| scope.spawn(move || publish(stream, pace, time))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.append(&mut thread.join().expect("a Client does not panic")?);
        }
        Ok(all)
    })
}

fn connect(address: &str, client_id: &str, clean_start: bool) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let expiry_s: u32 = if clean_start { 0 } else { 3_600 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, u8::from(clean_start) << 1, 0, 0, 5, 0x11];
    body.extend(expiry_s.to_be_bytes());
    body.extend([0, client_id.len() as u8]);
    body.extend(client_id.as_bytes());
    stream.write_all(&[&[0x10, body.len() as u8], &body[..]].concat())?;
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    if head[0] != 0x20 || head[3] != 0 {
        return Err(format!("{client_id}: refused: {head:02x?}").into());
    }
    stream.read_exact(&mut vec![0; usize::from(head[1]) - 2])?;
    Ok(stream)
}

/// Publishes for so long; the times from PUBLISH to PUBACK.
fn publish(stream: &TcpStream, pace: Pace, time: Duration) -> Outcome<Vec<Duration>> {
    let (sent, acknowledged) = (mpsc::channel(), mpsc::channel());
    let (sender, receiver) = sent;
    let (done, acks) = acknowledged;
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_acks(stream, &receiver, &done));
        let began = Instant::now();
        let (mut count, mut acked) = (0_u64, 0_u64);
        let mut bytes = Vec::new();
        while began.elapsed() < time {
            let due = match pace {
                Pace::Window(window) => {
                    acked += if count - acked < window as u64 { 0 } else { acks.recv()? };
                    acked += acks.try_iter().sum::<u64>();
                    acked + window as u64
                }
                Pace::Rate(rate) => (began.elapsed().as_secs_f64() * rate) as u64,
            };
            bytes.clear();
            let now = Instant::now();
            for number in count..due {
                let packet_id = (number % 65_535 + 1) as u16;
                let len = 6 + PAYLOAD;
                bytes.extend([0x32, (len & 0x7F) as u8 | 0x80, (len >> 7) as u8, 0, 1, b't']);
                bytes.extend(packet_id.to_be_bytes());
                bytes.push(0);
                bytes.resize(bytes.len() + PAYLOAD, b'x');
                sender.send(now)?;
            }
            count = count.max(due);
            let mut stream = stream;
            stream.write_all(&bytes)?;
            if matches!(pace, Pace::Rate(_)) {
                thread::park_timeout(TICK);
            }
        }
        drop(sender);
        reader.join().expect("it does not panic")
    })
}

/// Acknowledgements come in the order of the messages.
fn read_acks(mut stream: &TcpStream, sent: &Receiver<Instant>, done: &Sender<u64>) -> Outcome<Vec<Duration>> {
    let (mut times, mut unread, mut block) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
    loop {
        let Ok(first) = sent.recv() else { return Ok(times) };
        let mut next = Some(first);
        let mut count = 0;
        while let Some(at) = next.take() {
            while unread.len() < 2 || unread.len() < 2 + usize::from(unread[1]) {
                if count > 0 {
                    let _ = done.send(std::mem::take(&mut count)); // Only a window wants to know.
                }
                let read = stream.read(&mut block)?;
                if read == 0 {
                    return Err("the Server has closed".into());
                }
                unread.extend_from_slice(&block[..read]);
            }
            let is_refused = unread[1] > 2 && unread[4] >= 0x80;
            if unread[0] != 0x40 || is_refused {
                return Err(format!("not acknowledged: {:02x?}", &unread[..4]).into());
            }
            unread.drain(..2 + usize::from(unread[1]));
            times.push(at.elapsed());
            count += 1;
            next = sent.try_recv().ok();
        }
        let _ = done.send(count);
    }
}
