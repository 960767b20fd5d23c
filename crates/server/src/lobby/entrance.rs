//! The way from the first byte to MQTT: PROXY header, TLS, WebSocket; each only where the listener has it.

use std::{io, net::SocketAddr, sync::Arc};

use dunlin_broker::permissions::subject::CertificateFacts;
use dunlin_net::{
    first_bytes::{self, Speech},
    http_head::{RequestHead, short_response},
    proxy_header::{ProxyHeader, ProxyTls},
    tls::{
        certificate::{Certificate, escaped},
        session::TlsSession,
    },
    websocket::{
        stream::{Role, WebSocket},
        upgrade,
    },
};

use crate::{config::model::ListenerKind, shard::admission::Origin};

use super::{
    certificates::facts,
    desk::Desk,
    door::Door,
    half_open::Permit,
    line::Line,
    refusals::{Barrier, TOO_FAST, TOO_MANY_HALF_OPEN},
};

/// Why a stranger does not get to MQTT.
pub(super) enum Stopped {
    /// It has gone by itself.
    Gone,
    /// It is told in its own language, if at all.
    Refused { answer: Vec<u8>, reason: String },
    /// A limit keeps it out.
    Barred { barrier: Barrier, reason: &'static str },
}

/// A stranger on its way.
pub(super) struct Entrance<'a> {
    pub(super) desk: &'a Desk,
    pub(super) door: &'a Door,
    pub(super) line: &'a mut Line,
    pub(super) permit: &'a mut Permit,
    pub(super) origin: &'a mut Origin,
    /// What is waited for, for the log.
    pub(super) awaited: &'a mut &'static str,
}

