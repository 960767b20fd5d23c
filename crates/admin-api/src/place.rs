//! Where the socket of a Server is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The name of the socket in its folder.
pub const SOCKET_NAME: &str = "admin.sock";

/// Where services have their sockets.
pub const RUNTIME_DIR: &str = "/run/dunlin";

/// The longest path a socket can have, in bytes.
pub const PATH_BYTES_MAX: usize = 107;

/// Looks a variable of the environment up.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The data folder of whoever runs the program, if none is configured.
#[must_use]
pub fn default_data_dir(variables: Variables<'_>) -> PathBuf {
    let is_set = |name: &str| variables(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Services run as root, or have a state directory of their own.
    if let Some(state) = is_set("STATE_DIRECTORY") {
        return state;
    }
    if let Some(data) = is_set("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return data.join("dunlin");
    }
    match is_set("HOME").filter(|home| home != Path::new("/root")) {
        Some(home) => home.join(".local/share/dunlin"),
        None => PathBuf::from("/var/lib/dunlin"),
    }
}

/// The socket of a Server that runs as a service with a runtime directory.
#[must_use]
pub fn service_socket(variables: Variables<'_>) -> Option<PathBuf> {
    let directories = variables("RUNTIME_DIRECTORY").filter(|value| !value.is_empty())?;
    let directories = directories.into_string().ok()?;
    // There may be several, with colons between them.
    Some(Path::new(directories.split(':').next()?).join(SOCKET_NAME))
}

/// Where tools look that are not told where: the service's, then that of the user's own Server.
#[must_use]
pub fn usual_sockets(variables: Variables<'_>) -> Vec<PathBuf> {
    vec![Path::new(RUNTIME_DIR).join(SOCKET_NAME), default_data_dir(variables).join(SOCKET_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where() {
        let environment = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            }
        };
        for (pairs, folder) in [
            (&[][..], "/var/lib/dunlin"),
            (&[("HOME", "/a")], "/a/.local/share/dunlin"),
            (&[("HOME", "/a"), ("XDG_DATA_HOME", "/b")], "/b/dunlin"),
            (&[("HOME", "/a"), ("XDG_DATA_HOME", "b")], "/a/.local/share/dunlin"),
            (&[("STATE_DIRECTORY", "/c"), ("HOME", "/a")], "/c"),
        ] {
            assert_eq!(default_data_dir(&environment(pairs)), Path::new(folder));
        }
        let service = environment(&[("RUNTIME_DIRECTORY", "/run/dunlin:/run/x")]);
        assert_eq!(service_socket(&service), Some("/run/dunlin/admin.sock".into()));
        assert_eq!(service_socket(&environment(&[("RUNTIME_DIRECTORY", "")])), None);
        assert_eq!(usual_sockets(&environment(&[]))[1], Path::new("/var/lib/dunlin/admin.sock"));
    }
}
