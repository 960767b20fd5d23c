//! A Client's way through TLS and WebSocket, against a Server made of the same layers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dunlin_net::{
    address::{Address, Scheme},
    connect::{ConnectError, ConnectOptions, Connector},
    http_head::RequestHead,
    layer::{Layer, Scratch},
    outgoing::Failure,
    stream::{Moved, Stream},
    tls::{
        client::ClientTls,
        failure::TlsFailure,
        files::KeyFiles,
        server::{ClientCertificates, TlsSettings},
        session::TlsSession,
    },
    websocket::{
        stream::{Role, WebSocket},
        upgrade::{UpgradeRules, accept},
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A CA and what it has issued, in files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn issue(&self, name: &str, names: &[&str], years: (i32, i32)) -> KeyFiles {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write_pair(self.folder.path(), name, &certificate.pem(), &key)
    }

    /// A certificate for `localhost` that signs itself, as `openssl req -x509` makes it.
    fn self_signed(&self) -> KeyFiles {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        write_pair(self.folder.path(), "self", &certificate.pem(), &key)
    }

    fn believed(&self) -> ClientTls {
        ClientTls { ca_files: vec![self.ca()], ..ClientTls::default() }
    }
}

fn write_pair(folder: &Path, name: &str, certificate: &str, key: &KeyPair) -> KeyFiles {
    let files =
        KeyFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

const NOW: (i32, i32) = (2020, 2090);

/// A Server that sends back what it is told, over TLS if there is a configuration for it, and over WebSocket.
async fn echo(config: Option<Arc<ServerConfig>>, has_websocket: bool) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut layer = Layer::default();
            if let Some(config) = &config {
                layer.start_tls(TlsSession::new(Arc::clone(config)).unwrap());
            }
            tokio::spawn(answer(stream, layer, has_websocket));
        }
    });
    (port, task)
}

async fn answer(mut stream: TcpStream, mut layer: Layer, mut wants_request: bool) {
    let (mut scratch, mut head) = (Scratch::default(), Vec::new());
    loop {
        let mut buffer = vec![0; layer.kept_len() + 4096];
        let kept = layer.kept_len();
        let Ok(count) = stream.read(&mut buffer[kept..]).await else { return };
        layer.begin(&mut buffer);
        let mut len = layer.receive(&mut buffer[..kept + count], &mut scratch);
        if wants_request && len > 0 {
            head.extend_from_slice(&buffer[..len]);
            len = 0;
            if let Some((request, head_len)) = RequestHead::parse(&head).unwrap() {
                let rules = UpgradeRules { paths: vec!["/mqtt".into()], origins: Vec::new() };
                let response = accept(&request, &rules).unwrap_or_else(|error| error.response());
                layer.queue_plain(&response);
                let mut ahead = head.split_off(head_len);
                assert_eq!(layer.start_websocket(WebSocket::new(Role::Server, 1 << 20), &mut ahead), 0);
                wants_request = false;
            }
        }
        if len > 0 {
            scratch.out.clear();
            layer.send(&buffer[..len], &mut scratch).unwrap();
            layer.keep_unsent(&scratch.out);
        }
        if count == 0 || layer.end().is_some() {
            layer.finish();
        }
        let unsent = layer.unsent().to_vec();
        if stream.write_all(&unsent).await.is_err() || count == 0 || layer.end().is_some() {
            // The other side may have gone already.
            drop(stream.shutdown().await);
            return;
        }
        layer.sent(unsent.len());
    }
}

fn settings(files: KeyFiles) -> TlsSettings {
    TlsSettings { keys: vec![files], protocols: vec!["mqtt", "http/1.1"], ..TlsSettings::default() }
}

fn server(files: KeyFiles) -> Arc<ServerConfig> {
    settings(files).load().unwrap().config
}

/// Without looking at the certificate.
fn unchecked(files: &KeyFiles) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

fn way(scheme: Scheme, host: &str, port: u16, tls: &ClientTls) -> Connector {
    Connector::new(Address::with_scheme(scheme, host, port), tls, ConnectOptions::default()).unwrap()
}

