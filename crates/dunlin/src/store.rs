//! `dunlin store`: looks into the data folder of a Server that does not run.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use dunlin_server::{
    config::{
        environment::Environment,
        load::{Flags, load},
        model::Config,
    },
    storage,
};
use dunlin_store::{
    check::check,
    disk::Disk,
    export::{ExportError, export},
    facts::refuse_unfinished_import,
    import::import,
    stat::stat,
    store::{Store as _, StoreError},
};

use self::{
    progress::Progress,
    show::{bytes, show_checked, show_stat, stat_as_json},
    size::size_of,
};

mod progress;
mod show;
mod size;

/// Looks into the data folder: checks, exports, imports, counts
///
/// The Server must not run meanwhile. The exit code is 0 if all is well, and 1 if anything is not.
#[derive(Debug, Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads everything, and tells what is damaged
    Check {
        #[command(flatten)]
        place: Place,

        /// Takes away what is damaged, so that the Server starts with the rest; what is lost is told
        #[arg(long)]
        repair: bool,
    },
    /// Writes everything as lines of JSON
    Export {
        #[command(flatten)]
        place: Place,

        /// File to write; replaced when all is written [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fills an empty data folder with what was exported
    Import {
        /// Folder to fill; it is made if it is not there
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,

        /// What `dunlin store export` has written, - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Tells how much of what is kept
    Stat {
        #[command(flatten)]
        place: Place,

        /// For programs, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Gives back the space of what was deleted
    Compact {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Folder in which Sessions and messages are kept [default: the user's, see the handbook]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Configuration file of the Server, which may name the folder
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is said at the end if it did not work.
type Outcome = Result<ExitCode, String>;

impl Store {
    /// Does it.
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Check { place, repair } => run_check(&place, repair),
            Command::Export { place, out } => run_export(&place, out.as_deref()),
            Command::Import { data_dir, file } => run_import(&data_dir, &file),
            Command::Stat { place, json } => run_stat(&place, json),
            Command::Compact { place } => run_compact(&place),
        };
        outcome.unwrap_or_else(|message| {
            note(format_args!("dunlin: {message}"));
            ExitCode::FAILURE
        })
    }
}

/// A line for the person at the screen.
fn note(line: impl Display) {
    // There is nowhere else to tell that standard error is closed.
    writeln!(io::stderr(), "{line}").ok();
}

fn words(error: impl Display) -> String {
    error.to_string()
}

impl Place {
    fn config(&self) -> Result<Config, String> {
        let flags = Flags {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            environment: Environment::of_process(),
            ..Flags::default()
        };
        load(&flags).map_err(words)
    }

    /// Opens a data folder that is there.
    fn open(&self) -> Result<(PathBuf, Arc<Disk>), String> {
        let config = self.config()?;
        let folder = storage::data_dir(&config);
        if is_empty(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            return Err(format!(
                "there is no data in {}: --data-dir DIR names another folder",
                folder.display()
            ));
        }
        let store = storage::open(&folder, &config.storage).map_err(|error| in_use(error, &folder))?;
        refuse_unfinished_import(&*store, &folder).map_err(words)?;
        Ok((folder, store))
    }
}

/// Whether the folder is missing or has nothing in it but the socket of a Server.
fn is_empty(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if !entry?.file_type()?.is_socket() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn in_use(error: StoreError, folder: &Path) -> String {
    match error {
        StoreError::InUse { .. } => {
            format!("a Server uses the data folder {}: stop it first", folder.display())
        }
        error => words(error),
    }
}

fn run_check(place: &Place, is_repair: bool) -> Outcome {
    let (folder, store) = place.open()?;
    let mut out = io::stdout().lock();
    let checked = check(&*store, &mut |finding| {
        // Whoever closes standard output still gets the exit code.
        writeln!(out, "{}: {}", finding.about, finding.what).ok();
    })
    .map_err(words)?;
    show_checked(&mut out, &checked).map_err(words)?;
    if !is_repair || !checked.can_be_repaired() {
        if checked.is_well() {
            return Ok(ExitCode::SUCCESS);
        }
        let advice = match (checked.newer, checked.unreadable) {
            (0, 0) => {
                format!("`dunlin store check --data-dir {} --repair` goes on without it", folder.display())
            }
            (0, _) => {
                "this cannot be repaired: restore a backup, or save the rest with `dunlin store export` and \
                       import it into another folder"
                    .to_owned()
            }
            _ => "a newer version of the program has written some of it: use that one".to_owned(),
        };
        return Err(format!("{} is damaged: {advice}", folder.display()));
    }
    store.commit(&mut checked.repair.changes(), true).map_err(words)?;
    let result = match (checked.findings, checked.leftovers) {
        (0, 0) => "there was nothing to repair".to_owned(),
        (findings, leftovers) => format!(
            "repaired: what is told above is given up ({findings}), and what nothing refers to is taken away ({leftovers})"
        ),
    };
    writeln!(out, "{result}").map_err(words)?;
    Ok(ExitCode::SUCCESS)
}

fn run_export(place: &Place, out: Option<&Path>) -> Outcome {
    let (_, store) = place.open()?;
    let mut progress = Progress::new();
    let mut write = |to: &mut dyn Write| export(&*store, to, &mut |records| progress.tell(records));
    let exported = match out {
        None => write(&mut BufWriter::new(io::stdout().lock())),
        Some(file) => write_whole(file, write),
    };
    let exported = match exported {
        Ok(exported) => exported,
        // The reader has seen enough, and knows that it was not all.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(words(error)),
    };
    note(format_args!("{} records are exported", exported.records));
    if exported.damaged + exported.unreadable > 0 {
        return Err(format!(
            "{} damaged records and {} unreadable places were left out: `dunlin store check` names them",
            exported.damaged, exported.unreadable
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that appears under its name once it is whole. Only its owner may read it: it has all messages.
fn write_whole<T>(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, ExportError>,
) -> Result<T, ExportError> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".part");
    let target = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    let mut target = BufWriter::new(target);
    let written = write(&mut target)?;
    target.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&draft, file)?;
    Ok(written)
}

fn run_import(folder: &Path, file: &Path) -> Outcome {
    let mut from: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Box::new(BufReader::new(file))
    };
    let store = storage::open(folder, &Config::default().storage).map_err(|error| in_use(error, folder))?;
    let mut progress = Progress::new();
    let records = import(&*store, &mut from, &mut |records| progress.tell(records))
        .map_err(|error| format!("nothing is imported into {}: {error}", folder.display()))?;
    note(format_args!("{records} records are imported into {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn run_stat(place: &Place, is_json: bool) -> Outcome {
    let (folder, store) = place.open()?;
    let stat = stat(&*store).map_err(words)?;
    let size = size_of(&folder).map_err(words)?;
    let mut out = io::stdout().lock();
    if is_json {
        writeln!(out, "{}", stat_as_json(&stat, size)).map_err(words)?;
    } else {
        show_stat(&mut out, &stat, size).map_err(words)?;
    }
    if stat.damaged > 0 {
        return Err(format!("{} records are damaged: `dunlin store check` names them", stat.damaged));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_compact(place: &Place) -> Outcome {
    let (folder, store) = place.open()?;
    let before = size_of(&folder).map_err(words)?;
    store.compact().map_err(words)?;
    drop(store);
    let after = size_of(&folder).map_err(words)?;
    writeln!(io::stdout(), "before {}, now {}", bytes(before.records), bytes(after.records))
        .map_err(words)?;
    Ok(ExitCode::SUCCESS)
}