impl Entrance<'_> {
    /// Goes all the way; then the line speaks MQTT.
    pub(super) async fn pass(mut self) -> Result<(), Stopped> {
        if self.door.wants_proxy_header(self.origin.peer.ip()) {
            self.take_proxy_header().await?;
        }
        match self.door.kind {
            ListenerKind::Tcp | ListenerKind::Unix => return Ok(()),
            ListenerKind::Tls | ListenerKind::Wss => {
                self.expect(Speech::Tls).await?;
                self.take_tls().await?;
            }
            ListenerKind::Ws => self.expect(Speech::Http).await?,
            ListenerKind::Any => return self.take_any().await,
        }
        match self.door.kind {
            ListenerKind::Ws => self.take_websocket().await,
            ListenerKind::Wss => {
                self.expect(Speech::Http).await?;
                self.take_websocket().await
            }
            _ => Ok(()),
        }
    }

    /// Looks what is spoken.
    async fn take_any(&mut self) -> Result<(), Stopped> {
        let mut speech = self.hear().await?;
        if speech == Speech::Tls && self.door.tls.is_some() {
            self.take_tls().await?;
            speech = self.hear().await?;
        }
        match speech {
            Speech::Mqtt => Ok(()),
            Speech::Http => self.take_websocket().await,
            Speech::Tls | Speech::Proxy | Speech::Unknown => Err(self.unexpected(speech)),
        }
    }

    async fn take_proxy_header(&mut self) -> Result<(), Stopped> {
        *self.awaited = "PROXY header";
        loop {
            match ProxyHeader::parse(self.line.ahead()) {
                Ok(Some((header, len))) => {
                    self.line.use_up(len);
                    return self.believe(header);
                }
                Ok(None) => self.fill().await?,
                Err(error) => return refused(format!("{error}, but the address is in trusted_proxies")),
            }
        }
    }

    fn believe(&mut self, header: ProxyHeader) -> Result<(), Stopped> {
        if let Some(addresses) = header.addresses {
            self.origin.listener = addresses.destination;
            self.come_from(SocketAddr::new(addresses.source.ip().to_canonical(), addresses.source.port()))?;
        }
        if let Some(ProxyTls { is_verified: true, common_name: Some(name), .. }) = header.tls {
            let facts = CertificateFacts {
                subject: format!("CN={}", escaped(&name)).into(),
                common_name: Some(name.into()),
                ..CertificateFacts::default()
            };
            self.origin.certificate = Some(Arc::new(facts));
        }
        Ok(())
    }

    /// A proxy says that it comes from `peer`.
    fn come_from(&mut self, peer: SocketAddr) -> Result<(), Stopped> {
        (self.origin.peer, self.origin.is_told_by_proxy) = (peer, true);
        if !self.desk.rates.admit(self.door, peer.ip()) {
            return Err(Stopped::Barred { barrier: Barrier::Rate, reason: TOO_FAST });
        }
        if self.permit.pass_to(peer.ip()) {
            return Ok(());
        }
        Err(Stopped::Barred { barrier: Barrier::HalfOpen, reason: TOO_MANY_HALF_OPEN })
    }

    async fn take_tls(&mut self) -> Result<(), Stopped> {
        *self.awaited = "end of the TLS handshake";
        let tls = self.door.tls.as_ref().expect("a listener that speaks TLS has certificates");
        let place = self.desk.tls_handshakes.enter_as_proxy(self.origin.peer.ip());
        if let (Some(place), Some(task)) = (&place, self.desk.half_open.task(self.permit.number())) {
            self.desk.tls_handshakes.serve(place.number(), task);
        }
        let session = TlsSession::new(tls.config())
            .map_err(|error| Stopped::Refused { answer: Vec::new(), reason: format!("TLS: {error}") })?;
        if !self.line.start_tls(session).await? {
            return Err(Stopped::Gone);
        }
        drop(place);
        let shown = self.line.layer().and_then(|layer| layer.peer_certificate());
        if let Some(certificate) = shown.and_then(|der| Certificate::read(der)) {
            // Who comes back with a ticket shows the certificate of the first time.
            if certificate.not_after < std::time::SystemTime::now() {
                return refused("the certificate of the Client has expired".to_owned());
            }
            self.origin.certificate = Some(Arc::new(facts(certificate)));
        }
        Ok(())
    }

    async fn take_websocket(&mut self) -> Result<(), Stopped> {
        *self.awaited = "end of the HTTP head";
        let (head, len) = loop {
            match RequestHead::parse(self.line.ahead()) {
                Ok(Some(found)) => break found,
                Ok(None) => self.fill().await?,
                Err(error) => {
                    let answer = short_response("400 Bad Request", "", "This HTTP request is not valid.");
                    return Err(Stopped::Refused { answer, reason: error.to_string() });
                }
            }
        };
        self.line.use_up(len);
        if self.door.trusts(self.origin.peer.ip())
            && let Some(address) = head.forwarded_for(&self.door.trusted_proxies)
        {
            self.come_from(SocketAddr::new(address, 0))?;
        }
        match upgrade::accept(&head, &self.door.upgrade) {
            Ok(response) => {
                let websocket = WebSocket::new(Role::Server, self.door.message_bytes_max);
                self.line.start_websocket(&response, websocket).await?;
                Ok(())
            }
            Err(error) => Err(Stopped::Refused { answer: error.response(), reason: error.to_string() }),
        }
    }

    async fn expect(&mut self, wanted: Speech) -> Result<(), Stopped> {
        let speech = self.hear().await?;
        if speech == wanted { Ok(()) } else { Err(self.unexpected(speech)) }
    }

    /// Waits until the first bytes tell what is spoken.
    async fn hear(&mut self) -> Result<Speech, Stopped> {
        loop {
            if let Some(speech) = first_bytes::tell(self.line.ahead()) {
                return Ok(speech);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Stopped> {
        if self.line.fill().await? { Ok(()) } else { Err(Stopped::Gone) }
    }

    fn unexpected(&self, speech: Speech) -> Stopped {
        Stopped::Refused { answer: Vec::new(), reason: unexpected(speech, self.door) }
    }
}

/// Says that `speech` is not what the listener speaks, and what to do.
pub(super) fn unexpected(speech: Speech, door: &Door) -> String {
    let expected = match door.kind {
        ListenerKind::Tcp | ListenerKind::Unix => "plain MQTT, without TLS and WebSocket",
        ListenerKind::Tls => "MQTT in TLS",
        ListenerKind::Ws => "MQTT in WebSocket, without TLS",
        ListenerKind::Wss => "MQTT in WebSocket in TLS",
        ListenerKind::Any if door.tls.is_some() => "MQTT, also in TLS and WebSocket",
        ListenerKind::Any => "MQTT, also in WebSocket, but has no certificate for TLS",
    };
    format!("the Client speaks {}; listener `{}` speaks {expected}", speech.name(), door.name)
}

fn refused<T>(reason: String) -> Result<T, Stopped> {
    Err(Stopped::Refused { answer: Vec::new(), reason })
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Refused { answer: Vec::new(), reason: error.to_string() }
    }
}