/// Sends `message` and reads it back, both at once.
async fn exchange(stream: &mut Stream, message: &[u8]) {
    let (mut written, mut came) = (0, Vec::new());
    let mut buffer = vec![0; 10_000];
    while came.len() < message.len() {
        match stream.exchange(Some(&mut buffer), &message[written..]).await {
            Moved::Read(read) => {
                let read = read.unwrap();
                assert!(read > 0, "the Server goes on");
                came.extend_from_slice(&buffer[..read]);
            }
            Moved::Written(count) => written += count.unwrap(),
        }
    }
    assert!(came == message, "{} bytes of {}", came.len(), message.len());
}

#[tokio::test]
async fn bytes_go_both_ways_by_every_way() {
    let authority = Authority::new("CA");
    let message: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    for scheme in [Scheme::Mqtt, Scheme::Mqtts, Scheme::Ws, Scheme::Wss] {
        let tls = scheme.has_tls().then(|| server(authority.issue("server", &["localhost"], NOW)));
        let (port, _task) = echo(tls, scheme.has_websocket()).await;
        let mut stream = way(scheme, "localhost", port, &authority.believed()).connect().await.unwrap();
        assert_eq!(stream.tls().is_some(), scheme.has_tls());
        exchange(&mut stream, b"a").await;
        exchange(&mut stream, &message).await;
        stream.finish(b"").await.unwrap();
        while stream.read(&mut [0; 1_000]).await.unwrap() > 0 {}
    }
}

#[tokio::test]
async fn the_next_connection_resumes_unless_it_may_not() {
    let authority = Authority::new("CA");
    let (port, _task) = echo(Some(server(authority.issue("s", &["localhost"], NOW))), false).await;
    for never_resumes in [false, true] {
        let tls = ClientTls { never_resumes, ..authority.believed() };
        let mut connector = way(Scheme::Mqtts, "localhost", port, &tls);
        for is_again in [false, true, true] {
            let mut stream = connector.connect().await.unwrap();
            // The ticket comes with the first bytes.
            exchange(&mut stream, b"x").await;
            assert_eq!(stream.tls(), Some(("TLSv1_3", is_again && !never_resumes)));
        }
    }
}

#[tokio::test]
async fn renewed_files_are_read_for_the_next_connection() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other"));
    let (port, _task) = echo(Some(server(authority.issue("s", &["localhost"], NOW))), false).await;
    let file = authority.path("believed.pem");
    std::fs::copy(other.ca(), &file).unwrap();
    let old = std::fs::File::options().write(true).open(&file).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    let tls = ClientTls { ca_files: vec![file.clone()], ..ClientTls::default() };
    let mut connector = way(Scheme::Mqtts, "localhost", port, &tls);
    assert!(matches!(failure(&mut connector).await, Failure::Tls(TlsFailure::UnknownCa)));
    std::fs::copy(authority.ca(), &file).unwrap();
    connector.connect().await.unwrap();
}

