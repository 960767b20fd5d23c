//! `conn`: connections that come up, are there, ping, are cut, and come back.

use std::sync::Arc;

use dunlin_packet::qos::QoS;

use crate::bring_up::Client;
use crate::clock::{SECOND, to_seconds};
use crate::context::{Context, complete};
use crate::crew::{self, Outcome};
use crate::failure::Failure;
use crate::idle::Idle;
use crate::measure::Percentiles;
use crate::pace::Pace;
use crate::pattern;
use crate::process::kernel_tables;
use crate::report::Report;
use crate::settings::Times;
use crate::shared::histogram;
use crate::topology::Topology;

/// What the connections do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) count: usize,
    /// What each subscribes to, if anything.
    pub(crate) filter: Option<String>,
    pub(crate) qos: QoS,
    pub(crate) hold_ns: u64,
    /// Seconds between the pings of a connection; 0 for none.
    pub(crate) ping_every: f64,
    /// How often all are cut and come back.
    pub(crate) storms: u32,
}

/// After the last connection, before memory and processor time are looked at.
const SETTLING_NS: u64 = SECOND;

/// Runs the plan and prints what came of it.
///
/// # Errors
/// What kept it from being measured.
pub(crate) fn run(context: Context, plan: &Plan) -> Result<i32, Failure> {
    let mut report = context.report("conn");
    let settings = &context.settings;
    let client = |number: usize| -> Result<Client, Failure> {
        let filter = plan.filter.as_deref().map(|filter| pattern::filter(filter, number)).transpose()?;
        Ok(Client {
            filters: filter.into_iter().collect(),
            qos: plan.qos,
            clean_start: !settings.keeps_sessions,
            session_expiry_s: if settings.keeps_sessions { settings.session_expiry_s } else { 0 },
            ..Client::new(format!("{}c{number}", settings.id_prefix))
        })
    };
    let clients: Vec<Client> = (0..plan.count).map(client).collect::<Result<_, _>>()?;
    let tables = kernel_tables();
    let first = hold(&context, &clients, plan.hold_ns, None, plan.storms > 0, "idle")?;
    report_idle(&context, &mut report, &first, tables)?;
    report_storms(&context, &mut report, plan, &clients)?;
    if plan.ping_every > 0.0 && !context.interrupt.has_come() {
        let pace = Pace::new(plan.count as f64 / plan.ping_every, 0);
        let outcome = hold(&context, &clients, plan.hold_ns, Some(pace), false, "pinging")?;
        report_pings(&context, &mut report, &outcome);
    }
    context.report_stop(&mut report, first.stop, 0, None);
    let mut cleared = Ok(());
    if settings.keeps_sessions {
        cleared = context.end_sessions(clients.into_iter().map(|client| client.id));
    }
    let code = context.print(&report)?;
    cleared.map(|()| code)
}

fn hold(
    context: &Context,
    clients: &[Client],
    hold_ns: u64,
    pace: Option<Pace>,
    is_cut: bool,
    what: &'static str,
) -> Result<Outcome<Idle>, Failure> {
    let threads = context.settings.threads;
    let rate = if pace.is_some() { 1.0 } else { 0.0 };
    let times = Times { rate, ramp_ns: 0, duration_ns: hold_ns, warm_up_ns: SETTLING_NS, messages: None };
    let make = |thread, shared: &Arc<_>| {
        let mine: Vec<Client> =
            Topology::part(clients.len(), thread, threads).map(|number| clients[number].clone()).collect();
        let pace = pace.map(|pace| pace.share(mine.len(), clients.len()));
        Ok((Idle::new(Arc::clone(shared), mine.len(), pace, is_cut), mine))
    };
    crew::run(&context.job(times, what), make)
}

