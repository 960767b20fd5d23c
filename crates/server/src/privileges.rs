//! Root's rights are given up once the doors are bound: what the Server needs afterwards belongs to the user it becomes.

use std::{
    env,
    ffi::CString,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown, lchown},
    path::{Path, PathBuf},
};

use dunlin_admin_api::place::service_socket;

use crate::{
    config::model::{Config, ListenerConfig, ListenerKind},
    process::{Account, account, become_user, is_root, may_write},
    storage::data_dir,
};

/// Why the Server does not go on as root, nor as anybody else.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// There is no such user.
    #[error("there is no user `{0}` on this machine: make one, or name another one with `user` in [server]")]
    NoUser(String),
    /// The operating system does not let it.
    #[error("cannot become the user `{user}`: {source}; `user = \"root\"` in [server] stays root")]
    Refused {
        /// Which user.
        user: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder cannot be made or given away.
    #[error("{}: {source}; --data-dir DIR chooses another folder", .folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data folder is somebody else's.
    #[error(
        "the user `{user}`, as whom the Server runs, may not write to the data folder {}: let it have the folder (chown -R \
         {user} {}) and the way there, choose another one with --data-dir, or another user with `user` in [server]",
        .folder.display(), .folder.display()
    )]
    Foreign {
        /// Which user.
        user: String,
        /// Which folder.
        folder: PathBuf,
    },
}

/// As whom the Server goes on.
struct Chosen {
    name: String,
    account: Account,
}

/// Whom a Server that root starts with this configuration becomes: nobody else if it stays root.
///
/// # Errors
/// [`PrivilegesError::NoUser`], and [`PrivilegesError::Refused`] if nobody can say who there is.
fn chosen(config: &Config) -> Result<Option<Chosen>, PrivilegesError> {
    let find = |name: &str| {
        let found =
            account(name).map_err(|source| PrivilegesError::Refused { user: name.to_owned(), source })?;
        Ok(found.map(|account| Chosen { name: name.to_owned(), account }))
    };
    let found = match config.server.user.as_deref() {
        Some(name) => find(name)?.ok_or_else(|| PrivilegesError::NoUser(name.to_owned()))?,
        None => match find(USUAL)? {
            Some(found) => found,
            None => {
                let found = find(OTHERWISE)?.ok_or_else(|| PrivilegesError::NoUser(USUAL.to_owned()))?;
                tracing::warn!(
                    "there is no user `{USUAL}`: the Server runs as `{OTHERWISE}`; make one with: useradd --system {USUAL}"
                );
                found
            }
        },
    };
    Ok((found.account.uid != 0).then_some(found))
}

/// Whether there is the user that the Server would become.
///
/// # Errors
/// [`PrivilegesError::NoUser`], and [`PrivilegesError::Refused`] if nobody can say who there is.
pub(crate) fn check(config: &Config) -> Result<(), PrivilegesError> {
    match &config.server.user {
        Some(_) if is_root() => chosen(config).map(drop),
        _ => Ok(()),
    }
}

/// Gives root's rights up, if the process has them: what the Server needs is given to the user first. The sockets are bound by
/// now, and the files of keys are read.
///
/// # Errors
/// Each [`PrivilegesError`]; the process must end then.
pub(crate) fn give_up(config: &Config) -> Result<(), PrivilegesError> {
    if !is_root() {
        return Ok(());
    }
    let Some(Chosen { name, account }) = chosen(config)? else {
        tracing::warn!("the Server runs as root, because it is told so with `user` in [server]");
        return Ok(());
    };
    let refused = |source| PrivilegesError::Refused { user: name.clone(), source };
    let folder = kept_in(config);
    if let Some(folder) = &folder {
        give_folder(folder, account)
            .map_err(|source| PrivilegesError::Folder { folder: folder.clone(), source })?;
    }
    give_runtime_folder(account);
    for listener in &config.listeners {
        give_socket_file(listener, account).map_err(refused)?;
    }
    let text = CString::new(name.clone()).map_err(|error| refused(error.into()))?;
    become_user(&text, account).map_err(refused)?;
    match folder {
        Some(folder) if !may_write(&folder) => Err(PrivilegesError::Foreign { user: name, folder }),
        _ => {
            tracing::info!(user = name, uid = account.uid, gid = account.gid, "root's rights are given up");
            Ok(())
        }
    }
}

