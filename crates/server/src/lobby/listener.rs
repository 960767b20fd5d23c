//! A listening socket, by TCP or by a file.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    listen::Listening,
    process::watch_listener,
    shard::admission::{Origin, Process},
};

/// A listening socket. Those it accepts are not watched by the runtime: most of them need not be.
pub(crate) enum Listener {
    Tcp {
        socket: AsyncFd<mio::net::TcpListener>,
        /// `None` if it listens at several addresses.
        address: Option<SocketAddr>,
    },
    Unix {
        socket: tokio::net::UnixListener,
        /// Goes with the listener.
        _file: SocketFile,
    },
}

/// One that was accepted. Its socket does not block.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) process: Option<Process>,
}

/// A socket file; dropping it removes the file.
pub(crate) struct SocketFile(PathBuf);

impl Listener {
    /// Takes a socket that listens and does not block; accepted sockets inherit its options.
    ///
    /// # Errors
    /// If the runtime cannot watch it.
    pub(crate) fn new(listening: Listening) -> io::Result<Self> {
        match listening {
            Listening::Tcp(listener) => Self::tcp(listener),
            Listening::Unix(listener, path) => Self::unix(listener, path),
        }
    }

    fn tcp(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let socket = watch_listener(mio::net::TcpListener::from_std(listener))?;
        Ok(Self::Tcp { socket, address: (!address.ip().is_unspecified()).then_some(address) })
    }

    fn unix(listener: UnixListener, path: PathBuf) -> io::Result<Self> {
        let _file = SocketFile(path);
        Ok(Self::Unix { socket: tokio::net::UnixListener::from_std(listener)?, _file })
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp { socket, .. } => {
                let accepted = socket.async_io(Interest::READABLE, mio::net::TcpListener::accept).await?;
                Ok(Accepted::by_tcp(accepted))
            }
            Self::Unix { socket, .. } => {
                let (stream, _) = socket.accept().await?;
                let credentials = stream.peer_cred()?;
                let process = Process { uid: credentials.uid(), pid: credentials.pid() };
                // To read, write and shut, a socket is a socket; only its addresses are of another family, and nobody asks it
                // for them.
                let stream = TcpStream::from(OwnedFd::from(stream.into_std()?));
                Ok(Accepted { stream, peer: THIS_MACHINE, process: Some(process) })
            }
        }
    }

    /// Accepts one that waits already, if it is easy to say whether one does.
    pub(super) fn accept_now(&self) -> Option<Accepted> {
        let Self::Tcp { socket, .. } = self else { return None };
        // An error comes again, and is for the one who waits.
        socket.try_io(Interest::READABLE, mio::net::TcpListener::accept).ok().map(Accepted::by_tcp)
    }

    /// Where one comes from that was accepted here.
    ///
    /// # Errors
    /// If the connection has failed already.
    pub(super) fn origin(&self, accepted: &Accepted) -> io::Result<Origin> {
        let listener = match self {
            Self::Tcp { address: Some(address), .. } => *address,
            Self::Tcp { address: None, .. } => accepted.stream.local_addr()?,
            Self::Unix { .. } => THIS_MACHINE,
        };
        let Accepted { peer, process, .. } = *accepted;
        Ok(Origin { peer, listener, is_told_by_proxy: false, process, certificate: None })
    }
}

impl Accepted {
    fn by_tcp((stream, peer): (mio::net::TcpStream, SocketAddr)) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { stream: stream.into(), peer, process: None }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, file = %self.0.display(), "the socket file stays");
        }
    }
}

/// Stands for both ends of a connection by a socket file.
const THIS_MACHINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
