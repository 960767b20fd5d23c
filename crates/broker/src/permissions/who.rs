//! Whom a rule is about.

use core::net::IpAddr;
use std::{fmt, str::FromStr};

use super::subject::{CertificateFacts, Subject};

/// Whom a rule is about: all that is asked for must fit, and of each list one entry. An empty list asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Who {
    /// User names.
    pub users: Box<[NamePattern]>,
    /// Groups of the user.
    pub groups: Box<[Box<str>]>,
    /// Client Identifiers.
    pub client_ids: Box<[NamePattern]>,
    /// Networks that the address is in.
    pub addresses: Box<[Network]>,
    /// What the certificate says.
    pub certificate: Box<[CertificateTest]>,
    /// Whether the Client has no user name, or has one; `None` asks for neither.
    pub is_anonymous: Option<bool>,
}

/// A name, or the beginning of names. A name that a Client gives itself is never taken for a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamePattern {
    /// This one.
    Exact(Box<str>),
    /// All that begin so.
    Prefix(Box<str>),
}

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no [`Network`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkError;

/// A field of a certificate and what it is to be; one of its names is enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateTest {
    /// Which field.
    pub field: CertificateField,
    /// What it is to be, one of these.
    pub values: Box<[NamePattern]>,
}

/// A field of [`CertificateFacts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateField {
    /// The subject.
    Subject,
    /// The common name.
    CommonName,
    /// A DNS name.
    Dns,
    /// A URI.
    Uri,
    /// A mail address.
    Mail,
    /// The issuer.
    Issuer,
    /// The serial number.
    Serial,
    /// The SHA-256 in hexadecimal digits.
    Fingerprint,
}

impl CertificateField {
    /// All of them, with their names in files.
    pub const ALL: [(&'static str, Self); 8] = [
        ("subject", Self::Subject),
        ("common_name", Self::CommonName),
        ("dns", Self::Dns),
        ("uri", Self::Uri),
        ("mail", Self::Mail),
        ("issuer", Self::Issuer),
        ("serial", Self::Serial),
        ("fingerprint", Self::Fingerprint),
    ];
}

impl Who {
    /// Whether it is about `subject`.
    #[must_use]
    pub fn fits(&self, subject: &Subject) -> bool {
        let is_in = |names: &[NamePattern], name: &str| names.iter().any(|it| it.fits(name));
        let has_user = || subject.user_name.as_deref().is_some_and(|name| is_in(&self.users, name));
        let has_group = || subject.groups.iter().any(|group| self.groups.contains(group));
        (self.users.is_empty() || has_user())
            && (self.groups.is_empty() || has_group())
            && (self.client_ids.is_empty() || is_in(&self.client_ids, &subject.client_id))
            && (self.addresses.is_empty() || self.addresses.iter().any(|it| it.contains(subject.address)))
            && self.is_anonymous.is_none_or(|is_anonymous| is_anonymous == subject.user_name.is_none())
            && self
                .certificate
                .iter()
                .all(|test| subject.certificate.as_deref().is_some_and(|certificate| test.fits(certificate)))
    }

    /// The one user name it is about, if it is about one and asks for nothing else.
    pub(super) fn only_user(&self) -> Option<&str> {
        match &*self.users {
            [NamePattern::Exact(name)] => Some(name),
            _ => None,
        }
    }
}

impl NamePattern {
    /// Takes a name, or the beginning of names and `*`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(beginning) => Self::Prefix(beginning.into()),
            None => Self::Exact(text.into()),
        }
    }

    /// Whether `name` is meant.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(beginning) => name.starts_with(&**beginning),
        }
    }
}

impl Network {
    /// Whether `address` is in it. IPv4 and IPv6 are apart, but an IPv4 address written as an IPv6 one is the former.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let rest = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(rest).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let rest = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(rest).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Takes `address/bits`, or an address alone.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NetworkError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(NetworkError);
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no network such as 192.0.2.0/24 or 2001:db8::/32")
    }
}

impl std::error::Error for NetworkError {}

impl CertificateTest {
    fn fits(&self, certificate: &CertificateFacts) -> bool {
        let is_one = |name: &str| self.values.iter().any(|value| value.fits(name));
        let any = |names: &[Box<str>]| names.iter().any(|name| is_one(name));
        match self.field {
            CertificateField::Subject => is_one(&certificate.subject),
            CertificateField::CommonName => certificate.common_name.as_deref().is_some_and(is_one),
            CertificateField::Dns => any(&certificate.dns_names),
            CertificateField::Uri => any(&certificate.uri_names),
            CertificateField::Mail => any(&certificate.mail_names),
            CertificateField::Issuer => is_one(&certificate.issuer),
            CertificateField::Serial => is_one(&certificate.serial),
            CertificateField::Fingerprint => is_one(&hex(&certificate.fingerprint)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn networks_have_edges() {
        for (network, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), is_in, "{address} in {network}");
        }
        for text in ["", "192.0.2.0/33", "192.0.2/24", "::/129", "host", "192.0.2.0/", "192.0.2.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }

    #[test]
    fn all_that_is_asked_for_must_fit() {
        let certificate = CertificateFacts {
            dns_names: ["meter.example".into(), "meter7.example".into()].into(),
            fingerprint: [0xAB; 32],
            ..CertificateFacts::default()
        };
        let subject = Subject {
            user_name: Some("ann".into()),
            groups: ["staff".into()].into(),
            certificate: Some(Arc::new(certificate)),
            ..Subject::anonymous("meter-7", "192.0.2.7".parse().unwrap())
        };
        let test = |field, value: &str| CertificateTest { field, values: [NamePattern::parse(value)].into() };
        let fits = Who {
            users: [NamePattern::parse("bob"), NamePattern::parse("ann")].into(),
            groups: ["staff".into()].into(),
            client_ids: [NamePattern::parse("meter-*")].into(),
            addresses: ["192.0.2.0/24".parse().unwrap()].into(),
            certificate: [
                test(CertificateField::Dns, "meter7.example"),
                test(CertificateField::Fingerprint, &"ab".repeat(32)),
            ]
            .into(),
            is_anonymous: Some(false),
        };
        assert!(fits.fits(&subject) && Who::default().fits(&subject));
        for other in [
            Who { users: [NamePattern::parse("an")].into(), ..fits.clone() },
            Who { groups: ["guests".into()].into(), ..fits.clone() },
            Who { client_ids: [NamePattern::parse("meter")].into(), ..fits.clone() },
            Who { addresses: ["192.0.3.0/24".parse().unwrap()].into(), ..fits.clone() },
            Who { certificate: [test(CertificateField::CommonName, "*")].into(), ..fits.clone() },
            Who { is_anonymous: Some(true), ..fits.clone() },
        ] {
            assert!(!other.fits(&subject), "{other:?}");
        }
    }

    #[test]
    fn a_name_with_a_star_is_only_a_name() {
        let rule = Who { users: [NamePattern::parse("ann")].into(), ..Who::default() };
        for name in ["*", "a*", "ann*"] {
            assert!(!rule.fits(&Subject { user_name: Some(name.into()), ..Subject::default() }));
        }
    }
}
