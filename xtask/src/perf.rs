//! `cargo xtask perf`: what Dunlin costs, as multiples of a relay without a protocol, beside the kept table. By hand, and
//! on a machine that has little else to do.

mod compare;
mod measure;
mod programs;
mod rows;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use compare::{Kept, Measured};
use programs::{Places, Program};
use rows::{ROWS, Row, Unit};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    runs: usize,
    /// Names of rows; empty for all.
    only: Vec<String>,
    with_mosquitto: bool,
    keeps: bool,
}

const RUNS: usize = 3;
const RUNS_MAX: usize = 99;

/// Figures of all valid runs: by row and program, for each run those of the row in order.
type Runs = BTreeMap<(usize, Program), Vec<Vec<f64>>>;

/// Measures what `arguments` ask for. True if nothing is worse than it may be.
///
/// # Errors
/// Wrong arguments; the program cannot be built or started; files cannot be written.
pub(crate) fn run(arguments: &[&str], root: &Path) -> Result<bool> {
    let options = parse(arguments)?;
    let all_rows = ROWS;
    let is_asked = |row: &&Row| options.only.is_empty() || options.only.iter().any(|name| name == row.name);
    let rows: Vec<&Row> = all_rows.iter().filter(is_asked).collect();
    let places = prepare(root, options.with_mosquitto)?;
    let mut programs = vec![Program::Relay, Program::Dunlin(1), Program::Dunlin(2)];
    if options.with_mosquitto {
        programs.push(Program::Mosquitto);
    }
    let mut failed = Vec::new();
    let runs = measure_all(&places, &rows, &programs, options.runs, &mut failed);
    let measured = medians(&rows, &programs, &runs);
    let text = format!("{}, median of {}\n\n", machine(), options.runs)
        + &table::markdown(&rows, &measured, &programs);
    let file = places.folder.join("table.md");
    fs::write(&file, &text).with_context(|| format!("writing {}", file.display()))?;
    println!("{text}");
    let mut findings = failed;
    findings.extend(compare::beyond_bounds(&measured));
    keep_or_compare(root, &options, &measured, &mut findings)?;
    findings.iter().for_each(|finding| println!("perf: {finding}"));
    Ok(findings.is_empty())
}

fn keep_or_compare(
    root: &Path,
    options: &Options,
    measured: &[Measured<'_>],
    findings: &mut Vec<String>,
) -> Result<()> {
    let file = root.join("docs/perf/kept.json");
    let kept = Kept::read(&file)?;
    if options.keeps {
        let mut kept = kept.filter(|_| !options.only.is_empty()).unwrap_or_default();
        kept.machine = machine();
        kept.take(measured);
        fs::create_dir_all(root.join("docs/perf")).context("making docs/perf")?;
        kept.write(&file)?;
        println!("perf: kept in docs/perf/kept.json");
        return Ok(());
    }
    match kept {
        Some(kept) => findings.extend(compare::worse_than_kept(measured, &kept)),
        None => findings.push("docs/perf/kept.json is not there: make it with --keep".into()),
    }
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { runs: RUNS, only: Vec::new(), with_mosquitto: false, keeps: false };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match *argument {
            "--runs" => {
                let value = value()?;
                let runs = value.parse().ok().filter(|runs| (1..=RUNS_MAX).contains(runs));
                options.runs = runs.with_context(|| format!("--runs {value}: give 1 to {RUNS_MAX}"))?;
            }
            "--only" => {
                for name in value()?.split(',') {
                    let names = ROWS.map(|row| row.name);
                    ensure!(names.contains(&name), "--only {name}: rows are {}", names.join(", "));
                    options.only.push(name.to_owned());
                }
            }
            "--with-mosquitto" => options.with_mosquitto = true,
            "--keep" => options.keeps = true,
            _ => bail!("`{argument}`: give --runs N, --only ROW,.., --with-mosquitto, --keep"),
        }
    }
    Ok(options)
}

