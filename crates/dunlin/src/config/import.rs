//! `dunlin config import`: a `mosquitto.conf` becomes a configuration of ours.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use dunlin_server::config::mosquitto::{Imported, import, outcome::Verdict};

use super::screen::{fail, say};

/// Makes a configuration of a mosquitto.conf
///
/// The configuration goes to standard output or into a file. Standard error tells for each line of mosquitto.conf, and of the folders that
/// it includes, what has become of it: taken over, not needed, or not supported, and why. The exit code is 0 if all is taken over or not
/// needed, 2 if something is not supported, and 1 if nothing was written: a file cannot be read, or has lines that mosquitto would not
/// take either.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The configuration of mosquitto
    #[arg(value_name = "MOSQUITTO.CONF")]
    file: PathBuf,

    /// File to write instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replaces that file if it is there
    #[arg(long, requires = "output")]
    force: bool,
}

impl Import {
    /// Does it and tells the screen.
    pub(super) fn run(self) -> ExitCode {
        let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
        let imported = match import(&self.file, has_ipv6) {
            Ok(imported) => imported,
            Err(error) => return fail([error]),
        };
        report(&imported);
        if imported.count(Verdict::Wrong) > 0 {
            return fail(["nothing is written: mosquitto would not take the lines above that are wrong"]);
        }
        if let Err(error) = imported.check() {
            return fail([format!("nothing is written: what comes out has mistakes of its own\n{error}")]);
        }
        let is_written = match &self.output {
            None => say(&imported.toml) == ExitCode::SUCCESS,
            Some(file) => match self.write(file, &imported.toml) {
                Ok(()) => true,
                Err(error) => return fail([format!("cannot write {}: {error}", file.display())]),
            },
        };
        match (is_written, imported.count(Verdict::NotSupported)) {
            (false, _) => ExitCode::FAILURE,
            (true, 0) => ExitCode::SUCCESS,
            (true, _) => ExitCode::from(2),
        }
    }

    /// Another file is only replaced, as a whole, with `--force`.
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let is_same = |other: PathBuf| fs::canonicalize(&self.file).is_ok_and(|file| file == other);
        if fs::canonicalize(file).is_ok_and(is_same) {
            return Err(io::Error::other("it is the file that is read"));
        }
        if !self.force {
            let taken = |error: io::Error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    io::Error::new(error.kind(), "it is there already; --force replaces it")
                }
                _ => error,
            };
            return write_new(file, text).map_err(taken);
        }
        let mut name = OsString::from(file);
        name.push(".new");
        let new = PathBuf::from(name);
        write_new(&new, text).and_then(|()| fs::rename(&new, file)).map_err(|error| {
            let kind = error.kind();
            io::Error::new(kind, format!("{}: {error}", new.display()))
        })
    }
}

/// Writes a file that is not there yet; it is there as a whole or not at all.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut new = File::create_new(file)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).inspect_err(|_| {
        // What is left would be half of a configuration; the error is told in any case.
        drop(fs::remove_file(file));
    })
}

fn report(imported: &Imported) {
    let mut text = String::new();
    for line in &imported.report {
        text += &format!("{line}\n");
    }
    let count = |verdict| imported.count(verdict);
    text += &format!(
        "{} lines: {} taken over, {} not needed, {} not supported",
        imported.report.len(),
        count(Verdict::TakenOver),
        count(Verdict::NotNeeded),
        count(Verdict::NotSupported)
    );
    match count(Verdict::Wrong) {
        0 => eprintln!("{text}"),
        wrong => eprintln!("{text}, {wrong} wrong"),
    }
}
