//! What lies between a socket and MQTT: TLS, WebSocket, or one in the other, at either end. Bytes go in and out; the owner has the
//! socket.
//!
//! A connection at rest owns no buffer here: what has come of an unfinished TLS record is kept, and what the socket has not taken yet.

use rustls::pki_types::CertificateDer;
use thiserror::Error;

use crate::{
    tls::{
        error::describe,
        session::{KEPT_BYTES_MAX, Taken, TlsSession},
    },
    websocket::{
        frame::WebSocketError,
        stream::{self, NORMAL, WebSocket},
    },
};

/// TLS, WebSocket, or WebSocket in TLS.
#[derive(Debug, Default)]
pub struct Layer {
    tls: Option<Box<TlsSession>>,
    websocket: Option<Box<WebSocket>>,
    /// What has come of an unfinished record.
    kept: Vec<u8>,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    /// Nothing more comes.
    end: Option<End>,
    is_finished: bool,
}

/// How the other side has ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// As it should.
    Closed,
    /// It broke a rule of TLS or WebSocket.
    Failed(LayerError),
}

/// A rule that the other side broke.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum LayerError {
    /// One of TLS.
    #[error("{}", describe(.0))]
    Tls(rustls::Error),
    /// One of WebSocket.
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
}

/// Memory that many layers use in turn.
#[derive(Debug, Default)]
pub struct Scratch {
    plain: Vec<u8>,
    /// What is on its way to the socket.
    pub out: Vec<u8>,
}

impl Layer {
    /// Puts TLS under all else; to be called first.
    pub fn start_tls(&mut self, session: TlsSession) {
        self.tls = Some(Box::new(session));
    }

    /// Puts WebSocket over TLS, or over nothing. `ahead` has come already: returns how many bytes of MQTT stand at its beginning now.
    pub fn start_websocket(&mut self, websocket: WebSocket, ahead: &mut [u8]) -> usize {
        self.websocket = Some(Box::new(websocket));
        let mut replies = Vec::new();
        let len = receive_frames(&mut self.websocket, ahead, &mut replies, &mut self.end);
        self.queue_plain(&replies);
        len
    }

    /// Copies what is kept of an unfinished record to the beginning of `buffer` and says how long it is: what is read from the
    /// socket must stand behind it.
    ///
    /// # Panics
    /// If `buffer` is not longer than [`KEPT_BYTES_MAX`] or what is [kept](Self::kept_len).
    pub fn begin(&mut self, buffer: &mut [u8]) -> usize {
        let kept = std::mem::take(&mut self.kept);
        buffer[..kept.len()].copy_from_slice(&kept);
        kept.len()
    }

