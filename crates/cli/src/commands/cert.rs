//! `dunlin cert`: a CA and certificates for trying things out.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use crate::exit::Failure;
use crate::output;

use self::authority::{Authority, Kind};
use self::folder::{CA_CERTIFICATE, CA_KEY, Folder, REVOKED};

mod authority;
mod folder;
mod next;

/// Arguments of `dunlin cert`.
#[derive(Clone, Debug, Args)]
pub struct CertArgs {
    #[command(subcommand)]
    command: CertCommand,
    /// Folder for the files [default: the current one]
    #[arg(short, long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Replaces files that are there
    #[arg(long, global = true)]
    force: bool,
}

/// What is made.
#[derive(Clone, Debug, Subcommand)]
enum CertCommand {
    /// A CA: ca.pem, which everybody may have, and ca.key, which nobody else may have
    Ca {
        /// What it is called [default: Dunlin CA, and a few digits of its key]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Days for which it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// The certificate and the key of a Server: server.pem and server.key
    Server {
        /// Name or address by which Clients reach it; may be given again [default: localhost, 127.0.0.1 and ::1]
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// What the files are called, if not server
        #[arg(long, value_name = "NAME", default_value = "server")]
        name: String,
        /// Days for which it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// The certificate and the key of a Client, in files of its name
    Client {
        /// The common name, which the Server can take as User Name
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Days for which it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Puts the certificate of a Client on the list of revoked ones: revoked.pem
    Revoke {
        /// The name it was made for
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Days after which the list is to be written anew
        #[arg(long, value_name = "DAYS", default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
}

/// Does what `dunlin cert` was asked, and returns the exit code.
#[must_use]
pub fn run(args: &CertArgs) -> i32 {
    match try_run(args) {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            // The files are there, whether somebody reads this or not.
            Ok(()) | Err(_) => 0,
        },
        Err(failure) => output::fail(false, &failure),
    }
}

fn try_run(args: &CertArgs) -> Result<String, Failure> {
    let folder = Folder::new(args.dir.clone(), args.force);
    let now = SystemTime::now();
    let end = |days: &u32| now + DAY * *days;
    match &args.command {
        CertCommand::Ca { name, days } => {
            folder.check_free(&[CA_CERTIFICATE, CA_KEY])?;
            let made = Authority::make(name.as_deref(), now, end(days))?;
            folder.write_key(CA_KEY, &made.key)?;
            folder.write(CA_CERTIFICATE, &made.certificate)?;
            Ok(next::after_ca(&folder, end(days)))
        }
        CertCommand::Server { host, name, days } => {
            let hosts = hosts(host)?;
            issue(&folder, name, Kind::Server(&hosts), now, end(days))?;
            Ok(next::after_server(&folder, name, &hosts, end(days)))
        }
        CertCommand::Client { name, days } => {
            issue(&folder, name, Kind::Client, now, end(days))?;
            Ok(next::after_client(&folder, name, end(days)))
        }
        CertCommand::Revoke { name, days } => {
            check_name(name)?;
            let list = Authority::open(&folder)?.revoke(&folder, name, now, end(days))?;
            folder.replace(REVOKED, &list.text)?;
            Ok(next::after_revoke(&folder, name, &list, end(days)))
        }
    }
}

fn issue(
    folder: &Folder,
    name: &str,
    kind: Kind<'_>,
    begin: SystemTime,
    end: SystemTime,
) -> Result<(), Failure> {
    check_name(name)?;
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    folder.check_free(&[&certificate, &key])?;
    let made = Authority::open(folder)?.issue(name, kind, begin, end)?;
    folder.write_key(&key, &made.key)?;
    folder.write(&certificate, &made.certificate)
}

/// A name is that of files, too.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_usable = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with(['.', '-'])
        && !name.contains(|c: char| c == '/' || c.is_control());
    if !is_usable {
        return Err(Failure::usage(format!(
            "{name:?} is no name for files: give 1 to {NAME_BYTES_MAX} bytes without / and control characters, that do \
             not begin with a dot or a dash"
        )));
    }
    if [CA_CERTIFICATE, REVOKED].contains(&format!("{name}.pem").as_str()) {
        return Err(Failure::usage(format!("the file {name}.pem is for something else; give another name")));
    }
    Ok(())
}

/// Without any the names of this machine.
fn hosts(given: &[String]) -> Result<Vec<String>, Failure> {
    if given.is_empty() {
        return Ok(["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec());
    }
    let host = |text: &String| {
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let is_name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte))
        };
        if text.parse::<IpAddr>().is_ok() || text.split('.').all(is_name) {
            return Ok(text.to_owned());
        }
        Err(Failure::usage(format!(
            "{text:?} is no name and no address of a host; give it without scheme and port"
        )))
    };
    given.iter().map(host).collect()
}

const NAME_BYTES_MAX: usize = 64;
const DAY: Duration = Duration::from_secs(86_400);
