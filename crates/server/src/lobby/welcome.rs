//! One stranger, from the first byte to the door of its home shard or out again (3.1.4, 4.12).

use std::{io, net::TcpStream, sync::Arc};

use dunlin_auth::{authenticator::Question, chain::Exchange};
use dunlin_broker::{
    handshake::{Credentials, Handshake, Refusal, Step},
    input::{ConnectRequest, Decision},
    slot::home_of,
};
use dunlin_net::first_bytes::{self, Speech};
use dunlin_packet::reason_code::ReasonCode;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::{
    seats::Seat,
    shard::admission::{Admission, Origin, Passage},
};

use super::{
    desk::{Desk, Terms},
    door::Door,
    entrance::{Entrance, Stopped, unexpected},
    half_open::Permit,
    line::Line,
    refusals,
};

/// A connection on which nothing has happened yet.
pub(super) struct Stranger {
    /// The socket; it does not block.
    pub(super) stream: TcpStream,
    /// Where it has come in.
    pub(super) door: Arc<Door>,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Random bits for an Assigned Client Identifier.
    pub(super) random: u128,
    /// Its place in the lobby.
    pub(super) permit: Permit,
}

/// How it ended.
enum Outcome {
    /// It is a Client now.
    Welcome { request: Box<ConnectRequest>, unread: Vec<u8>, seat: Seat, exchange: Option<Exchange> },
    /// It is told so, if there is something to tell, and goes.
    Refused { bytes: Vec<u8>, reason: String },
    /// It has gone by itself.
    Gone,
}

/// What is known while it is asked.
struct Talk<'a> {
    desk: &'a Desk,
    terms: &'a Terms,
    door: &'a Door,
    line: &'a mut Line,
    origin: &'a Origin,
    handshake: Handshake,
    exchange: Exchange,
    seat: Option<Seat>,
    client_id: Option<Box<str>>,
    /// Something has come.
    has_begun: bool,
}

/// Serves a stranger; the time from the connection to the last verdict is limited.
pub(super) async fn welcome(desk: Arc<Desk>, stranger: Stranger) {
    let Stranger { stream, door, mut origin, random, mut permit } = stranger;
    let mut line = Line::new(stream);
    let terms = desk.terms();
    let deadline = Instant::now() + terms.connect_timeout;
    let mut awaited = "CONNECT";
    let mut client_id = None;
    let way = async {
        if !door.is_plain() || door.wants_proxy_header(origin.peer.ip()) {
            let (desk, door, line, permit, origin) = (&*desk, &*door, &mut line, &mut permit, &mut origin);
            let entrance = Entrance { desk, door, line, permit, origin, awaited: &mut awaited };
            // What it needs is given back when it is passed.
            match Box::pin(entrance.pass()).await {
                Ok(()) => awaited = "CONNECT",
                Err(Stopped::Gone) => return Ok(Outcome::Gone),
                Err(Stopped::Refused { answer, reason }) => {
                    return Ok(Outcome::Refused { bytes: answer, reason });
                }
            }
        }
        let handshake = Handshake::new(Arc::clone(&terms.settings), origin.peer_text(), random);
        let mut talk = Talk {
            desk: &desk,
            terms: &terms,
            door: &door,
            line: &mut line,
            origin: &origin,
            handshake,
            exchange: Exchange::default(),
            seat: None,
            client_id: None,
            has_begun: false,
        };
        let outcome = talk.run().await;
        client_id = talk.client_id.take();
        outcome
    };
    let outcome = match timeout_at(deadline, way).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Refused { bytes: Vec::new(), reason: error.to_string() },
        Err(_) => {
            let reason = format!("no {awaited} within {} s", terms.connect_timeout.as_secs());
            Outcome::Refused { bytes: Vec::new(), reason }
        }
    };
    match outcome {
        Outcome::Welcome { request, unread, seat, exchange } => {
            hand_over(&desk, line, Client { door: door.number, request, unread, seat, permit, exchange });
        }
        Outcome::Refused { bytes, reason } => {
            desk.refusals.note(&origin.peer_text(), client_id.as_deref(), &reason);
            part(line, &bytes).await;
        }
        Outcome::Gone => {}
    }
}

/// A Client that was let in.
struct Client {
    door: u8,
    request: Box<ConnectRequest>,
    unread: Vec<u8>,
    seat: Seat,
    permit: Permit,
    exchange: Option<Exchange>,
}

impl Talk<'_> {
    async fn run(&mut self) -> io::Result<Outcome> {
        let mut step = Step::NeedBytes;
        loop {
            step = match step {
                Step::NeedBytes => match self.read().await? {
                    Some(Ok(step)) => step,
                    Some(Err(speech)) => {
                        let reason = unexpected(speech, self.door);
                        return Ok(Outcome::Refused { bytes: Vec::new(), reason });
                    }
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
                    let exchange =
                        request.authentication.is_some().then(|| std::mem::take(&mut self.exchange));
                    return Ok(Outcome::Welcome { request, unread, seat, exchange });
                }
                Step::Refuse { reason: Refusal::GaveUp, .. } => return Ok(Outcome::Gone),
                Step::Refuse { bytes, reason } => {
                    return Ok(Outcome::Refused { bytes, reason: refusals::reason(&reason) });
                }
            };
        }
    }

    /// Reads a little; `None` at the end, an error if it is something else than MQTT that is known. However long a packet says
    /// it is, memory is only used for what has come.
    async fn read(&mut self) -> io::Result<Option<Result<Step, Speech>>> {
        let handshake = &mut self.handshake;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        self.line
            .read(|bytes| match first_bytes::tell(bytes) {
                Some(speech @ (Speech::Tls | Speech::Http | Speech::Proxy)) if is_first => Err(speech),
                _ => Ok(handshake.handle(bytes)),
            })
            .await
    }

    async fn authenticate(&mut self, credentials: Credentials) -> Decision {
        self.client_id = Some(credentials.client_id.clone());
        let Origin { peer, listener, certificate, .. } = self.origin.clone();
        let question = Question {
            credentials,
            peer,
            listener,
            listener_name: Arc::clone(&self.door.name),
            certificate,
            is_reauthentication: false,
        };
        let decision = self.terms.chains.authenticate(&question, &mut self.exchange).await;
        if matches!(decision, Decision::Grant { .. }) {
            self.seat = self.desk.seats.take();
            if self.seat.is_none() {
                return Decision::Deny(ReasonCode::ServerBusy);
            }
        }
        decision
    }
}

fn hand_over(desk: &Desk, line: Line, client: Client) {
    let Client { door, request, unread, seat, permit, exchange } = client;
    match line.into_parts() {
        Ok((stream, layer)) => {
            let passage = layer.map(|layer| Box::new(Passage { layer: Some(layer) }));
            let home = home_of(&request.client_id, desk.post.shards());
            let permit = Some(permit);
            desk.post
                .admit(home, Admission { stream, door, passage, request, unread, seat, permit, exchange });
        }
        Err(error) => tracing::error!(%error, peer = %request.peer, "a connection cannot be handed over"),
    }
}

/// Says the last word, if any, and waits a little for the other side to close: closing with unread bytes
/// would take the last word back.
async fn part(mut line: Line, bytes: &[u8]) {
    let parting = async {
        line.write_all(bytes).await?;
        line.finish().await?;
        for _ in 0..THROWN_AWAY_MAX {
            if !line.skip().await? {
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
