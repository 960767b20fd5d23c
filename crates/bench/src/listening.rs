//! `sub`: subscribers that verify what others publish, such as `dunlin bench pub` in another process.

use std::sync::Arc;

use crate::bring_up::Client;
use crate::context::{Context, complete};
use crate::crew::{self, Outcome};
use crate::failure::Failure;
use crate::listener::{Listener, Wanted};
use crate::measure::Percentiles;
use crate::pattern;
use crate::picture;
use crate::report::Report;
use crate::settings::{Messages, Times};
use crate::shared::Stop;
use crate::topology::Topology;

/// Runs `count` subscribers to `filter` and prints what they found.
///
/// # Errors
/// What kept it from being measured.
pub(crate) fn run(
    context: Context,
    count: usize,
    filter: &str,
    messages: Messages,
    times: Times,
) -> Result<i32, Failure> {
    let settings = &context.settings;
    let mut report = context.report("sub");
    report.count("qos", "", u64::from(messages.qos.value()));
    report.count("subscribers", "", count as u64);
    let client = |number: usize| -> Result<Client, Failure> {
        Ok(Client {
            filters: vec![pattern::filter(filter, number)?],
            qos: messages.qos,
            clean_start: !settings.keeps_sessions,
            session_expiry_s: if settings.keeps_sessions { settings.session_expiry_s } else { 0 },
            ..Client::new(format!("{}s{number}", settings.id_prefix))
        })
    };
    let clients: Vec<Client> = (0..count).map(client).collect::<Result<_, _>>()?;
    let wanted = Wanted {
        version: settings.version,
        expected: times.messages,
        come: Arc::default(),
        from_first: false,
        is_retained: false,
        subscribes: None,
    };
    let outcome = listen(&context, times, &clients, &wanted, "listening")?;
    complete(&outcome)?;
    context.report_up(&mut report, &outcome.up);
    report_messages(&mut report, &outcome, times.messages);
    context.report_use(&mut report, &outcome, 0, outcome.measured.received);
    report.points(outcome.watched.timeline.points());
    let (closed, why) = closed(&outcome);
    context.report_stop(&mut report, outcome.stop, closed, why);
    let draw = || {
        let latency = Percentiles::of(&outcome.watched.latency);
        let received = outcome.measured.received as f64 / outcome.seconds.max(1e-9);
        let text =
            picture::summary(0.0, received, latency.map(|latency| (latency.p50, latency.p99, latency.max)));
        let title = format!("dunlin bench sub: {count} subscribers");
        picture::draw(
            &title,
            &format!("{}: {text}", context.settings.server_name),
            &outcome.watched.timeline.points(),
        )
    };
    context.write_files(draw, &outcome.watched.latency)?;
    let mut cleared = Ok(());
    if context.settings.keeps_sessions {
        cleared = context.end_sessions(clients.into_iter().map(|client| client.id));
    }
    let code = context.print(&report)?;
    cleared.map(|()| code)
}

/// Has `clients` listen on all threads. What is expected is so many messages in all.
///
/// # Errors
/// Those of [`crew::run`].
pub(crate) fn listen(
    context: &Context,
    times: Times,
    clients: &[Client],
    wanted: &Wanted,
    what: &'static str,
) -> Result<Outcome<Listener>, Failure> {
    let threads = context.settings.threads;
    let make = |thread, shared: &Arc<_>| {
        let mine: Vec<Client> =
            Topology::part(clients.len(), thread, threads).map(|number| clients[number].clone()).collect();
        Ok((Listener::new(wanted.clone(), mine.len(), Arc::clone(shared)), mine))
    };
    crew::run(&context.job(times, what), make)
}

/// How many connections were closed, and why the first of them.
pub(crate) fn closed(outcome: &Outcome<Listener>) -> (u64, Option<&str>) {
    let closed = outcome.works.iter().map(|listener| listener.closed).sum();
    (closed, outcome.works.iter().find_map(|listener| listener.closed_why.as_deref()))
}

fn report_messages(report: &mut Report, outcome: &Outcome<Listener>, expected: Option<u64>) {
    let sum = |count: fn(&Listener) -> u64| outcome.works.iter().map(count).sum::<u64>();
    let seconds = outcome.seconds;
    let received = outcome.measured.received;
    report.section("Messages");
    report.number("seconds", "measured", seconds, "s");
    report.count("delivered", "received", received);
    report.number("deliver_per_s", "received a second", received as f64 / seconds.max(1e-9), "/s");
    let total = sum(|listener| listener.received);
    report.count("delivered_total", "", total);
    if let Some(expected) = expected {
        report.count("expected_total", "expected", expected);
    }
    let (gaps, duplicates) = (sum(Listener::gaps), sum(|listener| listener.duplicates));
    let missing = expected.map_or(0, |expected| expected.saturating_sub(total - duplicates));
    // Whoever ends a run does not wait for the rest.
    let missing = if outcome.stop == Some(Stop::Interrupted) { 0 } else { missing };
    let lost = gaps.max(missing);
    let out_of_order = sum(|listener| listener.out_of_order);
    report.count("lost", "lost", lost);
    report.count("duplicates", "duplicates", duplicates);
    report.count("out_of_order", "out of order", out_of_order);
    let foreign = sum(|listener| listener.foreign);
    report.count("not_verified", "not from dunlin bench", foreign);
    report.section("Latency");
    report.latency("latency_us", "until received", Percentiles::of(&outcome.watched.latency));
    report.fault(lost, "deliveries lost");
    report.fault(duplicates, "duplicates");
    report.fault(out_of_order, "messages out of order");
}
