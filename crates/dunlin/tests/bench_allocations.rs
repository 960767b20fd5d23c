//! `dunlin bench` allocates nothing for a message: all allocations of this process are counted.

#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use clap::Parser;
use dunlin_bench::command::BenchArgs;
use support::server::Server;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is left to the allocator of the system, whose promises are these.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: what the caller promises is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: what the caller promises is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

/// Allocations of a whole run with so many messages.
fn allocations(port: &str, arguments: &str, messages: u64) -> u64 {
    let all = format!("bench {arguments} --quiet -h 127.0.0.1 --pid none -p {port} --messages {messages}");
    let cli = Cli::try_parse_from(all.split_whitespace()).expect("the arguments are right");
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(cli.bench.run(), 0, "{all}");
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Runs one after the other, as all allocations are counted.
#[test]
fn a_message_costs_no_allocation() {
    let server = Server::start(1);
    let port = server.port();
    for arguments in [
        "pair -n 3",
        "pair -n 3 -q 1 -V 5",
        "pair -n 3 -q 2",
        "fan-out -n 20 -q 1",
        "fan-in -n 10 --threads 2",
    ] {
        let few = allocations(&port, arguments, 2_000);
        let many = allocations(&port, arguments, 42_000);
        // The thread that watches allocates some each tenth of a second.
        assert!(many < few + 2_000, "{arguments}: {few} allocations for 2,000 messages, {many} for 42,000");
    }
}
