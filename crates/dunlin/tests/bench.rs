//! `dunlin bench` against `dunlin serve`, mosquitto, and a relay that does one thing wrong.

#[path = "bench/relay.rs"]
mod relay;
mod support;
#[path = "bench/transports.rs"]
mod transports;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use relay::Fault;
use serde_json::Value;
use support::{
    LONG_WAIT, WAIT, on_shards,
    program::{Finished, Program},
    server::{Server, dunlin},
};
use tempfile::TempDir;

/// Debian's mosquitto on a free port.
struct Mosquitto {
    port: u16,
    _program: Program,
    _folder: TempDir,
}

impl Mosquitto {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        drop(listener);
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n{settings}\n");
        std::fs::write(&file, text).expect("the configuration can be written");
        let path = [PathBuf::from("/usr/sbin/mosquitto"), PathBuf::from("/usr/bin/mosquitto")];
        let path = path.into_iter().find(|path| path.exists()).unwrap_or_else(|| "mosquitto".into());
        let mut program = Program::start(Command::new(path).arg("-c").arg(file));
        let deadline = Instant::now() + WAIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen:\n{}", program.tail());
            program.take_output_for(Duration::from_millis(20));
        }
        Self { port, _program: program, _folder: folder }
    }
}

/// Starts `dunlin bench` with arguments as in a shell without quotes.
fn start(port: u16, arguments: &str) -> Program {
    let port = port.to_string();
    let mut all = vec!["bench"];
    all.extend(arguments.split_whitespace());
    all.extend(["-h", "127.0.0.1", "-p", &port]);
    dunlin(&all)
}

/// Runs `dunlin bench --json` to its end, with exit code `code`.
#[track_caller]
fn bench_with_code(port: u16, arguments: &str, code: i32) -> Value {
    let finished = start(port, &format!("{arguments} --json --stall 1")).await_exit_within(LONG_WAIT);
    let figures = finished.assert_code(code).text();
    serde_json::from_str(&figures).unwrap_or_else(|error| panic!("{arguments}: {error}: {figures}"))
}

/// [`bench_with_code`] of a run that is valid.
#[track_caller]
fn bench(port: u16, arguments: &str) -> Value {
    let figures = bench_with_code(port, arguments, 0);
    assert_eq!(figures["valid"], true, "{arguments}: {figures}");
    assert_eq!(figures["problems"].as_array().map(Vec::len), Some(0), "{arguments}: {figures}");
    figures
}

/// Runs `dunlin bench` in vain, and gives what it says.
#[track_caller]
fn fails(port: u16, arguments: &str, code: i32) -> String {
    let finished: Finished = start(port, arguments).await_exit_within(LONG_WAIT);
    let errors = finished.assert_code(code).errors();
    assert!(errors.starts_with("Error: ") || errors.contains("\nError: "), "{errors}");
    errors
}

#[track_caller]
fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or_else(|| panic!("no number {key:?} in {figures}"))
}

/// Runs the subcommand for a moment. All that was sent came, and the figures agree with each other.
fn exchange(port: u16, arguments: &str, fan: f64) {
    let figures = bench(port, &format!("{arguments} -d 0.4 --warm-up 0.1"));
    let number = |key: &str| number(&figures, key);
    assert!(number("published") > 0.0 && number("delivered") > 0.0, "{arguments}: {figures}");
    assert_eq!(number("expected_total"), number("published_total") * fan, "{arguments}");
    assert_eq!(number("delivered_total"), number("expected_total"), "{arguments}");
    assert!(number("delivered_total") >= number("delivered"), "{arguments}");
    let measured = figures["latency_us"]["n"].as_f64().expect("a number of messages");
    match arguments.contains(" -r ") {
        false => assert_eq!(measured, number("delivered"), "{arguments}"),
        // Counted are those that were due in the measured time, whenever they came: 0.2 s up to 2,000 a second make 200,
        // of which 50 are due in the 0.1 s that are not measured; then 0.3 s at that rate.
        true => assert!((measured - 750.0).abs() <= 1.0, "{figures}"),
    }
    let rate = number("delivered") / number("seconds");
    assert!((number("deliver_per_s") / rate - 1.0).abs() < 0.01, "{arguments}: {figures}");
    let latency = |key: &str| figures["latency_us"][key].as_f64().expect("percentiles are numbers");
    assert!(
        latency("p50") > 0.0 && latency("p50") <= latency("p999") && latency("p999") <= latency("max") * 1.01
    );
    assert!(number("broker_cpu_us_per_delivery") > 0.0, "the Server is found by itself: {figures}");
    assert!(number("bench_cpu_us_per_message") > 0.0);
}

