//! The log, on standard error: lines for people or one JSON object a line, written by a thread of its own.
//!
//! Whoever logs must never wait for whoever reads the log: lines that cannot be written in time are counted
//! and dropped.

use std::{
    fmt,
    io::{self, IsTerminal, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, reload};

use crate::config::model::LogConfig;

/// The way to the thread that writes.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// One line while it is put together.
pub(crate) struct LineWriter<'a> {
    log: &'a Log,
    bytes: Vec<u8>,
}

/// Starts logging; in a process that logs already, nothing changes and nothing is returned.
///
/// # Errors
/// If the operating system gives no thread.
pub(crate) fn start(config: &LogConfig) -> io::Result<Option<(Log, LevelSwitch)>> {
    let log = Log::start(stderr())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter(config.level)).with_writer(log.clone());
    let (started, switch) = if config.is_json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let switch = LevelSwitch::new(builder.reload_handle());
        (builder.try_init(), switch)
    } else {
        let builder = builder.with_ansi(stderr().is_terminal()).with_filter_reloading();
        let switch = LevelSwitch::new(builder.reload_handle());
        (builder.try_init(), switch)
    };
    Ok(started.is_ok().then_some((log, switch)))
}

fn filter(level: Level) -> EnvFilter {
    // What the engine of the store says of its daily work is for its own makers.
    EnvFilter::new(format!("{level},fjall=warn,lsm_tree=warn"))
}

/// Sets another level while the log is written.
pub(crate) struct LevelSwitch(Box<dyn Fn(Level) + Send + Sync>);

impl LevelSwitch {
    fn new<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Self {
        Self(Box::new(move |level| {
            // It fails if there is no log any more.
            handle.reload(filter(level)).ok();
        }))
    }

    pub(crate) fn set(&self, level: Level) {
        (self.0)(level);
    }
}

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LevelSwitch")
    }
}

impl Log {
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self { lines, dropped: Arc::clone(&dropped) };
        thread::Builder::new().name("log".into()).spawn(move || write_all(&waiting, &dropped, out))?;
        Ok(log)
    }

    /// Waits until all lines are written, but not long.
    pub(crate) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        // If the queue is full or nobody answers in time, nobody reads the log either.
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _in_time = is_done.recv_timeout(FLUSH_TIME).is_ok();
        }
    }
}

/// Writes until all senders have gone.
fn write_all(lines: &Receiver<Line>, dropped: &AtomicU64, mut out: impl Write) {
    while let Ok(line) = lines.recv() {
        let written = match line {
            Line::Text(bytes) => out.write_all(&bytes),
            // Who asked may have gone.
            Line::Flush(done) => out.flush().map(|()| done.try_send(()).unwrap_or(())),
        };
        let missing = dropped.swap(0, Ordering::Relaxed);
        let told =
            if missing > 0 { writeln!(out, "({missing} lines of the log were dropped)") } else { Ok(()) };
        if written.and(told).is_err() {
            // There is no other place to tell that the log cannot be written.
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { log: self, bytes: Vec::new() }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        let line = Line::Text(std::mem::take(&mut self.bytes));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.log.lines.try_send(line) {
            self.log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines that wait to be written.
const LINES_MAX: usize = 4_096;

/// How long the end of the process waits for the log.
const FLUSH_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Waits for leave before it writes for the first time.
    struct SlowOut {
        leave: Option<Receiver<()>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for SlowOut {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(leave) = self.leave.take() {
                leave.recv().expect("the test gives leave");
            }
            self.written.send(bytes.to_vec()).expect("the test reads");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_the_reader_of_the_log() {
        let ((leave, wait), (written, text)) = (channel(), channel());
        let log = Log::start(SlowOut { leave: Some(wait), written }).unwrap();
        let count = LINES_MAX + 100;
        for number in 0..count {
            writeln!(log.make_writer(), "line {number}").unwrap();
        }
        leave.send(()).unwrap();
        log.flush();
        drop(log);
        let text: Vec<u8> = text.iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("line ")).count();
        assert!((LINES_MAX..count).contains(&lines));
        let dropped = format!("({} lines of the log were dropped)", count - lines);
        assert!(text.contains(&dropped), "{dropped} is not in the text");
    }
}
