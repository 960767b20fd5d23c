//! The machines of QoS 1 and 2: the time of one whole exchange at each end (4.3).

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dunlin_packet::{packet_identifier::PacketId, qos::QoS};
use dunlin_protocol::{inbound::Inbound, outbound::Outbound};

/// Messages under way at a time.
const IN_FLIGHT: u16 = 64;

fn sender(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sender");
    let mut outbound = Outbound::new();
    outbound.connect(u16::MAX);
    let mut packet_ids: Vec<PacketId> = Vec::new();
    for _ in 0..IN_FLIGHT {
        packet_ids.push(outbound.send(QoS::AtLeastOnce, 0_u64).expect("there is quota"));
    }
    let mut oldest = 0;
    group.bench_function("QoS 1: PUBACK for the oldest, PUBLISH", |bencher| {
        bencher.iter(|| {
            let packet_id = &mut packet_ids[oldest];
            oldest = (oldest + 1) % usize::from(IN_FLIGHT);
            outbound.puback(*packet_id).expect("it is in flight");
            *packet_id = outbound.send(QoS::AtLeastOnce, black_box(7)).expect("there is quota");
        });
    });
    let mut outbound = Outbound::new();
    outbound.connect(u16::MAX);
    group.bench_function("QoS 2: PUBLISH, PUBREC, PUBCOMP", |bencher| {
        bencher.iter(|| {
            let packet_id = outbound.send(QoS::ExactlyOnce, black_box(7_u64)).expect("there is quota");
            let is_taken = outbound.pubrec(packet_id, false).is_ok();
            outbound.pubcomp(packet_id).expect("it was released");
            is_taken
        });
    });
    group.finish();
}

fn receiver(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receiver");
    for (name, qos) in
        [("QoS 1: PUBLISH, PUBACK", QoS::AtLeastOnce), ("QoS 2: PUBLISH, PUBREL", QoS::ExactlyOnce)]
    {
        let mut inbound = Inbound::new();
        inbound.connect(u16::MAX);
        let mut number = 0_u16;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(1).max(1);
                let packet_id = PacketId::new(number).expect("not 0");
                let received = inbound.publish(qos, Some(packet_id)).expect("there is quota");
                if qos == QoS::ExactlyOnce {
                    inbound.pubrel(packet_id);
                }
                inbound.acknowledged(packet_id);
                received
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sender, receiver);
criterion_main!(benches);
