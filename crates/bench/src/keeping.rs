//! `retained` and `queue`: messages that the Server keeps, and hands out later.

use std::sync::Arc;

use dunlin_packet::qos::QoS;

use crate::bring_up::Client;
use crate::clock::{SECOND, to_seconds};
use crate::context::{Context, complete};
use crate::crew::Outcome;
use crate::failure::Failure;
use crate::flood::{self, Flooding};
use crate::listener::{Listener, Wanted};
use crate::listening::{closed, listen};
use crate::measure::Percentiles;
use crate::process::Snapshot;
use crate::report::Report;
use crate::settings::{Messages, Times};
use crate::shared::Stop;
use crate::topology::Topology;

/// What a run of `queue` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Phase {
    /// Both, one after the other.
    Both,
    /// Makes the Sessions and fills their queues.
    Fill,
    /// Takes what is in the queues and ends the Sessions.
    Drain,
}

/// Retained Messages: how many, and who publishes and gets them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetainedPlan {
    pub(crate) count: u64,
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) leaves: bool,
}

/// Longer than any run that makes progress.
const NO_LIMIT_NS: u64 = 86_400 * SECOND;
/// Memory is looked at when what is freed late is freed.
const SETTLING_NS: u64 = SECOND / 2;

fn until_done(messages: u64, rate: f64) -> Times {
    Times { rate, ramp_ns: 0, duration_ns: NO_LIMIT_NS, warm_up_ns: 0, messages: Some(messages) }
}

/// Sets Retained Messages, has them all sent to new subscribers, and clears them.
///
/// # Errors
/// What kept it from being measured.
pub(crate) fn retained(
    context: Context,
    plan: RetainedPlan,
    pattern: &str,
    messages: Messages,
    rate: f64,
) -> Result<i32, Failure> {
    let mut report = context.report("retained");
    let each = plan.count.div_ceil(plan.publishers as u64);
    let topics = usize::try_from(each).map_err(Failure::new)?;
    let count = each * plan.publishers as u64;
    let topology = Topology::publishers(plan.publishers, pattern, topics)?;
    let filter = Topology::all_to_all(plan.publishers, 1, pattern, topics)?.subscribers[0].filters[0].clone();
    report.count("qos", "", u64::from(messages.qos.value()));
    report.count("payload", "", messages.size as u64);
    let messages = Messages { retain: true, ..messages };
    let set = flood::run(&context.job(until_done(count, rate), "setting"), &topology, messages)?;
    complete(&set)?;
    report.section("Retained Messages set");
    report_filled(
        &context,
        &mut report,
        &set,
        ["retained", "set_per_s", "set_cpu_us"],
        "set_ack_latency_us",
        count,
    );
    if set.stop.is_none() {
        replay(&context, &mut report, &plan, count, filter, messages.qos)?;
    }
    if !plan.leaves {
        let cleared = Messages { size: 0, ..messages };
        let cleared =
            flood::run(&context.clearing_job(until_done(count, 0.0), "clearing"), &topology, cleared)?;
        report.section("Retained Messages cleared");
        let per_s = count as f64 / cleared.seconds.max(1e-9);
        report.number("clear_per_s", "cleared a second", per_s, "/s");
        if let Some(after) = &cleared.watched.server_after {
            report.bytes("rss_after_clear", "the Server's memory then", after.resident as f64);
        }
    }
    context.report_stop(&mut report, set.stop, 0, None);
    context.print(&report)
}

