//! The door: accepts connections, whatever happens.

use std::{fs::File, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    desk::Desk,
    random::RandomBits,
    welcome::{Stranger, welcome},
};

/// Accepts until `stop` says so; then the listener is closed.
pub(crate) async fn accept(desk: Arc<Desk>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return tracing::error!(%error, "a listener has no address and is closed"),
    };
    let mut door = Door { desk, address, random: RandomBits::new(), spare: spare() };
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => door.let_in(stream, peer),
                Err(error) => door.trouble(&listener, &error).await,
            },
        }
    }
}

struct Door {
    desk: Arc<Desk>,
    address: SocketAddr,
    random: RandomBits,
    /// A descriptor kept for the time when there is no other.
    spare: Option<File>,
}

impl Door {
    fn let_in(&mut self, stream: TcpStream, peer: SocketAddr) {
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
        // Small packets leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            return tracing::debug!(%error, %peer, "the connection has failed already");
        }
        let listener = stream.local_addr().unwrap_or(self.address);
        let number = permit.number();
        let stranger = Stranger { stream, peer, listener, random, permit };
        let task = tokio::spawn(welcome(Arc::clone(&self.desk), stranger));
        self.desk.half_open.serve(number, task.abort_handle());
    }

    /// Accepting failed. Without descriptors the waiting connection would be there for ever and accepting
    /// fail without end, so the spare one is spent on closing it.
    async fn trouble(&mut self, listener: &TcpListener, error: &io::Error) {
        match error.raw_os_error() {
            // It was gone before it was accepted.
            Some(libc::ECONNABORTED | libc::ECONNRESET | libc::EINTR | libc::EPROTO) => {}
            Some(libc::EMFILE | libc::ENFILE) => {
                self.spare = None;
                if let Ok(Ok((stream, peer))) = timeout(PAUSE, listener.accept()).await {
                    drop(stream);
                    self.desk.refusals.note(
                        peer,
                        None,
                        &"no descriptors left; raise the limit of open files",
                    );
                }
                self.spare = spare();
                if self.spare.is_none() {
                    sleep(PAUSE).await;
                }
            }
            _ => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(PAUSE).await;
            }
        }
    }
}

fn spare() -> Option<File> {
    // Whether there is one tells the caller; why there is none does not matter.
    File::open("/dev/null").ok()
}

/// How long accepting pauses when it fails for want of something.
const PAUSE: Duration = Duration::from_millis(50);
