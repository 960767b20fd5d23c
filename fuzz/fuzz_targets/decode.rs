//! Any bytes as a stream of packets: no panic, and what decodes can be read and written within its limits.
//!
//! Input: one byte for the version, then the stream.
#![no_main]

use std::hint::black_box;

use dunlin_packet::{
    fixed_header::Frame,
    packet::{Packet, PacketType},
    property::list::PropertyList,
    publish::Publish,
    topic::{filter::TopicFilter, name::TopicName},
    version::ProtocolVersion,
    wire::writer::SliceBuffer,
};
use libfuzzer_sys::fuzz_target;

/// Bytes; large enough for all inputs, small enough that some packets exceed it.
const MAXIMUM_PACKET_SIZE: u32 = 2048;

fuzz_target!(|input: &[u8]| {
    let Some((first, mut stream)) = input.split_first() else { return };
    let version = ProtocolVersion::from_level(first % 3 + 3).expect("3 to 5 are versions");
    while let Some(frame) = split(stream) {
        stream = &stream[frame.encoded_len..];
        match Packet::decode(version, frame) {
            Ok(packet) => {
                read(version, frame, &packet);
                write(version, frame, &packet);
            }
            Err(error) => {
                assert!(error.reason_code().is_error());
                black_box(error.to_string());
            }
        }
    }
});

fn split(stream: &[u8]) -> Option<Frame<'_>> {
    match Frame::split(stream, MAXIMUM_PACKET_SIZE) {
        Ok(Some(frame)) => {
            assert!(frame.encoded_len <= stream.len());
            assert!(frame.encoded_len <= MAXIMUM_PACKET_SIZE as usize);
            assert_eq!(frame.body.len(), frame.header.remaining_length as usize);
            Some(frame)
        }
        Ok(None) => {
            // A stream that is not long enough for its packet is no longer than a packet may be.
            assert!(stream.len() < MAXIMUM_PACKET_SIZE as usize);
            None
        }
        Err(error) => {
            black_box(error.to_string());
            None
        }
    }
}

/// Uses everything that a packet offers for reading.
fn read(version: ProtocolVersion, frame: Frame<'_>, packet: &Packet<'_>) {
    assert_eq!(packet.packet_type(), frame.header.packet_type);
    match packet {
        Packet::Connect(connect) => {
            assert_eq!(dunlin_packet::connect::Connect::announced_version(frame.body), Some(connect.version));
            read_properties(&connect.properties);
            if let Some(will) = &connect.will {
                read_topic_name(will.topic_name);
                read_properties(&will.properties);
            }
        }
        Packet::Publish(publish) => {
            let (same, layout) =
                Publish::decode_with_layout(version, frame.header, frame.body).expect("decoded before");
            assert_eq!(same, *publish);
            assert_eq!(layout.properties.of(frame.body), publish.properties.encoded());
            assert_eq!(frame.body.len() - layout.payload_start as usize, publish.payload.len());
            let topic = publish.topic_name.map_or("", TopicName::as_str);
            assert_eq!(layout.topic.of(frame.body), topic.as_bytes());
            publish.topic_name.map(read_topic_name);
            read_properties(&publish.properties);
        }
        Packet::Subscribe(subscribe) => {
            read_properties(&subscribe.properties);
            assert!(subscribe.iter().count() > 0);
            for request in subscribe.iter() {
                request.filter().map(read_topic_filter).unwrap_or_default();
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.iter().count() > 0);
            for text in unsubscribe.iter() {
                TopicFilter::parse(text).map(read_topic_filter).unwrap_or_default();
            }
        }
        Packet::Suback(suback) => assert_eq!(suback.reason_codes.iter().count(), suback.reason_codes.len()),
        Packet::Connack(connack) => read_properties(&connack.properties),
        other => {
            black_box(format!("{other:?}"));
        }
    }
}

fn read_properties(list: &PropertyList<'_>) {
    let len: usize = list.iter().map(|property| property.encoded_len()).sum();
    assert_eq!(len, list.encoded().len(), "a decoded list is read to its end");
    let len: usize = list.encoded_properties().map(|(_, encoded)| encoded.len()).sum();
    assert_eq!(len, list.encoded().len());
    for property in list.iter() {
        assert!(list.find(property.id()).is_some_and(|found| found.id() == property.id()));
    }
    black_box((list.topic_alias(), list.user_properties().count(), list.subscription_identifiers().count()));
}

fn read_topic_name(name: TopicName<'_>) {
    let filter = TopicFilter::parse(name.as_str());
    assert!(filter.is_err() || filter.is_ok_and(|filter| filter.share().is_some() || filter.matches(name)));
}

fn read_topic_filter(filter: TopicFilter<'_>) {
    assert!(filter.without_share().as_str().starts_with(filter.literal_head()));
    assert_eq!(filter.literal_head() == filter.without_share().as_str(), !filter.has_wildcard());
    black_box(filter.levels().count());
}

/// Our form of a packet has the length it says and is not longer than the one that came. One exception: the two bytes by
/// which an older Server refuses version 5.0 become three.
fn write(version: ProtocolVersion, frame: Frame<'_>, packet: &Packet<'_>) {
    let len = packet.encoded_len(version).expect("what was decoded can be encoded");
    let is_old_refusal = frame.body == [0, 1] && packet.packet_type() == PacketType::Connack;
    assert!(len <= frame.encoded_len + usize::from(is_old_refusal));
    let mut place = [0; MAXIMUM_PACKET_SIZE as usize];
    let mut out = SliceBuffer::new(&mut place[..len]);
    packet.encode(version, &mut out).expect("as long as it said");
    assert_eq!(out.len(), len);
    let mut short = SliceBuffer::new(&mut place[..len - 1]);
    packet.encode(version, &mut short).expect_err("one byte too few");
    assert!(short.is_empty());
}
