//! Certificates are read again when the Server is asked to.

use std::{fs, path::Path};

use dunlin_auth::chain::Chain;
use dunlin_server::{
    config::model::{Config, ListenerConfig, ListenerKind},
    server::Server,
};
use rcgen::generate_simple_self_signed;

fn issue(folder: &Path) {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("server.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("server.key"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn files_are_read_again_and_bad_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path());
    let tls = ListenerConfig {
        name: "secure".to_owned(),
        kind: ListenerKind::Tls,
        port: 0,
        certificate_files: vec![folder.path().join("server.pem")],
        key_files: vec![folder.path().join("server.key")],
        ..ListenerConfig::default()
    };
    let mut config = Config { listeners: vec![tls], ..Config::default() };
    config.storage.is_memory_only = true;
    config.server.shards = 1;
    let server = Server::start(&config, Chain::default()).unwrap();
    assert!(server.reload_certificates().is_empty());
    issue(folder.path());
    assert!(server.reload_certificates().is_empty());
    fs::remove_file(folder.path().join("server.key")).unwrap();
    let failed = server.reload_certificates();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "secure");
    assert!(failed[0].1.to_string().contains("server.key"), "{}", failed[0].1);
}
