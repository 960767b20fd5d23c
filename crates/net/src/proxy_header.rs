//! The PROXY protocol, versions 1 and 2: what a proxy says about the connection that it passes on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// What a proxy says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProxyHeader {
    /// From where and to where the connection goes; `None` if it is the proxy's own, or of another kind than TCP.
    pub addresses: Option<Addresses>,
    /// What the proxy says about TLS between it and the Client; only version 2 can.
    pub tls: Option<ProxyTls>,
}

/// Both ends of the connection that is passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The Client.
    pub source: SocketAddr,
    /// What the Client has connected to.
    pub destination: SocketAddr,
}

/// TLS between the Client and the proxy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProxyTls {
    /// Whether the Client has shown a certificate, in this connection or an earlier one, and the proxy has verified it.
    pub is_verified: bool,
    /// The common name of that certificate.
    pub common_name: Option<String>,
    /// `TLSv1.3`, for instance.
    pub version: Option<String>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ProxyError {
    /// Neither signature.
    #[error("no PROXY header")]
    Missing,
    /// Longer than [`HEADER_BYTES_MAX`].
    #[error("a PROXY header of more than {HEADER_BYTES_MAX} bytes")]
    TooLong,
    /// Against the grammar.
    #[error("a PROXY header that is not valid: {0}")]
    Invalid(&'static str),
}

impl ProxyHeader {
    /// Reads a header at the beginning of `bytes` and says how long it is; `None` if it is not all there.
    ///
    /// # Errors
    /// Each [`ProxyError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProxyError> {
        if begins(bytes, &SIGNATURE_2) {
            return parse_2(bytes);
        }
        if begins(bytes, SIGNATURE_1) {
            return parse_1(bytes);
        }
        Err(ProxyError::Missing)
    }
}

