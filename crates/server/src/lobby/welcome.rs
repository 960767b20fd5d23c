//! One stranger, from the first byte to the door of its home shard or out again (3.1.4, 4.12).

use std::{future::poll_fn, io, net::TcpStream, pin::pin, sync::Arc, task::Poll};

use dunlin_auth::{authenticator::Question, chain::Exchange};
use dunlin_broker::{
    handshake::{Credentials, Handshake, Refusal, Step},
    input::{ConnectRequest, Decision},
    permissions::subject::Subject,
    pressure::Pressure,
    slot::home_of,
};
use dunlin_net::first_bytes::{self, Speech};
use dunlin_packet::reason_code::ReasonCode;
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};

use crate::{
    bans::list::Banned,
    seats::{NoSeat, Seat},
    shard::admission::{Admission, Origin, Passage},
};

use super::{
    desk::{Desk, Terms},
    door::Door,
    entrance::{Entrance, Stopped, unexpected},
    fights::Turn,
    half_open::Permit,
    line::Line,
    refusals::{self, Barrier, Escaped},
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
    /// It is told so, if there is something to tell, and goes; perhaps a limit has kept it out.
    Refused { bytes: Vec<u8>, reason: String, barrier: Option<Barrier> },
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
    /// The limit that keeps it out, and words for the log.
    barred: Option<(Barrier, String)>,
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
                Err(Stopped::Refused { answer, reason }) => return Ok(refused(answer, reason)),
                Err(Stopped::Barred { barrier, reason }) => {
                    let (bytes, reason) = (Vec::new(), reason.to_owned());
                    return Ok(Outcome::Refused { bytes, reason, barrier: Some(barrier) });
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
            barred: None,
            has_begun: false,
        };
        let outcome = talk.run().await;
        client_id = talk.client_id.take();
        outcome
    };
    let outcome = match timeout_at(deadline, way).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => refused(Vec::new(), error.to_string()),
        Err(_) => {
            let reason = format!("no {awaited} within {} s", terms.connect_timeout.as_secs());
            refused(Vec::new(), reason)
        }
    };
    match outcome {
        Outcome::Welcome { request, unread, seat, exchange } => {
            hand_over(&desk, line, Client { door: door.number, request, unread, seat, permit, exchange });
        }
        Outcome::Refused { bytes, reason, barrier } => {
            desk.refusals.tell(barrier, &origin.peer_text(), client_id.as_deref(), &reason);
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
                        return Ok(refused(Vec::new(), reason));
                    }
                    None => return Ok(Outcome::Gone),
                },
                Step::Authenticate(credentials) => {
                    let (decision, has_waited) = with_waiting(self.authenticate(credentials)).await;
                    let is_granted = matches!(decision, Decision::Grant { .. });
                    if is_granted && has_waited && self.line.is_gone().await {
                        return Ok(Outcome::Gone);
                    }
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
                    let reason = refusals::reason(&reason);
                    return Ok(match self.barred.take() {
                        Some((barrier, why)) => {
                            let reason = format!("{reason}: {why}");
                            Outcome::Refused { bytes, reason, barrier: Some(barrier) }
                        }
                        None => refused(bytes, reason),
                    });
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
        if let Some(denied) = self.bar_stranger(&credentials.client_id) {
            return denied;
        }
        let question = Question {
            credentials,
            peer,
            listener,
            listener_name: Arc::clone(&self.door.name),
            certificate,
            is_reauthentication: false,
        };
        let decision = self.terms.chains.authenticate(&question, &mut self.exchange).await;
        let Decision::Grant { permissions, .. } = &decision else { return decision };
        self.bar_client(permissions.subject()).await.unwrap_or(decision)
    }

    /// Keeps out, before it is asked who it is, whom a ban keeps out, and everybody when memory is short.
    fn bar_stranger(&mut self, client_id: &str) -> Option<Decision> {
        if self.desk.memory.pressure() >= Pressure::Tight {
            return Some(self.bar(Barrier::Memory, ReasonCode::ServerBusy, "memory is short".to_owned()));
        }
        let banned = self.desk.bans.bars_stranger(client_id, self.origin.peer.ip())?;
        Some(self.ban(&banned))
    }

    /// Keeps out one of whom it is known who it is, by bans and limits; one that is let in has a seat.
    async fn bar_client(&mut self, subject: &Subject) -> Option<Decision> {
        let desk = self.desk;
        let client_id = &*subject.client_id;
        match desk.fights.turn(client_id) {
            Turn::Now => {}
            Turn::After(wait) => sleep(wait).await,
            Turn::Never => {
                let why = "others with this Client Identifier wait already";
                return Some(self.bar(Barrier::Fight, ReasonCode::ServerBusy, why.to_owned()));
            }
        }
        if let Some(ban) = desk.bans.count_visit(client_id, subject.address) {
            tracing::warn!(
                client_id = %Escaped(client_id),
                address = %subject.address,
                ban = ban.id,
                "a Client connects again and again: it is banned for a time"
            );
        }
        if let Some(banned) = desk.bans.bars_client(subject) {
            return Some(self.ban(&banned));
        }
        let (code, why) = match desk.seats.take(subject, &self.door.name) {
            Ok(seat) => {
                self.seat = Some(seat);
                return None;
            }
            Err(NoSeat::Full) => (ReasonCode::ServerBusy, "there are as many connections as there may be"),
            Err(NoSeat::Address) => {
                (ReasonCode::QuotaExceeded, "there are as many connections of this address as there may be")
            }
            Err(NoSeat::Exception) => {
                (ReasonCode::QuotaExceeded, "there are as many connections as its [[limit]] allows")
            }
        };
        Some(self.bar(Barrier::Connections, code, why.to_owned()))
    }

    fn ban(&mut self, banned: &Banned) -> Decision {
        let reason = banned.reason.as_deref().unwrap_or("no reason is given");
        let why = format!("by ban {}: {}", banned.id, Escaped(reason));
        self.bar(Barrier::Ban, ReasonCode::Banned, why)
    }

    fn bar(&mut self, barrier: Barrier, code: ReasonCode, why: String) -> Decision {
        self.barred = Some((barrier, why));
        Decision::Deny(code)
    }
}

/// What the future gives, and whether it had to wait.
async fn with_waiting<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = pin!(future);
    match poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        Poll::Ready(value) => (value, false),
        Poll::Pending => (future.await, true),
    }
}

/// One that no limit has kept out.
fn refused(bytes: Vec<u8>, reason: String) -> Outcome {
    Outcome::Refused { bytes, reason, barrier: None }
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
