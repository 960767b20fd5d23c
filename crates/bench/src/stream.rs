//! The byte stream of a connection. Everything above reads and writes bytes and knows nothing of what carries them: TCP, or TLS and
//! WebSocket over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use dunlin_net::address::Address;
use dunlin_net::layer::Scratch;
use dunlin_net::outgoing::{Failure, Outgoing};
use dunlin_net::tls::client::LoadedClientTls;
use dunlin_net::tls::failure::TlsFailure;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// A stream that never blocks.
#[derive(Debug)]
pub(crate) enum ByteStream {
    /// TCP (4.2).
    Tcp(TcpStream),
    /// TLS, WebSocket or both over it.
    Layered(Box<Layered>),
}

/// What lies between TCP and MQTT, for all connections.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) address: Address,
    pub(crate) tls: Option<LoadedClientTls>,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// Bytes of MQTT; there may be none although something came.
    pub(crate) len: usize,
    /// There is no more for now.
    pub(crate) is_drained: bool,
    /// The other side has closed.
    pub(crate) is_closed: bool,
}

#[derive(Debug)]
pub(crate) struct Layered {
    socket: TcpStream,
    outgoing: Outgoing,
    has_heard: bool,
}

impl ByteStream {
    /// Begins to connect to `server`, from `source` if it is given. Small packets leave at once.
    ///
    /// # Errors
    /// What the operating system says at once; the rest comes with the first [`read`](Self::read).
    pub(crate) fn open(
        server: SocketAddr,
        source: Option<IpAddr>,
        transport: Option<&Transport>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&server.into()) {
            Err(error) if !is_under_way(&error) => return Err(error),
            _ => {}
        }
        let socket = TcpStream::from_std(socket.into());
        let Some(Transport { address, tls }) = transport else { return Ok(Self::Tcp(socket)) };
        let outgoing = Outgoing::new(address, tls.as_ref()).map_err(|failure| below(failure.into()))?;
        Ok(match outgoing {
            None => Self::Tcp(socket),
            Some(outgoing) => Self::Layered(Box::new(Layered { socket, outgoing, has_heard: false })),
        })
    }

    /// Has `registry` tell when there is something to read or room to write.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(socket) => socket,
            Self::Layered(layered) => &mut layered.socket,
        };
        registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether something lies between TCP and MQTT.
    #[inline]
    pub(crate) fn is_layered(&self) -> bool {
        matches!(self, Self::Layered(_))
    }

    /// Whether something other than MQTT waits to be written.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Layered(layered) => !layered.outgoing.unsent().is_empty(),
        }
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there; why there is no connection.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &mut [u8], scratch: &mut Scratch) -> io::Result<Came> {
        match self {
            Self::Tcp(socket) => {
                let len = socket.read(bytes)?;
                Ok(Came { len, is_drained: len < bytes.len(), is_closed: len == 0 })
            }
            Self::Layered(layered) => layered.read(bytes, scratch),
        }
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none, or the layers are not up; why there is no connection.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Layered(layered) => layered.write(bytes, scratch),
        }
    }

    /// Writes what is not MQTT.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room for all of it; why there is no connection.
    #[inline]
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Layered(layered) => layered.flush(),
        }
    }

    /// Says farewell in all layers, as far as there is room.
    pub(crate) fn finish(&mut self) {
        if let Self::Layered(layered) = self {
            layered.outgoing.finish();
            // The connection is given up, whether that arrives or not.
            drop(layered.flush());
        }
    }
}

impl Layered {
    fn read(&mut self, bytes: &mut [u8], scratch: &mut Scratch) -> io::Result<Came> {
        if let Some(end) = self.outgoing.end() {
            return end.map(|()| CLOSED).map_err(below);
        }
        let kept = self.outgoing.kept_len();
        let count = self.socket.read(&mut bytes[kept..])?;
        if count == 0 {
            if !self.has_heard && self.outgoing.was_asked_in_vain() {
                return Err(below(TlsFailure::CertificateWanted.into()));
            }
            return self.outgoing.end_of_socket().map(|()| CLOSED).map_err(below);
        }
        let is_drained = kept + count < bytes.len();
        let len = self.outgoing.receive(&mut bytes[..kept + count], scratch);
        self.has_heard |= len > 0;
        // An end comes with the next read, which is to follow at once.
        Ok(Came { len, is_drained: is_drained && self.outgoing.end().is_none(), is_closed: false })
    }

    fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        self.flush()?;
        if !self.outgoing.is_ready() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        scratch.out.clear();
        self.outgoing.send(piece, scratch).map_err(below)?;
        let written = match self.socket.write(&scratch.out) {
            Ok(written) => written,
            Err(error) if is_later(&error) => 0,
            Err(error) => return Err(error),
        };
        if written < scratch.out.len() {
            self.outgoing.keep_unsent(&scratch.out[written..]);
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.unsent().is_empty() {
            match self.socket.write(self.outgoing.unsent()) {
                Ok(written) => self.outgoing.sent(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Before the connection is there the system says so in another way.
                Err(error) if error.kind() == ErrorKind::NotConnected => {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const CLOSED: Came = Came { len: 0, is_drained: true, is_closed: true };
/// Bytes of MQTT that go through the layers at a time.
const PIECE_BYTES: usize = 64 << 10;

fn below(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

/// What kept the layers from coming up, or broke them, if that is what `error` is about.
pub(crate) fn failure_below(error: &io::Error) -> Option<&Failure> {
    error.get_ref().and_then(|error| error.downcast_ref())
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
