//! Ends a wait at an instant, more exactly than the millisecond of the poller.

use std::io;

use mio::{Registry, Token};

#[cfg(target_os = "linux")]
pub(crate) use self::linux::Alarm;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::other::Alarm;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::{Registry, Token, io};
    use crate::clock::SECOND;

    /// A timer of the kernel among what the poller watches.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        timer: OwnedFd,
        /// The instant for which it was set last.
        until: u64,
    }

    impl Alarm {
        /// Makes one that tells `registry`.
        ///
        /// # Errors
        /// What the operating system says.
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, mio::Interest::READABLE)?;
            Ok(Self { timer, until: 0 })
        }

        /// Has it ring once at `until`, which is `wait_ns` from now; says whether it will.
        pub(crate) fn set(&mut self, until: u64, wait_ns: u64) -> bool {
            if until == self.until {
                return true; // it still stands, as the instant is yet to come
            }
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let seconds = i64::try_from(wait_ns / SECOND).unwrap_or(i64::MAX);
            let wait = Timespec { tv_sec: seconds, tv_nsec: (wait_ns % SECOND) as _ };
            let once = Itimerspec { it_interval: never, it_value: wait };
            let is_set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok();
            self.until = if is_set { until } else { 0 };
            is_set
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Registry, Token, io};

    /// Nothing better than the poller's own limit.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn set(&mut self, _: u64, _: u64) -> bool {
            false
        }
    }
}
