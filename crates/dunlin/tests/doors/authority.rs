//! A CA of its own for each test, and what it issues.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use tempfile::TempDir;

/// A CA; its files go with it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in files.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// When a certificate is valid, by years.
pub(crate) const NOW: (i32, i32) = (2020, 2090);
pub(crate) const PAST: (i32, i32) = (2020, 2021);
pub(crate) const FUTURE: (i32, i32) = (2089, 2090);

impl Authority {
    /// A CA named `name`.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA signs itself");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a temporary folder can be made") };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    /// The file of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder for more files of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate of a Server for `localhost` and `127.0.0.1`.
    pub(crate) fn server(&self) -> Issued {
        self.issue("server", &["localhost", "127.0.0.1"], 1, NOW)
    }

    /// A certificate of a Client.
    pub(crate) fn client(&self, name: &str, serial: u64) -> Issued {
        self.issue(name, &[], serial, NOW)
    }

    /// A certificate with `name` as its common name, for `names`, valid in `years`.
    pub(crate) fn issue(&self, name: &str, names: &[&str], serial: u64, years: (i32, i32)) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("the names of tests are good");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the CA signs");
        Issued {
            certificate: self.write(&format!("{name}.pem"), &certificate.pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    /// A list of revoked certificates, by their serial numbers, in a file.
    pub(crate) fn revoke(&self, serials: &[u64]) -> PathBuf {
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
        let list = params.signed_by(&self.issuer).expect("the CA signs");
        self.write("revoked.pem", &list.pem().expect("a list can be written"))
    }

    /// Writes a file of the test that only its owner reads, whole at once.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let new = self.folder.path().join("new");
        fs::write(&new, text).expect("a file can be written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
        fs::rename(&new, &path).expect("a file can be renamed");
        path
    }
}

impl Issued {
    /// Both files as keys of a listener.
    pub(crate) fn settings(&self) -> String {
        format!("certificate_file = {:?}\nkey_file = {:?}\n", self.certificate, self.key)
    }

    /// Both files as options of mosquitto's clients.
    pub(crate) fn options(&self) -> String {
        format!("--cert {} --key {}", self.certificate.display(), self.key.display())
    }
}
