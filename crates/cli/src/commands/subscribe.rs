//! `dunlin sub`: subscribes, and prints the messages that come.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use clap::Args;
use dunlin_client::client::Client;
use dunlin_client::error::{ConnectionError, Error};
use dunlin_client::messages::{Messages, ReceivedMessage};
use dunlin_client::options::{
    Message, Properties, ProtocolVersion, QoS, RetainHandling, Subscription, SubscriptionOptions,
};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;
use jiff::Zoned;
use tokio::runtime::Builder;
use tokio::signal;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::args::{ConnectionArgs, Target};
use crate::commands::publish::parse_seconds;
use crate::exit::{Failure, TIMED_OUT};
use crate::format::Format;
use crate::output;
use crate::properties::Command;

/// Arguments of `dunlin sub`.
#[derive(Clone, Debug, Args)]
pub struct SubscribeArgs {
    /// Topic Filter to subscribe to; may be given again
    #[arg(short, long, value_name = "FILTER")]
    pub topic: Vec<String>,
    /// Topic Filter of messages not to print; may be given again
    #[arg(short = 'T', long, value_name = "FILTER")]
    pub filter_out: Vec<String>,
    /// Topic Filter to unsubscribe from, after -t; may be given again
    #[arg(short = 'U', long, value_name = "FILTER")]
    pub unsubscribe: Vec<String>,
    /// Highest QoS at which messages are to come: 0, 1 or 2
    #[arg(short, long, default_value = "0")]
    pub qos: QoS,
    /// Prints the topic before the payload
    #[arg(short, long)]
    pub verbose: bool,
    /// Ends after so many messages
    #[arg(short = 'C', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Ends after so many seconds, with exit code 27
    #[arg(short = 'W', long = "timeout", value_name = "SECONDS", value_parser = parse_seconds)]
    pub time_limit: Option<Duration>,
    /// Ends when the Server has answered the subscriptions
    #[arg(short = 'E', long)]
    pub exit_after_subscribe: bool,
    /// Does not print Retained Messages
    #[arg(short = 'R', long)]
    pub no_retained: bool,
    /// Prints each message by this format, such as '%t %p'
    #[arg(short = 'F', long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,
    /// JSON of -F on several lines
    #[arg(long)]
    pub pretty: bool,
    /// Prints no end of line after a message
    #[arg(short = 'N', long = "no-newline")]
    pub no_newline: bool,
    /// Prints Retained Messages only, and ends at the first other one
    #[arg(long)]
    pub retained_only: bool,
    /// Clears each Retained Message that comes
    #[arg(long)]
    pub remove_retained: bool,
    /// Messages keep the retain flag they were published with (MQTT 5)
    #[arg(long)]
    pub retain_as_published: bool,
    /// When Retained Messages come: always, new (only if the subscription is new) or never (MQTT 5)
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = parse_retain_handling)]
    pub retain_handling: RetainHandling,
    /// Which Server, and as whom.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Does what `dunlin sub` was asked, and returns the exit code.
#[must_use]
pub fn run(args: SubscribeArgs) -> i32 {
    let is_quiet = args.connection.quiet;
    match try_run(&args) {
        Ok(End::Done) => 0,
        Ok(End::TimedOut) => {
            output::timed_out(is_quiet);
            TIMED_OUT
        }
        Err(failure) => output::fail(is_quiet, &failure),
    }
}

/// Why it ended well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Done,
    TimedOut,
}

fn try_run(args: &SubscribeArgs) -> Result<End, Failure> {
    let Target { options, topic } = args.connection.target()?;
    let version = options.version;
    let wishes = Wishes::new(args, topic, version)?;
    let printer = Printer::new(args)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
    runtime.block_on(async {
        let deadline = args.time_limit.map(|limit| Instant::now() + limit);
        let connected = tokio::select! {
            connected = Client::connect(options) => connected,
            () = wait_until(deadline) => return Ok(End::TimedOut),
        };
        let (client, messages) = connected.map_err(|error| Failure::connection(&error, version))?;
        let goodbye = wishes.disconnect.clone();
        let work =
            Work { args, version, client: client.clone(), messages, printer, removals: JoinSet::new() };
        let end = work.run(wishes, deadline).await;
        match client.disconnect_with(ReasonCode::NORMAL_DISCONNECTION, goodbye).await {
            Err(error) => end.and(Err(Failure::other(format!("cannot send DISCONNECT: {error}")))),
            Ok(()) => end,
        }
    })
}