/// Whether `bytes` and `signature` are the same as far as they go.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let len = bytes.len().min(signature.len());
    bytes[..len] == signature[..len]
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 50000 1883` and CR LF.
fn parse_1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let looked_at = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = looked_at.iter().position(|&byte| byte == b'\n') else {
        let is_all = bytes.len() >= LINE_BYTES_MAX;
        return if is_all { Err(ProxyError::Invalid("the line has no end")) } else { Ok(None) };
    };
    let line = looked_at[..end].strip_suffix(b"\r").ok_or(ProxyError::Invalid("LF without CR"))?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Invalid("not ASCII"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let addresses = match &words[1..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", source, destination, source_port, destination_port] => Some(Addresses {
            source: SocketAddr::new(IpAddr::V4(address(source)?), port(source_port)?),
            destination: SocketAddr::new(IpAddr::V4(address(destination)?), port(destination_port)?),
        }),
        ["TCP6", source, destination, source_port, destination_port] => Some(Addresses {
            source: SocketAddr::new(IpAddr::V6(address(source)?), port(source_port)?),
            destination: SocketAddr::new(IpAddr::V6(address(destination)?), port(destination_port)?),
        }),
        _ => return Err(ProxyError::Invalid("the words of the line")),
    };
    Ok(Some((ProxyHeader { addresses, tls: None }, end + 1)))
}

fn address<T: std::str::FromStr>(text: &str) -> Result<T, ProxyError> {
    text.parse().map_err(|_| ProxyError::Invalid("an address"))
}

fn port(text: &str) -> Result<u16, ProxyError> {
    text.parse().map_err(|_| ProxyError::Invalid("a port"))
}

fn parse_2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<16>() else { return Ok(None) };
    let [.., version_and_command, family, high, low] = *fixed;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if 16 + len > HEADER_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    let Some(rest) = rest.get(..len) else { return Ok(None) };
    let header = match version_and_command {
        // LOCAL: the proxy looks whether we are there.
        0x20 => ProxyHeader::default(),
        0x21 => {
            let (addresses, tlvs) = parse_addresses(family, rest)?;
            ProxyHeader { addresses, tls: parse_tls(tlvs)? }
        }
        _ => return Err(ProxyError::Invalid("version or command")),
    };
    Ok(Some((header, 16 + len)))
}

/// The addresses, and what stands behind them.
fn parse_addresses(family: u8, bytes: &[u8]) -> Result<(Option<Addresses>, &[u8]), ProxyError> {
    let short = ProxyError::Invalid("too short for its addresses");
    match family {
        0x11 => {
            let (block, tlvs) = bytes.split_first_chunk::<12>().ok_or(short)?;
            let [a, b, c, d, e, f, g, h, i, j, k, l] = *block;
            let source = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([i, j])).into();
            let destination = (Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([k, l])).into();
            Ok((Some(Addresses { source, destination }), tlvs))
        }
        0x21 => {
            let (source, rest) = bytes.split_first_chunk::<16>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let ([i, j, k, l], tlvs) = rest.split_first_chunk::<4>().ok_or(short)?;
            let source = (Ipv6Addr::from(*source), u16::from_be_bytes([*i, *j])).into();
            let destination = (Ipv6Addr::from(*destination), u16::from_be_bytes([*k, *l])).into();
            Ok((Some(Addresses { source, destination }), tlvs))
        }
        // Unix sockets: the addresses are of no use to us.
        0x31 => Ok((None, bytes.get(216..).ok_or(short)?)),
        // Unknown: everything behind it is to be skipped.
        _ => Ok((None, &[])),
    }
}

/// Looks for what is said about TLS.
fn parse_tls(mut tlvs: &[u8]) -> Result<Option<ProxyTls>, ProxyError> {
    while let Some((kind, value)) = next_tlv(&mut tlvs)? {
        if kind != TLV_SSL {
            continue;
        }
        let Some(([client, verify @ ..], mut inner)) = value.split_first_chunk::<5>() else {
            return Err(ProxyError::Invalid("the field about TLS"));
        };
        let has_certificate = client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) != 0;
        let is_verified = client & CLIENT_SSL != 0 && has_certificate && *verify == [0; 4];
        let mut tls = ProxyTls { is_verified, ..ProxyTls::default() };
        while let Some((kind, value)) = next_tlv(&mut inner)? {
            let text = || String::from_utf8(value.to_vec()).ok();
            match kind {
                TLV_SSL_VERSION => tls.version = text(),
                TLV_SSL_CN => tls.common_name = text(),
                _ => {}
            }
        }
        return Ok((client & CLIENT_SSL != 0).then_some(tls));
    }
    Ok(None)
}

/// Takes one field off the front; `None` at the end.
fn next_tlv<'a>(tlvs: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, ProxyError> {
    if tlvs.is_empty() {
        return Ok(None);
    }
    let cut = ProxyError::Invalid("a field that is cut");
    let ([kind, high, low], rest) = tlvs.split_first_chunk::<3>().ok_or(cut)?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))).ok_or(cut)?;
    *tlvs = rest;
    Ok(Some((*kind, value)))
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of the longest header of version 1.
const LINE_BYTES_MAX: usize = 107;
/// Bytes of the longest header that is taken.
pub const HEADER_BYTES_MAX: usize = 4 << 10;

const TLV_SSL: u8 = 0x20;
const TLV_SSL_VERSION: u8 = 0x21;
const TLV_SSL_CN: u8 = 0x22;
const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT_CONN: u8 = 0x02;
const CLIENT_CERT_SESS: u8 = 0x04;

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [&SIGNATURE_2[..], &[command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    /// Parses `bytes` with something behind them, and checks that no part of them is enough.
    fn parse(bytes: &[u8]) -> Result<ProxyHeader, ProxyError> {
        let longer = [bytes, b"\x10\x0C"].concat();
        let (header, len) = ProxyHeader::parse(&longer)?.expect("it is all there");
        assert_eq!(len, bytes.len());
        for end in 0..len {
            assert_eq!(ProxyHeader::parse(&bytes[..end]), Ok(None), "cut at {end}");
        }
        Ok(header)
    }

    fn addresses(source: &str, destination: &str) -> Option<Addresses> {
        Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    #[test]
    fn version_1_is_a_line() {
        let header = parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 1883\r\n").unwrap();
        assert_eq!(header.addresses, addresses("192.0.2.1:50000", "192.0.2.2:1883"));
        let header = parse(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n").unwrap();
        assert_eq!(header.addresses, addresses("[2001:db8::1]:1", "[2001:db8::2]:2"));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(ProxyHeader::default()));
        for bad in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 50000\r\n",
            "PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)),
        ] {
            assert!(matches!(ProxyHeader::parse(bad.as_bytes()), Err(ProxyError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn version_2_has_addresses_and_tells_of_tls() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xC3, 0x50, 0x07, 0x5B];
        let sub = [tlv(0x21, b"TLSv1.3"), tlv(0x22, "Ger\u{e4}t".as_bytes()), tlv(0x23, b"x")].concat();
        let ssl = |client: u8, verify: u8| tlv(0x20, &[&[client, 0, 0, 0, verify][..], &sub].concat());
        let header =
            parse(&version_2(0x21, 0x11, &[&v4[..], &tlv(4, b"noop"), &ssl(7, 0)].concat())).unwrap();
        assert_eq!(header.addresses, addresses("192.0.2.1:50000", "192.0.2.2:1883"));
        let tls = header.tls.unwrap();
        assert!(tls.is_verified);
        assert_eq!(tls.common_name.as_deref(), Some("Ger\u{e4}t"));
        assert_eq!(tls.version.as_deref(), Some("TLSv1.3"));
        for (client, verify) in [(1, 0), (7, 1)] {
            let header = parse(&version_2(0x21, 0x11, &[&v4[..], &ssl(client, verify)].concat())).unwrap();
            assert!(!header.tls.unwrap().is_verified);
        }
        let header = parse(&version_2(0x21, 0x11, &[&v4[..], &ssl(0, 0)].concat())).unwrap();
        assert_eq!(header.tls, None);

        let v6 = [[0x20; 16], [0x21; 16]].concat();
        let header = parse(&version_2(0x21, 0x21, &[&v6[..], &[0, 1, 0, 2]].concat())).unwrap();
        assert_eq!(header.addresses.unwrap().destination.port(), 2);
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_says_nothing() {
        for bytes in [version_2(0x20, 0, &[]), version_2(0x21, 0, b"any"), version_2(0x21, 0x31, &[0; 216])] {
            assert_eq!(parse(&bytes), Ok(ProxyHeader::default()));
        }
    }

    #[test]
    fn what_is_no_header_is_told() {
        assert_eq!(ProxyHeader::parse(b"\x10\x0C"), Err(ProxyError::Missing));
        assert_eq!(ProxyHeader::parse(b"PROXX"), Err(ProxyError::Missing));
        assert_eq!(ProxyHeader::parse(&version_2(0x21, 0x11, &[0; 5000])), Err(ProxyError::TooLong));
        for (command, family, rest) in [
            (0x31, 0x11, &[0; 12][..]),
            (0x22, 0x11, &[0; 12]),
            (0x21, 0x11, &[0; 11]),
            (0x21, 0x21, &[0; 35]),
        ] {
            let bytes = version_2(command, family, rest);
            assert!(matches!(ProxyHeader::parse(&bytes), Err(ProxyError::Invalid(_))), "{bytes:?}");
        }
        let cut = version_2(0x21, 0x11, &[0; 14]);
        assert!(matches!(ProxyHeader::parse(&cut), Err(ProxyError::Invalid(_))));
    }
}
