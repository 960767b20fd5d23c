//! Certificates that are valid no more.

use foldhash::{HashMap, HashSet};

use super::subject::CertificateFacts;

/// Certificates that are valid no more: by issuer, as RFC 4514 writes it, their serial numbers in lower-case hexadecimal
/// digits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revoked {
    by_issuer: HashMap<Box<str>, HashSet<Box<str>>>,
}

impl Revoked {
    /// Adds certificates of one issuer.
    pub fn add<'a>(&mut self, issuer: &str, serials: impl IntoIterator<Item = &'a str>) {
        self.by_issuer.entry(issuer.into()).or_default().extend(serials.into_iter().map(Into::into));
    }

    /// Whether this certificate is one of them.
    #[must_use]
    pub fn has(&self, facts: &CertificateFacts) -> bool {
        self.by_issuer.get(&facts.issuer).is_some_and(|serials| serials.contains(&facts.serial))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_issuer.values().map(HashSet::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_issuer_and_serial_number() {
        let mut revoked = Revoked::default();
        revoked.add("CN=CA", []);
        assert!(revoked.is_empty());
        revoked.add("CN=CA", ["07", "1fa0"]);
        revoked.add("CN=CA", ["07"]);
        assert_eq!(revoked.len(), 2);
        for (issuer, serial, expected) in [
            ("CN=CA", "07", true),
            ("CN=CA", "1fa0", true),
            ("CN=CA", "08", false),
            ("CN=Other", "07", false),
            ("", "", false),
        ] {
            let facts = CertificateFacts {
                issuer: issuer.into(),
                serial: serial.into(),
                ..CertificateFacts::default()
            };
            assert_eq!(revoked.has(&facts), expected, "{issuer} {serial}");
        }
    }
}
