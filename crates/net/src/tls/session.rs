//! One TLS connection without a socket and without buffers, of a Server or of a Client: records go in and out.

use std::sync::Arc;

use rustls::{
    ClientConfig, Error, HandshakeKind, ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::{CertificateDer, ServerName},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic},
};

/// One TLS connection. It owns no buffer: what has come of an unfinished record is kept by the caller.
pub struct TlsSession {
    connection: Connection,
    /// The other side was wrong: nothing goes in or out any more.
    has_failed: bool,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What came of some records.
#[derive(Debug)]
pub struct Taken {
    /// So many bytes are done with; what follows them is not all there yet.
    pub used: usize,
    /// The other side has closed.
    pub is_closed: bool,
}

/// What both sides of TLS have in common, which has no name in the library.
trait Machine {
    type Data;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Machine for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Machine for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl TlsSession {
    /// A Server, which waits for a ClientHello.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = Connection::Server(UnbufferedServerConnection::new(config)?);
        Ok(Self { connection, has_failed: false })
    }

    /// A Client that goes to the Server called `name`. Its first records are there when it [takes](Self::take) nothing.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let connection = Connection::Client(UnbufferedClientConnection::new(config, name)?);
        Ok(Self { connection, has_failed: false })
    }

    /// Takes records: those that are all there. What is in them is appended to `plain`, what is to be answered to `replies`.
    ///
    /// # Errors
    /// If the other side is wrong, or has sent an alert; what tells it so is in `replies`.
    pub fn take(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        replies: &mut Vec<u8>,
    ) -> Result<Taken, Error> {
        if self.has_failed {
            return Ok(Taken { used: incoming.len(), is_closed: true });
        }
        let taken = match &mut self.connection {
            Connection::Server(connection) => take(connection, incoming, plain, replies),
            Connection::Client(connection) => take(connection, incoming, plain, replies),
        };
        self.has_failed |= taken.is_err();
        taken
    }

    /// Appends records with `bytes` in them to `out`. `kept` is what the caller keeps of an unfinished record.
    ///
    /// # Errors
    /// If the handshake is not done, or the keys are used up.
    pub fn put(&mut self, bytes: &[u8], kept: &mut [u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::HandshakeNotComplete);
        }
        match &mut self.connection {
            Connection::Server(connection) => put(connection, bytes, kept, out),
            Connection::Client(connection) => put(connection, bytes, kept, out),
        }
    }

    /// Appends what tells the other side that nothing more comes; nothing if the handshake is not done.
    pub fn close(&mut self, kept: &mut [u8], out: &mut Vec<u8>) {
        if self.has_failed {
            return;
        }
        match &mut self.connection {
            Connection::Server(connection) => close(connection, kept, out),
            Connection::Client(connection) => close(connection, kept, out),
        }
    }

    /// Gives up: nothing goes in or out any more.
    pub fn give_up(&mut self) {
        self.has_failed = true;
    }

    /// Whether the handshake is still under way.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.connection {
            Connection::Server(connection) => connection.is_handshaking(),
            Connection::Client(connection) => connection.is_handshaking(),
        }
    }

    /// The certificate of the other side, if it has shown one; it was verified.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match &self.connection {
            Connection::Server(connection) => connection.peer_certificates(),
            Connection::Client(connection) => connection.peer_certificates(),
        };
        chain?.first()
    }

    /// `TLSv1_3`, for instance, once that is known.
    #[must_use]
    pub fn version(&self) -> Option<&'static str> {
        let version = match &self.connection {
            Connection::Server(connection) => connection.protocol_version(),
            Connection::Client(connection) => connection.protocol_version(),
        };
        version?.as_str()
    }

    /// Whether it went on with the secrets of an earlier connection, once that is known.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        let kind = match &self.connection {
            Connection::Server(connection) => connection.handshake_kind(),
            Connection::Client(connection) => connection.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }
}