/// All Retained Messages to each of some new subscribers.
fn replay(
    context: &Context,
    report: &mut Report,
    plan: &RetainedPlan,
    count: u64,
    filter: String,
    qos: QoS,
) -> Result<(), Failure> {
    let subscribers = plan.subscribers;
    let prefix = &context.settings.id_prefix;
    let clients: Vec<Client> =
        (0..subscribers).map(|number| Client { qos, ..Client::new(format!("{prefix}s{number}")) }).collect();
    let expected = count * subscribers as u64;
    let wanted = Wanted {
        version: context.settings.version,
        expected: Some(expected),
        come: Arc::default(),
        from_first: true,
        is_retained: true,
        subscribes: Some((filter, qos)),
    };
    let outcome = listen(context, until_done(expected, 0.0), &clients, &wanted, "receiving")?;
    if complete(&outcome).is_err() {
        context.report_stop(report, outcome.stop, 0, None);
        return Ok(());
    }
    report.section("Retained Messages sent to new subscribers");
    let received = sum(&outcome, |listener| listener.received);
    report.count("received", "received", received);
    let asked =
        outcome.works.iter().map(|listener| listener.asked_at).filter(|at| *at > 0).min().unwrap_or(0);
    let first =
        outcome.works.iter().map(|listener| listener.first_at).filter(|at| *at > 0).min().unwrap_or(asked);
    let last = outcome.works.iter().map(|listener| listener.last_at).max().unwrap_or(asked);
    let seconds = to_seconds(last.saturating_sub(asked));
    report.number("replay_per_s", "received a second", received as f64 / seconds.max(1e-9), "/s");
    report.number("replay_first_ms", "first after", to_seconds(first.saturating_sub(asked)) * 1e3, "ms");
    report.number("replay_s", "last after", seconds, "s");
    if let Some((begin, end)) = &outcome.watched.server {
        let cpu_us = end.since(begin).processor_s() * 1e6;
        report.number("replay_cpu_us", "the Server's time each", cpu_us / received.max(1) as f64, "us");
    }
    let duplicates = sum(&outcome, |listener| listener.duplicates);
    let lost = missing(&outcome, expected, received - duplicates);
    report.count("lost", "lost", lost);
    report.count("duplicates", "duplicates", duplicates);
    report.fault(lost, "Retained Messages lost");
    report.fault(duplicates, "duplicates");
    if wanted.is_retained {
        report.fault(sum(&outcome, |listener| listener.not_retained), "messages without RETAIN");
    }
    report.fault(
        sum(&outcome, |listener| listener.foreign),
        "messages not of this tool: the topics are not only ours",
    );
    let (closed, why) = closed(&outcome);
    context.report_stop(report, outcome.stop, closed, why);
    Ok(())
}

/// Fills the queues of Sessions whose Clients are away, and lets them come back.
///
/// # Errors
/// What kept it from being measured.
pub(crate) fn queue(
    context: Context,
    phase: Phase,
    each: u64,
    sessions: usize,
    pattern: &str,
    messages: Messages,
    rate: f64,
) -> Result<i32, Failure> {
    let mut report = context.report("queue");
    report.count("qos", "", u64::from(messages.qos.value()));
    report.count("payload", "", messages.size as u64);
    report.count("sessions", "", sessions as u64);
    let topology = Topology::pairs(sessions, pattern, 1)?;
    let settings = &context.settings;
    let client = |number: usize| Client {
        filters: topology.subscribers[number].filters.clone(),
        qos: messages.qos,
        clean_start: false,
        session_expiry_s: settings.session_expiry_s,
        ..Client::new(format!("{}s{number}", settings.id_prefix))
    };
    let clients: Vec<Client> = (0..sessions).map(client).collect();
    let count = each * sessions as u64;
    if phase != Phase::Drain {
        // Nothing may be left of an earlier run.
        context.end_sessions(clients.iter().map(|client| client.id.clone()))?;
        context.visit(&clients)?;
        let topology = Topology { subscribers: Vec::new(), fan: 0, ..topology };
        let filled = flood::run(&context.job(until_done(count, rate), "filling"), &topology, messages)?;
        complete(&filled)?;
        report.section("Queues filled");
        report_filled(
            &context,
            &mut report,
            &filled,
            ["queued", "fill_per_s", "fill_cpu_us"],
            "fill_ack_latency_us",
            count,
        );
        context.report_stop(&mut report, filled.stop, 0, None);
    }
    let mut cleared = Ok(());
    if phase != Phase::Fill {
        if !context.interrupt.has_come() {
            drain(&context, &mut report, &clients, count)?;
        }
        cleared = context.end_sessions(clients.into_iter().map(|client| client.id));
    }
    let code = context.print(&report)?;
    cleared.map(|()| code)
}

