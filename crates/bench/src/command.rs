//! `dunlin bench` and its subcommands.

use std::io::{self, Write};

use clap::{ArgAction, Args, Subcommand};
use dunlin_packet::qos::QoS;

use crate::args::{FileArgs, MessageArgs, OutputArgs, ServerArgs, TimeArgs, parse_seconds};
use crate::clock::from_seconds;
use crate::connecting;
use crate::context::Context;
use crate::exchange;
use crate::failure::Failure;
use crate::keeping::{self, Phase, RetainedPlan};
use crate::listening;
use crate::relay;
use crate::settings::{Messages, Times};
use crate::topology::Topology;

/// Loads an MQTT Server, verifies every message, and measures throughput, latency and cost.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub struct BenchArgs {
    /// Prints this help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  dunlin bench pair                                 10 pairs at localhost:1883, as fast as it goes, for 10 s
  dunlin bench latency -r 5000 -q 1 --picture l.svg latency at 5,000 messages a second, with a picture
  dunlin bench conn -n 20000 -h broker.example      20,000 connections and what each costs

Exit codes: 0 valid; 20 messages lost, doubled, out of order or changed, or the run did not come to its end;
1 wrong options or no connection; else the code with which the Server refuses.";

#[derive(Clone, Debug, Subcommand)]
#[command(disable_help_flag = true)]
enum Command {
    /// Publishers only: how fast the Server takes messages
    #[command(name = "pub", disable_help_flag = true)]
    Publish(PubArgs),
    /// Subscribers only: verifies what others publish, such as `dunlin bench pub`
    #[command(name = "sub", disable_help_flag = true)]
    Subscribe(SubArgs),
    /// Connections: how fast they come up, what each costs, pings, reconnect storms
    #[command(disable_help_flag = true)]
    Conn(ConnArgs),
    /// Pairs of one publisher and one subscriber
    #[command(disable_help_flag = true)]
    Pair(PairArgs),
    /// Many publishers, few subscribers that get everything
    #[command(disable_help_flag = true)]
    FanIn(FanInArgs),
    /// One publisher, many subscribers
    #[command(disable_help_flag = true)]
    FanOut(FanOutArgs),
    /// Many publishers, one group that shares a Subscription
    #[command(disable_help_flag = true)]
    Shared(SharedArgs),
    /// Many stored Topic Filters; each message matches 1 or 10 of them
    #[command(name = "match", disable_help_flag = true)]
    Match(MatchArgs),
    /// Retained Messages: sets them, has them sent to new subscribers, clears them
    #[command(disable_help_flag = true)]
    Retained(RetainedArgs),
    /// Queues of Clients that are away: fills and drains them
    #[command(disable_help_flag = true)]
    Queue(QueueArgs),
    /// Pairs at a fixed rate: latency from the time a message was to be sent
    #[command(disable_help_flag = true)]
    Latency(PairArgs),
    /// No load: a relay without a protocol, the floor to measure Servers against (127.0.0.1 only)
    #[command(disable_help_flag = true)]
    Relay(RelayArgs),
}

#[derive(Clone, Debug, Args)]
struct RelayArgs {
    /// Prints this help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// TCP port of 127.0.0.1; 0 for any free one
    #[arg(short, long, value_name = "PORT", default_value_t = 1883)]
    port: u16,
}

#[derive(Clone, Debug, Args)]
struct PubArgs {
    /// Publishers
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "10", value_parser = count())]
    publishers: u32,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct SubArgs {
    /// Subscribers
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "1", value_parser = count())]
    subscribers: u32,
    /// QoS of the Subscriptions: 0, 1 or 2
    #[arg(short, long, default_value = "0")]
    qos: QoS,
    /// Topic Filter; %i is the number of the subscriber
    #[arg(short, long, value_name = "FILTER", default_value = "bench/#")]
    topic: String,
    /// Seconds that are measured, or the longest wait for --messages
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    duration: f64,
    /// Seconds before that
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    warm_up: f64,
    /// So many deliveries are expected in all; fewer are a loss
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    files: FileArgs,
}

#[derive(Clone, Debug, Args)]
struct ConnArgs {
    /// Connections
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "1000", value_parser = count())]
    connections: u32,
    /// Each subscribes to this; %i is its number
    #[arg(short, long, value_name = "FILTER")]
    topic: Option<String>,
    /// QoS of the Subscriptions: 0, 1 or 2
    #[arg(short, long, default_value = "0")]
    qos: QoS,
    /// Seconds for which they are held
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    duration: f64,
    /// Afterwards each connection pings once in so many seconds; 0 for no pings
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    ping_every: f64,
    /// How often all are cut at once and come back
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    storms: u32,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
struct PairArgs {
    /// Pairs
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "10", value_parser = count())]
    pairs: u32,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct FanInArgs {
    /// Publishers
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "100", value_parser = count())]
    publishers: u32,
    /// Subscribers, each of which gets everything
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count())]
    subscribers: u32,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct FanOutArgs {
    /// Subscribers, each of which gets everything
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "100", value_parser = count())]
    subscribers: u32,
    /// Publishers
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count())]
    publishers: u32,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct SharedArgs {
    /// Publishers
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "100", value_parser = count())]
    publishers: u32,
    /// Members of the group
    #[arg(long, visible_alias = "subscribers", value_name = "COUNT", default_value = "4", value_parser = count())]
    members: u32,
    /// Name of the group
    #[arg(long, value_name = "NAME", default_value = "bench")]
    group: String,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct MatchArgs {
    /// Topic Filters, a third each exact, with + and with #
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "10000", value_parser = count())]
    filters: u32,
    /// Connections that have them
    #[arg(long, value_name = "COUNT", default_value = "200", value_parser = count())]
    subscribers: u32,
    /// Filters that each message matches: 1 or 10
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = parse_hits)]
    hits: usize,
    /// Publishers
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = count())]
    publishers: u32,
    #[command(flatten)]
    all: AllArgs,
}

