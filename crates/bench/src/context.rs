//! What every subcommand begins and ends with: settings and processes before, the report and its files after.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::args::{FileArgs, OutputArgs, ServerArgs};
use crate::bring_up::{Client, Up};
use crate::clock::{Clock, to_seconds};
use crate::crew::{self, Outcome};
use crate::failure::Failure;
use crate::idle::Idle;
use crate::interrupt::Interrupt;
use crate::job::{Job, Work};
use crate::measure::{Percentiles, hgrm};
use crate::process;
use crate::progress::Progress;
use crate::report::Report;
use crate::settings::{Settings, Times};
use crate::shared::{Shared, Stop};
use crate::topology::Topology;

/// What a subcommand runs with.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) server_pid: Option<u32>,
    pub(crate) clock: Clock,
    pub(crate) interrupt: Interrupt,
    /// One that never comes: what a run leaves behind is cleared away also if the user has ended it.
    no_interrupt: Interrupt,
    pub(crate) progress: Progress,
    is_json: bool,
    files: FileArgs,
}

/// Nothing is measured in these: connections come up and go.
const NO_TIME: Times = Times { rate: 0.0, ramp_ns: 0, duration_ns: 1_000_000, warm_up_ns: 0, messages: None };

impl Context {
    /// Looks up the Server and its process, and takes the processors.
    ///
    /// # Errors
    /// Options that cannot be met.
    pub(crate) fn new(server: &ServerArgs, output: &OutputArgs, files: FileArgs) -> Result<Self, Failure> {
        let settings = Settings::new(server)?;
        let server_pid = process::server_process(output.pid, settings.server)?;
        if let Some(list) = &output.server_cpus {
            let unknown =
                "which process is the Server's is not known; name it with --pid, or leave --server-cpus out";
            process::pin(server_pid.ok_or_else(|| Failure::new(unknown))?, list)?;
        }
        if let Some(list) = &output.bench_cpus {
            process::pin(0, list)?;
        }
        for file in [&files.hgrm, &files.picture].into_iter().flatten() {
            // Better now than after the run.
            write_file(file, "")?;
        }
        Ok(Self {
            settings,
            server_pid,
            clock: Clock::start(),
            interrupt: Interrupt::listen()?,
            no_interrupt: Interrupt::default(),
            progress: Progress::new(output.quiet || output.json),
            is_json: output.json,
            files,
        })
    }

