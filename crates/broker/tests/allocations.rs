//! How often the fast path asks for memory: counted, so the same on every machine.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dunlin_packet::qos::QoS;

mod support;

use support::{World, publishes};

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; the count is a thread's own and needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + held(layout.size()));
        // SAFETY: the caller keeps the promises that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - held(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + held(size) - held(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What glibc takes from the heap for `size` bytes.
fn held(size: usize) -> i64 {
    (size + 8).next_multiple_of(16).max(32) as i64
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Messages of one turn.
const MESSAGES: u16 = 1_000;

/// Messages of one turn go from one Client to `receivers` others, twice to warm up and once counted, until everything is
/// acknowledged; returns allocations for each delivery.
fn allocations_of(qos: QoS, receivers: u32) -> f64 {
    let mut world = World::new();
    let publisher = world.connect();
    for _ in 0..receivers {
        let receiver = world.connect();
        world.subscribe(receiver, "sensor/+/state", qos);
    }
    let packets = publishes("sensor/kitchen/state", qos, MESSAGES);
    let deliveries = u32::from(MESSAGES) * receivers;
    for _ in 0..2 {
        assert_eq!(world.exchange(publisher, &packets), deliveries);
    }
    let count = allocations(|| assert_eq!(world.exchange(publisher, &packets), deliveries));
    count as f64 / f64::from(deliveries)
}

#[test]
fn a_delivery_asks_for_so_much_memory_and_no_more() {
    let mut all = Vec::new();
    for (qos, receivers, most) in [
        (QoS::AtMostOnce, 1, 0.01),
        (QoS::AtMostOnce, 10, 0.01),
        (QoS::AtLeastOnce, 1, 1.02),
        (QoS::AtLeastOnce, 10, 0.12),
        (QoS::ExactlyOnce, 1, 1.03),
        (QoS::ExactlyOnce, 10, 0.13),
    ] {
        let each = allocations_of(qos, receivers);
        println!("QoS {} to {receivers}: {each} allocations a delivery, {most} at most", qos.value());
        all.push((each, most));
    }
    assert!(all.iter().all(|(each, most)| each <= most), "{all:?}");
}

/// What the broker itself holds; sockets and their slots come on top.
#[test]
fn an_idle_client_with_a_subscription_holds_so_much_memory_and_no_more() {
    const CLIENTS: u32 = 10_000;
    let mut world = World::resting();
    let before = BYTES.get();
    for number in 0..CLIENTS {
        let client = world.connect();
        world.subscribe(client, &format!("site/{number}/command"), QoS::AtMostOnce);
    }
    let each = (BYTES.get() - before) / i64::from(CLIENTS);
    println!("an idle Client holds {each} bytes");
    // Who it is comes on top: some 130 bytes for one whose user name is not known.
    assert!((400..=700).contains(&each), "{each} bytes");
}