fn drain(context: &Context, report: &mut Report, clients: &[Client], count: u64) -> Result<(), Failure> {
    // The Session has its Subscription: nothing is asked for, so that only what was queued comes.
    let clients: Vec<Client> =
        clients.iter().map(|client| Client { filters: Vec::new(), ..client.clone() }).collect();
    let wanted = Wanted {
        version: context.settings.version,
        expected: Some(count),
        come: Arc::default(),
        from_first: true,
        is_retained: false,
        subscribes: None,
    };
    let begin = context.clock.now();
    let outcome = listen(context, until_done(count, 0.0), &clients, &wanted, "draining")?;
    if complete(&outcome).is_err() {
        context.report_stop(report, outcome.stop, 0, None);
        return Ok(());
    }
    let received = sum(&outcome, |listener| listener.received);
    let last = outcome.works.iter().map(|listener| listener.last_at).max().unwrap_or(begin);
    let seconds = to_seconds(last.saturating_sub(begin));
    report.section("Queues drained, from the first CONNECT on");
    report.count("drained", "received", received);
    report.number("drain_per_s", "received a second", received as f64 / seconds.max(1e-9), "/s");
    report.number("drain_s", "all within", seconds, "s");
    report.count("sessions_present", "Sessions the Server had", outcome.up.sessions_present as u64);
    if let (Some(before), Some(after)) = (&outcome.watched.server_before, &outcome.watched.server_after) {
        let cpu_us = after.since(before).processor_s() * 1e6;
        report.number("drain_cpu_us", "the Server's time each", cpu_us / received.max(1) as f64, "us");
        report.bytes("broker_rss_end", "the Server's memory then", after.resident as f64);
    }
    let duplicates = sum(&outcome, |listener| listener.duplicates);
    let out_of_order = sum(&outcome, |listener| listener.out_of_order);
    let lost = missing(&outcome, count, received - duplicates);
    report.count("lost", "lost", lost);
    report.count("duplicates", "duplicates", duplicates);
    report.count("out_of_order", "out of order", out_of_order);
    report.fault(lost, "queued messages lost");
    report.fault(duplicates, "duplicates");
    report.fault(out_of_order, "messages out of order");
    let missing = clients.len().saturating_sub(outcome.up.sessions_present) as u64;
    report.fault(missing, "Sessions that the Server had not kept");
    let (closed, why) = closed(&outcome);
    context.report_stop(report, outcome.stop, closed, why);
    Ok(())
}

/// What it took to hand `count` messages to the Server. `keys` are the count, the rate and the Server's time.
fn report_filled(
    context: &Context,
    report: &mut Report,
    outcome: &Outcome<Flooding>,
    keys: [&'static str; 3],
    latency: &'static str,
    count: u64,
) {
    let totals = outcome.works.iter().map(|work| work.load.counts);
    let (sent, refused, closed) = totals.fold((0, 0, 0), |(sent, refused, closed), counts| {
        (sent + counts.sent, refused + counts.refused, closed + counts.closed)
    });
    report.count(keys[0], "messages", sent);
    report.number(keys[1], "published a second", sent as f64 / outcome.seconds.max(1e-9), "/s");
    report.latency(latency, "until acknowledged", Percentiles::of(&outcome.watched.latency));
    if let Some((begin, end)) = &outcome.watched.server {
        let cpu_us = end.since(begin).processor_s() * 1e6;
        report.number(keys[2], "the Server's time each", cpu_us / sent.max(1) as f64, "us");
        let settled = settle(context);
        let before = outcome.watched.server_before.as_ref().unwrap_or(begin);
        let grown = settled.as_ref().unwrap_or(end).resident as f64 - before.resident as f64;
        report.bytes("rss_bytes_each", "the Server's memory each", grown / sent.max(1) as f64);
        report.bytes("broker_rss_peak", "the Server's memory at most", end.resident_peak as f64);
    }
    report.fault(refused, "messages refused by the Server");
    report.fault(closed, "connections closed by the Server");
    let missing = if outcome.stop == Some(Stop::Interrupted) { 0 } else { count.saturating_sub(sent) };
    report.fault(missing, "messages not sent");
}

/// Waits a moment, unless the user does not want to, and looks at the Server.
fn settle(context: &Context) -> Option<Snapshot> {
    let pid = context.server_pid?;
    let end = context.clock.now() + SETTLING_NS;
    while context.clock.now() < end && !context.interrupt.has_come() {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    Snapshot::take(pid)
}

/// What has not come. Whoever ends a run does not wait for the rest: then only what is missing in between.
fn missing(outcome: &Outcome<Listener>, expected: u64, unique: u64) -> u64 {
    match outcome.stop {
        Some(Stop::Interrupted) => sum(outcome, Listener::gaps),
        _ => expected.saturating_sub(unique),
    }
}

fn sum(outcome: &Outcome<Listener>, count: fn(&Listener) -> u64) -> u64 {
    outcome.works.iter().map(count).sum()
}
