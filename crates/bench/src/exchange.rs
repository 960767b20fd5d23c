//! The subcommands in which messages go from publishers to subscribers, or to nobody: `pub`, `pair`, `fan-in`,
//! `fan-out`, `shared`, `match`, `latency`.

use hdrhistogram::Histogram;

use crate::context::{Context, complete};
use crate::crew::Outcome;
use crate::failure::Failure;
use crate::flood::{self, Flooding};
use crate::load::Counts;
use crate::measure::Percentiles;
use crate::picture;
use crate::report::Report;
use crate::settings::{Messages, Times};
use crate::shared::{Stop, histogram};
use crate::topology::{Numbering, Topology};

/// Runs `topology` and prints what came of it.
///
/// # Errors
/// What kept it from being measured.
pub(crate) fn run(
    context: Context,
    scenario: &'static str,
    topology: &Topology,
    messages: Messages,
    times: Times,
) -> Result<i32, Failure> {
    let mut report = context.report(scenario);
    describe(&mut report, topology, messages, times);
    let outcome = flood::run(&context.job(times, scenario), topology, messages)?;
    complete(&outcome)?;
    let sums = Sums::of(&outcome, topology);
    context.report_up(&mut report, &outcome.up);
    report_messages(&mut report, &outcome, topology, messages, &sums);
    context.report_use(&mut report, &outcome, outcome.measured.sent, outcome.measured.received);
    report.points(outcome.watched.timeline.points());
    judge(&mut report, &outcome, topology, &sums);
    context.report_stop(&mut report, outcome.stop, sums.counts.closed, sums.closed_why.as_deref());
    let draw = || {
        let title = title(&context, scenario, topology, messages);
        let latency = Percentiles::of(&outcome.watched.latency);
        let per_s = |count: u64| count as f64 / outcome.seconds.max(1e-9);
        let (sent, received) = (per_s(outcome.measured.sent), per_s(outcome.measured.received));
        let text =
            picture::summary(sent, received, latency.map(|latency| (latency.p50, latency.p99, latency.max)));
        picture::draw(
            &title,
            &format!("{}: {text}", context.settings.server_name),
            &outcome.watched.timeline.points(),
        )
    };
    context.write_files(draw, &outcome.watched.latency)?;
    let mut cleared = Ok(());
    if context.settings.keeps_sessions && !topology.subscribers.is_empty() {
        let prefix = &context.settings.id_prefix;
        let names = (0..topology.subscribers.len()).map(|number| format!("{prefix}s{number}"));
        cleared = context.end_sessions(names);
    }
    let code = context.print(&report)?;
    cleared.map(|()| code)
}

/// All threads together.
struct Sums {
    counts: Counts,
    lost: u64,
    owed: u64,
    ack_latency: Histogram<u64>,
    lateness: Histogram<u64>,
    closed_why: Option<String>,
}

impl Sums {
    fn of(outcome: &Outcome<Flooding>, topology: &Topology) -> Self {
        let mut sums = Self {
            counts: Counts::default(),
            lost: 0,
            owed: 0,
            ack_latency: histogram(),
            lateness: histogram(),
            closed_why: None,
        };
        for Flooding { load, .. } in &outcome.works {
            let (sum, counts) = (&mut sums.counts, &load.counts);
            sum.sent += counts.sent;
            sum.received += counts.received;
            sum.acknowledged += counts.acknowledged;
            sum.duplicates += counts.duplicates;
            sum.out_of_order += counts.out_of_order;
            sum.malformed += counts.malformed;
            sum.refused += counts.refused;
            sum.unknown_acks += counts.unknown_acks;
            sum.closed += counts.closed;
            sums.lost += load.gaps();
            // Whoever ends a run leaves messages under way; they are not lost.
            if outcome.stop != Some(Stop::Interrupted) {
                sums.lost += load.undelivered();
            }
            sums.owed += load.owed();
            sums.ack_latency.add(&load.ack_latency).expect("all have the same bounds");
            sums.lateness.add(&load.lateness).expect("all have the same bounds");
            if sums.closed_why.is_none() {
                sums.closed_why.clone_from(&load.closed_why);
            }
        }
        if topology.fan == 0 {
            sums.lost = 0;
        }
        sums
    }
}