/// Every subcommand with messages from here to here, with the versions and QoS shared out among them.
fn all_exchanges(port: u16) {
    exchange(port, "pair", 1.0);
    exchange(port, "pair -q 1 -V 5 --topics 3", 1.0);
    exchange(port, "pair -q 2 -w 10 -n 3 -V 3.1 -s 16", 1.0);
    exchange(port, "pair -s 200000 -w 2 -n 2 -q 1 --threads 2", 1.0);
    exchange(port, "fan-in -n 20 -w 4 --subscribers 2 --threads 2", 2.0);
    exchange(port, "fan-in -n 5 -q 1 -w 4 -t x/%i/y", 1.0);
    exchange(port, "fan-out -n 20 -q 1 -w 4 --threads 2 -A 127.0.0.1,127.0.0.2", 20.0);
    exchange(port, "shared -n 5 -w 4 -q 1 -V 5", 1.0);
    exchange(port, "match -n 300 --subscribers 20 --hits 10 -w 4", 10.0);
    exchange(port, "latency -r 2000 -n 5 --ramp 0.2 -c -q 1", 1.0);
}

on_shards! {
    fn messages_are_exchanged_through_dunlin(server) {
        all_exchanges(server.address().port());
    }
}

#[test]
fn messages_are_exchanged_through_mosquitto() {
    all_exchanges(Mosquitto::start("max_inflight_messages 1000\nmax_queued_messages 100000").port);
}

/// `dunlin bench relay` on a free port.
fn start_relay() -> (Program, u16) {
    let mut relay = dunlin(&["bench", "relay", "-p", "0"]);
    let line = relay.await_line("its address", |line| line.starts_with("relaying at mqtt://127.0.0.1:"));
    let port = line.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
    (relay, port.expect("the relay says its port"))
}

#[test]
fn messages_are_exchanged_through_the_relay() {
    let (_relay, port) = start_relay();
    exchange(port, "pair", 1.0);
    exchange(port, "pair -q 1 -V 5 --topics 3", 1.0);
    exchange(port, "pair -q 2 -w 10 -n 3 -V 3.1 -s 16", 1.0);
    exchange(port, "pair -s 200000 -w 2 -n 2 -q 1 --threads 2", 1.0);
    exchange(port, "fan-out -n 100 -w 4", 100.0);
    exchange(port, "fan-in -n 50 -w 4", 1.0);
    exchange(port, "shared -n 20 --members 5 -w 4", 1.0);
    let figures = bench(port, "conn -n 100 -d 0.2 --ping-every 0.1 --storms 1 -t x/%i");
    assert_eq!(figures["connections"], 100);
    assert!(number(&figures, "pings") >= 100.0, "{figures}");
}

#[test]
fn the_relay_closes_what_it_cannot_pass_on() {
    let (_relay, port) = start_relay();
    let figures = bench_with_code(port, "pair -n 1 -s 2000000 -w 1", 20);
    assert!(figures["problems"].to_string().contains("closed by the Server"), "{figures}");
    exchange(port, "pair -n 1", 1.0);
    let taken = dunlin(&["bench", "relay", "-p", &port.to_string()]).await_exit().assert_code(1).errors();
    assert!(taken.contains("cannot listen on 127.0.0.1:"), "{taken}");
}

/// What the Server keeps: each message once.
fn all_kept(port: u16) {
    let retained = bench(port, "retained -n 500 --publishers 5 --subscribers 2 --threads 2");
    assert_eq!(retained["retained"], 500);
    assert_eq!(retained["received"], 1_000);
    let gone = bench(port, "sub -t bench/retained/# -d 0.3");
    assert_eq!(gone["delivered_total"], 0, "they are cleared: {gone}");
    let queue = bench(port, "queue -n 300 --sessions 3 -q 2 -V 5");
    assert_eq!((&queue["queued"], &queue["drained"]), (&900.into(), &900.into()));
    let filled = bench(port, "queue -n 100 -q 1 -i parts- --phase fill");
    assert_eq!(filled["queued"], 100);
    let drained = bench(port, "queue -n 100 -q 1 -i parts- --phase drain");
    assert_eq!((&drained["drained"], &drained["sessions_present"]), (&100.into(), &1.into()));
}

