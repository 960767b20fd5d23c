//! Who a Client was, as part of a line.

use std::{borrow::Cow, sync::Arc};

use dunlin_broker::permissions::{
    identity::Identity,
    subject::{CertificateFacts, Subject},
};
use serde::{Deserialize, Serialize};

use super::message::checked_text;

/// An identity: the owner of a Session, or the publisher of a Retained Message.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityLine<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    user_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_identifier: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Box<str>>,
    /// The name of the rules it is judged by.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    rules: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateLine>,
}

#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct CertificateLine {
    subject: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dns_names: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uri_names: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mail_names: Vec<Box<str>>,
    issuer: Box<str>,
    serial: Box<str>,
    /// In hexadecimal digits.
    sha256: String,
}

impl<'a> IdentityLine<'a> {
    pub(super) fn of(identity: &'a Identity) -> Self {
        let subject = &*identity.subject;
        Self {
            user_name: subject.user_name.as_deref().map(Cow::Borrowed),
            client_identifier: (*subject.client_id).into(),
            address: subject.address.to_string().into(),
            groups: subject.groups.to_vec(),
            rules: identity.rules.as_deref().map(Cow::Borrowed),
            certificate: subject.certificate.as_deref().map(CertificateLine::of),
        }
    }

    pub(super) fn identity(&self) -> Result<Identity, String> {
        checked_text("client_identifier", &self.client_identifier)?;
        self.user_name.iter().try_for_each(|name| checked_text("user_name", name))?;
        if self.rules.as_deref() == Some("") {
            return Err("`rules` is left out rather than empty".into());
        }
        let address = self.address.parse();
        let subject = Subject {
            user_name: self.user_name.as_deref().map(Into::into),
            client_id: (*self.client_identifier).into(),
            groups: self.groups.clone().into(),
            address: address.map_err(|_| "`address` is not an address such as 192.0.2.1")?,
            certificate: match &self.certificate {
                Some(line) => Some(Arc::new(line.facts()?)),
                None => None,
            },
        };
        Ok(Identity { subject: Arc::new(subject), rules: self.rules.as_deref().map(Into::into) })
    }
}

impl CertificateLine {
    fn of(facts: &CertificateFacts) -> Self {
        Self {
            subject: facts.subject.clone(),
            common_name: facts.common_name.clone(),
            dns_names: facts.dns_names.to_vec(),
            uri_names: facts.uri_names.to_vec(),
            mail_names: facts.mail_names.to_vec(),
            issuer: facts.issuer.clone(),
            serial: facts.serial.clone(),
            sha256: facts.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn facts(&self) -> Result<CertificateFacts, String> {
        let mut fingerprint = [0; 32];
        let digits = self.sha256.as_bytes();
        if digits.len() != 2 * fingerprint.len() {
            return Err(WRONG_FINGERPRINT.into());
        }
        for (byte, pair) in fingerprint.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG_FINGERPRINT)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG_FINGERPRINT)?;
        }
        Ok(CertificateFacts {
            subject: self.subject.clone(),
            common_name: self.common_name.clone(),
            dns_names: self.dns_names.clone().into(),
            uri_names: self.uri_names.clone().into(),
            mail_names: self.mail_names.clone().into(),
            issuer: self.issuer.clone(),
            serial: self.serial.clone(),
            fingerprint,
        })
    }
}

const WRONG_FINGERPRINT: &str = "`sha256` is not 64 hexadecimal digits";