    /// Bytes that [`begin`](Self::begin) needs.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.kept.len()
    }

    /// Takes `buffer`, begun by [`begin`](Self::begin) and filled from the socket, and returns how many bytes of MQTT stand at its beginning
    /// now. What came before an [end](Self::end) is among them.
    pub fn receive(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> usize {
        if self.end.is_some() {
            return 0;
        }
        let Some(tls) = &mut self.tls else {
            return receive_frames(&mut self.websocket, buffer, &mut self.unsent, &mut self.end);
        };
        let plain = &mut scratch.plain;
        plain.clear();
        match tls.take(buffer, plain, &mut self.unsent) {
            Ok(Taken { used, is_closed }) => {
                if is_closed {
                    self.end = Some(End::Closed);
                } else if buffer.len() - used > KEPT_BYTES_MAX {
                    self.fail(rustls::InvalidMessage::MessageTooLarge.into());
                } else if used < buffer.len() {
                    self.kept = buffer[used..].to_vec();
                }
            }
            Err(error) => self.fail(error),
        }
        let mut replies = Vec::new();
        let len = receive_frames(&mut self.websocket, plain, &mut replies, &mut self.end);
        self.queue_plain(&replies);
        buffer[..len].copy_from_slice(&plain[..len]);
        len
    }

    /// Appends `bytes` to `out` as they go over the wire: one binary frame, if they go by WebSocket.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn send(&mut self, bytes: &[u8], scratch: &mut Scratch) -> Result<(), LayerError> {
        let Scratch { plain, out } = scratch;
        let bytes = match &mut self.websocket {
            None => bytes,
            Some(websocket) if self.tls.is_none() => {
                websocket.send(bytes, out);
                return Ok(());
            }
            Some(websocket) => {
                plain.clear();
                websocket.send(bytes, plain);
                plain
            }
        };
        match &mut self.tls {
            None => out.extend_from_slice(bytes),
            Some(tls) => tls.put(bytes, &mut self.kept, out).map_err(LayerError::Tls)?,
        }
        Ok(())
    }

    /// Says farewell, once: Close of WebSocket, the end of TLS. It waits in [`unsent`](Self::unsent).
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        if let Some(websocket) = &mut self.websocket {
            let mut farewell = Vec::new();
            websocket.close(NORMAL, &mut farewell);
            self.queue_plain(&farewell);
        }
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.kept, &mut self.unsent);
        }
    }

    /// How the other side has ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What is to be written before all else.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.unsent
    }

    /// The socket took so many bytes of what is unsent.
    pub fn sent(&mut self, count: usize) {
        if count == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..count);
        }
    }

    /// Keeps what the socket did not take.
    pub fn keep_unsent(&mut self, rest: &[u8]) {
        self.unsent.extend_from_slice(rest);
    }

    /// Whether TLS is not ready for MQTT yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// The version of TLS, such as `TLSv1_3`, once that is known, and whether secrets of an earlier connection were used.
    #[must_use]
    pub fn tls_facts(&self) -> Option<(&'static str, bool)> {
        let tls = self.tls.as_ref()?;
        Some((tls.version()?, tls.is_resumed()))
    }

    /// The certificate that the other side has shown; it was verified.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.as_ref()?.peer_certificate()
    }

    /// Queues bytes of this side itself: an answer in HTTP, a frame.
    pub fn queue_plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.tls {
            None => self.unsent.extend_from_slice(bytes),
            Some(tls) => {
                if let Err(error) = tls.put(bytes, &mut self.kept, &mut self.unsent) {
                    self.fail(error);
                }
            }
        }
    }

    fn fail(&mut self, error: rustls::Error) {
        if let Some(tls) = &mut self.tls {
            tls.give_up();
        }
        self.end.get_or_insert(End::Failed(LayerError::Tls(error)));
    }
}

fn receive_frames(
    websocket: &mut Option<Box<WebSocket>>,
    bytes: &mut [u8],
    replies: &mut Vec<u8>,
    end: &mut Option<End>,
) -> usize {
    let Some(websocket) = websocket else { return bytes.len() };
    let received = websocket.receive(bytes, replies);
    let own_end = received.end.map(|end| match end {
        stream::End::Closed => End::Closed,
        stream::End::Failed(error) => End::Failed(error.into()),
    });
    // What WebSocket says came first.
    if own_end.is_some() {
        *end = own_end;
    }
    received.len
}

