//! What a Client speaks below MQTT, without a socket: TLS, then the HTTP request of a WebSocket, or one of them.

use rustls::pki_types::ServerName;
use thiserror::Error;

use crate::{
    address::Address,
    layer::{End, Layer, LayerError, Scratch},
    tls::{client::LoadedClientTls, failure::TlsFailure, session::TlsSession},
    websocket::{
        frame::WebSocketError,
        mask,
        opening::{Opening, OpeningError},
        stream::{Role, WebSocket},
    },
};

/// The layers of one connection of a Client, from its first byte to its last.
#[derive(Debug)]
pub struct Outgoing {
    layer: Layer,
    tls: Option<LoadedClientTls>,
    stage: Stage,
    /// What came first over the wire, to tell who speaks something else.
    first: Vec<u8>,
    failure: Option<Failure>,
}

/// What is still to be done before MQTT can be spoken.
#[derive(Debug)]
enum Stage {
    /// The handshake of TLS; then this request.
    Tls(Option<(Opening, Vec<u8>)>),
    /// The response to a request.
    Opening(Opening),
    /// Nothing.
    Ready,
}

/// Why there is no connection below MQTT, or no more.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// The request of a WebSocket.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// A WebSocket that was there.
    #[error("the Server breaks a rule of WebSocket: {0}")]
    WebSocket(WebSocketError),
    /// The Server has gone instead of answering the request of a WebSocket.
    #[error(
        "the Server closed the connection instead of answering the HTTP request; is it a port for MQTT over WebSocket?"
    )]
    NoResponse,
}

impl Outgoing {
    /// What `address` asks for, with `tls` where that is TLS; nothing if MQTT goes over the bare stream.
    ///
    /// # Errors
    /// A host that cannot be asked for in TLS.
    pub fn new(address: &Address, tls: Option<&LoadedClientTls>) -> Result<Option<Self>, TlsFailure> {
        let opening = || Opening::new(&address.authority(), &address.websocket_path());
        let opening = address.scheme.has_websocket().then(opening);
        let mut outgoing = Self {
            layer: Layer::default(),
            tls: None,
            stage: Stage::Ready,
            first: Vec::new(),
            failure: None,
        };
        match (tls.filter(|_| address.scheme.has_tls()), opening) {
            (None, None) => return Ok(None),
            (None, Some((opening, request))) => {
                outgoing.layer.queue_plain(&request);
                outgoing.stage = Stage::Opening(opening);
            }
            (Some(tls), opening) => {
                let host = address.host.clone();
                let name = ServerName::try_from(host)
                    .map_err(|_| TlsFailure::Other(format!("`{}` is no name of a host", address.host)))?;
                let session = TlsSession::client(tls.config.clone(), name)
                    .map_err(|error| TlsFailure::of(&error, &[], false))?;
                outgoing.layer.start_tls(session);
                // The first words wait in the layer now.
                outgoing.layer.receive(&mut [], &mut Scratch::default());
                outgoing.tls = Some(tls.clone());
                outgoing.stage = Stage::Tls(opening);
            }
        }
        Ok(Some(outgoing))
    }

