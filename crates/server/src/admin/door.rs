//! The door: a bounded number of connections, each asks one question at a time.

use std::{os::unix::net::UnixListener as StdListener, sync::Arc, time::Duration};

use dunlin_admin_api::{
    answer::{Answer, Line, Refusal},
    question::{LINE_BYTES_MAX, Question},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::sleep,
};

use super::{
    lines::{Hung, Lines, NoLine, encoded},
    operator::{Facts, Operator},
};

/// Lets operators in until `stop` says so.
pub(crate) async fn serve(listener: StdListener, facts: Arc<Facts>, mut stop: watch::Receiver<bool>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin socket cannot be watched"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let facts = Arc::clone(&facts);
                tokio::spawn(async move {
                    converse(stream, facts).await;
                    drop(place);
                });
            }
            (Ok((stream, _)), Err(_)) => turn_away(&stream),
            (Err(error), _) => {
                tracing::warn!(%error, "the admin socket accepts nobody");
                sleep(PAUSE).await;
            }
        }
    }
}

fn turn_away(stream: &UnixStream) {
    let message = format!("{CONNECTIONS_MAX} tools ask already; try again");
    let line = encoded(&Line { answer: Answer::Refused { why: Refusal::Busy, message }, last: true });
    // Whoever does not take it learns it from the close.
    stream.try_write(&line).ok();
}

async fn converse(stream: UnixStream, facts: Arc<Facts>) {
    let operator = match stream.peer_cred() {
        Ok(credentials) => Operator { facts, uid: credentials.uid(), pid: credentials.pid() },
        Err(error) => return tracing::warn!(%error, "nobody knows who opened the admin socket"),
    };
    let mut lines = Lines::new(stream);
    loop {
        let outcome = match lines.next().await {
            Ok(line) => match question(&line) {
                Ok(None) => Ok(()),
                Ok(Some(question)) => operator.answer(question, &mut lines).await,
                Err(message) => lines.refuse(Refusal::NotAQuestion, message).await,
            },
            Err(NoLine::End) => return,
            Err(no_line) => {
                // It is closed in any case.
                part(&mut lines, &no_line).await.ok();
                return;
            }
        };
        if outcome.is_err() {
            return;
        }
    }
}

async fn part(lines: &mut Lines, no_line: &NoLine) -> Result<(), Hung> {
    match no_line {
        NoLine::TooLong => {
            let message = format!("a question has at most {LINE_BYTES_MAX} bytes and ends with a line break");
            lines.refuse(Refusal::NotAQuestion, message).await
        }
        NoLine::TooSlow => lines.refuse(Refusal::TooSlow, "the end of the line did not come in time").await,
        NoLine::End => Ok(()),
    }
}

/// What a line asks; an empty one asks nothing.
fn question(line: &[u8]) -> Result<Option<Question>, String> {
    let text = line.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let expected = "expected was a JSON object in one line, such as {\"ask\":\"status\"}";
    serde_json::from_slice(text).map(Some).map_err(|error| format!("not a question: {error}; {expected}"))
}

/// Connections at a time.
const CONNECTIONS_MAX: usize = 16;
/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(200);