/// What to ask of the Server, checked before it is connected to.
struct Wishes {
    subscriptions: Vec<Subscription>,
    unsubscribe: Vec<String>,
    subscribe_properties: Properties,
    unsubscribe_properties: Properties,
    disconnect: Properties,
}

impl Wishes {
    fn new(args: &SubscribeArgs, topic: Option<String>, version: ProtocolVersion) -> Result<Self, Failure> {
        let filters: Vec<_> = args.topic.iter().cloned().chain(topic).collect();
        if filters.is_empty() && args.unsubscribe.is_empty() {
            return Err(Failure::usage("give a topic filter with -t"));
        }
        for filter in filters.iter().chain(&args.unsubscribe).chain(&args.filter_out) {
            parse_filter(filter)?;
        }
        let options = SubscriptionOptions {
            qos: args.qos,
            no_local: false,
            retain_as_published: args.retain_as_published,
            retain_handling: args.retain_handling,
        };
        if !version.has_properties() && options != SubscriptionOptions::with_qos(args.qos) {
            return Err(Failure::usage("--retain-as-published and --retain-handling need -V mqttv5"));
        }
        let properties = |command| match version.has_properties() {
            true => args.connection.properties.of(command),
            false => Ok(Properties::EMPTY),
        };
        Ok(Self {
            subscriptions: filters
                .into_iter()
                .map(|topic_filter| Subscription { topic_filter, options })
                .collect(),
            unsubscribe: args.unsubscribe.clone(),
            subscribe_properties: properties(Command::Subscribe)?,
            unsubscribe_properties: properties(Command::Unsubscribe)?,
            disconnect: properties(Command::Disconnect)?,
        })
    }

    /// Subscribes, then unsubscribes. It fails if the Server grants none of the Subscriptions.
    async fn ask(self, client: Client, version: ProtocolVersion, is_quiet: bool) -> Result<(), Failure> {
        if !self.subscriptions.is_empty() {
            let asked = client.subscribe_with(self.subscriptions.clone(), self.subscribe_properties).await;
            let codes = asked.map_err(|error| Failure::request("SUBSCRIBE", &error, version))?;
            let filters = self.subscriptions.iter().map(|subscription| &subscription.topic_filter);
            let refusals: Vec<_> = filters.zip(&codes).filter_map(refusal).collect();
            if refusals.len() == codes.len()
                && let Some(first) = refusals.into_iter().next()
            {
                return Err(first);
            }
            warn_all(
                is_quiet,
                self.subscriptions.iter().map(|it| &it.topic_filter).zip(&codes).filter_map(refusal),
            );
        }
        if !self.unsubscribe.is_empty() {
            let asked = client.unsubscribe(self.unsubscribe.clone(), self.unsubscribe_properties).await;
            let codes = asked.map_err(|error| Failure::request("UNSUBSCRIBE", &error, version))?;
            warn_all(is_quiet, self.unsubscribe.iter().zip(&codes).filter_map(refusal));
        }
        Ok(())
    }
}

/// What `future` gives, if it is there already.
async fn now<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A connected `dunlin sub`.
struct Work<'a> {
    args: &'a SubscribeArgs,
    version: ProtocolVersion,
    client: Client,
    messages: Messages,
    printer: Printer<'a>,
    /// Retained Messages being cleared.
    removals: JoinSet<(String, Result<ReasonCode, Error>)>,
}