    /// A run of these settings.
    pub(crate) fn job(&self, times: Times, what: &'static str) -> Job<'_> {
        Job {
            settings: &self.settings,
            times,
            server_pid: self.server_pid,
            clock: self.clock,
            interrupt: &self.interrupt,
            progress: &self.progress,
            what,
        }
    }

    /// A run that clears away what another has left behind.
    pub(crate) fn clearing_job(&self, times: Times, what: &'static str) -> Job<'_> {
        Job { interrupt: &self.no_interrupt, ..self.job(times, what) }
    }

    /// A report with what was asked for.
    pub(crate) fn report(&self, scenario: &'static str) -> Report {
        let mut report = Report::new(scenario);
        report.text("server", "", self.settings.server_name.clone());
        report.text("mqtt", "", self.settings.version_name());
        report.count("threads", "", self.settings.threads as u64);
        report
    }

    /// Whether there is a process to measure.
    pub(crate) fn has_pid(&self) -> bool {
        self.server_pid.is_some()
    }

    /// What the connections took to come up.
    pub(crate) fn report_up(&self, report: &mut Report, up: &Up) {
        report.section("Connections");
        report.count("connections", "connections", up.connected as u64);
        let per_s = up.connected as f64 / to_seconds(up.connect_ns).max(1e-9);
        report.number("connect_per_s", "connected a second", per_s, "/s");
        report.number("setup_s", "until all were subscribed", to_seconds(up.ready_ns), "s");
        report.latency("connack_us", "until CONNACK", Percentiles::of(&up.connack));
    }

    /// What both programs used, for `published` messages and `delivered` deliveries.
    pub(crate) fn report_use<W>(
        &self,
        report: &mut Report,
        outcome: &Outcome<W>,
        published: u64,
        delivered: u64,
    ) {
        let watched = &outcome.watched;
        if let Some((begin, end)) = &watched.bench {
            report.bench(&end.since(begin), published.max(delivered));
            let each = |messages: u64, calls: u64| messages as f64 / calls.max(1) as f64;
            report.number("bench_messages_per_read", "", each(delivered, outcome.calls.reads), "");
            report.number("bench_messages_per_write", "", each(published, outcome.calls.writes), "");
        }
        if let (Some(pid), Some((begin, end))) = (self.server_pid, &watched.server) {
            report.server(pid, &end.since(begin), published, delivered);
            report.memory(
                watched.server_before.as_ref().unwrap_or(begin),
                watched.server_after.as_ref().unwrap_or(end),
            );
            // While all Subscriptions are there.
            report.bytes("broker_rss_measured", "", end.resident as f64);
        }
    }

    /// Why a run ended before its time, as far as that makes it not valid.
    pub(crate) fn report_stop(
        &self,
        report: &mut Report,
        stop: Option<Stop>,
        closed: u64,
        why: Option<&str>,
    ) {
        if stop == Some(Stop::Interrupted) {
            report.end_early();
        }
        if stop == Some(Stop::Stalled) {
            let seconds = to_seconds(self.settings.stall_ns);
            report.problem(format!("nothing moved for {seconds} s while messages were under way"));
        }
        if closed > 0 {
            let why = why.map_or(String::new(), |why| format!(" ({why})"));
            report.fault(closed, &format!("connections closed by the Server{why}"));
        }
    }

    /// Writes the picture and the histogram, if they were asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write_files(
        &self,
        picture: impl FnOnce() -> String,
        latency: &Histogram<u64>,
    ) -> Result<(), Failure> {
        if let Some(file) = &self.files.picture {
            write_file(file, &picture())?;
        }
        if let Some(file) = &self.files.hgrm {
            write_file(file, &hgrm(latency))?;
        }
        Ok(())
    }

    /// Prints the report and gives the exit code.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn print(self, report: &Report) -> Result<i32, Failure> {
        // The bar, if there is one, goes first.
        drop(self.progress);
        let text = if self.is_json { report.json() + "\n" } else { report.table() };
        let written = io::stdout().write_all(text.as_bytes());
        written.map_err(|error| Failure::new(format!("cannot print the figures: {error}")))?;
        Ok(report.exit_code())
    }

    /// Brings `clients` up and takes them down again, for what that leaves at the Server.
    ///
    /// # Errors
    /// Those of [`crew::run`]; Ctrl-C.
    pub(crate) fn visit(&self, clients: &[Client]) -> Result<(), Failure> {
        self.visit_by(&self.job(NO_TIME, "preparing"), clients)
    }

    /// Ends the Sessions of those of `clients` that are kept.
    ///
    /// # Errors
    /// Those of [`crew::run`].
    pub(crate) fn end_sessions(&self, clients: impl Iterator<Item = String>) -> Result<(), Failure> {
        let clients: Vec<Client> = clients.map(Client::new).collect();
        self.visit_by(&self.clearing_job(NO_TIME, "ending Sessions"), &clients)
    }

    fn visit_by(&self, job: &Job<'_>, clients: &[Client]) -> Result<(), Failure> {
        let threads = self.settings.threads;
        let make = |thread, shared: &Arc<Shared>| {
            let mine: Vec<Client> = Topology::part(clients.len(), thread, threads)
                .map(|number| clients[number].clone())
                .collect();
            Ok((Idle::new(shared.clone(), mine.len(), None, false), mine))
        };
        complete(&crew::run(job, make)?)
    }
}

/// Fails if the user ended a run before there was anything to report.
///
/// # Errors
/// How many connections there were.
pub(crate) fn complete<W: Work>(outcome: &Outcome<W>) -> Result<(), Failure> {
    if outcome.up.is_complete && (outcome.watched.has_begun || outcome.stop != Some(Stop::Interrupted)) {
        return Ok(());
    }
    let connected = outcome.up.connected;
    let message = format!("ended before anything was measured; {connected} connections were open");
    Err(Failure { message, code: 130 })
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}
