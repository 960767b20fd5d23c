//! The broker without sockets: matching, interest, and whole turns with a thousand packets.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dunlin_broker::{
    routing::interest::{Interest, ShardInterest},
    subscriptions::{Subscriptions, subscription::Subscription},
    topics::ids::SessionIndex,
};
use dunlin_packet::{
    qos::QoS,
    subscribe::SubscriptionOptions,
    topic::{filter::TopicFilter, name::TopicName},
};

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;

use support::{World, publishes};

/// The filter number `number`: a third each without wildcard, with `+` and with `#`; and a name that only it matches.
fn filter_and_name(number: u32) -> (String, String) {
    let (site, room) = (number / 100, number % 100);
    let name = format!("site{site}/room{room}/temperature");
    let filter = match number % 3 {
        0 => name.clone(),
        1 => format!("site{site}/room{room}/+"),
        _ => format!("site{site}/room{room}/#"),
    };
    (filter, name)
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match one of");
    for count in [1_000, 100_000, 1_000_000] {
        let mut subscriptions = Subscriptions::new();
        let options = SubscriptionOptions::with_qos(QoS::AtMostOnce);
        let mut names = Vec::new();
        for number in 0..count {
            let (filter, name) = filter_and_name(number);
            let filter = TopicFilter::parse(&filter).expect("a Topic Filter");
            let subscription = Subscription { options, identifier: None };
            subscriptions.insert(filter, SessionIndex(number % 200), subscription);
            if number % (count / 1_000) == 0 {
                names.push(name);
            }
        }
        let mut next = 0;
        group.bench_function(format!("{count} filters"), |bencher| {
            bencher.iter(|| {
                next = (next + 617) % names.len();
                let name = TopicName::parse(&names[next]).expect("a Topic Name");
                let mut found = 0;
                subscriptions.matches(black_box(name), &mut |_, _, _| found += 1);
                assert_eq!(found, 1);
            });
        });
    }
    group.finish();
}

fn interest(criterion: &mut Criterion) {
    let interest = Arc::new(Interest::new(Interest::WORDS, 2));
    let mut own = ShardInterest::new(Arc::clone(&interest), 1);
    for number in 0..10_000 {
        own.add(TopicFilter::parse(&filter_and_name(number).0).expect("a Topic Filter"));
    }
    let name = TopicName::parse("site7/room30/temperature").expect("a Topic Name");
    criterion.bench_function("interest of 3 levels", |bencher| {
        bencher.iter(|| interest.look_up(black_box(name)));
    });
}

fn turns(criterion: &mut Criterion) {
    const MESSAGES: u16 = 1_000;
    let mut group = criterion.benchmark_group("turn of 1000 packets");
    for (name, qos, receivers) in [
        ("QoS 0 to 1", QoS::AtMostOnce, 1),
        ("QoS 1 to 1", QoS::AtLeastOnce, 1),
        ("QoS 2 to 1", QoS::ExactlyOnce, 1),
        ("QoS 0 to 100", QoS::AtMostOnce, 100),
        ("QoS 0 to none", QoS::AtMostOnce, 0),
    ] {
        let mut world = World::new();
        let publisher = world.connect();
        for _ in 0..receivers {
            let receiver = world.connect();
            world.subscribe(receiver, "sensor/+/state", qos);
        }
        let packets = publishes("sensor/kitchen/state", qos, MESSAGES);
        group.throughput(Throughput::Elements(u64::from(MESSAGES) * u64::from(receivers.max(1))));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(world.exchange(publisher, &packets), u32::from(MESSAGES) * receivers));
        });
    }
    group.finish();
}

criterion_group!(benches, matching, interest, turns);
criterion_main!(benches);
