//! The Server's lobby in simulation: first packets and authentication, up to the home shard's door.

use std::{collections::BTreeMap, sync::Arc};

use dunlin_broker::{
    handshake::{Credentials, Handshake, Step},
    input::{ConnectRequest, Decision, Terms},
    limits::Settings,
    permissions::Permissions,
};
use dunlin_packet::reason_code::ReasonCode;

use crate::{
    network::{End, LinkId, Network},
    random::Random,
};

/// Connections that have not reached a shard.
#[derive(Debug, Default)]
pub struct Lobby {
    guests: BTreeMap<LinkId, Guest>,
}

#[derive(Debug)]
struct Guest {
    handshake: Handshake,
    /// The providers have been asked.
    asked: Option<Credentials>,
}

/// What the lobby did with a connection.
#[derive(Debug)]
pub enum Outcome {
    /// It waits for bytes or for the providers.
    Waits,
    /// It goes to its home.
    Welcome {
        /// The Client.
        request: Box<ConnectRequest>,
        /// What it has sent behind CONNECT.
        unread: Vec<u8>,
    },
    /// It was told these bytes, and is closed.
    Refused(Vec<u8>),
    /// It has gone.
    Gone,
}

impl Lobby {
    /// A connection has been accepted.
    pub fn enter(&mut self, link: LinkId, settings: &Arc<Settings>, random: &mut Random) {
        let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
        let handshake = Handshake::new(Arc::clone(settings), link.to_string().into(), bits);
        self.guests.insert(link, Guest { handshake, asked: None });
    }

    /// Connections about which something can be done.
    #[must_use]
    pub fn ready(&self, network: &Network) -> Vec<LinkId> {
        let ready =
            self.guests.iter().filter(|(link, guest)| guest.asked.is_some() || network.has_news(**link));
        ready.map(|(link, _)| *link).collect()
    }

    /// All connections there are.
    pub fn guests(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.guests.keys().copied()
    }

    /// Forgets all connections, and says which there were.
    pub fn clear(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.guests).into_keys().collect()
    }

    /// Does one thing for a connection.
    pub fn step(&mut self, link: LinkId, network: &mut Network, random: &mut Random) -> Outcome {
        let Some(guest) = self.guests.get_mut(&link) else { return Outcome::Waits };
        let step = match guest.asked.take() {
            Some(credentials) => guest.handshake.decide(decide(&credentials)),
            None if network.unread(link) > 0 => {
                let max = if random.once_in(3) { random.between(1, 9) } else { 10_000 };
                guest.handshake.handle(&network.read(link, max as usize))
            }
            None if network.has_ended(link) => {
                network.shut(link, End::Closed, random);
                self.guests.remove(&link);
                return Outcome::Gone;
            }
            None => return Outcome::Waits,
        };
        self.follow(link, step, network, random)
    }

    fn follow(&mut self, link: LinkId, step: Step, network: &mut Network, random: &mut Random) -> Outcome {
        let guest = self.guests.get_mut(&link).expect("it was just served");
        match step {
            Step::NeedBytes => Outcome::Waits,
            Step::Authenticate(credentials) => {
                guest.asked = Some(credentials);
                Outcome::Waits
            }
            Step::Challenge(bytes) => {
                network.write(link, &bytes);
                if guest.handshake.has_unread() {
                    let step = guest.handshake.handle(&[]);
                    return self.follow(link, step, network, random);
                }
                Outcome::Waits
            }
            Step::Welcome { request, unread } => {
                self.guests.remove(&link);
                Outcome::Welcome { request, unread }
            }
            Step::Refuse { bytes, .. } => {
                self.guests.remove(&link);
                network.write(link, &bytes);
                network.shut(link, End::Closed, random);
                Outcome::Refused(bytes)
            }
        }
    }
}

/// The providers: one method that echoes, and one user that is not wanted.
#[must_use]
pub fn decide(credentials: &Credentials) -> Decision {
    match credentials.method.as_deref() {
        None if credentials.user_name.as_deref() == Some("never") => {
            Decision::Deny(ReasonCode::NotAuthorized)
        }
        None => grant(),
        Some("echo") => echo(&credentials.data),
        Some(_) => Decision::Deny(ReasonCode::BadAuthenticationMethod), // [MQTT-4.12.0-1]
    }
}

/// The method that asks again until it is told `ok`.
#[must_use]
pub fn echo(data: &[u8]) -> Decision {
    match data {
        b"ok" => grant(),
        b"no" => Decision::Deny(ReasonCode::NotAuthorized),
        _ => Decision::Challenge(b"say ok".to_vec()),
    }
}

fn grant() -> Decision {
    Decision::Grant { permissions: Permissions::default(), data: Vec::new(), terms: Terms::default() }
}
