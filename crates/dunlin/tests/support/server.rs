//! The real program, `dunlin serve`, on a free loopback port with a data folder of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    program::{Finished, Program},
    raw::Raw,
};

/// A Server and its data. Dropping it kills the process and removes the data.
pub(crate) struct Server {
    /// Nothing while it is down.
    program: Option<Program>,
    address: SocketAddr,
    options: Options,
    folder: TempDir,
}

/// What differs from `dunlin serve --port 0`.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Number of shards; 0 leaves it to the program.
    pub(crate) shards: usize,
    /// The text of a configuration file, if there is to be one.
    pub(crate) config: Option<String>,
    /// The text of a file of rules, if there is to be one; the configuration ends with the table `[rights]` then.
    pub(crate) rules: Option<String>,
    /// Soft and hard limit on open files, if it is to be small.
    pub(crate) open_files_max: Option<u32>,
    /// Variables of the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Where strace writes each system call for sockets and waiting, if it is to watch.
    pub(crate) system_calls: Option<PathBuf>,
}

impl Server {
    /// Starts the program with `shards` shards and no configuration file.
    pub(crate) fn start(shards: usize) -> Server {
        Server::with(&Options { shards, ..Options::default() })
    }

    /// Starts the program with one shard and the configuration `text`.
    pub(crate) fn configured(text: &str) -> Server {
        Server::with(&Options { shards: 1, config: Some(text.to_owned()), ..Options::default() })
    }

    /// Starts the program and waits until it says where it listens.
    pub(crate) fn with(options: &Options) -> Server {
        let mut server = Server::prepare(options);
        server.start_again();
        server
    }

    /// Makes the folder for a Server that is yet to be started.
    pub(crate) fn prepare(options: &Options) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Server { program: None, address, options: options.clone(), folder }
    }

    /// Starts the program on the data that is there, at a new port, and waits until it says where it listens.
    pub(crate) fn start_again(&mut self) {
        let mut program = self.launch();
        self.address = await_address(&mut program);
        self.program = Some(program);
    }

    /// Starts the program on the data that is there, and does not wait for it.
    pub(crate) fn launch(&self) -> Program {
        assert!(self.program.is_none(), "one program uses a data folder at a time");
        Program::start(&mut command(&self.options, self.folder.path()))
    }

    /// The number of shards from the next start on.
    pub(crate) fn set_shards(&mut self, shards: usize) {
        self.options.shards = shards;
    }

    /// Variables of the environment from the next start on.
    pub(crate) fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.options.environment = environment;
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        self.program.take().expect("the Server runs").kill();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        self.running().signal(signal);
    }

    /// Waits at most `bound` for the end of the process; then it can be started again.
    pub(crate) fn await_end(&mut self, bound: Duration) -> Finished {
        self.program.take().expect("the Server runs").await_exit_within(bound)
    }

    fn running(&self) -> &Program {
        self.program.as_ref().expect("the Server runs")
    }

    /// Waits for a line that the program prints or logs.
    pub(crate) fn await_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.program.as_mut().expect("the Server runs").await_line(what, wanted)
    }

    /// Kills the process at once and starts the program again on the same data folder, on another free port.
    pub(crate) fn crash_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Where the Server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of shards it was started with; 0 if that was left to the program.
    pub(crate) fn shards(&self) -> usize {
        self.options.shards
    }

    /// The port as programs want it in an argument.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// The process identifier of the Server.
    pub(crate) fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// A folder for files of the test, removed with the Server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder of the program.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A raw Network Connection on which nothing was sent.
    pub(crate) fn raw(&self) -> Raw {
        Raw::open(self.address)
    }

    /// Sends `signal` and waits at most `bound` for the end of the process.
    pub(crate) fn stop(mut self, signal: &str, bound: Duration) -> Finished {
        self.signal(signal);
        self.await_end(bound)
    }
}

/// The program with `arguments`, started and not waited for.
pub(crate) fn dunlin(arguments: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_dunlin")).args(arguments).env(AS_ROOT.0, AS_ROOT.1))
}

/// Tests may run as root, and their folders are for root only then: the program stays root.
const AS_ROOT: (&str, &str) = ("DUNLIN__SERVER__USER", "root");

/// Waits until the program says where it listens.
fn await_address(program: &mut Program) -> SocketAddr {
    let line = program.await_line_within(Duration::from_secs(30), "mqtt://127.0.0.1:PORT", |line| {
        line.contains("mqtt://127.0.0.1:")
    });
    let port: String = line
        .split("mqtt://127.0.0.1:")
        .nth(1)
        .expect("the line was awaited for this")
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let port: u16 = port.parse().unwrap_or_else(|_| panic!("no port in the line {line:?}"));
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn command(options: &Options, folder: &Path) -> Command {
    let mut command = match (options.open_files_max, &options.system_calls) {
        (None, None) => Command::new(env!("CARGO_BIN_EXE_dunlin")),
        (None, Some(file)) => {
            // The tracer is the child: what is started, and killed, is the Server.
            let mut strace = Command::new("strace");
            strace.args(["-D", "-f", "-q", "-e", "trace=desc,network,futex", "-o"]).arg(file);
            strace.arg(env!("CARGO_BIN_EXE_dunlin"));
            strace
        }
        (Some(most), _) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\""));
            shell.arg(env!("CARGO_BIN_EXE_dunlin"));
            shell
        }
    };
    command.args(["serve", "--port", "0", "--data-dir"]).arg(folder.join("data"));
    command.env(AS_ROOT.0, AS_ROOT.1);
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    if options.shards > 0 {
        command.args(["--shards", &options.shards.to_string()]);
    }
    if let Some(text) = &options.config {
        let file = folder.join("dunlin.toml");
        let rules = options.rules.iter().map(|rules| {
            let file = folder.join("rules.toml");
            std::fs::write(&file, rules).expect("the rules can be written");
            format!("rules_file = {file:?}\n")
        });
        let text: String = std::iter::once(text.clone()).chain(rules).collect();
        std::fs::write(&file, text).expect("the configuration can be written");
        command.arg("--config").arg(file);
    }
    command
}
