//! Which sockets are ready: the small interface behind which the operating system is asked.

use std::{io, sync::Arc, time::Duration};

use dunlin_broker::ids::ConnectionId;
use mio::{Events, Interest, Poll, Registry, Token, Waker, net::TcpStream};

/// Asks the operating system, edge triggered: a socket is registered once, for reading and writing, and its
/// readiness is told once until it has changed.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
}

/// Where sockets are registered with a [`Poller`], whoever waits in it.
#[derive(Debug)]
pub(crate) struct Registrar(Registry);

/// What happened at a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// Whose socket.
    pub(crate) connection: ConnectionId,
    /// There may be something to read, be it the end or an error.
    pub(crate) is_readable: bool,
    /// There may be room to write.
    pub(crate) is_writable: bool,
    /// The other side has closed: what is to be read has an end.
    pub(crate) is_read_closed: bool,
}

impl Poller {
    /// A poller without sockets, and what wakes the thread that waits in it.
    ///
    /// # Errors
    /// If the operating system gives no descriptor.
    pub(crate) fn new() -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok((Self { poll, events: Events::with_capacity(EVENTS_MAX) }, waker))
    }

    /// Where its sockets are registered.
    ///
    /// # Errors
    /// If the operating system gives no descriptor.
    pub(crate) fn registrar(&self) -> io::Result<Registrar> {
        self.poll.registry().try_clone().map(Registrar)
    }

    /// Waits until something is ready, the thread is woken or `timeout` is over.
    ///
    /// # Errors
    /// If the operating system refuses to wait; a signal is no error.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// Calls `each` for what the last waiting has found ready.
    pub(crate) fn each_ready(&self, mut each: impl FnMut(Ready)) {
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let connection = u32::try_from(event.token().0).expect("tokens are ConnectionIds");
            each(Ready {
                connection: ConnectionId(connection),
                is_readable: event.is_readable() || event.is_error() || event.is_read_closed(),
                is_writable: event.is_writable() || event.is_error(),
                is_read_closed: event.is_read_closed() || event.is_error(),
            });
        }
    }
}

impl Registrar {
    /// Registers a socket; closing it is all it takes to end that.
    ///
    /// # Errors
    /// If the operating system has no room for it.
    pub(crate) fn register(&self, stream: &mut TcpStream, connection: ConnectionId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.0.register(stream, Token(connection.index()), interest)
    }
}

/// Sockets told of in one turn; the others are told of in the next.
const EVENTS_MAX: usize = 1_024;

/// The waker's token; connections are numbered with 32 bits.
const WAKER: Token = Token(usize::MAX);