async fn failure(connector: &mut Connector) -> Failure {
    match connector.connect().await.map(|_| ()) {
        Err(ConnectError::Below { failure, .. }) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_to_be_believed_is_told_apart() {
    let (authority, other, twin) = (Authority::new("CA"), Authority::new("other"), Authority::new("CA"));
    let mut count = 0;
    let mut named = |host: &'static str, names: &[&str], years, tls: ClientTls| {
        count += 1;
        (host, authority.issue(&format!("{host}-{count}"), names, years), tls)
    };
    let skips = ClientTls { skips_name: true, ..authority.believed() };
    let own = authority.self_signed();
    let pinned = ClientTls { ca_files: vec![own.certificate.clone()], ..ClientTls::default() };
    let folder = ClientTls { ca_folders: vec![authority.folder.path().to_owned()], ..ClientTls::default() };
    for ((host, files, tls), expected) in [
        (named("localhost", &["localhost"], NOW, authority.believed()), ""),
        (named("localhost", &["localhost"], NOW, folder), ""),
        (named("127.0.0.1", &["127.0.0.1"], NOW, authority.believed()), ""),
        (named("localhost", &["elsewhere"], NOW, skips.clone()), ""),
        (("localhost", own.clone(), pinned.clone()), ""),
        (("127.0.0.1", own.clone(), pinned), "is not for `127.0.0.1`, but for `localhost`"),
        (("localhost", own, authority.believed()), "it is the certificate of a CA"),
        (named("localhost", &["localhost"], NOW, other.believed()), "of a CA that is not trusted here"),
        (
            named("localhost", &["localhost"], NOW, twin.believed()),
            "not trusted here, though one of the same name is",
        ),
        (named("localhost", &["localhost"], (2020, 2021), authority.believed()), "has expired"),
        (named("localhost", &["localhost"], (2020, 2021), skips), "has expired"),
        (
            named("localhost", &["localhost"], (2089, 2090), authority.believed()),
            "is not valid yet, it begins in",
        ),
        (
            named("localhost", &["a.example", "b.example"], NOW, authority.believed()),
            "is not for `localhost`, but for `a.example`, `b.example`",
        ),
        (named("localhost", &[], NOW, authority.believed()), "no name at all (a common name does not count)"),
    ] {
        let (port, _task) = echo(Some(unchecked(&files)), false).await;
        match way(Scheme::Mqtts, host, port, &tls).connect().await {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => {
                let said = error.to_string();
                assert!(!expected.is_empty() && said.contains(expected), "{expected}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_says_so_or_takes_one() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other"));
    let settings = TlsSettings {
        client_certificates: ClientCertificates::Required,
        client_ca_files: vec![authority.ca()],
        ..settings(authority.issue("s", &["localhost"], NOW))
    };
    let (port, _task) = echo(Some(settings.load().unwrap().config), false).await;
    for (identity, expected) in [
        (Some(authority.issue("me", &[], NOW)), None),
        (None, Some(TlsFailure::CertificateWanted)),
        (
            Some(other.issue("me", &[], NOW)),
            Some(TlsFailure::CertificateRefused("it is of a CA that the Server does not know")),
        ),
    ] {
        let tls = ClientTls { identity, ..authority.believed() };
        let mut stream = way(Scheme::Mqtts, "localhost", port, &tls).connect().await.unwrap();
        let Some(expected) = expected else {
            exchange(&mut stream, b"welcome").await;
            continue;
        };
        let failed = stream.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(failed.to_string(), expected.to_string());
    }
}

#[tokio::test]
async fn whoever_speaks_something_else_is_told_what() {
    let authority = Authority::new("CA");
    for (scheme, speaks, expected) in [
        (
            Scheme::Mqtts,
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "does not speak TLS at this port, but HTTP",
        ),
        (Scheme::Mqtts, b"\x20\x02\0\x01", "but plain MQTT"),
        (Scheme::Mqtts, b"SSH-2.0-x\r\n", "but something else"),
        (Scheme::Mqtts, b"", "at the first words of TLS"),
        (Scheme::Ws, b"", "instead of answering the HTTP request"),
        (Scheme::Ws, b"\x15\x03\x03\0\x02\x02\x0A", "not HTTP"),
        (Scheme::Ws, b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403 Forbidden to the request for /mqtt"),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 4096];
            assert!(stream.read(&mut heard).await.unwrap() > 0);
            stream.write_all(speaks).await.unwrap();
        });
        let failed = failure(&mut way(scheme, "127.0.0.1", port, &authority.believed())).await;
        assert!(failed.to_string().contains(expected), "{expected}: {failed}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let authority = Authority::new("CA");
    let options = ConnectOptions { time_limit: Duration::from_millis(50), ..ConnectOptions::default() };
    for (scheme, words) in
        [(Scheme::Mqtts, "did not finish the TLS handshake"), (Scheme::Ws, "the HTTP request")]
    {
        let address = Address::with_scheme(scheme, "127.0.0.1", port);
        let mut connector = Connector::new(address, &authority.believed(), options.clone()).unwrap();
        let error = connector.connect().await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("CA");
    let load = |tls: ClientTls| tls.load("mqtt").unwrap_err().to_string();
    let missing = ClientTls { ca_files: vec!["missing.pem".into()], ..ClientTls::default() };
    assert!(load(missing).contains("cannot read missing.pem"));
    let empty = tempfile::tempdir().unwrap();
    let none = ClientTls { ca_folders: vec![empty.path().to_owned()], ..ClientTls::default() };
    assert!(load(none).contains("no file in"));
    let old = authority.issue("old", &[], (2020, 2021));
    let expired = ClientTls { identity: Some(old), ..authority.believed() };
    assert!(load(expired).contains("old.pem has expired"));
}
