//! The door: accepts connections, whatever happens.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::yield_now,
    time::{sleep, timeout},
};

use crate::process::watch_listener;

use super::{
    desk::Desk,
    random::RandomBits,
    welcome::{Stranger, welcome},
};

/// Accepts until `stop` says so; then the listener is closed.
pub(crate) async fn accept(desk: Arc<Desk>, listener: Listener, mut stop: watch::Receiver<bool>) {
    let mut door = Door { desk, random: RandomBits::new(), spare: spare() };
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => door.let_in(stream, peer, &listener),
                Err(error) => door.trouble(&listener, &error).await,
            },
        }
    }
}

/// A listening socket. Those it accepts are not watched by the runtime: most of them need not be.
pub(crate) struct Listener {
    socket: AsyncFd<mio::net::TcpListener>,
    /// `None` if it listens at several addresses.
    address: Option<SocketAddr>,
    /// As the configuration calls it.
    name: Arc<str>,
}

struct Door {
    desk: Arc<Desk>,
    random: RandomBits,
    /// A descriptor kept for the time when there is no other.
    spare: Option<File>,
}

impl Listener {
    /// Takes a socket that listens and does not block; accepted sockets inherit its options.
    ///
    /// # Errors
    /// If the runtime cannot watch it.
    pub(crate) fn new(listener: TcpListener, name: Arc<str>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let socket = watch_listener(mio::net::TcpListener::from_std(listener))?;
        Ok(Self { socket, address: (!address.ip().is_unspecified()).then_some(address), name })
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.socket.async_io(Interest::READABLE, mio::net::TcpListener::accept).await?;
        Ok((stream.into(), peer))
    }
}

impl Door {
    fn let_in(&mut self, stream: TcpStream, peer: SocketAddr, door: &Listener) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(permit) = self.desk.half_open.enter(peer.ip()) else {
            return self.desk.refusals.note(
                peer,
                None,
                &"too many connections of this address without CONNECT",
            );
        };
        let random = match self.random.next() {
            Ok(random) => random,
            Err(error) => return tracing::error!(%error, "no random numbers: the connection is closed"),
        };
        let listener = match door.address.map_or_else(|| stream.local_addr(), Ok) {
            Ok(listener) => listener,
            Err(error) => return tracing::debug!(%error, %peer, "the connection has failed already"),
        };
        let number = permit.number();
        let listener_name = Arc::clone(&door.name);
        let stranger = Stranger { stream, peer, listener, listener_name, random, permit };
        let task = tokio::spawn(welcome(Arc::clone(&self.desk), stranger));
        self.desk.half_open.serve(number, task.abort_handle());
    }

    /// Accepting failed. Without descriptors the waiting connection would be there for ever and accepting
    /// fail without end, so the stranger who has been here longest must leave; if there is none, the spare
    /// descriptor is spent on closing the new one.
    async fn trouble(&mut self, listener: &Listener, error: &io::Error) {
        match error.raw_os_error() {
            // It was gone before it was accepted.
            Some(libc::ECONNABORTED | libc::ECONNRESET | libc::EINTR | libc::EPROTO) => {}
            Some(libc::EMFILE | libc::ENFILE) => {
                if self.desk.half_open.leave_oldest() {
                    // Its task ends with the next look of the runtime.
                    return yield_now().await;
                }
                self.turn_away(listener).await;
            }
            _ => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(PAUSE).await;
            }
        }
    }

    async fn turn_away(&mut self, listener: &Listener) {
        self.spare = None;
        if let Ok(Ok((stream, peer))) = timeout(PAUSE, listener.accept()).await {
            drop(stream);
            self.desk.refusals.note(peer, None, &"no descriptors left; raise the limit of open files");
        }
        self.spare = spare();
        if self.spare.is_none() {
            sleep(PAUSE).await;
        }
    }
}

fn spare() -> Option<File> {
    // Whether there is one tells the caller; why there is none does not matter.
    File::open("/dev/null").ok()
}

/// How long accepting pauses when it fails for want of something.
const PAUSE: Duration = Duration::from_millis(50);
