//! Which of several certificates a Client is shown: that of the name it asks for (SNI).

use std::sync::Arc;

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Certificate;

/// Certificates in their order, each with its names.
#[derive(Debug)]
pub(super) struct Resolver {
    keys: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl Resolver {
    /// At least one certificate; the first is for all who ask for no name or an unknown one.
    pub(super) fn new(keys: impl Iterator<Item = (CertifiedKey, Certificate)>) -> Self {
        let named = |(key, certificate): (CertifiedKey, Certificate)| {
            let mut names = certificate.dns_names;
            names.iter_mut().for_each(|name| name.make_ascii_lowercase());
            (names, Arc::new(key))
        };
        Self { keys: keys.map(named).collect() }
    }

    /// The certificates for `name`, the best first.
    fn candidates<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a Arc<CertifiedKey>> {
        let exact = move |names: &[String]| name.is_some_and(|name| names.iter().any(|own| own == name));
        let wild = move |names: &[String]| {
            name.and_then(|name| name.split_once('.')).is_some_and(|(_, domain)| {
                names.iter().any(|own| own.strip_prefix("*.").is_some_and(|own| own == domain))
            })
        };
        let exact = self.keys.iter().filter(move |(names, _)| exact(names));
        let wild = self.keys.iter().filter(move |(names, _)| wild(names));
        exact.chain(wild).chain(&self.keys).map(|(_, key)| key)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let can_sign = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.candidates(name.as_deref()).find(can_sign).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;
    use rustls::{crypto::ring::default_provider, pki_types::PrivateKeyDer};

    use super::*;

    #[test]
    fn the_exact_name_goes_before_the_wildcard_and_both_before_the_first() {
        let key = |name: &str| {
            let made = generate_simple_self_signed([name.to_owned()]).unwrap();
            let der = made.cert.der().clone();
            let certificate = Certificate::read(&der).unwrap();
            let private = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
            (CertifiedKey::from_der(vec![der], private, &default_provider()).unwrap(), certificate)
        };
        let names = ["first.example", "*.wild.example", "A.wild.example"];
        let resolver = Resolver::new(names.iter().map(|name| key(name)));
        for (name, index) in [
            (Some("a.wild.example"), 2),
            (Some("b.wild.example"), 1),
            (Some("c.b.wild.example"), 0),
            (Some("wild.example"), 0),
            (Some("other.example"), 0),
            (None, 0),
        ] {
            let chosen = resolver.candidates(name).next().unwrap();
            assert!(Arc::ptr_eq(chosen, &resolver.keys[index].1), "{name:?}");
        }
    }
}
