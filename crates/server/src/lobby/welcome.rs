//! One stranger, from the first byte to the door of its home shard or out again (3.1.4, 4.12).

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use dunlin_auth::{authenticator::Question, chain::Exchange};
use dunlin_broker::{
    handshake::{Credentials, Handshake, Refusal, Step},
    input::{ConnectRequest, Decision},
    slot::home_of,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::{seats::Seat, shard::admission::Admission};

use super::{desk::Desk, half_open::Permit, line::Line, refusals};

/// A connection on which nothing has happened yet.
pub(super) struct Stranger {
    /// The socket; it does not block.
    pub(super) stream: TcpStream,
    /// Its address.
    pub(super) peer: SocketAddr,
    /// Our address.
    pub(super) listener: SocketAddr,
    /// The name of the listener.
    pub(super) listener_name: Arc<str>,
    /// Random bits for an Assigned Client Identifier.
    pub(super) random: u128,
    /// Its place in the lobby.
    pub(super) permit: Permit,
}

/// How it ended.
enum Outcome {
    /// It is a Client now.
    Welcome { request: Box<ConnectRequest>, unread: Vec<u8>, seat: Seat },
    /// It is told so, if there is something to tell, and goes.
    Refused { bytes: Vec<u8>, reason: String },
    /// It has gone by itself.
    Gone,
}

/// What is known while it is asked.
struct Talk<'a> {
    desk: &'a Desk,
    line: &'a mut Line,
    peer: SocketAddr,
    listener: SocketAddr,
    listener_name: Arc<str>,
    handshake: Handshake,
    exchange: Exchange,
    seat: Option<Seat>,
    client_id: Option<Box<str>>,
}

/// Serves a stranger; the time from the connection to the last verdict is limited.
pub(super) async fn welcome(desk: Arc<Desk>, stranger: Stranger) {
    let Stranger { stream, peer, listener, listener_name, random, permit } = stranger;
    let mut line = Line::new(stream);
    let deadline = Instant::now() + desk.connect_timeout;
    let mut talk = Talk {
        desk: &desk,
        line: &mut line,
        peer,
        listener,
        listener_name,
        handshake: Handshake::new(Arc::clone(&desk.settings), peer.to_string().into(), random),
        exchange: Exchange::default(),
        seat: None,
        client_id: None,
    };
    let outcome = match timeout_at(deadline, talk.run()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Refused { bytes: Vec::new(), reason: error.to_string() },
        Err(_) => {
            let reason = format!("no CONNECT within {} s", desk.connect_timeout.as_secs());
            Outcome::Refused { bytes: Vec::new(), reason }
        }
    };
    let client_id = talk.client_id.take();
    let exchange = std::mem::take(&mut talk.exchange);
    match outcome {
        Outcome::Welcome { request, unread, seat } => {
            let exchange = request.authentication.is_some().then_some(exchange);
            hand_over(&desk, line, request, unread, seat, permit, exchange);
        }
        Outcome::Refused { bytes, reason } => {
            desk.refusals.note(peer, client_id.as_deref(), &reason);
            part(line, &bytes).await;
        }
        Outcome::Gone => {}
    }
}

impl Talk<'_> {
    async fn run(&mut self) -> io::Result<Outcome> {
        let mut step = Step::NeedBytes;
        loop {
            step = match step {
                Step::NeedBytes => match self.read().await? {
                    Some(step) => step,
                    None => return Ok(Outcome::Gone),
                },
                Step::Authenticate(credentials) => {
                    let decision = self.authenticate(credentials).await;
                    self.handshake.decide(decision)
                }
                Step::Challenge(bytes) => {
                    self.line.write_all(&bytes).await?;
                    if self.handshake.has_unread() { self.handshake.handle(&[]) } else { Step::NeedBytes }
                }
                Step::Welcome { request, unread } => {
                    let seat = self.seat.take().expect("only who has a seat was granted");
                    return Ok(Outcome::Welcome { request, unread, seat });
                }
                Step::Refuse { reason: Refusal::GaveUp, .. } => return Ok(Outcome::Gone),
                Step::Refuse { bytes, reason } => {
                    return Ok(Outcome::Refused { bytes, reason: refusals::reason(&reason) });
                }
            };
        }
    }

    /// Reads a little; `None` at the end. However long a packet says it is, memory is only used for what has
    /// come.
    async fn read(&mut self) -> io::Result<Option<Step>> {
        let handshake = &mut self.handshake;
        self.line.read(|bytes| handshake.handle(bytes)).await
    }

    async fn authenticate(&mut self, credentials: Credentials) -> Decision {
        self.client_id = Some(credentials.client_id.clone());
        let question = Question {
            credentials,
            peer: self.peer,
            listener: self.listener,
            listener_name: Arc::clone(&self.listener_name),
            certificate: None,
            is_reauthentication: false,
        };
        let decision = self.desk.chains.authenticate(&question, &mut self.exchange).await;
        if matches!(decision, Decision::Grant { .. }) {
            self.seat = self.desk.seats.take();
            if self.seat.is_none() {
                return Decision::Deny(ReasonCode::ServerBusy);
            }
        }
        decision
    }
}

fn hand_over(
    desk: &Desk,
    line: Line,
    request: Box<ConnectRequest>,
    unread: Vec<u8>,
    seat: Seat,
    permit: Permit,
    exchange: Option<Exchange>,
) {
    match line.into_stream() {
        Ok(stream) => {
            let home = home_of(&request.client_id, desk.post.shards());
            desk.post
                .admit(home, Admission { stream, request, unread, seat, permit: Some(permit), exchange });
        }
        Err(error) => tracing::error!(%error, peer = %request.peer, "a connection cannot be handed over"),
    }
}

/// Says the last word, if any, and waits a little for the other side to close: closing with unread bytes
/// would take the last word back.
async fn part(mut line: Line, bytes: &[u8]) {
    let parting = async {
        line.write_all(bytes).await?;
        line.half_close().await?;
        for _ in 0..THROWN_AWAY_MAX {
            if line.read(|_| ()).await?.is_none() {
                break;
            }
        }
        io::Result::Ok(())
    };
    match timeout(PART_TIME, parting).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused connection failed"),
        Err(_) => tracing::debug!("a refused connection was not closed by its other side"),
    }
}

/// How long one that was refused may take to read why.
const PART_TIME: Duration = Duration::from_secs(2);

/// How often something is read and thrown away from one that was refused.
const THROWN_AWAY_MAX: u32 = 32;