#[test]
fn dunlin_keeps_messages() {
    all_kept(Server::start(2).address().port());
}

#[test]
fn mosquitto_keeps_messages() {
    all_kept(Mosquitto::start("").port);
}

/// Connections, pings, storms.
fn all_connections(port: u16) {
    let figures = bench(port, "conn -n 200 -d 0.3 --ping-every 0.5 --storms 2 --threads 2 -c -t x/%i -q 1");
    assert_eq!(figures["connections"], 200);
    assert_eq!(figures["connack_us"]["n"], 200);
    assert!(number(&figures, "connect_per_s") > 0.0 && number(&figures, "storm_per_s") > 0.0);
    assert_eq!(figures["storm_sessions_present"], 200, "{figures}");
    assert!(number(&figures, "pings") >= 200.0, "{figures}");
    assert!(number(&figures, "broker_cpu_us_per_connect") > 0.0);
    let slow = bench(port, "conn -n 20 --connect-rate 100 -d 0.1");
    assert!(number(&slow, "setup_s") >= 0.19, "20 connections at 100/s: {slow}");
}

#[test]
fn dunlin_holds_connections() {
    all_connections(Server::start(2).address().port());
}

#[test]
fn mosquitto_holds_connections() {
    all_connections(Mosquitto::start("").port);
}

#[test]
fn publishers_and_subscribers_may_be_two_processes() {
    let server = Server::start(1);
    let port = server.address().port();
    let mut subscriber = start(port, "sub -n 2 -q 1 --messages 4000 -d 60");
    subscriber.await_line("that it listens", |line| line.contains("listening"));
    let published = bench(port, "pub -n 4 -q 1 --topics 2 --messages 2000");
    assert_eq!(published["acknowledged"], 2_000);
    assert_eq!(published["ack_latency_us"]["n"], 2_000);
    let said = subscriber.await_exit_within(LONG_WAIT).assert_success().text();
    assert!(said.contains("4,000") && said.contains("until received"), "{said}");
}

#[test]
fn a_subscriber_that_gets_less_than_it_expects_says_so() {
    let server = Server::start(1);
    let port = server.address().port();
    let mut subscriber = start(port, "sub -t bench/0 -q 1 --messages 100 -d 60 --stall 0.5");
    subscriber.await_line("that it listens", |line| line.contains("listening"));
    // Half of them go to a topic that it has not subscribed to.
    bench(port, "pub -n 2 -q 1 --messages 100");
    let said = subscriber.await_exit_within(LONG_WAIT).assert_code(20).text();
    assert!(said.contains("NOT VALID") && said.contains("50 deliveries lost"), "{said}");
}

#[test]
fn a_queue_that_is_too_short_is_a_loss() {
    let mosquitto = Mosquitto::start("max_queued_messages 50");
    let figures = bench_with_code(mosquitto.port, "queue -n 500", 20);
    let lost = number(&figures, "lost");
    assert!(lost > 0.0 && lost + number(&figures, "drained") == 500.0, "{figures}");
    let problems = figures["problems"].to_string();
    assert!(problems.contains("queued messages lost"), "{problems}");
}

#[test]
fn each_fault_of_a_server_is_called_by_its_name() {
    assert_eq!(bench(relay::start(Fault::None).port(), "pair -n 2 --messages 4000")["lost"], 0);
    for (fault, key, words) in [
        (Fault::Drop, "lost", "deliveries lost"),
        (Fault::Double, "duplicates", "duplicates"),
        (Fault::Swap, "out_of_order", "out of order"),
        (Fault::Change, "lost", "malformed, changed"),
    ] {
        // With 64 under way the last of 4,010 is none of every hundredth: what is missing shows as a gap.
        let figures = bench_with_code(relay::start(fault).port(), "pair -n 2 --messages 8020", 20);
        assert_eq!(figures[key], 80, "{fault:?}: {figures}");
        assert_eq!(figures["valid"], false);
        let problems = figures["problems"].to_string();
        assert!(problems.contains(words), "{fault:?}: {problems}");
    }
    let figures = bench_with_code(relay::start(Fault::Close).port(), "pair -n 1 -d 5", 20);
    assert!(figures["problems"].to_string().contains("closed by the Server"), "{figures}");
}