#[cfg(test)]
mod tests {
    use std::{io::Read, io::Write, sync::Arc};

    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, crypto::ring::default_provider,
        pki_types::PrivateKeyDer,
    };

    use super::*;
    use crate::websocket::stream::Role;

    fn made() -> CertifiedKey<KeyPair> {
        generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn tls(made: &CertifiedKey<KeyPair>) -> Layer {
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut layer = Layer::default();
        layer.start_tls(TlsSession::new(Arc::new(config)).unwrap());
        layer
    }

    fn client(
        made: &CertifiedKey<KeyPair>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }

    /// Carries what the client has to say to `layer`, in pieces of `size`, and its answers back; returns what came out.
    fn exchange(client: &mut ClientConnection, layer: &mut Layer, size: usize) -> Vec<u8> {
        let mut plain = Vec::new();
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            for piece in wire.chunks(size) {
                let mut buffer = vec![0; layer.kept_len() + piece.len()];
                let kept = layer.begin(&mut buffer);
                buffer[kept..].copy_from_slice(piece);
                let len = layer.receive(&mut buffer, &mut Scratch::default());
                plain.extend_from_slice(&buffer[..len]);
            }
            let answers = layer.unsent().to_vec();
            layer.sent(answers.len());
            let mut rest = &answers[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
            }
            if wire.is_empty() && answers.is_empty() {
                return plain;
            }
        }
    }

    #[test]
    fn tls_carries_bytes_both_ways_however_they_are_cut() {
        let made = made();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for size in [1, 7, 1_000, 100_000] {
                let (mut layer, mut client) = (tls(&made), client(&made, version));
                exchange(&mut client, &mut layer, size);
                assert!(!layer.is_handshaking() && layer.peer_certificate().is_none());
                let message: Vec<u8> = (0..=255).cycle().take(40_000).collect();
                client.writer().write_all(&message).unwrap();
                assert!(
                    exchange(&mut client, &mut layer, size) == message,
                    "{version:?} in pieces of {size}"
                );
                assert_eq!(
                    (layer.kept.capacity(), layer.unsent.capacity()),
                    (0, 0),
                    "at rest it owns no buffer"
                );

                let mut scratch = Scratch::default();
                layer.send(&message, &mut scratch).unwrap();
                let mut wire = &scratch.out[..];
                let mut came = vec![0; message.len()];
                let mut count = 0;
                while count < came.len() {
                    client.read_tls(&mut wire).unwrap();
                    client.process_new_packets().unwrap();
                    // Nothing may be there yet.
                    count += client.reader().read(&mut came[count..]).unwrap_or(0);
                }
                assert!(came == message);
                client.send_close_notify();
                exchange(&mut client, &mut layer, size);
                assert_eq!(layer.end(), Some(&End::Closed));
                layer.finish();
                assert!(!layer.unsent().is_empty(), "the end of TLS is told");
            }
        }
    }

    #[test]
    fn whoever_does_not_speak_tls_is_told_in_tls() {
        let mut layer = tls(&made());
        let mut buffer = *b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        assert_eq!(layer.receive(&mut buffer, &mut Scratch::default()), 0);
        assert!(matches!(layer.end(), Some(End::Failed(LayerError::Tls(_)))), "{:?}", layer.end());
        assert_eq!(layer.unsent()[0], 21, "an alert");
        // A handshake that is broken off within a message.
        for bytes in [
            &b"\x16\x03\x01\x00\x05hello"[..],
            b"\x16\x03\x01\x00\x05\x01\x00\x01\xFC\x03\x15\x03\x03\x00\x01x",
        ] {
            for size in [1, 7, 100] {
                let mut layer = tls(&made());
                for piece in bytes.chunks(size) {
                    let mut buffer = vec![0; layer.kept_len() + piece.len()];
                    let kept = layer.begin(&mut buffer);
                    buffer[kept..].copy_from_slice(piece);
                    layer.receive(&mut buffer, &mut Scratch::default());
                    layer.queue_plain(b"too early");
                }
                assert!(matches!(layer.end(), Some(End::Failed(_))), "{bytes:?}");
                layer.finish();
            }
        }
    }

    #[test]
    fn websocket_lies_in_tls() {
        let made = made();
        let (mut layer, mut client) = (tls(&made), client(&made, &rustls::version::TLS13));
        exchange(&mut client, &mut layer, 1_000);
        layer.start_websocket(WebSocket::new(Role::Server, 1_000), &mut []);
        // A frame with an empty mask, a Ping, and a Close, after which nothing may be sent any more.
        client.writer().write_all(b"\x82\x83\0\0\0\0abc\x89\x80\0\0\0\0\x88\x80\0\0\0\0").unwrap();
        assert_eq!(exchange(&mut client, &mut layer, 5), b"abc");
        assert_eq!(layer.end(), Some(&End::Closed));
        let mut came = [0; 16];
        let count = client.reader().read(&mut came).unwrap();
        assert!(came[..count].ends_with(b"\x88\x02\x03\xE8"));
    }

    #[test]
    fn what_the_socket_does_not_take_is_kept_in_order() {
        let mut layer = Layer::default();
        layer.start_websocket(WebSocket::new(Role::Server, 1_000), &mut []);
        layer.keep_unsent(b"abcdef");
        layer.sent(2);
        layer.finish();
        layer.finish();
        assert_eq!(layer.unsent(), b"cdef\x88\x02\x03\xE8");
        layer.sent(8);
        assert_eq!(layer.unsent.capacity(), 0);
    }
}
