//! Clients that have shown a certificate in TLS, which was verified there.

use dunlin_broker::permissions::subject::CertificateFacts;

use crate::authenticator::{Authenticator, Question, Verdict, VerdictFuture};

/// Knows all Clients with a certificate, and takes their user name from it. What they say in CONNECT does not matter.
#[derive(Debug)]
pub struct Certificate {
    name: Box<str>,
    source: NameSource,
}

/// Which name of a certificate is the user name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NameSource {
    /// The last common name of the subject.
    #[default]
    CommonName,
    /// The whole subject, as RFC 4514 writes it.
    Subject,
    /// The first DNS name.
    Dns,
    /// The first URI.
    Uri,
    /// The first mail address.
    Mail,
}

impl Certificate {
    /// Takes the user name from there.
    #[must_use]
    pub fn new(name: &str, source: NameSource) -> Self {
        Self { name: name.into(), source }
    }
}

impl NameSource {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CommonName, Self::Subject, Self::Dns, Self::Uri, Self::Mail];

    /// As it is written in a configuration file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CommonName => "common_name",
            Self::Subject => "subject",
            Self::Dns => "dns",
            Self::Uri => "uri",
            Self::Mail => "mail",
        }
    }

    fn of(self, facts: &CertificateFacts) -> Option<&str> {
        let name = match self {
            Self::CommonName => facts.common_name.as_deref(),
            Self::Subject => Some(&*facts.subject),
            Self::Dns => facts.dns_names.first().map(|name| &**name),
            Self::Uri => facts.uri_names.first().map(|name| &**name),
            Self::Mail => facts.mail_names.first().map(|name| &**name),
        };
        name.filter(|name| !name.is_empty())
    }
}

impl Authenticator for Certificate {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let facts = question.certificate.as_deref().filter(|_| question.credentials.method.is_none());
        let user_name = facts.and_then(|facts| self.source.of(facts));
        Box::pin(async move { user_name.map_or(Verdict::NotMine, Verdict::user) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{login, question};

    fn facts() -> CertificateFacts {
        CertificateFacts {
            subject: "CN=ann,O=Example".into(),
            common_name: Some("ann".into()),
            dns_names: ["a.example".into(), "b.example".into()].into(),
            uri_names: ["urn:ann".into()].into(),
            ..CertificateFacts::default()
        }
    }

    async fn user_name(source: NameSource, question: &Question) -> Option<Box<str>> {
        match Certificate::new("certificate", source).judge(question).await {
            Verdict::Grant { grant, .. } => grant.user_name,
            Verdict::NotMine => None,
            _ => panic!("neither known nor unknown"),
        }
    }

    #[tokio::test]
    async fn the_user_name_is_taken_from_the_certificate_and_from_nothing_else() {
        let mut shown = login("eve", b"eve");
        shown.certificate = Some(Arc::new(facts()));
        for (source, expected) in NameSource::ALL.into_iter().zip([
            Some("ann"),
            Some("CN=ann,O=Example"),
            Some("a.example"),
            Some("urn:ann"),
            None,
        ]) {
            assert_eq!(user_name(source, &shown).await.as_deref(), expected, "{source:?}");
            assert_eq!(user_name(source, &question()).await, None);
        }
        shown.certificate = Some(Arc::new(CertificateFacts { common_name: Some("".into()), ..facts() }));
        assert_eq!(user_name(NameSource::CommonName, &shown).await, None);
        shown.certificate = Some(Arc::new(facts()));
        shown.credentials.method = Some("SCRAM-SHA-256".into());
        assert_eq!(user_name(NameSource::CommonName, &shown).await, None); // [MQTT-4.12.0-1]
    }
}