impl Work<'_> {
    async fn run(mut self, wishes: Wishes, deadline: Option<Instant>) -> Result<End, Failure> {
        // Messages may come before the answers, so both are waited for at once.
        let asking = wishes.ask(self.client.clone(), self.version, self.args.connection.quiet);
        let mut asking = pin!(asking);
        let mut is_asked = false;
        let mut signals = Signals::new()?;
        loop {
            tokio::select! {
                asked = &mut asking, if !is_asked => {
                    is_asked = true;
                    asked?;
                    if self.args.exit_after_subscribe {
                        return Ok(End::Done);
                    }
                }
                received = self.messages.recv() => match received {
                    Some(received) => {
                        // What came behind SUBACK is not printed, however soon it came.
                        if self.args.exit_after_subscribe && let Some(asked) = now(asking.as_mut()).await {
                            return asked.map(|()| End::Done);
                        }
                        if self.take(received)? {
                            break;
                        }
                    }
                    None => return Err(self.ended()),
                },
                Some(removed) = self.removals.join_next() => self.removed(removed),
                () = wait_until(deadline) => return Ok(End::TimedOut),
                () = signals.wait() => return Ok(End::Done),
            }
        }
        self.finish_removals(deadline).await
    }

    /// Takes a message and all that wait behind it; returns whether that was the last one.
    fn take(&mut self, first: ReceivedMessage) -> Result<bool, Failure> {
        let mut next = Some(first);
        let mut is_last = false;
        while let Some(received) = next {
            self.remove_if_retained(&received);
            is_last = self.printer.take(&received);
            let is_single = is_last || self.args.exit_after_subscribe;
            next = if is_single { None } else { self.messages.try_recv() };
        }
        let is_open = self.printer.flush()?;
        Ok(is_last || !is_open)
    }

    fn remove_if_retained(&mut self, received: &ReceivedMessage) {
        let Message { topic_name, retain, .. } = &received.message;
        if !self.args.remove_retained || !retain || self.printer.is_filtered_out(topic_name) {
            return;
        }
        let (client, topic_name) = (self.client.clone(), topic_name.clone());
        self.removals.spawn(async move {
            let nothing = Message { retain: true, ..Message::new(topic_name.clone(), QoS::AtLeastOnce, []) };
            let outcome = client.publish(nothing).await;
            (topic_name, outcome)
        });
    }

    /// Waits until all Retained Messages are cleared; what comes meanwhile is of no interest any more.
    async fn finish_removals(&mut self, deadline: Option<Instant>) -> Result<End, Failure> {
        while !self.removals.is_empty() {
            tokio::select! {
                Some(removed) = self.removals.join_next() => self.removed(removed),
                received = self.messages.recv() => if received.is_none() { return Err(self.ended()) },
                () = wait_until(deadline) => return Ok(End::TimedOut),
            }
        }
        Ok(End::Done)
    }

    fn removed(&self, removed: Result<(String, Result<ReasonCode, Error>), JoinError>) {
        match removed {
            Ok((_, Ok(_))) => {}
            Ok((topic_name, Err(error))) => {
                let message = format!("the Retained Message of {topic_name:?} is not cleared: {error}");
                output::warn(self.args.connection.quiet, message);
            }
            Err(error) => output::warn(self.args.connection.quiet, error),
        }
    }

    fn ended(&self) -> Failure {
        Failure::connection(self.messages.end().unwrap_or(&ConnectionError::Lost), self.version)
    }
}

/// Prints messages, and knows which one is the last.
struct Printer<'a> {
    args: &'a SubscribeArgs,
    format: Format,
    left: Option<u64>,
    out: Vec<u8>,
}

impl<'a> Printer<'a> {
    fn new(args: &'a SubscribeArgs) -> Result<Self, Failure> {
        let format = match &args.format {
            Some(format) => Format::parse(format, args.pretty).map_err(Failure::usage)?,
            None => Format::plain(args.verbose),
        };
        Ok(Self { args, format, left: args.count, out: Vec::new() })
    }

    /// Takes a message; returns whether it was the last one.
    fn take(&mut self, received: &ReceivedMessage) -> bool {
        let Message { topic_name, retain, .. } = &received.message;
        if self.args.retained_only && !retain {
            return true;
        }
        if self.args.no_retained && *retain || self.is_filtered_out(topic_name) {
            return false;
        }
        let before = self.out.len();
        if self.format.print(received, &Zoned::now(), &mut self.out).is_err() {
            self.out.truncate(before);
            output::warn(
                self.args.connection.quiet,
                format!("the payload on {topic_name:?} is not JSON, as %J needs"),
            );
        } else if !self.args.no_newline {
            self.out.push(b'\n');
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.left == Some(0)
    }

    fn is_filtered_out(&self, topic_name: &str) -> bool {
        let Ok(topic_name) = TopicName::parse(topic_name) else { return false };
        let mut filters = self.args.filter_out.iter().filter_map(|filter| TopicFilter::parse(filter).ok());
        filters.any(|filter| filter.matches(topic_name))
    }

    /// Writes what has been printed; returns whether somebody still reads.
    fn flush(&mut self) -> Result<bool, Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        self.out.shrink_to(OUTPUT_BYTES_KEPT);
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::other(format!("cannot print: {error}"))),
        }
    }
}

