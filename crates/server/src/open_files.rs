//! The limit of open files: every Network Connection is one. The only unsafe code of the Server is here.

use std::io;

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
/// What the operating system says; the limit is then as it was.
pub(crate) fn raise_limit() -> io::Result<u64> {
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_raised_and_stays() {
        let limit = super::raise_limit().unwrap();
        assert!(limit > 0);
        assert_eq!(super::raise_limit().unwrap(), limit);
    }
}
