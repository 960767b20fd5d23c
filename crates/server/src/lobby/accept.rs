//! The door: accepts connections, whatever happens.

use std::{
    fs::File,
    io, iter,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::yield_now,
    time::{sleep, timeout},
};

use crate::counts::PanicWatch;

use super::{
    desk::Desk,
    door::Door,
    listener::{Accepted, Listener},
    random::RandomBits,
    rates::Pace,
    refusals::{Barrier, TOO_FAST, TOO_MANY_HALF_OPEN},
    welcome::{Stranger, welcome},
};

/// Accepts until `stop` says so; then the listener is closed.
pub(crate) async fn accept(
    desk: Arc<Desk>,
    door: Arc<Door>,
    listener: Listener,
    mut stop: watch::Receiver<bool>,
) {
    let pace = desk.rates.pace(&door.name);
    let mut porter = Porter { desk, door, random: RandomBits::new(), spare: spare(), pace };
    loop {
        let wait = porter.pace.as_mut().map(Pace::time_to_wait).filter(|wait| !wait.is_zero());
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            accepted = listener.accept(), if wait.is_none() => match accepted {
                Ok(accepted) => porter.let_in_all(accepted, &listener),
                Err(error) => porter.trouble(&listener, &error).await,
            },
        }
    }
}

struct Porter {
    desk: Arc<Desk>,
    door: Arc<Door>,
    random: RandomBits,
    /// A descriptor kept for the time when there is no other.
    spare: Option<File>,
    /// How fast it accepts, if that has a bound.
    pace: Option<Pace>,
}

impl Porter {
    /// Lets in the one that was accepted, and those who wait behind it.
    fn let_in_all(&mut self, first: Accepted, listener: &Listener) {
        let most = if self.pace.is_some() { 0 } else { AT_ONCE_MAX - 1 };
        let others = iter::from_fn(|| listener.accept_now()).take(most);
        for accepted in iter::once(first).chain(others) {
            self.pace.iter_mut().for_each(Pace::accepted);
            self.let_in(accepted, listener);
        }
    }

    fn let_in(&mut self, accepted: Accepted, listener: &Listener) {
        let address = accepted.peer.ip();
        self.desk.husks.free();
        let half_open = &self.desk.half_open;
        let is_proxy = self.door.trusts(address);
        if !is_proxy && !self.desk.rates.admit(&self.door, address) {
            return self.bar(Barrier::Rate, &accepted.peer, TOO_FAST);
        }
        let permit = if is_proxy { half_open.enter_as_proxy(address) } else { half_open.enter(address) };
        let Some(permit) = permit else {
            return self.bar(Barrier::HalfOpen, &accepted.peer, TOO_MANY_HALF_OPEN);
        };
        let random = match self.random.next() {
            Ok(random) => random,
            Err(error) => return tracing::error!(%error, "no random numbers: the connection is closed"),
        };
        let origin = match listener.origin(&accepted) {
            Ok(origin) => origin,
            Err(error) => {
                return tracing::debug!(%error, peer = %accepted.peer, "the connection has failed already");
            }
        };
        let number = permit.number();
        let is_plain = self.door.is_plain() && !is_proxy;
        let door = Arc::clone(&self.door);
        let stranger = Stranger { stream: accepted.stream, door, origin, random, permit };
        let (desk, watch) = (Arc::clone(&self.desk), PanicWatch(Arc::clone(&self.desk.counts)));
        let mut welcoming = Box::pin(async move {
            let _watch = watch;
            welcome(desk, stranger).await;
        });
        // Most have sent CONNECT before they are accepted, and are welcome at once.
        if is_plain && has_ended(welcoming.as_mut()) {
            return;
        }
        // A panic ends this task only.
        let task = tokio::spawn(welcoming);
        self.desk.half_open.serve(number, task.abort_handle());
    }

    fn bar(&self, barrier: Barrier, peer: &SocketAddr, reason: &'static str) {
        self.desk.refusals.bar(barrier, peer, None, &reason);
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
        if let Ok(Ok(Accepted { stream, peer, .. })) = timeout(PAUSE, listener.accept()).await {
            drop(stream);
            self.desk.refusals.note(&peer, None, &"no descriptors left; raise the limit of open files");
        }
        self.spare = spare();
        if self.spare.is_none() {
            sleep(PAUSE).await;
        }
    }
}

/// Goes on with it, and says whether it has come to its end, be it by a panic. If it has not, nobody is told when to go on.
fn has_ended(future: Pin<&mut impl Future<Output = ()>>) -> bool {
    let poll = || future.poll(&mut Context::from_waker(Waker::noop()));
    catch_unwind(AssertUnwindSafe(poll)).map_or(true, |poll| poll.is_ready())
}

fn spare() -> Option<File> {
    // Whether there is one tells the caller; why there is none does not matter.
    File::open("/dev/null").ok()
}

/// Connections that are accepted before somebody else has his turn.
const AT_ONCE_MAX: usize = 32;

/// How long accepting pauses when it fails for want of something.
const PAUSE: Duration = Duration::from_millis(50);