fn take<M: Machine>(
    connection: &mut M,
    incoming: &mut [u8],
    plain: &mut Vec<u8>,
    replies: &mut Vec<u8>,
) -> Result<Taken, Error> {
    let mut taken = Taken { used: 0, is_closed: false };
    loop {
        let UnbufferedStatus { discard, state, .. } = connection.process(&mut incoming[taken.used..]);
        taken.used += discard;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    plain.extend_from_slice(record.payload);
                    taken.used += record.discard;
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => append(replies, |out| data.encode(out)),
            // What was encoded stands in `replies`, from where it is sent once.
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => taken.is_closed = true,
            Ok(ConnectionState::Closed) => {
                taken.is_closed = true;
                return Ok(taken);
            }
            // The handshake waits for more, all is read, or it is something that is never asked for.
            Ok(_) => return Ok(taken),
            Err(error) => {
                take_alert(connection, &mut incoming[taken.used..], replies);
                return Err(error);
            }
        }
    }
}

fn put<M: Machine>(
    connection: &mut M,
    bytes: &[u8],
    kept: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut is_exhausted = false;
    with_traffic(connection, kept, out, |traffic, out| {
        let mut size = bytes.len() + (bytes.len() / RECORD_BYTES + 1) * OVERHEAD_BYTES;
        loop {
            let start = out.len();
            out.resize(start + size, 0);
            let written = traffic.encrypt(bytes, &mut out[start..]);
            out.truncate(start + written.as_ref().map_or(0, |&count| count));
            match written {
                Ok(_) => return,
                Err(EncryptError::InsufficientSize(error)) => size = error.required_size,
                Err(EncryptError::EncryptExhausted) => return is_exhausted = true,
            }
        }
    })?;
    if is_exhausted { Err(Error::EncryptError) } else { Ok(()) }
}

fn close<M: Machine>(connection: &mut M, kept: &mut [u8], out: &mut Vec<u8>) {
    let closed = with_traffic(connection, kept, out, |traffic, out| {
        let start = out.len();
        out.resize(start + CLOSE_BYTES, 0);
        let written = traffic.queue_close_notify(&mut out[start..]);
        out.truncate(start + written.unwrap_or(0));
    });
    // Without keys there is nothing to say.
    drop(closed);
}

fn with_traffic<M: Machine>(
    connection: &mut M,
    kept: &mut [u8],
    out: &mut Vec<u8>,
    act: impl FnOnce(&mut WriteTraffic<'_, M::Data>, &mut Vec<u8>),
) -> Result<(), Error> {
    loop {
        match connection.process(kept).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                act(&mut traffic, out);
                return Ok(());
            }
            ConnectionState::EncodeTlsData(mut data) => append(out, |out| data.encode(out)),
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => {}
            _ => return Err(Error::HandshakeNotComplete),
        }
    }
}

/// After an error: what tells the other side, up to the alert; asked for more, the connection would look at the wrong bytes once
/// more. They are `rest`, into which it may still point.
fn take_alert<M: Machine>(connection: &mut M, rest: &mut [u8], replies: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(rest).state {
        let start = replies.len();
        append(replies, |out| data.encode(out));
        if is_alert(&replies[start..]) {
            return;
        }
    }
}

/// Whether a record holds an alert, in plain or encrypted: nothing else that is encrypted is so short.
fn is_alert(record: &[u8]) -> bool {
    matches!(record, [21, ..] | [23, _, _, 0, 19, ..])
}

impl std::fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSession").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// Appends what `encode` writes, which says how much room it needs.
fn append(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let start = out.len();
    if let Err(EncodeError::InsufficientSize(error)) = encode(&mut []) {
        out.resize(start + error.required_size, 0);
        let written = encode(&mut out[start..]);
        out.truncate(start + written.unwrap_or(0));
    }
}

/// Bytes of the longest record's content.
const RECORD_BYTES: usize = 16 << 10;
/// What a record is longer than its content, at most.
const OVERHEAD_BYTES: usize = 64;
/// Room for an alert.
const CLOSE_BYTES: usize = 128;
/// Bytes of what must be kept at most until it is a whole message of a handshake (64 KiB) or a record.
pub const KEPT_BYTES_MAX: usize = (64 << 10) + (18 << 10) + 5;
