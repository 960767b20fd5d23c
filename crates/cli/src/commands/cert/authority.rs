//! The CA: what it signs.

use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use dunlin_net::tls::certificate::Certificate;
use dunlin_net::tls::files::{first_certificate, lists_of_revoked};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};

use crate::exit::Failure;

use super::folder::{CA_CERTIFICATE, CA_KEY, Folder, REVOKED};

/// A CA with its key.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: Certificate,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    /// A Server with these names and addresses.
    Server(&'a [String]),
    Client,
}

/// A certificate and its key, in PEM.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A list of revoked certificates, in PEM.
pub(super) struct Revoked {
    pub(super) text: String,
    /// How many certificates are on it.
    pub(super) count: usize,
    /// The certificate was on it before.
    pub(super) is_old: bool,
}

impl Authority {
    /// Makes a CA that signs itself. Without a name it has one that no other is likely to have: of two CAs of the same name the wrong
    /// one is hard to tell.
    pub(super) fn make(name: Option<&str>, begin: SystemTime, end: SystemTime) -> Result<Made, Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let own_name = || {
            let last = key.public_key_raw().last_chunk::<3>().copied().unwrap_or_default();
            format!("Dunlin CA {}", HEXLOWER.encode(&last))
        };
        let name = name.map_or_else(own_name, str::to_owned);
        let mut params = params(&[], &name, begin, end)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Reads the CA of a folder.
    pub(super) fn open(folder: &Folder) -> Result<Self, Failure> {
        if !folder.has(CA_CERTIFICATE) || !folder.has(CA_KEY) {
            let file = folder.file(CA_KEY);
            return Err(Failure::usage(format!(
                "there is no CA ({} and its key {}); `dunlin cert ca` makes one",
                folder.file(CA_CERTIFICATE).display(),
                file.display()
            )));
        }
        let own = first_certificate(&folder.file(CA_CERTIFICATE)).map_err(Failure::other)?;
        let key = KeyPair::from_pem(&folder.read(CA_KEY)?)
            .map_err(|error| broken(folder, CA_KEY, &error.to_string()))?;
        let issuer = Issuer::from_ca_cert_pem(&folder.read(CA_CERTIFICATE)?, key)
            .map_err(|error| broken(folder, CA_CERTIFICATE, &error.to_string()))?;
        Ok(Self { issuer, own })
    }

    /// Issues a certificate; it ends with the CA at the latest.
    pub(super) fn issue(
        &self,
        name: &str,
        kind: Kind<'_>,
        begin: SystemTime,
        end: SystemTime,
    ) -> Result<Made, Failure> {
        if self.own.not_after <= begin {
            return Err(Failure::other("the CA has expired; make another with `dunlin cert ca --force`"));
        }
        let (hosts, usage) = match kind {
            Kind::Server(hosts) => (hosts, ExtendedKeyUsagePurpose::ServerAuth),
            Kind::Client => (&[][..], ExtendedKeyUsagePurpose::ClientAuth),
        };
        let common_name = hosts.first().map_or(name, String::as_str);
        let mut params = params(hosts, common_name, begin, end.min(self.own.not_after))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The list of revoked certificates of the folder, with that of `name` on it.
    pub(super) fn revoke(
        &self,
        folder: &Folder,
        name: &str,
        now: SystemTime,
        end: SystemTime,
    ) -> Result<Revoked, Failure> {
        let file = folder.file(&format!("{name}.pem"));
        let certificate = first_certificate(&file).map_err(Failure::other)?;
        if certificate.issuer != self.own.subject {
            let (issuer, own) = (&certificate.issuer, &self.own.subject);
            return Err(Failure::usage(format!("{} was issued by {issuer}, not by {own}", file.display())));
        }
        let mut revoked = self.revoked_so_far(folder)?;
        let is_old = revoked.iter().any(|(serial, _)| *serial == certificate.serial);
        if !is_old {
            revoked.push((certificate.serial, now));
        }
        let number = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: end.into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(failed)?;
        Ok(Revoked { text: list.pem().map_err(failed)?, count: revoked.len(), is_old })
    }

    fn revoked_so_far(&self, folder: &Folder) -> Result<Vec<(String, SystemTime)>, Failure> {
        if !folder.has(REVOKED) {
            return Ok(Vec::new());
        }
        let lists = lists_of_revoked(&folder.file(REVOKED)).map_err(Failure::other)?;
        match &lists[..] {
            [list] if list.issuer == self.own.subject => Ok(list.revoked.clone()),
            _ => Err(broken(folder, REVOKED, "it is the list of another CA, or several; put it elsewhere")),
        }
    }
}

fn entry((serial, at): &(String, SystemTime)) -> Result<RevokedCertParams, Failure> {
    let serial = HEXLOWER.decode(serial.as_bytes()).map_err(failed)?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time: (*at).into(),
        reason_code: None,
        invalidity_date: None,
    })
}

fn params(
    hosts: &[String],
    common_name: &str,
    begin: SystemTime,
    end: SystemTime,
) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // Clocks of other machines may be behind.
    params.not_before = (begin - CLOCKS_APART).into();
    params.not_after = end.into();
    Ok(params)
}

fn broken(folder: &Folder, name: &str, what: &str) -> Failure {
    Failure::other(format!("{} cannot be used: {what}", folder.file(name).display()))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::other(format!("cannot make the certificate: {error}"))
}

const CLOCKS_APART: Duration = Duration::from_secs(3_600);
