//! Tests of the writer, with engines that wait or fail when told.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Condvar,
        atomic::AtomicUsize,
        mpsc::{self, Receiver},
    },
};

use dunlin_broker::{output::PageReader, records::key::Owner};

use super::*;
use crate::{
    memory::Memory,
    store::{Each, Space},
};

const A: ShardId = ShardId(0);
const B: ShardId = ShardId(1);
/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine in memory that does what a test tells it.
#[derive(Default)]
struct Puppet {
    memory: Memory,
    /// How many commits may still pass.
    allowed: Mutex<usize>,
    has_more: Condvar,
    /// What the next commit answers instead of doing it.
    error: Mutex<Option<StoreError>>,
    /// What the next scan answers instead of doing it.
    unreadable: Mutex<Option<StoreError>>,
    commits: AtomicUsize,
    syncs: AtomicUsize,
    entered: AtomicUsize,
}

impl Puppet {
    fn free() -> Arc<Self> {
        let puppet = Self::default();
        *lock(&puppet.allowed) = usize::MAX;
        Arc::new(puppet)
    }

    fn allow(&self, count: usize) {
        *lock(&self.allowed) += count;
        self.has_more.notify_all();
    }

    /// Waits until so many commits have begun.
    fn wait_for(&self, commits: usize) {
        let mut allowed = lock(&self.allowed);
        while self.entered.load(Ordering::SeqCst) < commits {
            allowed = self.has_more.wait(allowed).unwrap();
        }
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let each = &mut |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        };
        self.memory.scan(b"", b"\xff", each).unwrap();
        keys
    }
}

impl Store for Puppet {
    fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        let mut allowed = lock(&self.allowed);
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.has_more.notify_all();
        while *allowed == 0 {
            allowed = self.has_more.wait(allowed).unwrap();
        }
        *allowed -= 1;
        drop(allowed);
        if let Some(error) = lock(&self.error).take() {
            return Err(error);
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.syncs.fetch_add(usize::from(is_synced), Ordering::SeqCst);
        self.memory.commit(changes, is_synced)
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        if let Some(error) = lock(&self.unreadable).take() {
            return Err(error);
        }
        self.memory.scan(from, to, each)
    }

    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.find(key)
    }

    fn space(&self) -> Result<Space, StoreError> {
        self.memory.space()
    }
}

fn start(store: &Arc<Puppet>, options: WriterOptions) -> (Writer, Receiver<(ShardId, Report)>) {
    let (sender, receiver) = mpsc::channel();
    let store: Arc<Puppet> = Arc::clone(store);
    let writer = Writer::start(store, options, move |shard, report| {
        // A test that has seen enough is gone.
        let _ = sender.send((shard, report));
    });
    (writer.unwrap(), receiver)
}

fn two() -> WriterOptions {
    WriterOptions { shards: 2, ..WriterOptions::default() }
}

fn submit(writer: &Writer, shard: ShardId, number: u64, fill: impl FnOnce(&mut Batch)) -> Room {
    let mut batch = Batch::new();
    fill(&mut batch);
    let room = writer.submit(shard, number, &mut batch);
    assert!(batch.is_empty());
    room
}

