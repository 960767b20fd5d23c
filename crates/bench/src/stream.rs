//! The byte stream of a connection. Everything above reads and writes bytes and knows nothing of what carries them; a
//! stream of another kind (TLS, WebSocket) is another variant here and nowhere else.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// A stream that never blocks.
#[derive(Debug)]
pub(crate) enum ByteStream {
    /// TCP (4.2).
    Tcp(TcpStream),
}

impl ByteStream {
    /// Begins to connect to `server`, from `source` if it is given. Small packets leave at once.
    ///
    /// # Errors
    /// What the operating system says at once; the rest comes with the first [`read`](Self::read).
    pub(crate) fn open(server: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
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
        Ok(Self::Tcp(TcpStream::from_std(socket.into())))
    }

    /// Has `registry` tell when there is something to read or room to write.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, token, Interest::READABLE | Interest::WRITABLE),
        }
    }

    /// Reads what is there; 0 if the other side has closed. If `bytes` are not filled there is no more for now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there; why there is no connection.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
        }
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none; why there is no connection.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
