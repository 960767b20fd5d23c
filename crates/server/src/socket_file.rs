//! Socket files: bound with owner, group and mode before anybody can connect.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net::UnixStream,
    },
    path::Path,
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{
    config::model::ListenerConfig,
    process::{group_id, user_id},
};

/// Binds a socket to the file `path`, which appears then. A file that is left of an earlier Server is replaced.
///
/// # Errors
/// If somebody listens there, if it is something else than a socket, or what the operating system says.
pub(crate) fn bind(path: &Path, listener: &ListenerConfig) -> io::Result<Socket> {
    let (owner, group) = owners(listener)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    // Nobody can connect yet: the socket does not listen.
    let dressed = fs::set_permissions(path, fs::Permissions::from_mode(listener.mode))
        .and_then(|()| if owner.or(group).is_some() { chown(path, owner, group) } else { Ok(()) });
    match dressed {
        Ok(()) => Ok(socket),
        Err(error) => {
            fs::remove_file(path)?;
            let what = format!("owner, group or mode of the socket file cannot be set: {error}");
            Err(io::Error::new(error.kind(), what))
        }
    }
}

/// The numbers of user and group that the file is to have.
///
/// # Errors
/// If there is no such user or group.
pub(crate) fn owners(listener: &ListenerConfig) -> io::Result<(Option<u32>, Option<u32>)> {
    let owner = listener.owner.as_deref().map(|name| id(name, "user", user_id)).transpose()?;
    let group = listener.group.as_deref().map(|name| id(name, "group", group_id)).transpose()?;
    Ok((owner, group))
}

/// Removes a socket file at which nobody listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    let other = |what: &str| Err(io::Error::new(ErrorKind::AlreadyExists, what.to_owned()));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return other("a file is there that is no socket; remove it or choose another path");
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => other("another program listens there; stop it or choose another path"),
        Err(error) => Err(error),
    }
}

/// The number of a user or a group, given as a number or by name.
fn id(name: &str, what: &str, find: fn(&str) -> io::Result<Option<u32>>) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    find(name)?.ok_or_else(|| {
        io::Error::new(ErrorKind::NotFound, format!("there is no {what} `{name}` on this machine"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::MetadataExt, net::UnixListener};

    use super::*;

    fn listener(mode: u32) -> ListenerConfig {
        ListenerConfig { mode, ..ListenerConfig::default() }
    }

    #[test]
    fn the_file_has_its_mode_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "it is left behind");
        let socket = bind(&path, &listener(0o640)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(UnixStream::connect(&path).is_err(), "it does not listen yet");
        socket.listen(1).unwrap();
        let error = bind(&path, &listener(0o640)).unwrap_err();
        assert!(error.to_string().contains("another program listens there"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        let error = bind(&path, &listener(0o600)).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn owner_and_group_are_names_or_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let own = fs::metadata(folder.path()).unwrap();
        let dressed = ListenerConfig { owner: Some(own.uid().to_string()), ..listener(0o600) };
        drop(bind(&path, &dressed).unwrap());
        assert_eq!(user_id("root").unwrap(), Some(0));
        assert_eq!(group_id("root").unwrap(), Some(0));
        let unknown = ListenerConfig { group: Some("no such group".to_owned()), ..listener(0o600) };
        let error = bind(&path, &unknown).unwrap_err();
        assert!(error.to_string().contains("there is no group `no such group`"), "{error}");
    }
}
