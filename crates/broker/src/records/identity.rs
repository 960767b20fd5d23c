//! Who a Client was, in bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::{
    permissions::{
        identity::Identity,
        subject::{CertificateFacts, Subject},
    },
    records::reader::Reader,
};

const USER_BIT: u8 = 0b0001;
const CERTIFICATE_BIT: u8 = 0b0010;
const COMMON_NAME_BIT: u8 = 0b0100;
const V6_BIT: u8 = 0b1000;

/// Appends an identity.
pub(super) fn encode(identity: &Identity, out: &mut Vec<u8>) {
    let subject = &*identity.subject;
    let certificate = subject.certificate.as_deref();
    let common_name = certificate.and_then(|facts| facts.common_name.as_deref());
    let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    out.push(
        bit(subject.user_name.is_some(), USER_BIT)
            | bit(certificate.is_some(), CERTIFICATE_BIT)
            | bit(common_name.is_some(), COMMON_NAME_BIT)
            | bit(subject.address.is_ipv6(), V6_BIT),
    );
    match subject.address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
    put(out, identity.rules.as_deref().unwrap_or_default());
    put(out, &subject.client_id);
    subject.user_name.iter().for_each(|name| put(out, name));
    put_all(out, &subject.groups);
    let Some(facts) = certificate else { return };
    common_name.iter().for_each(|name| put(out, name));
    [&facts.subject, &facts.issuer, &facts.serial].into_iter().for_each(|text| put(out, text));
    [&facts.dns_names, &facts.uri_names, &facts.mail_names].into_iter().for_each(|names| put_all(out, names));
    out.extend_from_slice(&facts.fingerprint);
}

/// Reads what [`encode`] has written.
pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Identity> {
    let flags = reader.u8()?;
    let address = match flags & V6_BIT {
        0 => Ipv4Addr::from_bits(reader.u32()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(reader.bytes(16)?).ok()?).into(),
    };
    let rules = text(reader)?;
    let client_id = text(reader)?.into();
    let user_name = if flags & USER_BIT == 0 { None } else { Some(text(reader)?.into()) };
    let groups = texts(reader)?;
    let certificate = match flags & CERTIFICATE_BIT {
        0 => None,
        _ => Some(Arc::new(decode_certificate(flags, reader)?)),
    };
    Some(Identity {
        subject: Arc::new(Subject { user_name, client_id, groups, address, certificate }),
        rules: (!rules.is_empty()).then(|| rules.into()),
    })
}

/// The bytes of an identity that [`decode`] would read, so that one that comes again and again is read once.
pub(super) fn passed<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let all = reader.0;
    let flags = reader.u8()?;
    reader.bytes(if flags & V6_BIT == 0 { 4 } else { 16 })?;
    let is_set = |bit: u8| usize::from(flags & bit != 0);
    // The name of its rules, the Client Identifier, the user name.
    pass_texts(2 + is_set(USER_BIT), reader)?;
    pass_list(reader)?;
    if flags & CERTIFICATE_BIT != 0 {
        // Common name, subject, issuer, serial number.
        pass_texts(is_set(COMMON_NAME_BIT) + 3, reader)?;
        (0..3).try_for_each(|_| pass_list(reader))?;
        reader.bytes(32)?;
    }
    Some(&all[..all.len() - reader.0.len()])
}

fn pass_texts(count: usize, reader: &mut Reader<'_>) -> Option<()> {
    (0..count).try_for_each(|_| {
        let len = reader.u32()?;
        reader.bytes(len as usize).map(|_| ())
    })
}

fn pass_list(reader: &mut Reader<'_>) -> Option<()> {
    let count = reader.u32()?;
    pass_texts(count as usize, reader)
}

fn decode_certificate(flags: u8, reader: &mut Reader<'_>) -> Option<CertificateFacts> {
    let common_name = if flags & COMMON_NAME_BIT == 0 { None } else { Some(text(reader)?.into()) };
    let (subject, issuer, serial) = (text(reader)?.into(), text(reader)?.into(), text(reader)?.into());
    let (dns_names, uri_names, mail_names) = (texts(reader)?, texts(reader)?, texts(reader)?);
    let fingerprint = reader.bytes(32)?.try_into().ok()?;
    Some(CertificateFacts {
        subject,
        common_name,
        dns_names,
        uri_names,
        mail_names,
        issuer,
        serial,
        fingerprint,
    })
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_all(out: &mut Vec<u8>, texts: &[Box<str>]) {
    out.extend_from_slice(&(texts.len() as u32).to_be_bytes());
    texts.iter().for_each(|text| put(out, text));
}

fn text<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    let len = reader.u32()?;
    std::str::from_utf8(reader.bytes(len as usize)?).ok()
}

/// What a number announces is only taken as it comes.
fn texts(reader: &mut Reader<'_>) -> Option<Box<[Box<str>]>> {
    let count = reader.u32()?;
    (0..count).map(|_| text(reader).map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_comes_back() {
        let plain = Subject::anonymous("c1", "192.0.2.1".parse().unwrap());
        let certificate = CertificateFacts {
            subject: "CN=ann".into(),
            common_name: Some("ann".into()),
            dns_names: ["a.example".into(), "b.example".into()].into(),
            uri_names: ["urn:x".into()].into(),
            mail_names: ["ann@example".into()].into(),
            issuer: "CN=ca".into(),
            serial: "0a".into(),
            fingerprint: [7; 32],
        };
        let full = Subject {
            user_name: Some("ann".into()),
            groups: ["staff".into(), "".into()].into(),
            address: "2001:db8::1".parse().unwrap(),
            certificate: Some(Arc::new(certificate)),
            ..plain.clone()
        };
        for (subject, rules) in [(plain, None), (full, Some("main".into()))] {
            let identity = Identity { subject: Arc::new(subject), rules };
            let mut bytes = Vec::new();
            encode(&identity, &mut bytes);
            let mut reader = Reader(&bytes);
            assert_eq!(decode(&mut reader), Some(identity));
            assert!(reader.0.is_empty());
            let longer = [&bytes[..], b"more"].concat();
            assert_eq!(passed(&mut Reader(&longer)), Some(&*bytes));
            for end in 0..bytes.len() {
                assert_eq!(decode(&mut Reader(&bytes[..end])), None);
                assert_eq!(passed(&mut Reader(&bytes[..end])), None);
            }
        }
    }
}
