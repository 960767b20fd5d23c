//! A running program: its lines are awaited as they come, its end is awaited, and it never outlives the test.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use super::WAIT;

/// A started program. Dropping it kills it.
pub(crate) struct Program {
    name: String,
    child: Child,
    output: Receiver<Output>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// All lines so far, of both streams, in order of arrival.
    seen: Vec<String>,
    /// How many of `seen` were already handed out by [`Program::await_line`].
    handed_out: usize,
    open_streams: usize,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) name: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    End,
}

impl Program {
    /// Starts `command` with pipes at all three ends.
    pub(crate) fn start(command: &mut Command) -> Program {
        let name = describe(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; run ./test once to install it"));
        let (sender, output) = channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let errors = sender.clone();
        thread::spawn(move || pass_on(stdout, &sender, Output::Stdout));
        thread::spawn(move || pass_on(stderr, &errors, Output::Stderr));
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Program { name, child, output, stdout, stderr, seen: Vec::new(), handed_out: 0, open_streams: 2 }
    }

    /// The process identifier.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes `bytes` to the program's standard input and closes it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut stdin = self.child.stdin.take().expect("standard input is fed once");
        stdin
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("{} does not read its input: {error}", self.name));
    }

    /// The next line, of either stream, for which `wanted` holds. Lines before it count as handed out.
    pub(crate) fn await_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.await_line_within(WAIT, what, wanted)
    }

    /// [`Program::await_line`] with a bound of its own.
    pub(crate) fn await_line_within(
        &mut self,
        bound: Duration,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let deadline = Instant::now() + bound;
        loop {
            while self.handed_out < self.seen.len() {
                self.handed_out += 1;
                if wanted(&self.seen[self.handed_out - 1]) {
                    return self.seen[self.handed_out - 1].clone();
                }
            }
            if self.open_streams == 0 {
                panic!("{} ended; awaited was {what}; it said:\n{}", self.name, self.tail());
            }
            if !self.take_output(deadline) {
                panic!("{}: awaited {what} for {bound:?}; it said:\n{}", self.name, self.tail());
            }
        }
    }

    /// Takes what the program says until nothing has come for `quiet`, or it has ended.
    pub(crate) fn take_output_for(&mut self, quiet: Duration) {
        while self.open_streams > 0 && self.take_output(Instant::now() + quiet) {}
    }

    /// Waits until the program has ended by itself.
    pub(crate) fn await_exit(self) -> Finished {
        self.await_exit_within(WAIT)
    }

    /// [`Program::await_exit`] with a bound of its own.
    pub(crate) fn await_exit_within(mut self, bound: Duration) -> Finished {
        let deadline = Instant::now() + bound;
        while self.open_streams > 0 {
            if !self.take_output(deadline) {
                panic!("{} still runs after {bound:?}; it said:\n{}", self.name, self.tail());
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        Finished {
            name: self.name.clone(),
            status,
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
        }
    }

    /// Whether the program still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh can be started");
        assert!(status.success(), "{kill}: {status}");
    }

    /// All lines taken so far, of both streams.
    pub(crate) fn lines(&self) -> &[String] {
        &self.seen
    }

    /// All lines so far, one below the other; of very many the last hundred.
    pub(crate) fn tail(&self) -> String {
        last_lines(&self.seen.join("\n"))
    }

    /// Takes one piece of output; `false` if none came before `deadline`.
    fn take_output(&mut self, deadline: Instant) -> bool {
        let output = match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(output) => output,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => Output::End,
        };
        let (stream, line) = match output {
            Output::Stdout(line) => (&mut self.stdout, line),
            Output::Stderr(line) => (&mut self.stderr, line),
            Output::End => {
                self.open_streams -= 1;
                return true;
            }
        };
        stream.extend_from_slice(&line);
        self.seen.push(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
        true
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = killed {
            eprintln!("{} could not be ended: {error}", self.name);
        }
        if thread::panicking() {
            self.take_output_for(Duration::from_secs(1));
            eprintln!("{} had said:\n{}", self.name, self.tail());
        }
    }
}

impl Finished {
    /// The exit code; nothing if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless the program ended with exit code 0.
    #[track_caller]
    pub(crate) fn assert_success(self) -> Finished {
        self.assert_code(0)
    }

    /// Fails unless the program ended with exit code `code`.
    #[track_caller]
    pub(crate) fn assert_code(self, code: i32) -> Finished {
        assert!(
            self.status.code() == Some(code),
            "{}: exit code {code} expected, came {}\nstdout:\n{}\nstderr:\n{}",
            self.name,
            self.status,
            last_lines(&self.text()),
            last_lines(&self.errors())
        );
        self
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of standard output.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

fn pass_on(stream: impl Read, sender: &Sender<Output>, as_output: fn(Vec<u8>) -> Output) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match stream.read_until(b'\n', &mut line) {
            Ok(1..) => {
                if sender.send(as_output(line)).is_err() {
                    return; // the test has ended
                }
            }
            Ok(0) => break,
            Err(error) => panic!("a pipe cannot be read: {error}"),
        }
    }
    // A closed channel means that the test no longer waits.
    sender.send(Output::End).unwrap_or(());
}

/// The last hundred lines, each cut to 300 characters, set off from what stands around them.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = String::new();
    for line in &lines[lines.len().saturating_sub(100)..] {
        let line: String = line.chars().take(300).collect();
        writeln!(shown, "    | {line}").expect("a String takes everything");
    }
    shown
}

fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut text = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.extend(argument.to_string_lossy().chars().take(80));
    }
    text
}
