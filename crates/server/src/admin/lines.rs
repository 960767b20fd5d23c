//! Lines in and out: bounded in length and in time.

use std::{io, time::Duration};

use dunlin_admin_api::{
    answer::{Answer, Line, Refusal},
    question::LINE_BYTES_MAX,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// A connection of an operator's tool.
pub(crate) struct Lines {
    stream: UnixStream,
    /// What was read and is not yet a line.
    unread: Vec<u8>,
    is_at_end: bool,
}

/// Why no line came.
#[derive(Debug)]
pub(crate) enum NoLine {
    /// The other side has closed, or has been silent for long.
    End,
    /// The line is too long.
    TooLong,
    /// The line was begun and not ended in time.
    TooSlow,
}

/// The other side cannot be told anything any more.
#[derive(Debug)]
pub(crate) struct Hung;

impl Lines {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, unread: Vec::new(), is_at_end: false }
    }

    /// The next line, without its end. The end of the stream ends a line, too.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, NoLine> {
        if self.unread.is_empty() {
            match timeout(IDLE_TIME, self.read()).await {
                Ok(Ok(0) | Err(_)) | Err(_) => return Err(NoLine::End),
                Ok(Ok(_)) => {}
            }
        }
        match timeout(LINE_TIME, self.finish_line()).await {
            Ok(line) => line,
            Err(_) => Err(NoLine::TooSlow),
        }
    }

    async fn finish_line(&mut self) -> Result<Vec<u8>, NoLine> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.unread[looked_at..].iter().position(|&byte| byte == b'\n') {
                let rest = self.unread.split_off(looked_at + end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.pop();
                return if line.len() > LINE_BYTES_MAX { Err(NoLine::TooLong) } else { Ok(line) };
            }
            looked_at = self.unread.len();
            if looked_at > LINE_BYTES_MAX {
                return Err(NoLine::TooLong);
            }
            match self.read().await {
                Err(_) => return Err(NoLine::End),
                Ok(0) if self.unread.is_empty() => return Err(NoLine::End),
                Ok(0) => return Ok(std::mem::take(&mut self.unread)),
                Ok(_) => {}
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.is_at_end {
            return Ok(0);
        }
        let mut bytes = [0; READ_BYTES];
        let count = self.stream.read(&mut bytes).await?;
        self.unread.extend_from_slice(&bytes[..count]);
        self.is_at_end = count == 0;
        Ok(count)
    }

    /// Says something; more follows.
    ///
    /// # Errors
    /// If the other side does not take it in time.
    pub(crate) async fn say(&mut self, answer: Answer) -> Result<(), Hung> {
        self.write(&Line { answer, last: false }).await
    }

    /// Says the last of an answer.
    ///
    /// # Errors
    /// If the other side does not take it in time.
    pub(crate) async fn say_last(&mut self, answer: Answer) -> Result<(), Hung> {
        self.write(&Line { answer, last: true }).await
    }

    /// Says why there is no answer, or no more of it.
    ///
    /// # Errors
    /// If the other side does not take it in time.
    pub(crate) async fn refuse(&mut self, why: Refusal, message: impl ToString) -> Result<(), Hung> {
        self.say_last(Answer::Refused { why, message: message.to_string() }).await
    }

    async fn write(&mut self, line: &Line) -> Result<(), Hung> {
        let bytes = encoded(line);
        match timeout(WRITE_TIME, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Hung),
        }
    }
}

/// A line in its bytes.
pub(crate) fn encoded(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("the words of the API are JSON");
    bytes.push(b'\n');
    bytes
}

/// How long nothing may be asked.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How long a line may take from its first byte to its end.
const LINE_TIME: Duration = Duration::from_secs(5);
/// How long the other side may take to read a line.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Bytes that are read at a time.
const READ_BYTES: usize = 4 << 10;