/// What was asked for.
pub(crate) fn describe(report: &mut Report, topology: &Topology, messages: Messages, times: Times) {
    report.count("qos", "", u64::from(messages.qos.value()));
    report.count("payload", "", messages.size as u64);
    report.count("window", "", messages.window as u64);
    report.number("rate", "", times.rate, "/s");
    report.count("publishers", "", topology.publishers.len() as u64);
    report.count("subscribers", "", topology.subscribers.len() as u64);
}

fn report_messages(
    report: &mut Report,
    outcome: &Outcome<Flooding>,
    topology: &Topology,
    messages: Messages,
    sums: &Sums,
) {
    let (seconds, measured) = (outcome.seconds, outcome.measured);
    let per_s = |count: u64| count as f64 / seconds.max(1e-9);
    report.section("Messages");
    report.number("seconds", "measured", seconds, "s");
    report.count("published", "published", measured.sent);
    report.number("publish_per_s", "published a second", per_s(measured.sent), "/s");
    if topology.fan > 0 {
        report.count("delivered", "received", measured.received);
        report.number("deliver_per_s", "received a second", per_s(measured.received), "/s");
        let megabytes = per_s(measured.received) * messages.size as f64 / 1e6;
        report.number("deliver_mb_per_s", "payload a second", megabytes, "MB/s");
    }
    if messages.qos.value() > 0 {
        report.count("acknowledged", "acknowledged", measured.acknowledged);
    }
    report.count("published_total", "", sums.counts.sent);
    report.count("delivered_total", "", sums.counts.received);
    report.count("expected_total", "", sums.counts.sent * u64::from(topology.fan));
    if topology.fan > 0 {
        report.count("lost", "lost", sums.lost);
        report.count("duplicates", "duplicates", sums.counts.duplicates);
        report.count("out_of_order", "out of order", sums.counts.out_of_order);
    }
    report.count("not_sent_in_time", "", sums.owed);
    report.section("Latency");
    let latency = Percentiles::of(&outcome.watched.latency);
    if topology.fan > 0 {
        report.latency("latency_us", "until received", latency);
        report.latency("ack_latency_us", "until acknowledged", Percentiles::of(&sums.ack_latency));
    } else {
        report.latency("ack_latency_us", "until acknowledged", latency);
    }
    report.latency("send_lateness_us", "sent late by", Percentiles::of(&sums.lateness));
}

fn judge(report: &mut Report, outcome: &Outcome<Flooding>, topology: &Topology, sums: &Sums) {
    let counts = &sums.counts;
    report.fault(sums.lost, "deliveries lost");
    report.fault(counts.duplicates, "duplicates");
    // Messages to different topics may overtake each other (4.6).
    if topology.numbering == Numbering::ByTopic {
        report.fault(counts.out_of_order, "messages out of order");
    }
    report.fault(counts.malformed, "messages malformed, changed, or not of this run");
    report.fault(counts.refused, "messages refused by the Server");
    report.fault(counts.unknown_acks, "acknowledgements of nothing that was under way");
    if outcome.stop != Some(Stop::Interrupted) {
        report.fault(
            sums.owed,
            "messages not sent in time: the rate is too high for the Server or this machine",
        );
    }
}

fn title(context: &Context, scenario: &str, topology: &Topology, messages: Messages) -> String {
    format!(
        "dunlin bench {scenario}: {} to {} Clients, QoS {}, {} bytes, MQTT {}",
        topology.publishers.len(),
        topology.subscribers.len(),
        messages.qos.value(),
        messages.size,
        context.settings.version_name()
    )
}