/// Tells which of `files` cannot be read by the user that the process is now: reading them again will fail.
pub(crate) fn tell_unreadable<'a>(files: impl Iterator<Item = &'a Path>) {
    for file in files {
        if File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            tracing::warn!(
                file = %file.display(),
                "this file was read as root; the user of the Server may not read it, so that a reload will fail"
            );
        }
    }
}

/// The data folder, if there is to be one.
fn kept_in(config: &Config) -> Option<PathBuf> {
    let has_folder = !config.storage.is_memory_only || config.server.data_dir.is_some();
    has_folder.then(|| data_dir(config))
}

/// Makes `folder` if it is not there, and gives it away if it is root's and nothing is in it. A folder of somebody else, or with
/// files in it, is left as it is: root must not give away what others have put there.
fn give_folder(folder: &Path, account: Account) -> io::Result<()> {
    make_way(folder)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let opened = File::open(folder)?;
    let facts = opened.metadata()?;
    if !facts.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    if facts.uid() == 0 && is_empty(folder)? {
        fchown(&opened, Some(account.uid), Some(account.gid))?;
    }
    Ok(())
}

/// Makes the folders that lead to `path`, for everybody to pass.
fn make_way(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    else {
        return Ok(());
    };
    make_way(parent)?;
    fs::create_dir(parent)?;
    // Whatever is masked for new files: it has nothing of ours but the way.
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755))
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        // Every new file system of some kinds has it.
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The folder that systemd made for the sockets of this service.
fn give_runtime_folder(account: Account) {
    let socket = service_socket(&|name| env::var_os(name));
    if let Some(folder) = socket.as_deref().and_then(Path::parent)
        && let Err(error) = chown(folder, Some(account.uid), Some(account.gid))
    {
        tracing::warn!(%error, folder = %folder.display(), "the folder for sockets stays root's");
    }
}

/// A socket file belongs to the user of the Server, unless the configuration says something else.
fn give_socket_file(listener: &ListenerConfig, account: Account) -> io::Result<()> {
    let path = listener.path.as_ref().filter(|_| listener.kind == ListenerKind::Unix);
    let owner = listener.owner.is_none().then_some(account.uid);
    let group = listener.group.is_none().then_some(account.gid);
    path.map_or(Ok(()), |path| lchown(path, owner, group))
}

/// The user of a Server that is not told any.
const USUAL: &str = "dunlin";

/// The user where there is no such one.
const OTHERWISE: &str = "nobody";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_of_root_is_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let own = fs::metadata(folder.path()).unwrap();
        // Whoever runs the tests: it is given to itself, which everybody may.
        let account = Account { uid: own.uid(), gid: own.gid() };
        let data = folder.path().join("a/b");
        give_folder(&data, account).unwrap();
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o777, 0o755);
        assert!(is_empty(&data).unwrap());
        fs::create_dir(data.join("lost+found")).unwrap();
        assert!(is_empty(&data).unwrap());
        fs::write(data.join("x"), "").unwrap();
        assert!(!is_empty(&data).unwrap());
        let error = give_folder(&data.join("x"), account).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let mut config = Config::default();
        config.server.user = Some("no such user".to_owned());
        let error = chosen(&config).map(drop).unwrap_err().to_string();
        assert!(error.contains("there is no user `no such user`"), "{error}");
        config.server.user = Some("root".to_owned());
        assert!(chosen(&config).unwrap().is_none(), "root stays root");
    }
}