#[test]
fn whoever_cannot_connect_is_told_why() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    let free = listener.local_addr().expect("a listener has an address").port();
    drop(listener);
    assert!(fails(free, "pair", 1).contains("refuses the connection; check that the Server runs"));
    let refusing = |code| -> SocketAddr { relay::start(Fault::Refuse(code)) };
    let errors = fails(refusing(5).port(), "pair", 5);
    assert!(errors.contains("Not authorized (0x87); check -u and -P"), "{errors}");
    let errors = fails(refusing(0x89).port(), "conn -V 5", 0x89);
    assert!(errors.contains("Server busy (0x89)"), "{errors}");
    let errors = fails(relay::start(Fault::Nonsense).port(), "pair", 1);
    assert!(errors.contains("not MQTT"), "{errors}");
    let errors = fails(free, "pair -t a/b", 1);
    assert!(errors.contains("%i"), "{errors}");
    let errors = fails(free, "pair --ramp 1", 1);
    assert!(errors.contains("-r"), "{errors}");
    let errors = fails(free, "pair --pid none --server-cpus 0", 1);
    assert!(errors.contains("--pid"), "{errors}");
    let errors = fails(free, "pair --pid 4294967295", 1);
    assert!(errors.contains("--pid"), "{errors}");
    let errors = fails(free, "pair --picture /nowhere/p.svg", 1);
    assert!(errors.contains("/nowhere/p.svg"), "{errors}");
}

#[test]
fn the_limit_of_open_files_is_raised_or_told() {
    let server = Server::start(1);
    let limited = |limit: &str, arguments: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit {limit}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_dunlin"));
        shell.arg("bench").args(arguments.split_whitespace()).args(["-h", "127.0.0.1", "-p", &server.port()]);
        Program::start(&mut shell).await_exit_within(LONG_WAIT)
    };
    limited("-Sn 100", "conn -n 300 -d 0.1").assert_success();
    let errors = limited("-n 200", "conn -n 300 -d 0.1").assert_code(1).errors();
    assert!(errors.contains("need 364 open files, and the hard limit is 200"), "{errors}");
}

#[test]
fn ctrl_c_ends_a_run_with_the_figures_so_far() {
    let server = Server::start(1);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (picture, hgrm) = (folder.path().join("p.svg"), folder.path().join("l.hgrm"));
    let files = format!("--picture {} --hgrm {}", picture.display(), hgrm.display());
    let mut program = start(
        server.address().port(),
        &format!("latency -r 500 -d 600 --warm-up 0.1 -c -q 1 -i stay- {files}"),
    );
    program.await_line("a line each second", |line| line.contains("received/s, latency p50"));
    program.signal("INT");
    let said = program.await_exit().assert_success().text();
    assert!(said.contains("ended early\nvalid: nothing lost") && said.contains("until received"), "{said}");
    // The Sessions that were kept are ended all the same.
    let drained = bench_with_code(server.address().port(), "queue -n 1 -q 1 -i stay- --phase drain", 20);
    assert_eq!(drained["sessions_present"], 0, "{drained}");
    let picture = std::fs::read_to_string(picture).expect("the picture is written");
    assert!(picture.starts_with("<svg") && picture.contains("messages a second"));
    let hgrm = std::fs::read_to_string(hgrm).expect("the histogram is written");
    assert!(hgrm.contains("1/(1-Percentile)") && hgrm.contains("Total count"));
}

/// A Server stands still for half a second or more. Who counts from the time of sending sees one late message for each
/// publisher; who counts from the time a message was to be sent sees all that were due meanwhile.
#[test]
fn latency_counts_from_the_time_a_message_was_to_be_sent() {
    let server = Server::start(1);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let hgrm = folder.path().join("l.hgrm");
    let arguments =
        format!("latency -n 1 -r 1000 -d 3 --warm-up 0 -q 1 -V 5 --stall 5 --hgrm {}", hgrm.display());
    let mut program = start(server.address().port(), &arguments);
    program.await_line("a line each second", |line| line.contains("received/s, latency p50"));
    server.signal("STOP");
    program.take_output_for(Duration::from_millis(500));
    server.signal("CONT");
    let said = program.await_exit_within(LONG_WAIT).assert_success().text();
    assert!(said.contains("valid: nothing lost"), "{said}");
    let text = std::fs::read_to_string(hgrm).expect("the histogram is written");
    let rows = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    // At least a sixth of the messages were due meanwhile, half of these in the first half of the time.
    let (us, _) = rows.into_iter().find(|(_, quantile)| *quantile >= 0.92).expect("there are percentiles");
    assert!(us >= 200_000.0, "{text}");
    assert!(text.contains("Total count    =         3000]"), "the timetable goes on: {text}");
}