    /// Whether MQTT can be spoken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Bytes at the beginning of a buffer that [`receive`](Self::receive) needs for itself; the socket is to be read behind them.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.layer.kept_len()
    }

    /// Takes `buffer`, filled from the socket behind the first [`kept_len`](Self::kept_len) bytes, and returns how many bytes of MQTT
    /// stand at its beginning now. What came before an [end](Self::end) is among them.
    ///
    /// # Panics
    /// If `buffer` is shorter than what is kept.
    pub fn receive(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> usize {
        let kept = self.layer.begin(buffer);
        if self.first.len() < FIRST_BYTES && !self.is_ready() {
            let room = FIRST_BYTES - self.first.len();
            self.first.extend(buffer[kept..].iter().take(room));
        }
        let mut len = self.layer.receive(buffer, scratch);
        if let Stage::Tls(opening) = &mut self.stage
            && !self.layer.is_handshaking()
        {
            self.stage = match opening.take() {
                None => Stage::Ready,
                Some((opening, request)) => {
                    self.layer.queue_plain(&request);
                    Stage::Opening(opening)
                }
            };
        }
        if let Stage::Opening(opening) = &mut self.stage
            && len > 0
        {
            let taken = opening.take(&buffer[..len]);
            len = 0;
            match taken {
                Ok(None) => {}
                Ok(Some(ahead)) => {
                    // It came behind the response, so there is room for it.
                    let ahead_len = ahead.len();
                    buffer[..ahead_len].copy_from_slice(&ahead);
                    let role = Role::Client { mask: mask::random };
                    let websocket = WebSocket::new(role, u64::MAX);
                    len = self.layer.start_websocket(websocket, &mut buffer[..ahead_len]);
                    self.stage = Stage::Ready;
                }
                Err(error) => self.failure = Some(error.into()),
            }
        }
        len
    }

    /// Appends `bytes` to `scratch.out` as they go over the wire.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn send(&mut self, bytes: &[u8], scratch: &mut Scratch) -> Result<(), Failure> {
        self.layer.send(bytes, scratch).map_err(|error| self.failure_of(error))
    }

    /// What is to be written before all else.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.layer.unsent()
    }

    /// The socket took so many bytes of what is unsent.
    pub fn sent(&mut self, count: usize) {
        self.layer.sent(count);
    }

    /// Keeps what the socket did not take.
    pub fn keep_unsent(&mut self, rest: &[u8]) {
        self.layer.keep_unsent(rest);
    }

    /// Says farewell, once; it waits in [`unsent`](Self::unsent).
    pub fn finish(&mut self) {
        self.layer.finish();
    }

    /// How the Server has ended, once it has; `Ok` if that was as it should.
    #[must_use]
    pub fn end(&self) -> Option<Result<(), Failure>> {
        if let Some(failure) = &self.failure {
            return Some(Err(failure.clone()));
        }
        match self.layer.end()? {
            End::Closed if !self.is_ready() => Some(Err(self.closed())),
            End::Closed => Some(Ok(())),
            End::Failed(error) => Some(Err(self.failure_of(error.clone()))),
        }
    }

    /// Whether the socket may close without a word of the layers.
    ///
    /// # Errors
    /// What it means if it may not.
    pub fn end_of_socket(&self) -> Result<(), Failure> {
        if self.is_ready() { Ok(()) } else { Err(self.closed()) }
    }

    /// The Server has asked for a certificate, and there is none.
    #[must_use]
    pub fn was_asked_in_vain(&self) -> bool {
        self.tls.as_ref().is_some_and(LoadedClientTls::was_asked_in_vain)
    }

    /// What was agreed on in TLS, once it was: `TLSv1_3`, for instance, and whether secrets of an earlier connection were used.
    #[must_use]
    pub fn tls(&self) -> Option<(&'static str, bool)> {
        self.layer.tls_facts().filter(|_| !self.layer.is_handshaking())
    }

    fn closed(&self) -> Failure {
        match &self.stage {
            Stage::Tls(_) if self.was_asked_in_vain() => TlsFailure::CertificateWanted.into(),
            Stage::Tls(_) if self.first.is_empty() => TlsFailure::ClosedAtOnce.into(),
            Stage::Tls(_) => TlsFailure::Closed.into(),
            Stage::Opening(_) | Stage::Ready if self.was_asked_in_vain() => {
                TlsFailure::CertificateWanted.into()
            }
            Stage::Opening(_) | Stage::Ready => Failure::NoResponse,
        }
    }

    fn failure_of(&self, error: LayerError) -> Failure {
        match error {
            LayerError::Tls(error) => TlsFailure::of(&error, &self.first, self.was_asked_in_vain()).into(),
            LayerError::WebSocket(error) => Failure::WebSocket(error),
        }
    }
}

/// So many of the first bytes tell who speaks something else.
const FIRST_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_stream_needs_nothing() {
        assert!(Outgoing::new(&Address::new("host", 1883), None).unwrap().is_none());
        assert!(Outgoing::new(&Address::parse("unix:///run/mqtt").unwrap(), None).unwrap().is_none());
    }

    #[test]
    fn a_websocket_begins_with_a_request_and_what_follows_the_response_is_mqtt() {
        let address = Address::parse("ws://localhost:8083/x").unwrap();
        let mut outgoing = Outgoing::new(&address, None).unwrap().unwrap();
        assert!(outgoing.unsent().starts_with(b"GET /x HTTP/1.1\r\nHost: localhost:8083\r\n"));
        assert!(!outgoing.is_ready() && outgoing.end().is_none());
        assert_eq!(outgoing.end_of_socket(), Err(Failure::NoResponse));
        let (head, _) = crate::http_head::RequestHead::parse(outgoing.unsent()).unwrap().unwrap();
        let rules = crate::websocket::upgrade::UpgradeRules { paths: vec!["/x".into()], origins: Vec::new() };
        let mut bytes = crate::websocket::upgrade::accept(&head, &rules).unwrap();
        bytes.extend_from_slice(b"\x82\x04\x20\x02\x00\x00\x88\x00");
        let mut scratch = Scratch::default();
        let len = outgoing.receive(&mut bytes, &mut scratch);
        assert_eq!(&bytes[..len], b"\x20\x02\x00\x00");
        assert!(outgoing.is_ready());
        assert_eq!(outgoing.end(), Some(Ok(())));
    }
}
