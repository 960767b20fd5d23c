//! What a full disk does.
//!
//! The test starts itself again on a small disk, for which it needs no right to mount one.

#[path = "small/disk.rs"]
mod small_disk;

use std::{
    env, fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use dunlin_broker::{ids::ShardId, records::batch::Batch};
use dunlin_store::{
    disk::{Disk, DiskOptions},
    store::Store,
    writer::{Report, Room, Writer, WriterOptions},
};
use small_disk::SmallDisk;

const INSIDE: &str = "DUNLIN_TEST_ON_SMALL_DISK";
const NAME: &str = "a_full_disk_is_survived";
const TOTAL: u64 = 200 << 20;
const A: ShardId = ShardId(0);
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_full_disk_is_survived() {
    if let Some(folder) = env::var_os(INSIDE) {
        return on_small_disk(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(folder.path(), "data", TOTAL);
    let outcome = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", NAME])
        .env(INSIDE, folder.path())
        .envs(disk.environment())
        .output()
        .unwrap();
    let text = [outcome.stdout, outcome.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(outcome.status.success() && text.contains("went on after"), "{text}");
    println!("{text}");
}

struct Load {
    writer: Writer,
    reports: Receiver<(ShardId, Report)>,
    submitted: u64,
    committed: u64,
    is_low: bool,
}

impl Load {
    fn start(store: Arc<Disk>) -> Self {
        let (sender, reports) = mpsc::channel();
        let writer = Writer::start(store, WriterOptions::default(), move |shard, report| {
            let _ = sender.send((shard, report));
        });
        Self { writer: writer.unwrap(), reports, submitted: 0, committed: 0, is_low: false }
    }

    /// Submits a message of 4 KiB.
    fn submit(&mut self) {
        self.submitted += 1;
        let mut batch = Batch::new();
        batch.put_new(
            &[b"m".as_slice(), &self.submitted.to_be_bytes()].concat(),
            &[self.submitted as u8; 4_096],
        );
        assert_eq!(self.writer.submit(A, self.submitted, &mut batch), Room::Left);
    }

    /// Waits for a report; whether one came.
    fn wait(&mut self, patience: Duration) -> bool {
        match self.reports.recv_timeout(patience) {
            Ok((_, Report::Committed { number })) => self.committed = number,
            Ok((_, Report::Space { is_low })) => self.is_low = is_low,
            Ok(other) => panic!("{other:?}"),
            Err(_) => return false,
        }
        true
    }
}

fn on_small_disk(folder: &Path) {
    let disk = SmallDisk::inside(folder, "data", TOTAL);
    let options = DiskOptions { memtable: 4 << 20, ..DiskOptions::new(folder.join("data")) };
    let store = Arc::new(Disk::open(&options).unwrap());
    let reserve = folder.join("data/reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), TOTAL / 32);
    disk.leave_free(20 << 20);
    let mut load = Load::start(Arc::clone(&store));

    // Space becomes low, and is told while everything is still committed.
    while !load.is_low {
        load.submit();
        while load.committed < load.submitted {
            assert!(load.wait(PATIENCE));
        }
    }
    assert!(reserve.exists(), "low, but far from full");
    let told_at = load.committed;
    assert!(told_at > 500, "{told_at}");

    // A Server would refuse now. One that does not finds the disk full: nothing is reported, nothing fails.
    let mut has_reserve = true;
    loop {
        load.submit();
        if !load.wait(Duration::from_secs(3)) {
            break;
        }
        has_reserve &= reserve.exists();
    }
    assert!(!has_reserve && !reserve.exists());
    while load.wait(Duration::from_millis(1_500)) {}
    assert!(load.committed < load.submitted);
    let lasted = load.committed - told_at;
    println!("low with {told_at} messages, full with {lasted} more, {:?}", store.space().unwrap());

    // Room again: it goes on by itself, within five seconds (P8).
    disk.make_room();
    let since = Instant::now();
    while load.committed < load.submitted || load.is_low {
        assert!(load.wait(PATIENCE), "{} of {}", load.committed, load.submitted);
    }
    println!("went on after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(5));
    assert!(reserve.exists());
    load.submit();
    load.writer.stop().unwrap();
    let expected = load.submitted;
    drop((load, store));

    let store = Disk::open(&options).unwrap();
    let mut next = 1_u64;
    store
        .scan(b"m", b"n", &mut |key, value| {
            assert!(key[1..] == next.to_be_bytes() && value == [next as u8; 4_096]);
            next += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(next - 1, expected);
}
