//! What the process asks of the operating system. The only unsafe code of the Server is here.

use std::io;

use mio::net::TcpListener;
use tokio::io::{Interest, unix::AsyncFd};

/// Raises the soft limit of open files to the hard one and returns it: every Network Connection is one.
///
/// # Errors
/// What the operating system says; the limit is then as it was.
pub(crate) fn raise_open_files_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live, writable `rlimit` of this stack frame; nothing keeps it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live, initialised `rlimit` of this stack frame; nothing keeps it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Turns huge pages off. The allocator asks for them, and each of its pages then takes 2 MiB: with 10,000
/// idle connections that is more than all they need (measured: 1,960 against 820 bytes each, and no gain in
/// speed).
///
/// # Errors
/// What the operating system says; a system without huge pages is no error.
pub(crate) fn avoid_huge_pages() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
        // SAFETY: this option takes numbers only and changes nothing but how later pages are backed.
        if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets the runtime watch a listening socket without watching all that it accepts.
///
/// # Errors
/// If the operating system cannot watch it. Must be called in the runtime.
pub(crate) fn watch_listener(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: what must hold is that the listener gives the same descriptor each time, open as long as the
    // listener lives: it owns one and never changes it, and nothing here takes it away.
    unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_raised_and_stays() {
        let limit = super::raise_open_files_limit().unwrap();
        assert!(limit > 0);
        assert_eq!(super::raise_open_files_limit().unwrap(), limit);
    }

    #[test]
    fn huge_pages_can_be_avoided() {
        super::avoid_huge_pages().unwrap();
    }
}
