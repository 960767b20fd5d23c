//! Plays the good and bad bytes of spec/packets, and what follows from them.

mod corpus;
mod rows;
mod short_form;

use dunlin_packet::{
    error::{DecodeError, EncodeError},
    fixed_header::Frame,
    packet::Packet,
    version::ProtocolVersion,
    wire::writer::SliceBuffer,
};

use rows::{Kind, Row};

/// Takes `bytes` as exactly one packet.
fn decode(version: ProtocolVersion, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let frame = Frame::split(bytes, u32::MAX)?.expect("a row is a whole packet");
    assert_eq!(frame.encoded_len, bytes.len(), "a row is one packet");
    Packet::decode(version, frame)
}

fn encode(version: ProtocolVersion, packet: &Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    packet.encode(version, &mut out)?;
    assert_eq!(packet.encoded_len(version), Ok(out.len()));
    Ok(out)
}

/// Calls `check` with each row in each of its versions.
fn for_each(mut check: impl FnMut(&Row, ProtocolVersion)) {
    for row in &rows::all() {
        for &version in &row.versions {
            check(row, version);
        }
    }
}

#[test]
fn each_row_has_its_outcome() {
    let mut wrong = Vec::new();
    for_each(|row, version| {
        let outcome = match decode(version, &row.bytes) {
            Ok(packet) => short_form::of(&packet),
            Err(error) => format!("0x{:02X} {error}", error.reason_code().value()),
        };
        if outcome != row.outcome {
            wrong.push(format!(
                "{} {version} {}\n  is  {outcome}\n  not {}",
                row.place, row.name, row.outcome
            ));
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_packets_are_encoded_into_the_same_bytes() {
    for_each(|row, version| {
        if row.kind == Kind::Bad {
            return;
        }
        let packet = decode(version, &row.bytes).expect(&row.place);
        let again = encode(version, &packet).expect(&row.place);
        assert_eq!(again == row.bytes, row.kind == Kind::Good, "{} {version}: {again:02X?}", row.place);
        assert_eq!(decode(version, &again), Ok(packet), "{} {version}", row.place);
    });
}

#[test]
fn each_prefix_of_a_sound_packet_asks_for_more_bytes() {
    for_each(|row, _| {
        if row.kind != Kind::Bad {
            for len in 0..row.bytes.len() {
                assert_eq!(Frame::split(&row.bytes[..len], u32::MAX), Ok(None), "{} cut at {len}", row.place);
            }
        }
    });
}

#[test]
fn a_packet_that_is_one_byte_too_long_is_refused_by_its_header() {
    for_each(|row, _| {
        if row.kind == Kind::Bad {
            return;
        }
        let encoded_len = row.bytes.len();
        let limit = u32::try_from(encoded_len).expect("rows are short");
        assert!(Frame::split(&row.bytes, limit).expect(&row.place).is_some());
        let header_len = encoded_len - Frame::split(&row.bytes, limit).unwrap().unwrap().body.len();
        let maximum = limit - 1;
        for bytes in [&row.bytes[..header_len], &row.bytes] {
            let error = Frame::split(bytes, maximum).expect_err("too large");
            assert_eq!(error, DecodeError::PacketTooLarge { encoded_len, maximum }, "{}", row.place);
            assert_eq!(error.reason_code().value(), 0x95);
        }
    });
}

#[test]
fn a_packet_is_written_whole_or_not_at_all() {
    for_each(|row, version| {
        if row.kind == Kind::Bad || row.bytes.len() > 1000 {
            return;
        }
        let packet = decode(version, &row.bytes).expect(&row.place);
        let len = packet.encoded_len(version).expect(&row.place);
        let mut place = vec![0; len];
        for room in 0..len {
            let mut out = SliceBuffer::new(&mut place[..room]);
            assert_eq!(packet.encode(version, &mut out), Err(EncodeError::BufferFull), "{}", row.place);
            assert!(out.is_empty(), "{} wrote {} bytes", row.place, out.len());
        }
        let mut out = SliceBuffer::new(&mut place);
        packet.encode(version, &mut out).expect(&row.place);
        assert_eq!(out.as_slice(), encode(version, &packet).expect(&row.place));
    });
}

#[test]
fn no_single_byte_makes_it_panic() {
    for_each(|row, version| {
        if row.bytes.len() > 1000 {
            return;
        }
        let mut bytes = row.bytes.clone();
        for place in 0..bytes.len() {
            let original = bytes[place];
            for value in 0..=u8::MAX {
                bytes[place] = value;
                check_any(version, &bytes, &row.place);
            }
            bytes[place] = original;
        }
    });
}

#[test]
fn no_cut_body_makes_it_panic() {
    for_each(|row, version| {
        if row.bytes.len() < 2 || row.bytes.len() > 129 {
            return;
        }
        for len in 2..row.bytes.len() {
            let mut bytes = row.bytes[..len].to_vec();
            bytes[1] = u8::try_from(len - 2).expect("short rows only");
            check_any(version, &bytes, &row.place);
        }
    });
}

/// Whatever decodes can be encoded and decoded again, and is the same then.
fn check_any(version: ProtocolVersion, bytes: &[u8], place: &str) {
    let Ok(Some(frame)) = Frame::split(bytes, u32::MAX) else { return };
    let Ok(packet) = Packet::decode(version, frame) else { return };
    let again = encode(version, &packet).unwrap_or_else(|error| panic!("{place}: {error}: {bytes:02X?}"));
    assert_eq!(decode(version, &again), Ok(packet), "{place}: {bytes:02X?}");
}
