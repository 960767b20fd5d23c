//! The programs that are measured: each run has a process of its own.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::rows::Transport;

/// A program that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    /// `dunlin bench relay`, the floor.
    Relay,
    /// `dunlin serve` with so many shards.
    Dunlin(u8),
    /// Eclipse Mosquitto, as it is installed.
    Mosquitto,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.write_str("relay"),
            Self::Dunlin(1) => f.write_str("1 shard"),
            Self::Dunlin(shards) => write!(f, "{shards} shards"),
            Self::Mosquitto => f.write_str("mosquitto"),
        }
    }
}

/// Where the programs are, and where they may write.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) dunlin: PathBuf,
    pub(super) mosquitto: Option<PathBuf>,
    /// Configuration, logs and figures.
    pub(super) folder: PathBuf,
}

/// A process that listens. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) port: u16,
}

const STARTING_MAX: Duration = Duration::from_secs(30);

impl Places {
    /// Makes a CA and the certificate of a Server.
    ///
    /// # Errors
    /// `dunlin cert` says so.
    pub(super) fn make_certificates(&self) -> Result<()> {
        for what in ["ca", "server"] {
            let made = Command::new(&self.dunlin)
                .args(["cert", what, "--force", "--dir"])
                .arg(self.certificates())
                .output()
                .context("starting dunlin cert")?;
            let said = String::from_utf8_lossy(&made.stderr);
            ensure!(made.status.success(), "dunlin cert {what}: {}", said.trim());
        }
        Ok(())
    }

    /// What `dunlin bench` is told of the way to the Server.
    pub(super) fn way(&self, transport: Transport) -> Vec<String> {
        let mut arguments = Vec::new();
        if transport.has_websocket() {
            arguments.push("--ws".to_owned());
        }
        if transport.has_tls() {
            let ca = self.certificates().join("ca.pem").display().to_string();
            arguments.extend(["--cafile".to_owned(), ca, "--tls-version".to_owned(), "tlsv1.3".to_owned()]);
        }
        arguments
    }

    fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    /// Starts `program` and waits until it listens; `transport` is spoken there.
    ///
    /// # Errors
    /// It does not start; its files cannot be written.
    pub(super) fn start(&self, program: Program, transport: Transport) -> Result<Running> {
        let port = free_port()?;
        let mut command = match program {
            Program::Relay => {
                let mut command = Command::new(&self.dunlin);
                command.args(["bench", "relay", "-p", &port.to_string()]);
                command
            }
            Program::Dunlin(shards) => {
                let file = self.folder.join("dunlin.toml");
                write(&file, &self.dunlin_settings(shards, port, transport))?;
                let mut command = Command::new(&self.dunlin);
                // Root's folder is for root only.
                command.args(["serve", "--config"]).arg(file).env("DUNLIN__SERVER__USER", "root");
                command
            }
            Program::Mosquitto => {
                let file = self.folder.join("mosquitto.conf");
                write(&file, &self.mosquitto_settings(port, transport)?)?;
                let path = self.mosquitto.as_ref().context("mosquitto is not installed")?;
                let mut command = Command::new(path);
                command.arg("-c").arg(file);
                command
            }
        };
        let log = self.folder.join("program.log");
        let file = File::create(&log).with_context(|| format!("writing {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let mut running = Running { child, port };
        running.await_listening().with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("{program} does not listen on port {port}; it said: {}", said.trim())
        })?;
        Ok(running)
    }
}

impl Running {
    /// The process identifier.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn await_listening(&mut self) -> Result<()> {
        let until = Instant::now() + STARTING_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended, {status}");
            }
            if Instant::now() > until {
                bail!("waited {} s", STARTING_MAX.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where mosquitto is, if it is installed.
pub(super) fn find_mosquitto() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("mosquitto")).find(|file| file.is_file())
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

impl Places {
    /// Nothing on the disk, and room for the queue that is measured; all else at its default.
    fn dunlin_settings(&self, shards: u8, port: u16, transport: Transport) -> String {
        let kind = match transport {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        };
        let files = self.certificates();
        let (certificate, key) = (files.join("server.pem"), files.join("server.key"));
        let tls = match transport.has_tls() {
            true => format!("certificate_file = {certificate:?}\nkey_file = {key:?}\n"),
            false => String::new(),
        };
        format!(
            "[server]\nshards = {shards}\ndata_dir = '{}'\n\n\
             [[listener]]\nkind = \"{kind}\"\nbind = \"127.0.0.1\"\nport = {port}\n{tls}\n\
             [storage]\nmemory_only = true\n\n[mqtt]\nqueue_messages_max = 2000000\nqueue_bytes_max = 1073741824\n\n\
             [admin]\nsocket = \"\"\n\n[log]\nlevel = \"warn\"\n",
            self.folder.join("data").display()
        )
    }

    /// Started by root it would become a user who may not read the key; started by another user it stays that one.
    fn mosquitto_settings(&self, port: u16, transport: Transport) -> Result<String> {
        // It does not start with listeners for WebSocket only.
        let other = if transport.has_websocket() {
            format!("listener {} 127.0.0.1\n", free_port()?)
        } else {
            String::new()
        };
        let mut text = format!(
            "user root\n{other}listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n\
             max_queued_messages 0\nmax_inflight_messages 1000\nlog_type error\n"
        );
        if transport.has_websocket() {
            text += "protocol websockets\n";
        }
        if transport.has_tls() {
            let files = self.certificates();
            for (setting, file) in
                [("cafile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key")]
            {
                text += &format!("{setting} {}\n", files.join(file).display());
            }
        }
        Ok(text)
    }
}
