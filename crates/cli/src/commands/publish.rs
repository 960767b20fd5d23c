//! `dunlin pub`: publishes messages.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use dunlin_client::client::{Client, Delivery};
use dunlin_client::error::Error;
use dunlin_client::options::{Message, Properties, ProtocolVersion, QoS, Reconnect};
use dunlin_packet::reason_code::ReasonCode;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::args::{ConnectionArgs, Target};
use crate::exit::Failure;
use crate::output;
use crate::properties::Command;

/// Arguments of `dunlin pub`.
#[derive(Clone, Debug, Args)]
pub struct PublishArgs {
    /// Topic to publish to
    #[arg(short, long, allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// Where the messages come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// QoS of the messages: 0, 1 or 2
    #[arg(short, long, default_value = "0")]
    pub qos: QoS,
    /// The Server keeps the message as the Retained Message of its topic
    #[arg(short, long)]
    pub retain: bool,
    /// Publishes the message of -m, -f, -n or -s so many times
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Seconds between repeated messages
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    pub repeat_delay: Duration,
    /// Messages with QoS 1 and 2 on their way at a time
    #[arg(short = 'M', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_inflight: u16,
    /// Which Server, and as whom.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Where the messages come from: exactly one of these.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SourceArgs {
    /// The message
    #[arg(short, long, allow_hyphen_values = true)]
    pub message: Option<String>,
    /// File whose content is the message
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// Each line of standard input is a message
    #[arg(short = 'l', long)]
    pub stdin_line: bool,
    /// All of standard input is the message
    #[arg(short = 's', long)]
    pub stdin_file: bool,
    /// An empty message
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub null_message: bool,
}

/// Does what `dunlin pub` was asked, and returns the exit code.
#[must_use]
pub fn run(args: PublishArgs) -> i32 {
    let is_quiet = args.connection.quiet;
    match try_run(&args) {
        Ok(()) => 0,
        Err(failure) => output::fail(is_quiet, &failure),
    }
}

fn try_run(args: &PublishArgs) -> Result<(), Failure> {
    let Target { mut options, topic } = args.connection.target()?;
    let topic_name = args.topic.clone().or(topic).ok_or_else(|| Failure::usage("give a topic with -t"))?;
    dunlin_packet::topic::name::TopicName::parse(&topic_name).map_err(|error| {
        Failure::usage(format!("the topic {topic_name:?} {error}; a message has one plain topic"))
    })?;
    let properties = match options.version.has_properties() {
        true => args.connection.properties.of(Command::Publish)?,
        false => Properties::EMPTY,
    };
    // A single message that meets a broken connection fails; only long work is worth going on with.
    if !args.source.stdin_line && args.repeat == 1 {
        options.reconnect = Reconnect::Never;
    }
    let payload = args.source.payload()?;
    let message = Message { topic_name, qos: args.qos, retain: args.retain, payload, properties };
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
    runtime.block_on(async {
        let version = options.version;
        let (client, messages) =
            Client::connect(options).await.map_err(|error| Failure::connection(&error, version))?;
        // Nothing was subscribed to; what an old Session still sends is not wanted.
        drop(messages);
        let mut publisher = Publisher::new(&client, args, version);
        let published = publisher.publish_all(message).await;
        let goodbye = disconnect(&client, args, version).await;
        published.and(goodbye)
    })
}

/// Publishes with a bounded number of messages on their way.
struct Publisher<'a> {
    client: &'a Client,
    args: &'a PublishArgs,
    version: ProtocolVersion,
    under_way: VecDeque<Delivery>,
}

impl<'a> Publisher<'a> {
    fn new(client: &'a Client, args: &'a PublishArgs, version: ProtocolVersion) -> Self {
        Self { client, args, version, under_way: VecDeque::new() }
    }

    async fn publish_all(&mut self, message: Message) -> Result<(), Failure> {
        if self.args.source.stdin_line {
            let mut lines = stdin_lines();
            while let Some(line) = lines.recv().await {
                let payload =
                    line.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
                self.publish(Message { payload, ..message.clone() }).await?;
            }
        } else {
            for count in 0..self.args.repeat {
                if count > 0 && !self.args.repeat_delay.is_zero() {
                    tokio::time::sleep(self.args.repeat_delay).await;
                }
                self.publish(message.clone()).await?;
            }
        }
        while let Some(delivery) = self.under_way.pop_front() {
            self.acknowledged(delivery).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, message: Message) -> Result<(), Failure> {
        let delivery = self.client.send(message).await.map_err(|error| self.failure(&error))?;
        self.under_way.push_back(delivery);
        if self.under_way.len() >= usize::from(self.args.max_inflight)
            && let Some(oldest) = self.under_way.pop_front()
        {
            self.acknowledged(oldest).await?;
        }
        Ok(())
    }

    async fn acknowledged(&self, delivery: Delivery) -> Result<(), Failure> {
        delivery.acknowledged().await.map(drop).map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &Error) -> Failure {
        Failure::request("the message", error, self.version)
    }
}

async fn disconnect(client: &Client, args: &PublishArgs, version: ProtocolVersion) -> Result<(), Failure> {
    let properties = match version.has_properties() {
        true => args.connection.properties.of(Command::Disconnect)?,
        false => Properties::EMPTY,
    };
    let done = client.disconnect_with(ReasonCode::NORMAL_DISCONNECTION, properties).await;
    done.map_err(|error| Failure::other(format!("cannot send DISCONNECT: {error}")))
}

impl SourceArgs {
    /// The one payload; empty for lines, which come one by one.
    fn payload(&self) -> Result<Vec<u8>, Failure> {
        if let Some(message) = &self.message {
            return Ok(message.clone().into_bytes());
        }
        if let Some(file) = &self.file {
            return std::fs::read(file).map_err(|error| {
                Failure::usage(format!("cannot read the file {}: {error}", file.display()))
            });
        }
        let mut payload = Vec::new();
        if self.stdin_file {
            io::stdin()
                .read_to_end(&mut payload)
                .map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
        }
        Ok(payload)
    }
}

/// The lines of standard input without their ends, read by a thread of their own: a terminal may keep it waiting.
fn stdin_lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "give seconds, such as 1 or 0.5".into())
}

/// Lines read before they can be sent.
const LINES_AHEAD: usize = 100;
