//! The socket: where it is, who may open it, and what was left by a process that is gone.

use std::{
    env, fs, io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use dunlin_admin_api::place::{PATH_BYTES_MAX, SOCKET_NAME, service_socket};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{config::model::Config, storage::data_dir};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error(
        "another Server answers at {}; stop it, or name another path with `socket` in [admin]",
        .0.display()
    )]
    InUse(PathBuf),
    /// There is something else.
    #[error(
        "{} is there and is no socket; it is left alone: name another path with `socket` in [admin]",
        .0.display()
    )]
    NoSocket(PathBuf),
    /// The path is too long for a socket.
    #[error(
        "the path {} is too long for a socket, which may have {PATH_BYTES_MAX} bytes: name a shorter one with \
         `socket` in [admin]",
        .0.display()
    )]
    TooLong(PathBuf),
    /// The operating system says no.
    #[error(
        "cannot open the socket {}: {source}; name another path with `socket` in [admin], or \"\" for none",
        .path.display()
    )]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The socket's file. Dropping it removes the file: while the socket is open, nobody replaces it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
}

/// Where the socket is to be; nothing if there is to be none.
fn path_of(config: &Config) -> Option<PathBuf> {
    if let Some(path) = &config.admin.socket {
        return (!path.as_os_str().is_empty()).then(|| path.clone());
    }
    if let Some(path) = service_socket(&|name| env::var_os(name)) {
        return Some(path);
    }
    // A Server that keeps nothing has a folder only if it was given one.
    if config.storage.is_memory_only && config.server.data_dir.is_none() {
        return None;
    }
    Some(data_dir(config).join(SOCKET_NAME))
}

/// Opens the socket of a Server with this configuration, if there is to be one. A data folder whose path is too long for a
/// socket is no reason not to start.
///
/// # Errors
/// Each [`SocketError`].
pub(crate) fn open_for(config: &Config) -> Result<Option<(UnixListener, SocketFile)>, SocketError> {
    let Some(path) = path_of(config) else { return Ok(None) };
    if path.parent() == Some(&data_dir(config)) {
        make_folder(config).map_err(|source| SocketError::Io { path: path.clone(), source })?;
    }
    match open(&path) {
        Ok(opened) => Ok(Some(opened)),
        Err(error @ SocketError::TooLong(_)) if config.admin.socket.is_none() => {
            tracing::warn!(%error, "there is no admin socket");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The data folder; a Server that keeps nothing has not made it yet.
fn make_folder(config: &Config) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir(config))
}

/// Opens the socket for its owner only (mode 0600). What a process that is gone has left there is replaced.
///
/// # Errors
/// Each [`SocketError`].
fn open(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(SocketError::TooLong(path.to_owned()));
    }
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    // Nobody can connect before it listens, and by then it has its mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let file = SocketFile { path: path.to_owned() };
    socket.listen(BACKLOG).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok((socket.into(), file))
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Its queue of connections is full: somebody listens.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

impl SocketFile {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the admin socket cannot be removed");
        }
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_somebody_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (listener, file) = open(&path).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(open(&path), Err(SocketError::InUse(_))));
        // As after kill -9: the file stays, nobody listens.
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = open(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(matches!(open(&path), Err(SocketError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let path = PathBuf::from("/").join("x".repeat(PATH_BYTES_MAX));
        assert!(open(&path).unwrap_err().to_string().contains("107 bytes"));
        let error = open(Path::new("/nowhere/admin.sock")).unwrap_err();
        assert!(error.to_string().contains("cannot open the socket /nowhere/admin.sock"), "{error}");
    }

    #[test]
    fn there_is_one_where_data_is_kept() {
        let mut config = Config::default();
        config.server.data_dir = Some("/d".into());
        assert_eq!(path_of(&config), Some("/d/admin.sock".into()));
        config.storage.is_memory_only = true;
        assert_eq!(path_of(&config), Some("/d/admin.sock".into()));
        config.server.data_dir = None;
        assert_eq!(path_of(&config), None);
        config.admin.socket = Some("/s".into());
        assert_eq!(path_of(&config), Some("/s".into()));
        config.admin.socket = Some("".into());
        assert_eq!(path_of(&config), None);
    }
}
