//! Bytes to packets and back: the time of each kind that comes often.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dunlin_packet::{
    acks::Ack,
    fixed_header::Frame,
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    publish::Publish,
    qos::QoS,
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    version::ProtocolVersion,
};

const PROPERTIES: [Property<'static>; 3] = [
    Property::MessageExpiryInterval(60),
    Property::ContentType("application/json"),
    Property::ResponseTopic("reply/to/me"),
];

fn publish(qos: QoS, payload: &'static [u8], properties: PropertyList<'static>) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic_name: Some(TopicName::parse("sensor/kitchen/temperature").expect("a Topic Name")),
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties,
        payload,
    })
}

fn samples() -> Vec<(&'static str, ProtocolVersion, Packet<'static>)> {
    const FILTERS: [SubscriptionRequest<'static>; 2] = [
        SubscriptionRequest {
            topic_filter: "sensor/+/temperature",
            options: SubscriptionOptions::with_qos(QoS::AtLeastOnce),
        },
        SubscriptionRequest {
            topic_filter: "command/#",
            options: SubscriptionOptions::with_qos(QoS::ExactlyOnce),
        },
    ];
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: PropertyList::EMPTY,
        filters: SubscriptionFilters::from_slice(&FILTERS),
    });
    let (old, new) = (ProtocolVersion::V3_1_1, ProtocolVersion::V5_0);
    let properties = PropertyList::from_items(&PROPERTIES);
    vec![
        ("PUBLISH QoS 0, 16 B", old, publish(QoS::AtMostOnce, &[b'x'; 16], PropertyList::EMPTY)),
        ("PUBLISH QoS 1, 16 B", old, publish(QoS::AtLeastOnce, &[b'x'; 16], PropertyList::EMPTY)),
        ("PUBLISH QoS 1, 16 B, 5.0", new, publish(QoS::AtLeastOnce, &[b'x'; 16], PropertyList::EMPTY)),
        ("PUBLISH QoS 1, 16 B, 3 Properties", new, publish(QoS::AtLeastOnce, &[b'x'; 16], properties)),
        ("PUBLISH QoS 0, 4 KiB", old, publish(QoS::AtMostOnce, &[b'x'; 4_096], PropertyList::EMPTY)),
        ("PUBACK", old, Packet::Puback(Ack::success(PacketId::MIN))),
        ("SUBSCRIBE, 2 filters", old, subscribe),
        ("PINGREQ", old, Packet::Pingreq),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, version, packet) in samples() {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).expect("a good packet");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let frame = Frame::split(black_box(&bytes), u32::MAX).expect("sound").expect("whole");
                Packet::decode(version, frame).is_ok()
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, version, packet) in samples() {
        let len = packet.encoded_len(version).expect("a good packet");
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |bencher| {
            let buffer = || Vec::<u8>::with_capacity(len);
            bencher.iter_batched_ref(
                buffer,
                |buffer| black_box(&packet).encode(version, buffer).is_ok(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