#[derive(Clone, Debug, Args)]
struct RetainedArgs {
    /// Retained Messages, each of a topic of its own
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "10000", value_parser = count())]
    retained: u32,
    /// Publishers
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count())]
    publishers: u32,
    /// New subscribers, each of which gets all of them
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count())]
    subscribers: u32,
    /// Leaves them at the Server
    #[arg(long)]
    leave: bool,
    #[command(flatten)]
    kept: KeptArgs,
}

#[derive(Clone, Debug, Args)]
struct QueueArgs {
    /// Messages in each queue
    #[arg(short = 'n', long = "queued", value_name = "COUNT", default_value = "10000", value_parser = count())]
    queued: u32,
    /// Sessions whose Clients are away
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count())]
    sessions: u32,
    /// Fills the queues, drains them (give both the same -i), or one after the other
    #[arg(long, value_enum, default_value = "both")]
    phase: Phase,
    #[command(flatten)]
    kept: KeptArgs,
}

#[derive(Clone, Debug, Args)]
struct AllArgs {
    #[command(flatten)]
    messages: MessageArgs,
    #[command(flatten)]
    times: TimeArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    files: FileArgs,
}

/// For messages that the Server keeps.
#[derive(Clone, Debug, Args)]
struct KeptArgs {
    /// QoS of messages and Subscriptions: 1 or 2; 0 is not acknowledged, and nobody knows when all are there
    #[arg(short, long, default_value = "1", value_parser = parse_qos_kept)]
    qos: QoS,
    /// Bytes of a payload, of which 16 are time, number and stream
    #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=268_000_000))]
    size: u32,
    /// Topics; %i is the number of the publisher or Session, %t that of its topic
    #[arg(short, long, value_name = "PATTERN")]
    topic: Option<String>,
    /// Messages of a publisher that are not acknowledged at a time
    #[arg(short, long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    window: u32,
    /// Messages a second of all publishers together; 0 for as fast as it goes
    #[arg(short, long, value_name = "RATE", default_value = "0", value_parser = crate::args::parse_rate)]
    rate: f64,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl KeptArgs {
    fn messages(&self) -> Messages {
        Messages { qos: self.qos, retain: false, size: self.size as usize, window: self.window as usize }
    }
}

impl BenchArgs {
    /// Does it and returns the exit code of the process.
    #[must_use]
    pub fn run(self) -> i32 {
        match self.command.run() {
            Ok(code) => code,
            Err(failure) => {
                // There is nowhere else to tell that standard error is closed.
                writeln!(io::stderr(), "Error: {}", failure.message).ok();
                failure.code
            }
        }
    }
}

/// The rate of `latency`, if none is given.
const LATENCY_RATE: f64 = 1_000.0;

impl Command {
    fn run(self) -> Result<i32, Failure> {
        match self {
            Self::Publish(args) => {
                let pattern = args.all.pattern("bench/%i");
                let topology = Topology::publishers(
                    args.publishers as usize,
                    &pattern,
                    args.all.messages.topics as usize,
                )?;
                args.all.exchange("pub", &topology, 0.0)
            }
            Self::Subscribe(args) => args.run(),
            Self::Conn(args) => args.run(),
            Self::Pair(args) => args.run("pair", 0.0),
            Self::Latency(args) => args.run("latency", LATENCY_RATE),
            Self::Relay(args) => relay::run(args.port),
            Self::FanIn(args) => args.all.all_to_all("fan-in", args.publishers, args.subscribers),
            Self::FanOut(args) => args.all.all_to_all("fan-out", args.publishers, args.subscribers),
            Self::Shared(args) => {
                let pattern = args.all.pattern("bench/%i");
                let topics = args.all.messages.topics as usize;
                let (publishers, members) = (args.publishers as usize, args.members as usize);
                let topology = Topology::shared(publishers, members, &pattern, topics, &args.group)?;
                args.all.exchange("shared", &topology, 0.0)
            }
            Self::Match(args) => {
                let connections = args.subscribers.max(args.hits as u32) as usize;
                let filters = (args.filters as usize).max(args.hits);
                let topology = Topology::matching(filters, connections, args.hits, args.publishers as usize);
                args.all.exchange("match", &topology, 0.0)
            }
            Self::Retained(args) => {
                let context = Context::new(&args.kept.server, &args.kept.output, FileArgs::default())?;
                let plan = RetainedPlan {
                    count: u64::from(args.retained),
                    publishers: args.publishers as usize,
                    subscribers: args.subscribers as usize,
                    leaves: args.leave,
                };
                let pattern = args.kept.topic.as_deref().unwrap_or("bench/retained/%i/%t");
                keeping::retained(context, plan, pattern, args.kept.messages(), args.kept.rate)
            }
            Self::Queue(args) => {
                let context = Context::new(&args.kept.server, &args.kept.output, FileArgs::default())?;
                let pattern = args.kept.topic.as_deref().unwrap_or("bench/queue/%i");
                let (each, sessions) = (u64::from(args.queued), args.sessions as usize);
                keeping::queue(
                    context,
                    args.phase,
                    each,
                    sessions,
                    pattern,
                    args.kept.messages(),
                    args.kept.rate,
                )
            }
        }
    }
}

impl PairArgs {
    fn run(&self, scenario: &'static str, rate: f64) -> Result<i32, Failure> {
        let pattern = self.all.pattern("bench/%i");
        let topology = Topology::pairs(self.pairs as usize, &pattern, self.all.messages.topics as usize)?;
        self.all.exchange(scenario, &topology, rate)
    }
}

impl AllArgs {
    fn pattern(&self, default: &str) -> String {
        self.messages.topic.clone().unwrap_or_else(|| default.to_owned())
    }

