//! The house checks: `cargo xtask tidy` and `cargo xtask clauses`; by hand, `cargo xtask perf`.

mod clauses;
mod finding;
mod perf;
mod project;
mod rust_file;
mod tidy;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::project::Project;

const USAGE: &str = "\
usage: cargo xtask <check>

  tidy              floors, import loops, sizes, forbidden calls, names, words
  clauses           compares the tags in the sources with spec/clauses.toml, writes docs/CONFORMANCE.md
  clauses --check   the same, but writes nothing: fails on a gap or if docs/CONFORMANCE.md is out of date
  perf [--runs N] [--only ROW,..] [--with-mosquitto] [--keep]
                    measures Dunlin in multiples of a relay and compares with docs/perf/kept.json; --keep writes that";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["tidy"] => run_tidy(),
        ["clauses"] => run_clauses(clauses::Mode::Write),
        ["clauses", "--check"] => run_clauses(clauses::Mode::Check),
        ["perf", options @ ..] => root().and_then(|root| perf::run(options, &root)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every finding; true if there is none.
fn run_tidy() -> Result<bool> {
    let project = Project::read(&root()?)?;
    let findings = tidy::check(&project);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: {} Rust files, nothing to do", project.rust_files.len()),
        count => println!("tidy: {count} to put right"),
    }
    Ok(findings.is_empty())
}

fn run_clauses(mode: clauses::Mode) -> Result<bool> {
    let root = root()?;
    clauses::run(&Project::read(&root)?, &root, mode)
}

/// The folder of the workspace: the parent of this crate's.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("the folder of xtask has no parent")?.to_path_buf())
}
