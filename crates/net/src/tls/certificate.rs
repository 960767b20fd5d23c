//! What stands in a certificate (X.509).

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ring::digest::{SHA256, digest};
use x509_parser::{
    asn1_rs::Oid,
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry,
    prelude::FromDer,
    revocation_list::{CertificateRevocationList, RevokedCertificate},
    x509::{AttributeTypeAndValue, X509Name},
};

/// What a certificate says about its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The subject, as RFC 4514 writes it: the most special part first, `CN=sensor 7,O=Example`.
    pub subject: String,
    /// The last common name of the subject.
    pub common_name: Option<String>,
    /// Names of machines.
    pub dns_names: Vec<String>,
    /// Addresses of machines, as text.
    pub ip_addresses: Vec<String>,
    /// URIs, for instance of SPIFFE.
    pub uris: Vec<String>,
    /// Mail addresses.
    pub mail_addresses: Vec<String>,
    /// The issuer, written as the subject is.
    pub issuer: String,
    /// The serial number, in hexadecimal digits, two for each byte.
    pub serial: String,
    /// SHA-256 over the whole certificate.
    pub fingerprint: [u8; 32],
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads a certificate from its bytes (DER); `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let mut read = Self {
            subject: name(subject),
            common_name: subject.iter_common_name().last().and_then(text),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            uris: Vec::new(),
            mail_addresses: Vec::new(),
            issuer: name(certificate.issuer()),
            serial: serial(certificate.raw_serial()),
            fingerprint: digest(&SHA256, der).as_ref().try_into().ok()?,
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
        };
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            names.value.general_names.iter().for_each(|name| read.add_name(name));
        }
        Some(read)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::RFC822Name(mail) => self.mail_addresses.push((*mail).to_owned()),
            GeneralName::IPAddress(bytes) => {
                if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                    self.ip_addresses.push(Ipv4Addr::from(v4).to_string());
                } else if let Ok(v6) = <[u8; 16]>::try_from(*bytes) {
                    self.ip_addresses.push(Ipv6Addr::from(v6).to_string());
                }
            }
            _ => {}
        }
    }
}

/// When the next list of revoked certificates is due, if the list (DER) says so.
#[must_use]
pub fn next_update(crl: &[u8]) -> Option<SystemTime> {
    let (_, list) = CertificateRevocationList::from_der(crl).ok()?;
    Some(time(list.next_update()?.timestamp()))
}

/// A list of revoked certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevocationList {
    /// Who says so, written as in a [`Certificate`].
    pub issuer: String,
    /// Serial numbers, written as in a [`Certificate`], and since when each is revoked.
    pub revoked: Vec<(String, SystemTime)>,
}

impl RevocationList {
    /// Reads a list from its bytes (DER); `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        let entry = |entry: &RevokedCertificate<'_>| {
            (serial(entry.raw_serial()), time(entry.revocation_date.timestamp()))
        };
        Some(Self {
            issuer: name(list.issuer()),
            revoked: list.iter_revoked_certificates().map(entry).collect(),
        })
    }
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A name, as RFC 4514 writes it.
fn name(name: &X509Name<'_>) -> String {
    let rdns: Vec<String> =
        name.iter().map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    rdns.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = short_name(attribute.attr_type());
    match text(attribute) {
        Some(text) => format!("{kind}={}", escaped(&text)),
        None => format!("{kind}=#{}", hexadecimal(attribute.as_slice())),
    }
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    attribute.as_str().ok().map(str::to_owned)
}

/// The short names of RFC 4514 (section 3) and the mail address; the number of any other.
fn short_name(oid: &Oid<'_>) -> String {
    let known = [
        (oid_registry::OID_X509_COMMON_NAME, "CN"),
        (oid_registry::OID_X509_LOCALITY_NAME, "L"),
        (oid_registry::OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (oid_registry::OID_X509_ORGANIZATION_NAME, "O"),
        (oid_registry::OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (oid_registry::OID_X509_COUNTRY_NAME, "C"),
        (oid_registry::OID_X509_STREET_ADDRESS, "STREET"),
        (oid_registry::OID_DOMAIN_COMPONENT, "DC"),
        (oid_registry::OID_USERID, "UID"),
        (oid_registry::OID_X509_SERIALNUMBER, "serialNumber"),
        (oid_registry::OID_PKCS9_EMAIL_ADDRESS, "emailAddress"),
    ];
    match known.iter().find(|(number, _)| number == oid) {
        Some((_, short)) => (*short).to_owned(),
        None => oid.to_id_string(),
    }
}

/// A value of a name with what has a meaning in RFC 4514 (section 2.4) escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        let is_edge = (index == 0 && matches!(character, ' ' | '#')) || (index == last && character == ' ');
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', character]),
            '\0'..='\x1F' | '\x7F' => {
                // Writing to a String cannot fail.
                let _infallible = write!(out, "\\{:02X}", u32::from(character));
            }
            _ if is_edge => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    out
}

/// Without the zeros in front that only say that the number is not negative.
fn serial(bytes: &[u8]) -> String {
    let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    hexadecimal(&bytes[first..])
}

fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let mut params =
            CertificateParams::new(vec!["broker.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://example/broker".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("ops@example.org".try_into().unwrap()));
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, "sensor #7 ");
        params.serial_number = Some(SerialNumber::from_slice(&[0, 0x1F, 0xA0]));
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2034, 1, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::read(der.der()).unwrap();
        assert_eq!(certificate.common_name.as_deref(), Some("sensor #7 "));
        for part in ["CN=sensor #7\\ ", "O=Example\\, Inc."] {
            assert!(certificate.subject.contains(part), "{}", certificate.subject);
        }
        assert_eq!(certificate.issuer, certificate.subject);
        assert_eq!(certificate.dns_names, ["broker.example"]);
        assert_eq!(certificate.ip_addresses, ["192.0.2.1"]);
        assert_eq!(certificate.uris, ["spiffe://example/broker"]);
        assert_eq!(certificate.mail_addresses, ["ops@example.org"]);
        assert_eq!(certificate.serial, "1fa0");
        assert_eq!(certificate.fingerprint[..], *digest(&SHA256, der.der()).as_ref());
        assert_eq!(certificate.not_after, UNIX_EPOCH + Duration::from_secs(2_019_686_400));
        assert_eq!(Certificate::read(b"nonsense"), None);
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        assert_eq!(escaped("# a+b\n "), "\\# a\\+b\\0A\\ ");
        assert_eq!(escaped(" "), "\\ ");
        assert_eq!(escaped("plain=text"), "plain=text");
    }
}
