//! One packet of any bytes: decoded, encoded, decoded again it is the same, and so are its bytes.
//!
//! Input: one byte for the version, then the packet. Its Remaining Length is replaced by the true one, so that a change of
//! length does not end the search.
#![no_main]

use dunlin_packet::{
    fixed_header::{FixedHeader, Frame},
    packet::Packet,
    version::ProtocolVersion,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    let version = ProtocolVersion::from_level(first % 3 + 3).expect("3 to 5 are versions");
    let Ok(Some((header, header_len))) = FixedHeader::decode(bytes) else { return };
    let body = &bytes[header_len..];
    let header = FixedHeader { remaining_length: body.len() as u32, ..header };
    let frame = Frame { header, body, encoded_len: bytes.len() };
    let Ok(packet) = Packet::decode(version, frame) else { return };

    let encoded = encode(version, &packet);
    let frame = Frame::split(&encoded, u32::MAX).expect("a sound header").expect("a whole packet");
    assert_eq!(frame.encoded_len, encoded.len());
    let again = Packet::decode(version, frame).expect("our own bytes");
    assert_eq!(again, packet);
    assert_eq!(encode(version, &again), encoded, "our form stays as it is");
});

fn encode(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut encoded = Vec::new();
    packet.encode(version, &mut encoded).expect("what was decoded can be encoded");
    encoded
}
