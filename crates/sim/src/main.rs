//! `cargo sim`: runs one seed and tells it, or many and counts.

use std::{
    env,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use dunlin_sim::{
    oracle::tally::{MINIMUMS_OF_MANY, RARE_MINIMUMS, Tally},
    run::{Options, Report, STEPS, run},
};

const USAGE: &str = "\
cargo sim --seed N              one run; what happened is told if a promise is broken
cargo sim --seeds N             many runs, 200 if nothing is said
  --from M                      the first seed (1)
  --jobs J                      runs at a time (as many as there are cores)
  --steps K                     steps of a run
  --crashes                     all durable Servers crash now and then, not only half of them
  --fails-at N                  the N-th operation of the disk fails, of a durable Server
  --tell                        with --seed: all that happened, also if all is well";

/// What was asked for.
struct Command {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    jobs: u64,
    steps: u64,
    is_telling: bool,
    is_crashing: bool,
    fails_at: Option<u64>,
}

impl Command {
    fn options(&self) -> Options {
        let (is_crashing, fails_at) = (self.is_crashing, self.fails_at);
        Options { steps: self.steps, is_crashing, fails_at, ..Options::default() }
    }
}

fn main() -> ExitCode {
    let command = match parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let is_well = match command.seed {
        Some(seed) => run_one(seed, &command),
        None => run_many(&command),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut command = Command {
        seed: None,
        seeds: 200,
        from: 1,
        jobs: cores,
        steps: STEPS,
        is_telling: false,
        is_crashing: false,
        fails_at: None,
    };
    while let Some(argument) = arguments.next() {
        if argument == "--tell" {
            command.is_telling = true;
            continue;
        }
        if argument == "--crashes" {
            command.is_crashing = true;
            continue;
        }
        let mut number = || {
            let text = arguments.next().ok_or(format!("{argument} needs a number"))?;
            text.parse::<u64>().map_err(|error| format!("{argument} {text}: {error}"))
        };
        match &*argument {
            "--seed" => command.seed = Some(number()?),
            "--seeds" => command.seeds = number()?,
            "--from" => command.from = number()?,
            "--jobs" => command.jobs = number()?.max(1),
            "--fails-at" => command.fails_at = Some(number()?),
            "--steps" => command.steps = number()?,
            _ => return Err(format!("{argument} is not known")),
        }
    }
    Ok(command)
}

fn run_one(seed: u64, command: &Command) -> bool {
    let report = run(seed, Options { is_telling: true, ..command.options() });
    if command.is_telling {
        report.trace.last_lines(usize::MAX).for_each(|line| println!("{line}"));
    }
    if report.failure.is_some() {
        tell(&report, command);
        return false;
    }
    println!("seed {seed} is well (hash {:016x})", report.trace.hash());
    print_tally(&report.tally);
    true
}

fn run_many(command: &Command) -> bool {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Tally::default(), Vec::new(), 0_u64));
    thread::scope(|scope| {
        for _ in 0..command.jobs {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= command.seeds {
                        return;
                    }
                    let report = run(command.from + place, command.options());
                    note(&report, command, &mut total.lock().expect("no run panics while it counts"));
                }
            });
        }
    });
    let (tally, mut failed, _) = total.into_inner().expect("all runs are over");
    print_tally(&tally);
    let many = MINIMUMS_OF_MANY.iter().map(|(what, count)| (*what, count * command.seeds / 2));
    let rare = RARE_MINIMUMS.iter().map(|(what, count)| (*what, count * (command.seeds / 40) / 2));
    let minimums: Vec<_> = many.chain(rare).collect();
    let short = if command.steps < STEPS { Vec::new() } else { tally.shortfalls(&minimums) };
    short.iter().for_each(|what| println!("too little happened: {what}"));
    failed.sort_unstable();
    if failed.is_empty() {
        println!("{} seeds from {} are well", command.seeds, command.from);
        return short.is_empty();
    }
    println!("{} of {} seeds failed: {failed:?}", failed.len(), command.seeds);
    let options = Options { is_telling: true, ..command.options() };
    tell(&run(failed[0], options), command);
    false
}

fn note(report: &Report, command: &Command, total: &mut (Tally, Vec<u64>, u64)) {
    let (tally, failed, done) = total;
    tally.add(&report.tally);
    *done += 1;
    if let Some(failure) = &report.failure {
        failed.push(report.seed);
        println!("seed {} failed: {} [{}]", report.seed, failure.promise, failure.clause);
    }
    if *done % 20 == 0 || *done == command.seeds {
        eprintln!("{done} of {} runs, {} failed", command.seeds, failed.len());
    }
}

/// The story of a failure: what it is about, what came last, and how to see it again.
fn tell(report: &Report, command: &Command) {
    let Some(failure) = &report.failure else { return };
    println!("conditions: {}", report.conditions);
    if !failure.about.is_empty() {
        println!("\nabout {}:", failure.about.join(", "));
        report.trace.lines_about(&failure.about, 60).iter().for_each(|line| println!("{line}"));
    }
    println!("\nthe last events:");
    report.trace.last_lines(40).for_each(|line| println!("{line}"));
    println!("\nseed {}: {} [{}]", report.seed, failure.promise, failure.clause);
    let steps = if command.steps == STEPS { String::new() } else { format!(" --steps {}", command.steps) };
    let crashes = if command.is_crashing { " --crashes" } else { "" };
    let fails_at = command.fails_at.map(|number| format!(" --fails-at {number}")).unwrap_or_default();
    println!("again: cargo sim --seed {}{steps}{crashes}{fails_at}", report.seed);
}

fn print_tally(tally: &Tally) {
    for (what, count) in tally.iter() {
        println!("{count:>10}  {what}");
    }
}