fn report_idle(
    context: &Context,
    report: &mut Report,
    outcome: &Outcome<Idle>,
    tables: Option<u64>,
) -> Result<(), Failure> {
    context.report_up(report, &outcome.up);
    let connected = outcome.up.connected.max(1) as f64;
    if !outcome.watched.has_begun {
        // Ended while connections came up: how fast they came is known all the same.
        return if outcome.up.connected > 0 { Ok(()) } else { complete(outcome) };
    }
    let watched = &outcome.watched;
    if let (Some(before), Some((begin, end))) = (&watched.server_before, &watched.server) {
        report.section("Server");
        let cpu_us = begin.since(before).processor_s() * 1e6;
        report.number("broker_cpu_us_per_connect", "time for a connection", cpu_us / connected, "us");
        let grown = begin.resident as f64 - before.resident as f64;
        report.bytes("rss_bytes_per_connection", "memory for a connection", grown / connected);
        let used = end.since(begin);
        let percent = used.processor_s() * 100.0 / used.wall_s.max(1e-9);
        report.number("idle_cpu_percent", "processor while all are idle", percent, "%");
        report.memory(before, end);
    }
    if let (true, Some(before), Some(after)) = (context.has_pid(), tables, kernel_tables()) {
        // Both ends are on this machine: a pair of sockets each, while they were there.
        report.bytes("kernel_slab_bytes_per_pair", "", (after as f64 - before as f64) / connected);
    }
    let closed = outcome.works.iter().map(|idle| idle.closed).sum();
    let why = outcome.works.iter().find_map(|idle| idle.closed_why.as_deref());
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    report.fault(closed, &format!("idle connections closed by the Server{why}"));
    Ok(())
}

/// Cuts all connections and has them come back, as often as planned; the slowest time is told.
fn report_storms(
    context: &Context,
    report: &mut Report,
    plan: &Plan,
    clients: &[Client],
) -> Result<(), Failure> {
    let mut slowest = f64::MAX;
    let mut present = u64::MAX;
    let mut connack = histogram();
    for storm in 0..plan.storms {
        if context.interrupt.has_come() {
            return Ok(());
        }
        let is_last = storm + 1 == plan.storms;
        let outcome = hold(context, clients, SECOND / 10, None, !is_last, "back again")?;
        if complete(&outcome).is_err() {
            context.report_stop(report, outcome.stop, 0, None);
            return Ok(());
        }
        let up = &outcome.up;
        slowest = slowest.min(up.connected as f64 / to_seconds(up.ready_ns).max(1e-9));
        present = present.min(up.sessions_present as u64);
        connack.add(&up.connack).expect("all have the same bounds");
    }
    if plan.storms > 0 {
        report.section("All cut, and back at once");
        report.count("storms", "times", u64::from(plan.storms));
        report.number("storm_per_s", "back a second, the slowest", slowest, "/s");
        report.latency("storm_connack_us", "until CONNACK", Percentiles::of(&connack));
        report.count("storm_sessions_present", "Sessions the Server had", present);
    }
    Ok(())
}

fn report_pings(context: &Context, report: &mut Report, outcome: &Outcome<Idle>) {
    report.section("Pings");
    let pings: u64 = outcome.works.iter().map(|idle| idle.pings).sum();
    let pongs: u64 = outcome.works.iter().map(|idle| idle.pongs).sum();
    report.count("pings", "sent", pings);
    report.latency("ping_latency_us", "until PINGRESP", Percentiles::of(&outcome.watched.latency));
    if let (true, Some((begin, end))) = (context.has_pid(), &outcome.watched.server) {
        let used = end.since(begin);
        let percent = used.processor_s() * 100.0 / used.wall_s.max(1e-9);
        report.number("ping_cpu_percent", "the Server's processor", percent, "%");
        let each = used.processor_s() * 1e6 / outcome.measured.received.max(1) as f64;
        report.number("ping_cpu_us_each", "the Server's time each", each, "us");
    }
    report.fault(pings.saturating_sub(pongs), "pings unanswered");
}
