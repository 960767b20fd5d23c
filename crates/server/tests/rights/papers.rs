//! A CA, the certificates of the Server and of `ann`, and the list of those that are revoked.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use dunlin_net::tls::{client::ClientTls, files::KeyFiles, server::ClientCertificates};
use dunlin_server::config::model::{ListenerConfig, ListenerKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ClientConfig;

/// The serial number of `ann`'s certificate, and one that nobody has.
pub(crate) const ANNS: u64 = 7;
pub(crate) const NOBODYS: u64 = 8;

/// The CA, and where its files are.
pub(crate) struct Papers {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Papers {
    /// Makes all of them in `folder`; nothing is revoked.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "CA, of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let papers = Self { issuer, folder: folder.to_owned() };
        fs::write(papers.file("ca.pem"), papers.issuer.pem()).unwrap();
        papers.issue("localhost", 1);
        papers.issue("ann", ANNS);
        papers.revoke(&[]);
        papers
    }

    /// A listener for Clients with certificates.
    pub(crate) fn listener(&self) -> ListenerConfig {
        ListenerConfig {
            name: "tls".to_owned(),
            kind: ListenerKind::Tls,
            port: 0,
            certificate_files: vec![self.file("localhost.pem")],
            key_files: vec![self.file("localhost.key")],
            client_certificates: ClientCertificates::Required,
            client_ca_files: vec![self.file("ca.pem")],
            client_crl_files: vec![self.file("revoked.pem")],
            ..ListenerConfig::default()
        }
    }

    /// How `ann` speaks TLS.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let identity = KeyFiles { certificate: self.file("ann.pem"), key: self.file("ann.key") };
        let tls = ClientTls {
            ca_files: vec![self.file("ca.pem")],
            identity: Some(identity),
            ..ClientTls::default()
        };
        tls.load("mqtt").unwrap().config
    }

    /// Writes the list: these are revoked and no others.
    pub(crate) fn revoke(&self, serials: &[u64]) {
        let revoked = |&serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        fs::write(self.file("revoked.pem"), list.pem().unwrap()).unwrap();
    }

    fn issue(&self, name: &str, serial: u64) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