    fn all_to_all(&self, scenario: &'static str, publishers: u32, subscribers: u32) -> Result<i32, Failure> {
        let pattern = self.pattern("bench/%i");
        let topics = self.messages.topics as usize;
        let topology = Topology::all_to_all(publishers as usize, subscribers as usize, &pattern, topics)?;
        self.exchange(scenario, &topology, 0.0)
    }

    /// `rate` is for when the user gives none.
    fn exchange(&self, scenario: &'static str, topology: &Topology, rate: f64) -> Result<i32, Failure> {
        let context = Context::new(&self.server, &self.output, self.files.clone())?;
        let times = Times::new(&self.times, rate)?;
        exchange::run(context, scenario, topology, Messages::new(&self.messages), times)
    }
}

impl SubArgs {
    fn run(&self) -> Result<i32, Failure> {
        let context = Context::new(&self.server, &self.output, self.files.clone())?;
        let times = Times {
            rate: 0.0,
            ramp_ns: 0,
            duration_ns: from_seconds(self.duration.max(0.01)),
            warm_up_ns: if self.messages.is_some() { 0 } else { from_seconds(self.warm_up) },
            messages: self.messages,
        };
        let messages = Messages { qos: self.qos, retain: false, size: 0, window: 0 };
        listening::run(context, self.subscribers as usize, &self.topic, messages, times)
    }
}

impl ConnArgs {
    fn run(&self) -> Result<i32, Failure> {
        let context = Context::new(&self.server, &self.output, FileArgs::default())?;
        let plan = connecting::Plan {
            count: self.connections as usize,
            filter: self.topic.clone(),
            qos: self.qos,
            hold_ns: from_seconds(self.duration.max(0.01)),
            ping_every: self.ping_every,
            storms: self.storms,
        };
        connecting::run(context, &plan)
    }
}

/// Clients, topics and messages are numbered with 20 bits.
fn count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1 << 20)
}

fn parse_hits(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "10" => Ok(10),
        _ => Err("a message matches 1 or 10 filters".into()),
    }
}

fn parse_qos_kept(text: &str) -> Result<QoS, String> {
    text.parse().ok().filter(|qos: &QoS| qos.value() > 0).ok_or_else(|| "a QoS is 1 or 2 here".into())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_but_the_name_prints_help_with_three_examples() {
        let help = Cli::try_parse_from(["bench"]).unwrap_err().to_string();
        assert_eq!(help.matches("  dunlin bench ").count(), 3, "{help}");
    }

    #[test]
    fn h_is_the_host_and_help_is_spelled_out() {
        for command in [
            "pub", "sub", "conn", "pair", "fan-in", "fan-out", "shared", "match", "retained", "queue",
            "latency",
        ] {
            let help = Cli::try_parse_from(["bench", command, "--help"]).unwrap_err();
            assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp, "{command}");
            Cli::try_parse_from(["bench", command, "-h", "example.org", "-p", "1884", "-V", "5"]).unwrap();
        }
    }

    #[test]
    fn the_relay_has_a_port_and_no_host() {
        assert!(Cli::try_parse_from(["bench", "relay", "-p", "0"]).is_ok());
        assert!(Cli::try_parse_from(["bench", "relay", "-h", "0.0.0.0"]).is_err());
    }

    #[test]
    fn limits_are_told() {
        for wrong in [
            &["pair", "-s", "15"][..],
            &["queue", "-q", "0"],
            &["match", "--hits", "3"],
            &["pair", "-n", "0"],
        ] {
            let error = Cli::try_parse_from(["bench"].iter().chain(wrong)).unwrap_err();
            assert!(error.use_stderr(), "{wrong:?}");
        }
    }
}