fn committed(reports: &Receiver<(ShardId, Report)>) -> (ShardId, u64) {
    match reports.recv_timeout(PATIENCE).unwrap() {
        (shard, Report::Committed { number }) => (shard, number),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_committed_is_reported_to_its_shard() {
    let store = Puppet::free();
    let (writer, reports) = start(&store, two());
    assert_eq!(submit(&writer, A, 1, |it| it.put(b"s1", b"a")), Room::Left);
    assert_eq!(committed(&reports), (A, 1));
    assert_eq!(submit(&writer, B, 7, |it| it.put(b"s2", b"b")), Room::Left);
    assert_eq!(committed(&reports), (B, 7));
    assert_eq!(store.keys(), [b"s1", b"s2"]);
    let figures = writer.statistics().figures();
    assert_eq!((figures.commits, figures.syncs, figures.changes, figures.bytes), (2, 2, 2, 6));
    writer.stop().unwrap();
    assert!(reports.try_recv().is_err());
}

#[test]
fn what_comes_during_a_commit_becomes_one_group() {
    let store = Arc::new(Puppet::default());
    let (writer, reports) = start(&store, two());
    let _ = submit(&writer, A, 1, |it| it.put_new(b"m-first", b"a"));
    store.wait_for(1);
    for number in 2..=50 {
        let _ = submit(&writer, A, number, |it| it.put_new(&[b'm', number as u8], b"a"));
        let _ = submit(&writer, B, number, |it| it.put_new(&[b'b', number as u8], b"b"));
    }
    // Submitted before, but on its way: it can no longer be cancelled, and is deleted by the next group.
    let _ = submit(&writer, A, 51, |it| it.delete(b"m-first"));
    let _ = submit(&writer, B, 51, |it| (2..=50_u8).for_each(|index| it.delete(&[b'b', index])));
    store.allow(2);
    assert_eq!([(); 3].map(|()| committed(&reports)), [(A, 1), (A, 51), (B, 51)]);
    writer.stop().unwrap();
    assert_eq!(store.keys().len(), 49);
    let figures = writer.statistics().figures();
    assert_eq!((figures.commits, figures.changes, figures.cancelled), (2, 51, 98));
}

#[test]
fn needless_changes_alone_need_no_commit() {
    let store = Arc::new(Puppet::default());
    let (writer, reports) = start(&store, two());
    let _ = submit(&writer, A, 1, |it| {
        it.put_new(b"m1", b"a");
        it.delete(b"m1");
    });
    assert_eq!(committed(&reports), (A, 1));
    assert_eq!(store.commits.load(Ordering::SeqCst), 0);
}

#[test]
fn mail_is_gone_when_its_receiver_says_so() {
    let store = Arc::new(Puppet::default());
    let (writer, reports) = start(&store, two());
    let mail = b"x\x01\x00mail";
    // Put by the second shard and deleted by the first, in one group: the delete must win.
    let _ = submit(&writer, A, 1, |it| it.put(b"s", b"holds the thread up"));
    store.wait_for(1);
    let _ = submit(&writer, B, 1, |it| it.put(mail, b"body"));
    let _ = submit(&writer, A, 2, |it| {
        it.put_new(b"m1", b"body");
        it.delete(mail);
    });
    store.allow(2);
    assert_eq!([(); 3].map(|()| committed(&reports)), [(A, 1), (A, 2), (B, 1)]);
    assert_eq!(store.keys(), [&b"m1"[..], b"s"]);
}

#[test]
fn after_a_failure_nothing_is_reported_committed() {
    let store = Arc::new(Puppet::default());
    let (writer, reports) = start(&store, two());
    let failure = StoreError::Failed { what: "fsync".into() };
    *lock(&store.error) = Some(failure.clone());
    let _ = submit(&writer, A, 1, |it| it.put(b"s1", b"a"));
    store.wait_for(1);
    let _ = submit(&writer, B, 1, |it| it.put(b"s2", b"b"));
    writer.read(B, page(100));
    store.allow(10);
    for shard in [A, B] {
        let (told, report) = reports.recv_timeout(PATIENCE).unwrap();
        assert!(told == shard && matches!(report, Report::Failed(error) if error == failure));
    }
    assert!(matches!(reports.recv_timeout(PATIENCE).unwrap(), (B, Report::Unreadable { .. })));
    assert_eq!(submit(&writer, A, 2, |it| it.put(b"s3", b"c")), Room::Full);
    assert_eq!(writer.stop(), Err(failure));
    assert!(reports.try_recv().is_err());
    assert_eq!(store.keys().len(), 0);
}

#[test]
fn a_full_disk_is_waited_for() {
    let store = Puppet::free();
    let (writer, reports) = start(&store, two());
    *lock(&store.error) = Some(StoreError::Full { folder: "/data".into() });
    let _ = submit(&writer, A, 1, |it| it.put(b"s1", b"a"));
    for shard in [A, B] {
        let (told, report) = reports.recv_timeout(PATIENCE).unwrap();
        assert!(told == shard && matches!(report, Report::Space { is_low: true }));
    }
    assert_eq!(committed(&reports), (A, 1));
    for shard in [A, B] {
        let (told, report) = reports.recv_timeout(PATIENCE).unwrap();
        assert!(told == shard && matches!(report, Report::Space { is_low: false }), "{report:?}");
    }
    assert_eq!(store.keys(), [b"s1"]);
}

#[test]
fn little_space_is_told_and_so_is_its_end() {
    let store = Puppet::free();
    store.memory.set_low(true);
    let (_writer, reports) = start(&store, two());
    let told = || match reports.recv_timeout(PATIENCE).unwrap() {
        (shard, Report::Space { is_low }) => (shard, is_low),
        other => panic!("{other:?}"),
    };
    assert_eq!((told(), told()), ((A, true), (B, true)));
    // Nobody submits anything, and it is noticed nevertheless.
    store.memory.set_low(false);
    assert_eq!((told(), told()), ((A, false), (B, false)));
}

#[test]
fn a_slow_engine_makes_shards_wait() {
    let store = Arc::new(Puppet::default());
    let (writer, reports) = start(&store, WriterOptions { pending_max: 1_000, ..two() });
    let body = [0; 100];
    let _ = submit(&writer, A, 1, |it| it.put(b"s", b""));
    store.wait_for(1);
    let mut number = 1;
    let room = |number: u64| submit(&writer, A, number, |it| it.put_new(&[b'm', number as u8], &body));
    loop {
        number += 1;
        if room(number) == Room::Full {
            break;
        }
    }
    assert_eq!(number, 9, "134 bytes each");
    assert_eq!(submit(&writer, B, 1, |it| it.put(b"t", b"")), Room::Left);
    store.allow(1);
    assert_eq!(committed(&reports), (A, 1));
    assert!(matches!(reports.recv_timeout(PATIENCE).unwrap(), (A, Report::HasRoom)));
    assert_eq!(room(number + 1), Room::Left);
    store.allow(2);
    assert_eq!([(); 3].map(|()| committed(&reports)), [(A, 9), (B, 1), (A, 10)]);
    assert_eq!(store.commits.load(Ordering::SeqCst), 3);
}

fn page(bytes_max: usize) -> PageRequest {
    let reader = PageReader::Purge(Owner { slot: 1, uid: 1 });
    PageRequest { reader, from: b"m".to_vec(), to: b"n".to_vec(), bytes_max }
}

#[test]
fn reads_see_what_was_submitted_before() {
    let store = Puppet::free();
    let (writer, reports) = start(&store, two());
    let _ = submit(&writer, A, 1, |it| (0..10_u8).for_each(|index| it.put_new(&[b'm', index], &[index; 8])));
    writer.read(A, page(30));
    assert_eq!(committed(&reports), (A, 1));
    let (A, Report::Read(found)) = reports.recv_timeout(PATIENCE).unwrap() else { panic!("no page") };
    assert_eq!((found.records.len(), found.is_last), (3, false));
    assert_eq!((&found.records[2].key[..], &found.records[2].value[..]), (&b"m\x02"[..], &[2; 8][..]));
    writer.read(B, page(1_000));
    let (B, Report::Read(found)) = reports.recv_timeout(PATIENCE).unwrap() else { panic!("no page") };
    assert_eq!((found.records.len(), found.is_last), (10, true));
}

#[test]
fn a_read_that_fails_is_told_and_nothing_else_stops() {
    let store = Puppet::free();
    let (writer, reports) = start(&store, two());
    let _ = submit(&writer, A, 1, |it| it.put_new(b"m1", b"one"));
    assert_eq!(committed(&reports), (A, 1));
    *lock(&store.unreadable) = Some(StoreError::Failed { what: "a bad sector".into() });
    writer.read(A, page(30));
    let (A, Report::Unreadable { reader, error }) = reports.recv_timeout(PATIENCE).unwrap() else {
        panic!("it was read")
    };
    assert_eq!(reader, page(30).reader);
    assert!(error.to_string().contains("a bad sector"));
    let _ = submit(&writer, A, 2, |it| it.put_new(b"m2", b"two"));
    assert_eq!(committed(&reports), (A, 2));
    writer.read(A, page(30));
    let (A, Report::Read(found)) = reports.recv_timeout(PATIENCE).unwrap() else { panic!("no page") };
    assert_eq!(found.records.len(), 2);
}

#[test]
fn stopping_commits_what_waits() {
    let store = Arc::new(Puppet::default());
    let durability = Durability::None;
    let (writer, reports) = start(&store, WriterOptions { durability, ..two() });
    let _ = submit(&writer, A, 1, |it| it.put(b"s1", b"a"));
    store.wait_for(1);
    let _ = submit(&writer, B, 1, |it| it.put(b"s2", b"b"));
    store.allow(usize::MAX);
    writer.stop().unwrap();
    assert_eq!([(); 2].map(|()| committed(&reports)), [(A, 1), (B, 1)]);
    assert_eq!(store.commits.load(Ordering::SeqCst), 3, "the last one only waits for the disk");
    assert_eq!(store.syncs.load(Ordering::SeqCst), 1);
}

#[test]
fn an_interval_waits_for_the_disk_now_and_then() {
    let store = Puppet::free();
    let durability = Durability::Interval(Duration::from_millis(20));
    let (writer, reports) = start(&store, WriterOptions { durability, ..two() });
    let _ = submit(&writer, A, 1, |it| it.put(b"s1", b"a"));
    assert_eq!(committed(&reports), (A, 1));
    let since = Instant::now();
    while writer.statistics().figures().syncs == 0 && since.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(store.syncs.load(Ordering::SeqCst), 1);
    assert_eq!(store.commits.load(Ordering::SeqCst), 2);
}

#[test]
fn an_interval_has_patience_with_a_full_disk() {
    let store = Arc::new(Puppet::default());
    let durability = Durability::Interval(Duration::from_millis(1));
    let (writer, reports) = start(&store, WriterOptions { durability, ..two() });
    let _ = submit(&writer, A, 1, |it| it.put(b"s1", b"a"));
    store.allow(1);
    assert_eq!(committed(&reports), (A, 1));
    // The wait for the disk has begun, or will.
    store.wait_for(2);
    *lock(&store.error) = Some(StoreError::Full { folder: "/data".into() });
    store.allow(usize::MAX);
    assert!(matches!(reports.recv_timeout(PATIENCE).unwrap(), (A, Report::Space { is_low: true })));
    let _ = submit(&writer, A, 2, |it| it.put(b"s2", b"a"));
    let is_committed = |report| matches!(report, (A, Report::Committed { number: 2 }));
    assert!(reports.iter().any(is_committed));
    writer.stop().unwrap();
    assert!(store.syncs.load(Ordering::SeqCst) >= 1);
}

/// Each shard keeps a window of records, and sends mail to the next one.
#[test]
fn many_threads_lose_nothing() {
    const SHARDS: u8 = 4;
    const TURNS: u64 = 3_000;
    let store = Puppet::free();
    let options = WriterOptions { shards: SHARDS, pending_max: 20_000, ..WriterOptions::default() };
    let last: Arc<[Mutex<Vec<u64>>]> = (0..SHARDS).map(|_| Mutex::default()).collect();
    let told = Arc::clone(&last);
    let engine: Arc<Puppet> = Arc::clone(&store);
    let writer = Writer::start(engine, options, move |shard, report| match report {
        Report::Committed { number } => lock(&told[shard.index()]).push(number),
        Report::HasRoom => {}
        other => panic!("{other:?}"),
    });
    let writer = writer.unwrap();
    let mail: Vec<_> = (0..SHARDS).map(|_| mpsc::channel::<Vec<u8>>()).collect();
    let (senders, receivers): (Vec<_>, Vec<_>) = mail.into_iter().unzip();
    thread::scope(|scope| {
        for (shard, receiver) in (0..SHARDS).zip(receivers) {
            let next = (shard + 1) % SHARDS;
            let (writer, sender) = (&writer, senders[usize::from(next)].clone());
            scope.spawn(move || {
                let key = |kind: u8, number: u64| [&[kind, shard][..], &number.to_be_bytes()].concat();
                for number in 1..=TURNS {
                    let _ = submit(writer, ShardId(shard), number, |it| {
                        it.put_new(&key(b'm', number), b"queued");
                        it.put_new(&[&[b'x', shard, next][..], &number.to_be_bytes()].concat(), b"mail");
                        it.put(&key(b's', 0), &number.to_be_bytes());
                        if number > 5 {
                            it.delete(&key(b'm', number - 5));
                        }
                        receiver.try_iter().for_each(|mail| it.delete(&mail));
                    });
                    sender.send([&[b'x', shard, next][..], &number.to_be_bytes()].concat()).unwrap();
                }
                drop(sender);
                let rest: Vec<_> =
                    (0..).map_while(|_| receiver.recv_timeout(Duration::from_secs(2)).ok()).collect();
                let _ = submit(writer, ShardId(shard), TURNS + 1, |it| {
                    rest.iter().for_each(|mail| it.delete(mail))
                });
            });
        }
        drop(senders);
    });
    writer.stop().unwrap();
    let mut kinds = BTreeMap::new();
    for key in store.keys() {
        *kinds.entry(key[0]).or_insert(0) += 1;
    }
    assert_eq!(kinds, BTreeMap::from([(b'm', 5 * 4), (b's', 4)]));
    for numbers in &*last {
        let numbers = lock(numbers);
        assert!(numbers.is_sorted() && numbers.last() == Some(&(TURNS + 1)));
    }
    let figures = writer.statistics().figures();
    assert!(figures.cancelled > 0 && figures.commits > 0, "{figures:?}");
}
