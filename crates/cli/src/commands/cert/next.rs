//! What to do with files that were made.

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use super::authority::Revoked;
use super::folder::{CA_CERTIFICATE, CA_KEY, Folder, REVOKED};

pub(super) fn after_ca(folder: &Folder, end: SystemTime) -> String {
    let (certificate, key) = (folder.file(CA_CERTIFICATE), folder.file(CA_KEY));
    let dir = dir(&certificate);
    format!(
        "{}: the certificate of the CA, valid until {}. Give it to whoever connects.\n\
         {}: its key. Whoever has it makes certificates: keep it, and not on the Server.\n\n\
         Next, the certificate of a Server, with the names and addresses by which Clients reach it:\n\n  \
         dunlin cert server{dir} --host localhost --host 127.0.0.1\n",
        certificate.display(),
        day(end),
        key.display(),
    )
}

pub(super) fn after_server(folder: &Folder, name: &str, hosts: &[String], end: SystemTime) -> String {
    let (certificate, key) = pair(folder, name);
    let ca = folder.file(CA_CERTIFICATE);
    let host = hosts.first().map_or("localhost", String::as_str);
    let bind = match hosts.iter().all(|host| is_local(host)) {
        true => "",
        false => "# bind = \"0.0.0.0\"        # for other machines; then [[auth]] says who may connect\n",
    };
    format!(
        "{} and {}: for {}, valid until {}.\n\n\
         Put this into dunlin.toml:\n\n\
         [[listener]]\nkind = \"tls\"\n{bind}certificate_file = {:?}\nkey_file = {:?}\n\n\
         Start the Server with `dunlin serve --config dunlin.toml`. Then, from another terminal:\n\n  \
         dunlin sub -h {host} --cafile {} -t 'demo/#' -v\n\n\
         For certificates of Clients:\n\n  dunlin cert client{} --name sensor1\n",
        certificate.display(),
        key.display(),
        hosts.join(", "),
        day(end),
        certificate,
        key,
        shell(&ca),
        dir(&ca),
    )
}

pub(super) fn after_client(folder: &Folder, name: &str, end: SystemTime) -> String {
    let (certificate, key) = pair(folder, name);
    let ca = folder.file(CA_CERTIFICATE);
    format!(
        "{} and {}: for the Client {name:?}, valid until {}.\n\n\
         Put this behind the certificate_file of the listener in dunlin.toml:\n\n\
         client_certificates = \"required\"\nclient_ca_file = {:?}\n\n\
         Restart the Server. Then the Client connects with\n\n  \
         dunlin pub -h localhost --cafile {} --cert {} --key {} -t demo/hello -m Hello\n\n\
         To shut it out again:\n\n  dunlin cert revoke{} --name {}\n",
        certificate.display(),
        key.display(),
        day(end),
        ca,
        shell(&ca),
        shell(&certificate),
        shell(&key),
        dir(&ca),
        shell(Path::new(name)),
    )
}

pub(super) fn after_revoke(folder: &Folder, name: &str, list: &Revoked, end: SystemTime) -> String {
    let file = folder.file(REVOKED);
    let count = match list.count {
        1 => "1 certificate is".to_owned(),
        count => format!("{count} certificates are"),
    };
    let now = if list.is_old { "was revoked before" } else { "is revoked" };
    format!(
        "The certificate of {name:?} {now}. {count} on the list {}, which is to be written anew before {}.\n\n\
         Put this behind the client_ca_file of the listener in dunlin.toml, if it is not there:\n\n\
         client_crl_file = {:?}\n\n\
         A Server that has it there reads the new list within seconds. A Client that is connected stays so:\n\
         `dunlin admin disconnect` ends that.\n",
        file.display(),
        day(end),
        file,
    )
}

fn pair(folder: &Folder, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    (folder.file(&format!("{name}.pem")), folder.file(&format!("{name}.key")))
}

/// `--dir` for the next command, if files are not in the current folder.
fn dir(file: &Path) -> String {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        None => String::new(),
        Some(folder) => format!(" --dir {}", shell(folder)),
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn day(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "ever".into(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// As it is written in a shell.
fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    match text.chars().all(is_plain) && !text.is_empty() {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_asks_for_it() {
        assert_eq!(shell(Path::new("certs/ca.pem")), "certs/ca.pem");
        assert_eq!(shell(Path::new("my certs/ca.pem")), "'my certs/ca.pem'");
        assert_eq!(shell(Path::new("it's")), "'it'\\''s'");
    }
}