/// The wish of a person or a script that it ends.
struct Signals {
    #[cfg(unix)]
    terminate: signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            #[cfg(unix)]
            terminate: signal::unix::signal(signal::unix::SignalKind::terminate())
                .map_err(|error| Failure::other(format!("cannot listen for signals: {error}")))?,
        })
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        drop(signal::ctrl_c().await);
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn refusal((topic_filter, reason_code): (&String, &ReasonCode)) -> Option<Failure> {
    let what = format!("the topic filter {topic_filter:?}");
    reason_code.is_error().then(|| Failure::refused(what, *reason_code))
}

fn warn_all(is_quiet: bool, refusals: impl Iterator<Item = Failure>) {
    for refusal in refusals {
        output::warn(is_quiet, refusal.message);
    }
}

fn parse_filter(text: &str) -> Result<(), Failure> {
    match TopicFilter::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!("the topic filter {text:?} {error}"))),
    }
}

fn parse_retain_handling(text: &str) -> Result<RetainHandling, String> {
    match text {
        "always" => Ok(RetainHandling::SendAtSubscribe),
        "new" => Ok(RetainHandling::SendIfNew),
        "never" => Ok(RetainHandling::DoNotSend),
        _ => Err("say always, new or never".into()),
    }
}

/// A buffer that was larger gives its memory back.
const OUTPUT_BYTES_KEPT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use clap::Parser;
    use dunlin_packet::packet_identifier::PacketId;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Cli {
        #[command(flatten)]
        args: SubscribeArgs,
    }

    fn args(line: &str) -> SubscribeArgs {
        Cli::try_parse_from(["sub"].into_iter().chain(line.split(' '))).map(|cli| cli.args).unwrap()
    }

    fn received(topic_name: &str, retain: bool, payload: &str) -> ReceivedMessage {
        let message = Message { retain, ..Message::new(topic_name, QoS::AtLeastOnce, payload) };
        ReceivedMessage { message, dup: false, packet_id: PacketId::new(1) }
    }

    /// What is printed of three messages, and whether each was the last.
    fn printed(line: &str) -> (String, Vec<bool>) {
        let args = args(line);
        let mut printer = Printer::new(&args).unwrap();
        let messages = [received("a/b", true, "1"), received("a/c", false, ""), received("a/d", false, "3")];
        let is_last = messages.iter().map(|message| printer.take(message)).collect();
        (String::from_utf8(printer.out).unwrap(), is_last)
    }

    #[test]
    fn options_choose_what_is_printed_and_when_it_ends() {
        for (line, expected, last) in [
            ("-t a/#", "1\n\n3\n", [false, false, false]),
            ("-t a/# -v", "a/b 1\na/c (null)\na/d 3\n", [false, false, false]),
            ("-t a/# -v -N -R", "a/c (null)a/d 3", [false, false, false]),
            ("-t a/# -C 3", "1\n\n3\n", [false, false, true]),
            ("-t a/# -T a/+ -C 1", "", [false, false, false]),
            ("-t a/# -T +/c", "1\n3\n", [false, false, false]),
            ("-t a/# --retained-only", "1\n", [false, true, true]),
            ("-t a/# -F %t:%l", "a/b:1\na/c:0\na/d:1\n", [false, false, false]),
        ] {
            let (out, is_last) = printed(line);
            assert_eq!((out.as_str(), &is_last[..]), (expected, &last[..]), "{line}");
        }
    }

    #[test]
    fn wishes_are_checked_before_connecting() {
        let check = |line: &str, version| {
            Wishes::new(&args(line), None, version).map(|_| ()).map_err(|it| it.message)
        };
        let (old, new) = (ProtocolVersion::V3_1_1, ProtocolVersion::V5_0);
        assert_eq!(check("-q 1", old), Err("give a topic filter with -t".into()));
        assert_eq!(
            check("-t a/#/b", old).unwrap_err(),
            "the topic filter \"a/#/b\" has a # that is not the whole last level"
        );
        assert!(check("-t a -T b#", old).is_err());
        assert!(check("-U a", old).is_ok());
        assert!(check("-t a --retain-handling never", old).is_err());
        assert!(check("-t a --retain-handling never --retain-as-published", new).is_ok());
        assert!(Wishes::new(&args("-q 1"), Some("a".into()), old).is_ok());
    }
}
