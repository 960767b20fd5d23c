//! Certificates, keys and lists of revoked certificates, read from files in PEM.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustls::{
    Error,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use super::{
    certificate::{Certificate, RevocationList},
    error::FileError,
};

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFiles {
    /// The certificate, and behind it those that lead to the CA.
    pub certificate: PathBuf,
    /// The private key; may be the same file.
    pub key: PathBuf,
}

impl KeyFiles {
    /// Reads both and checks that they belong together and are valid at `now`.
    ///
    /// # Errors
    /// Each [`FileError`].
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<(CertifiedKey, Certificate), FileError> {
        let chain = certificates(&self.certificate)?;
        let invalid =
            |what: &str| FileError::Invalid { file: self.certificate.clone(), what: what.to_owned() };
        let own =
            Certificate::read(&chain[0]).ok_or_else(|| invalid("its first certificate cannot be read"))?;
        check_validity(&self.certificate, &own, now)?;
        let key = private_key(&self.key)?;
        let key = match CertifiedKey::from_der(chain, key, provider) {
            Ok(key) => key,
            Err(Error::InconsistentKeys(_)) => {
                let (certificate, key) = (self.certificate.clone(), self.key.clone());
                return Err(FileError::Mismatch { certificate, key });
            }
            Err(Error::InvalidCertificate(error)) => return Err(invalid(&error.to_string())),
            Err(error) => {
                return Err(FileError::Invalid { file: self.key.clone(), what: error.to_string() });
            }
        };
        Ok((key, own))
    }
}

/// Reads the first certificate of a file.
///
/// # Errors
/// Each [`FileError`] about one file.
pub fn first_certificate(file: &Path) -> Result<Certificate, FileError> {
    let what = || "its first certificate cannot be read".to_owned();
    let invalid = || FileError::Invalid { file: file.to_owned(), what: what() };
    Certificate::read(&certificates(file)?[0]).ok_or_else(invalid)
}

/// Reads the lists of revoked certificates of a file.
///
/// # Errors
/// Each [`FileError`] about one file.
pub fn lists_of_revoked(file: &Path) -> Result<Vec<RevocationList>, FileError> {
    let invalid =
        || FileError::Invalid { file: file.to_owned(), what: "a list of it cannot be read".to_owned() };
    let lists = revocation_lists(file)?;
    lists.iter().map(|list| RevocationList::read(list).ok_or_else(invalid)).collect()
}

/// All certificates of a file, at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    items(file, "certificate", "CERTIFICATE")
}

/// All lists of revoked certificates of a file, at least one.
pub(super) fn revocation_lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    items(file, "list of revoked certificates", "X509 CRL")
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let bytes = read(file)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(&bytes) => {
            let what = "the key is encrypted; `openssl pkey -in ENCRYPTED -out PLAIN` takes the password off"
                .to_owned();
            Err(FileError::Invalid { file: file.to_owned(), what })
        }
        Err(error) => Err(pem_error(file, &error, "private key", "PRIVATE KEY")),
    }
}

fn is_encrypted(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

fn items<T: PemObject>(file: &Path, what: &'static str, begin: &'static str) -> Result<Vec<T>, FileError> {
    let bytes = read(file)?;
    let items = T::pem_slice_iter(&bytes).collect::<Result<Vec<T>, _>>();
    let items = items.map_err(|error| pem_error(file, &error, what, begin))?;
    if items.is_empty() {
        return Err(FileError::Empty { file: file.to_owned(), what, begin });
    }
    Ok(items)
}

fn pem_error(file: &Path, error: &pem::Error, what: &'static str, begin: &'static str) -> FileError {
    match error {
        pem::Error::NoItemsFound => FileError::Empty { file: file.to_owned(), what, begin },
        error => FileError::Invalid { file: file.to_owned(), what: error.to_string() },
    }
}

fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(file).map_err(|source| FileError::Read { file: file.to_owned(), source })
}

fn check_validity(file: &Path, certificate: &Certificate, now: SystemTime) -> Result<(), FileError> {
    let not_valid = |what| Err(FileError::NotValid { file: file.to_owned(), what });
    if certificate.not_after < now {
        return not_valid(format!("has expired {} ago", days(certificate.not_after, now)));
    }
    if certificate.not_before > now {
        let wait = days(now, certificate.not_before);
        return not_valid(format!(
            "is not valid yet: it begins in {wait}; is the clock of this machine right?"
        ));
    }
    Ok(())
}

fn days(from: SystemTime, to: SystemTime) -> String {
    let seconds = to.duration_since(from).map_or(0, |time| time.as_secs());
    match seconds / SECONDS_A_DAY {
        0 => format!("{seconds} s"),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

const SECONDS_A_DAY: u64 = 86_400;