/// Builds the program and makes the folder for what comes of it.
fn prepare(root: &Path, with_mosquitto: bool) -> Result<Places> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = root.join("target/perf");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "dunlin"])
        .current_dir(root)
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "cargo build --release: {status}");
    let mosquitto = programs::find_mosquitto();
    if with_mosquitto && mosquitto.is_none() {
        bail!("--with-mosquitto: mosquitto is not installed");
    }
    let places = Places { dunlin: target.join("release/dunlin"), mosquitto, folder };
    places.make_certificates()?;
    Ok(places)
}

/// Has the programs take turns, row by row. What Dunlin or the relay does not manage goes to `failed`.
fn measure_all(
    places: &Places,
    rows: &[&Row],
    programs: &[Program],
    runs: usize,
    failed: &mut Vec<String>,
) -> Runs {
    let mut all = Runs::new();
    for (at, row) in rows.iter().enumerate() {
        for number in 1..=runs {
            for program in programs {
                if *program == Program::Relay && !row.has_floor() {
                    continue;
                }
                let what = format!("{}, {program}, run {number} of {runs}", row.name);
                match measure::run(places, row, *program) {
                    Ok(figures) => {
                        let words = figures.iter().map(|figure| table::number(Some(*figure)));
                        println!("{what}: {}", words.collect::<Vec<_>>().join(", "));
                        all.entry((at, *program)).or_default().push(figures);
                    }
                    Err(error) => {
                        println!("{what}: {error:#}");
                        if *program != Program::Mosquitto {
                            failed.push(format!("{what}: {error:#}"));
                        }
                    }
                }
            }
        }
    }
    all
}

/// The medians of all runs, and what they are in multiples of the relay.
fn medians<'a>(rows: &[&'a Row], programs: &[Program], runs: &Runs) -> Vec<Measured<'a>> {
    let mut all = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for (which, figure) in row.figures.iter().enumerate() {
            let median_of = |program: Program| {
                let runs = runs.get(&(at, program))?;
                measure::median(runs.iter().map(|figures| figures[which]).collect())
            };
            let floor = median_of(Program::Relay).filter(|_| figure.unit == Unit::Delivery);
            for &program in programs {
                let value = median_of(program);
                let multiple = value.zip(floor).map(|(value, floor)| value / floor.max(1e-9));
                all.push(Measured { row, figure, program, value, multiple });
            }
        }
    }
    all
}

/// What can be said of the machine without naming it.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    format!("{processors} processors, {} {}", std::env::consts::OS, release.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_are_told() {
        let options = parse(&["--runs", "5", "--only", "idle,fan-in", "--keep"]).unwrap();
        assert_eq!((options.runs, options.keeps, options.with_mosquitto), (5, true, false));
        assert_eq!(options.only, ["idle", "fan-in"]);
        assert_eq!(parse(&[]).unwrap().runs, RUNS);
        for (wrong, words) in [
            (&["--runs", "0"][..], "give 1 to 99"),
            (&["--only", "idle,x"], "--only x: rows are pair-q0, "),
            (&["--runs"], "needs a value"),
            (&["--fast"], "`--fast`"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(words), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_multiple_is_one_of_the_relays_median() {
        let rows = ROWS;
        let rows: Vec<&Row> = rows.iter().take(1).collect();
        let runs = Runs::from([
            ((0, Program::Relay), vec![vec![0.1], vec![0.2], vec![0.9]]),
            ((0, Program::Dunlin(1)), vec![vec![0.4], vec![0.5], vec![0.3]]),
        ]);
        let programs = [Program::Relay, Program::Dunlin(1), Program::Dunlin(2)];
        let all = medians(&rows, &programs, &runs);
        assert_eq!(all.iter().map(|one| one.multiple).collect::<Vec<_>>(), [Some(1.0), Some(2.0), None]);
        let text = table::markdown(&rows, &all, &programs);
        let line = "| 10 pairs, QoS 0 | CPU, us a delivery | 0.200 | 0.400 | - | 2.00 | - | at most 4.00 times the relay |";
        assert!(text.lines().any(|one| one == line), "{text}");
    }
}
