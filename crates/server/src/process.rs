//! What the process asks of the operating system. The only unsafe code of the Server is here.

use std::{
    ffi::{CStr, CString},
    hint::black_box,
    io,
    mem::MaybeUninit,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
    ptr,
};

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

/// A user: its number, and that of its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user `name`; `None` if there is none.
///
/// # Errors
/// What the operating system says.
pub(crate) fn account(name: &str) -> io::Result<Option<Account>> {
    let name = CString::new(name)?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = ptr::null_mut();
    let mut texts = [0; ENTRY_BYTES_MAX];
    // SAFETY: all pointers are to live objects of this stack frame, the length is that of `texts`; nothing keeps them.
    let code = unsafe {
        libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found)
    };
    if found.is_null() {
        return not_found(code);
    }
    // SAFETY: what is found is `entry`, which was filled then.
    Ok(Some(unsafe { Account { uid: (*found).pw_uid, gid: (*found).pw_gid } }))
}

/// The number of the user `name`; `None` if there is none.
///
/// # Errors
/// What the operating system says.
pub(crate) fn user_id(name: &str) -> io::Result<Option<u32>> {
    Ok(account(name)?.map(|account| account.uid))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    // SAFETY: it only reads a number of this process.
    unsafe { libc::geteuid() == 0 }
}

/// Makes all threads of this process those of `name`, with the groups of that user, for good.
///
/// # Errors
/// What the operating system says, or that root could come back; the process may be half changed and must end then.
pub(crate) fn become_user(name: &CStr, account: Account) -> io::Result<()> {
    let Account { uid, gid } = account;
    let done = |code: libc::c_int| if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: the pointer is to a text that ends with NUL and is not kept.
    done(unsafe { libc::initgroups(name.as_ptr(), gid) })?;
    // SAFETY: it changes a number of this process, real, effective and saved, as root does it.
    done(unsafe { libc::setgid(gid) })?;
    // SAFETY: the same.
    done(unsafe { libc::setuid(uid) })?;
    // SAFETY: if it fails, as it must, nothing changes.
    if uid != 0 && unsafe { libc::setuid(0) } == 0 {
        return Err(io::Error::other("root's rights did not go away"));
    }
    Ok(())
}

/// Whether this process may put files into `folder`.
pub(crate) fn may_write(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    // SAFETY: the pointer is to a text that ends with NUL and is not kept.
    unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK | libc::X_OK) == 0 }
}

/// From now on new files and folders are for the user of this process only, whatever mode they are made with.
pub(crate) fn keep_new_files_private() {
    // SAFETY: it changes a number of this process.
    unsafe { libc::umask(0o077) };
}

/// The number of the group `name`; `None` if there is none.
///
/// # Errors
/// What the operating system says.
pub(crate) fn group_id(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut found = ptr::null_mut();
    let mut texts = [0; ENTRY_BYTES_MAX];
    // SAFETY: all pointers are to live objects of this stack frame, the length is that of `texts`; nothing keeps them.
    let code = unsafe {
        libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found)
    };
    if found.is_null() {
        return not_found(code);
    }
    // SAFETY: what is found is `entry`, which was filled then.
    Ok(Some(unsafe { (*found).gr_gid }))
}

/// Some systems say in one way that there is no entry, others in another one.
fn not_found<T>(code: libc::c_int) -> io::Result<Option<T>> {
    match code {
        0 | libc::ENOENT | libc::ESRCH => Ok(None),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Bytes of the texts of one user or group.
const ENTRY_BYTES_MAX: usize = 64 << 10;

/// Lets the runtime watch a listening socket without watching all that it accepts.
///
/// # Errors
/// If the operating system cannot watch it. Must be called in the runtime.
pub(crate) fn watch_listener(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: what must hold is that the listener gives the same descriptor each time, open as long as the
    // listener lives: it owns one and never changes it, and nothing here takes it away.
    unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }.map_err(io::Error::from)
}

/// Asks that a connection is accepted when its first bytes are there, and without any after a second. Where the operating
/// system does not know that, it is accepted at once.
pub(crate) fn accept_with_first_bytes(listener: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    {
        let seconds: libc::c_int = 1;
        let (pointer, len) = ((&raw const seconds).cast(), size_of_val(&seconds) as libc::socklen_t);
        // SAFETY: the pointer is to a live number of this stack frame, with its length; nothing keeps it. What fails changes
        // nothing.
        unsafe {
            libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, pointer, len);
        }
    }
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> Option<u64> {
    // SAFETY: it only reads a number of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()
}

/// Has the allocator of glibc give back what is free at the end of a heap, and serve large tables by pages of their own. By
/// itself it raises the bound for both with each large piece that is freed, up to some ten MB a thread. Some large messages
/// under way must find room: to get pages for each of them costs more than all the rest.
pub(crate) fn hold_little_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both numbers are valid for these parameters; nothing else is touched.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, HELD_BYTES_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, PIECE_BYTES_MAX);
    }
}

/// Has the heap of this thread grow by a large step, for many small pieces to come: by itself it grows by a page at a time, with
/// a system call for each, and all threads wait for each other there.
pub(crate) fn make_room() {
    drop(black_box(Vec::<u8>::with_capacity(GROWTH_BYTES)));
}

/// Gives memory back to the operating system that the allocator holds but nobody uses: in all heaps the free pages in their
/// midst, and the end of this thread's heap.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only looks at what is free, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
    // Freeing a large piece makes the allocator look at the end of the heap.
    drop(black_box(Vec::<u8>::with_capacity(LARGE_PIECE_BYTES)));
}

/// Free bytes at the end of a heap that are kept for what comes next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HELD_BYTES_MAX: libc::c_int = 4 << 20;

/// Bytes from which a piece gets pages of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const PIECE_BYTES_MAX: libc::c_int = 512 << 10;

/// Less than what gets pages of its own, or is given back at once.
const GROWTH_BYTES: usize = 384 << 10;

/// More than the 64 KiB from which on the allocator looks, and less than what gets pages of its own.
const LARGE_PIECE_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_raised_and_stays() {
        let limit = super::raise_open_files_limit().unwrap();
        assert!(limit > 0);
        assert_eq!(super::raise_open_files_limit().unwrap(), limit);
    }
}
