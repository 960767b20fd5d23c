//! The socket of a running Server.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use dunlin_admin_api::{
    answer::{Answer, Line},
    place::{SOCKET_NAME, usual_sockets},
    question::Question,
};

use crate::exit::Failure;

use super::rows::Trouble;

/// A connection to a Server's socket.
pub(crate) struct Link {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Link {
    /// Finds the socket and opens it.
    pub(crate) fn open(socket: Option<PathBuf>, data_dir: Option<PathBuf>) -> Result<Self, Failure> {
        let paths = match (socket, data_dir) {
            (Some(path), _) => vec![path],
            (None, Some(folder)) => vec![folder.join(SOCKET_NAME)],
            (None, None) => usual_sockets(&|name| env::var_os(name)),
        };
        let mut failures = Vec::new();
        for path in paths {
            match UnixStream::connect(&path) {
                Ok(stream) => return Self::new(path, stream),
                Err(error) => failures.push(describe(&path, &error)),
            }
        }
        let hint = "is it running, and is this its folder? --data-dir DIR or --socket PATH tell where it is";
        Err(Failure::other(format!("no Server answers: {}; {hint}", failures.join("; "))))
    }

    fn new(path: PathBuf, stream: UnixStream) -> Result<Self, Failure> {
        stream.set_read_timeout(Some(ANSWER_TIME)).map_err(Failure::other)?;
        stream.set_write_timeout(Some(ANSWER_TIME)).map_err(Failure::other)?;
        Ok(Self { path, stream: BufReader::new(stream) })
    }

    /// Asks, and hands over what is said line by line. What the Server refuses is a failure.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
        take: &mut dyn FnMut(Answer) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut line = serde_json::to_vec(question).expect("the words of the API are JSON");
        line.push(b'\n');
        // If the Server has closed, it may have said why.
        let written = self.stream.get_mut().write_all(&line);
        loop {
            let Line { answer, last } = match self.next() {
                Err(_) if written.is_err() => return Err(Failure::other("the Server has closed").into()),
                line => line?,
            };
            if let Answer::Refused { message, .. } = answer {
                return Err(Failure::other(message).into());
            }
            take(answer)?;
            if last {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Line, Failure> {
        let mut line = Vec::new();
        let mut bounded = self.stream.by_ref().take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut line).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::other(format!("the Server at {} does not answer", self.path.display()))
            }
            _ => Failure::other(format!("the Server at {}: {error}", self.path.display())),
        })?;
        if line.is_empty() {
            return Err(Failure::other("the Server has closed before the end of its answer"));
        }
        serde_json::from_slice(&line).map_err(|error| {
            let hint = "is it a Server of another version?";
            Failure::other(format!(
                "what is said at {} is not an answer: {error}; {hint}",
                self.path.display()
            ))
        })
    }
}

fn describe(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no socket {path}"),
        io::ErrorKind::ConnectionRefused => format!("the Server that had the socket {path} is gone"),
        io::ErrorKind::PermissionDenied => {
            format!("the socket {path} is another user's: run this as that user, or as root")
        }
        _ => format!("{path}: {error}"),
    }
}

/// How long the Server may be silent: for a sorted list it looks at all Sessions first.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// Bytes of the longest line that is read.
const LINE_BYTES_MAX: u64 = 256 << 20;
