//! Options that the subcommands share. Letters are those of mosquitto's tools and of `dunlin pub` where they mean the
//! same there.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use dunlin_net::arguments::TransportArgs;
use dunlin_packet::qos::QoS;
use dunlin_packet::version::ProtocolVersion;

/// Which Server, as whom, and how fast to connect.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server and Clients")]
pub struct ServerArgs {
    /// Prints this help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Host name or address of the Server [default: localhost]
    #[arg(short, long, value_name = "HOST")]
    pub host: Option<String>,
    /// TCP port of the Server [default: 1883, with TLS 8883, with WebSocket 8083, with both 8084]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// User, password, host and port as mqtt[s]://[user[:password]@]host[:port] or ws[s]://...
    #[arg(short = 'L', long, value_name = "URL", conflicts_with_all = ["host", "port"])]
    pub url: Option<String>,
    /// Local addresses to connect from, taken in turn: each has about 28,000 ports
    #[arg(
        short = 'A',
        long = "bind",
        visible_alias = "bind-address",
        value_name = "A,B,C",
        value_delimiter = ','
    )]
    pub bind: Vec<IpAddr>,
    /// Client Identifiers begin with this [default: bench- and the process id]
    #[arg(short, long, value_name = "PREFIX")]
    pub id: Option<String>,
    /// Seconds without a packet before a ping; 0 for none
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,
    /// The Server keeps the Sessions of subscribers, which are ended after the run
    #[arg(short = 'c', long = "keep-sessions", visible_alias = "disable-clean-session")]
    pub keeps_sessions: bool,
    /// Seconds for which Sessions are kept (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS", default_value_t = 3_600)]
    pub session_expiry_interval: u32,
    /// Version of MQTT: mqttv31, mqttv311 or mqttv5
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "mqttv311")]
    pub protocol_version: ProtocolVersion,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password
    #[arg(short = 'P', long, value_name = "PASSWORD", allow_hyphen_values = true)]
    pub pw: Option<String>,
    /// New connections a second; 0 for as many as the Server takes
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = parse_rate)]
    pub connect_rate: f64,
    /// Connections that are being opened at a time
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub parallel: u32,
    /// Threads of the tool; each has its own connections
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: u16,
    /// Seconds without any progress after which the run is given up
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub stall: f64,
    /// What lies between TCP and MQTT.
    #[command(flatten)]
    pub transport: TransportArgs,
}

/// What is measured beside the messages, and where it goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Figures")]
pub struct OutputArgs {
    /// Process whose processor time and memory are measured: its id, auto (who listens on the port here) or none
    #[arg(long, value_name = "PID", default_value = "auto", value_parser = parse_pid)]
    pub pid: PidChoice,
    /// Processors for the Server's threads, such as 0 or 0,2-3 (with --pid)
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Processors for this tool's threads
    #[arg(long, value_name = "LIST")]
    pub bench_cpus: Option<String>,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Shows no progress
    #[arg(long)]
    pub quiet: bool,
}

/// Files with what was measured of messages.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Figures")]
pub struct FileArgs {
    /// Writes the latency's percentiles to a file, in the text form of HdrHistogram (microseconds)
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Draws throughput and latency over time (SVG)
    #[arg(long, value_name = "FILE.svg")]
    pub picture: Option<PathBuf>,
}

/// What messages, and how many.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages")]
pub struct MessageArgs {
    /// QoS of messages and Subscriptions: 0, 1 or 2
    #[arg(short, long, default_value = "0")]
    pub qos: QoS,
    /// Bytes of a payload, of which 16 are time, number and stream
    #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=268_000_000))]
    pub size: u32,
    /// Topics; %i is the number of the publisher, %t that of its topic [default: bench/%i]
    #[arg(short, long, value_name = "PATTERN")]
    pub topic: Option<String>,
    /// Topics of each publisher, taken in turn
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub topics: u32,
    /// Messages of a publisher on their way at a time: not delivered to all, or not acknowledged
    #[arg(short, long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub window: u32,
}

/// How long, and how fast.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Time")]
pub struct TimeArgs {
    /// Messages a second of all publishers together, at fixed times (open loop); 0 for as many as the window lets through [default: 1000 for latency, else 0]
    #[arg(short, long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Seconds in which the rate rises from 0
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    pub ramp: f64,
    /// Seconds that are measured
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub duration: f64,
    /// Seconds before that
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub warm_up: f64,
    /// Ends after so many messages, all measured; --duration then bounds the time
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
}

/// Which process is the Server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidChoice {
    /// The one that listens on the port, if the Server is on this machine.
    Auto,
    /// Nothing is measured.
    None,
    /// This one.
    Pid(u32),
}

fn parse_pid(text: &str) -> Result<PidChoice, String> {
    match text {
        "auto" => Ok(PidChoice::Auto),
        "none" => Ok(PidChoice::None),
        _ => text.parse().map(PidChoice::Pid).map_err(|_| "give a process id, auto or none".into()),
    }
}

/// At most a day: so every duration in nanoseconds has room.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds from 0 to 86400, such as 1 or 0.5".into())
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let rate = rate.filter(|rate| *rate == 0.0 || (0.001..=1e9).contains(rate));
    rate.ok_or_else(|| "give a number a second, such as 1000 or 0.5; 0 for no fixed rate".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds_and_say_them() {
        assert_eq!(parse_seconds("0.5"), Ok(0.5));
        for wrong in ["-1", "NaN", "1e9", "x"] {
            assert!(parse_seconds(wrong).unwrap_err().contains("0 to 86400"), "{wrong}");
            assert!(parse_rate(wrong).is_err() || wrong == "1e9", "{wrong}");
        }
        assert_eq!(parse_pid("12"), Ok(PidChoice::Pid(12)));
        assert!(parse_pid("x").unwrap_err().contains("auto or none"));
    }
}
