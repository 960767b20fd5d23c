//! The tests that every engine passes.
//!
//! An engine's test calls [`check`] with a [`Bench`] that opens it. Keys begin with the letters of real records, since an
//! engine may group records by them.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dunlin_broker::records::batch::{Batch, Change};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::store::{Store, StoreError};

/// Opens an engine in a folder; the folder may hold what an earlier one has left.
pub type Open<'f> = dyn Fn(&Path) -> Arc<dyn Store> + 'f;

/// An engine under test.
pub struct Bench<'f> {
    /// Opens it.
    pub open: &'f Open<'f>,
    /// Whether it still has its records when it is opened again.
    pub is_lasting: bool,
    /// How many random histories to try.
    pub cases: u32,
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The bounds that no key lies outside of.
const ALL: (&[u8], &[u8]) = (b"", b"\xff");

/// Runs all tests.
///
/// # Panics
/// If the engine does not keep one.
pub fn check(bench: &Bench<'_>) {
    let tests: [fn(&Bench<'_>); 11] = [
        puts_are_found_and_replaced,
        deletes_take_away,
        the_last_change_of_a_key_counts,
        scans_are_ordered_and_bounded,
        a_scan_ends_when_told,
        values_may_be_empty_or_large,
        a_batch_is_whole_or_not_at_all,
        many_batches_stay_in_order,
        what_was_committed_is_there_again,
        readers_see_whole_commits,
        space_is_told,
    ];
    for test in tests {
        test(bench);
    }
    histories_match_the_model(bench);
}

struct Room<'f> {
    bench: &'f Bench<'f>,
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
}

impl<'f> Room<'f> {
    fn new(bench: &'f Bench<'f>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = (bench.open)(folder.path());
        Self { bench, folder, store }
    }

    /// Opens it again, if that makes sense.
    fn reopen(self) -> Self {
        let Self { bench, folder, store } = self;
        if !bench.is_lasting {
            return Self { bench, folder, store };
        }
        drop(store);
        let store = (bench.open)(folder.path());
        Self { bench, folder, store }
    }

    fn commit(&self, fill: impl FnOnce(&mut Batch)) {
        commit(&*self.store, fill).expect("it commits");
    }

    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.find(key).expect("it can be read")
    }
}

fn commit(store: &dyn Store, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    fill(&mut batch);
    store.commit(&mut batch.changes(), true)
}

/// All records between two keys, but those under `c`: engines keep their own facts there.
fn all(store: &dyn Store, (from, to): (&[u8], &[u8])) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut each = |key: &[u8], value: &[u8]| {
        if key[0] != b'c' {
            found.push((key.to_vec(), value.to_vec()));
        }
        ControlFlow::Continue(())
    };
    store.scan(from, to, &mut each).expect("it can be read");
    found
}

fn puts_are_found_and_replaced(bench: &Bench<'_>) {
    let room = Room::new(bench);
    assert_eq!(room.find(b"s1"), None);
    room.commit(|it| {
        it.put(b"s1", b"one");
        it.put_new(b"m1", b"two");
    });
    assert_eq!(room.find(b"s1").as_deref(), Some(&b"one"[..]));
    assert_eq!(room.find(b"m1").as_deref(), Some(&b"two"[..]));
    assert_eq!(room.find(b"s"), None);
    assert_eq!(room.find(b"s11"), None);
    room.commit(|it| it.put(b"s1", b"other"));
    assert_eq!(room.find(b"s1").as_deref(), Some(&b"other"[..]));
}

fn deletes_take_away(bench: &Bench<'_>) {
    let room = Room::new(bench);
    room.commit(|it| {
        for key in [b"m1", b"m2", b"t1"] {
            it.put(key, b"x");
        }
    });
    room.commit(|it| {
        it.delete(b"m1");
        it.delete(b"t1");
        it.delete(b"t9");
    });
    assert_eq!(all(&*room.store, ALL), [(b"m2".to_vec(), b"x".to_vec())]);
    room.commit(|it| it.put(b"m1", b"again"));
    assert_eq!(room.find(b"m1").as_deref(), Some(&b"again"[..]));
}

fn the_last_change_of_a_key_counts(bench: &Bench<'_>) {
    let mut room = Room::new(bench);
    room.commit(|it| {
        it.put(b"t1", b"first");
        it.put(b"t1", b"second");
        it.put(b"t2", b"gone");
        it.delete(b"t2");
        it.delete(b"t3");
        it.put(b"t3", b"here");
    });
    let expected = [(b"t1".to_vec(), b"second".to_vec()), (b"t3".to_vec(), b"here".to_vec())];
    assert_eq!(all(&*room.store, ALL), expected);
    room = room.reopen();
    assert_eq!(all(&*room.store, ALL), expected);
}

fn scans_are_ordered_and_bounded(bench: &Bench<'_>) {
    let room = Room::new(bench);
    let kinds = *b"bfimrstwx";
    room.commit(|it| {
        for index in [3_u8, 0, 255, 7] {
            for kind in kinds.iter().rev() {
                it.put(&[*kind, index], &[index]);
            }
        }
        it.put(b"m", b"short");
        it.put(b"m\x07\x00", b"long");
    });
    let found = all(&*room.store, ALL);
    assert_eq!(found.len(), kinds.len() * 4 + 2);
    assert!(found.is_sorted());
    let keys = |from: &[u8], to: &[u8]| -> Vec<Vec<u8>> {
        all(&*room.store, (from, to)).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(b"m\x03", b"m\x07"), [b"m\x03"]);
    assert_eq!(keys(b"m\x03", b"m\x07\x00"), [&b"m\x03"[..], b"m\x07"]);
    assert_eq!(keys(b"m\x08", b"r\x01"), [&b"m\xff"[..], b"r\0"]);
    assert_eq!(keys(b"m", b"n").len(), 6);
    assert_eq!(keys(b"n", b"o").len(), 0);
    assert_eq!(keys(b"m\x07", b"m\x07").len(), 0);
    assert_eq!(keys(b"s", b"m").len(), 0);
}

fn a_scan_ends_when_told(bench: &Bench<'_>) {
    let room = Room::new(bench);
    room.commit(|it| (0..100_u8).for_each(|index| it.put(&[b"ms"[usize::from(index % 2)], index], b"")));
    let mut count = 0;
    let mut each = |_: &[u8], _: &[u8]| {
        count += 1;
        if count == 70 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    room.store.scan(ALL.0, b"t", &mut each).expect("it can be read");
    assert_eq!(count, 70);
}

fn values_may_be_empty_or_large(bench: &Bench<'_>) {
    let mut room = Room::new(bench);
    let large: Vec<u8> = (0..8 << 20_usize).map(|index| (index * 31 % 251) as u8).collect();
    room.commit(|it| {
        it.put(b"m-empty", b"");
        it.put(b"t-large", &large);
    });
    for _ in 0..2 {
        assert_eq!(room.find(b"m-empty").as_deref(), Some(&b""[..]));
        assert!(room.find(b"t-large").as_ref() == Some(&large));
        let found = all(&*room.store, (b"t", b"u"));
        assert!(found.len() == 1 && found[0].1 == large);
        room = room.reopen();
    }
}

fn a_batch_is_whole_or_not_at_all(bench: &Bench<'_>) {
    let mut room = Room::new(bench);
    room.commit(|it| it.put(b"s1", b"before"));
    // Whoever makes the changes dies in the middle of it: nothing of them is there.
    let store = Arc::clone(&room.store);
    let died = std::thread::spawn(move || {
        let mut changes = (0..10_u8).map(|index| {
            assert!(index < 5, "on purpose");
            Change::Put { key: b"s1", value: b"after" }
        });
        store.commit(&mut changes, true)
    });
    assert!(died.join().is_err());
    assert_eq!(room.find(b"s1").as_deref(), Some(&b"before"[..]));
    room = room.reopen();
    assert_eq!(room.find(b"s1").as_deref(), Some(&b"before"[..]));
}

fn many_batches_stay_in_order(bench: &Bench<'_>) {
    let mut room = Room::new(bench);
    for turn in 0..600_u32 {
        let mut batch = Batch::new();
        batch.put(b"s-last", &turn.to_be_bytes());
        batch.put_new(&[b"m".as_slice(), &turn.to_be_bytes()].concat(), b"body");
        if turn >= 10 {
            batch.delete(&[b"m".as_slice(), &(turn - 10).to_be_bytes()].concat());
        }
        room.store.commit(&mut batch.changes(), turn % 100 == 99).expect("it commits");
    }
    // Nothing at all, but synced.
    room.commit(|_| {});
    for _ in 0..2 {
        assert_eq!(room.find(b"s-last").as_deref(), Some(&599_u32.to_be_bytes()[..]));
        let left: Vec<_> = all(&*room.store, (b"m", b"n")).into_iter().map(|(key, _)| key).collect();
        let expected: Vec<_> =
            (590..600_u32).map(|turn| [b"m".as_slice(), &turn.to_be_bytes()].concat()).collect();
        assert_eq!(left, expected);
        room = room.reopen();
    }
}

fn what_was_committed_is_there_again(bench: &Bench<'_>) {
    let mut room = Room::new(bench);
    let mut model = Model::new();
    for round in 0..5_u8 {
        room.commit(|it| {
            for index in 0..50_u8 {
                let key = vec![b"mstfwirbx"[usize::from(index % 9)], index];
                if index % 5 == round {
                    it.delete(&key);
                    model.remove(&key);
                } else {
                    it.put(&key, &[round, index]);
                    model.insert(key, vec![round, index]);
                }
            }
        });
        room = room.reopen();
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(all(&*room.store, ALL), expected, "round {round}");
    }
}

/// Ten records always hold the same number; whoever reads them in one scan sees the same number ten times.
fn readers_see_whole_commits(bench: &Bench<'_>) {
    let room = Room::new(bench);
    let write = |number: u32| {
        room.commit(|it| (0..10_u8).for_each(|index| it.put(&[b's', index], &number.to_be_bytes())));
    };
    write(0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            let mut newest = Vec::new();
            while !is_over.load(Ordering::Relaxed) || rounds == 0 {
                let found = all(&*room.store, (b"s", b"t"));
                assert_eq!(found.len(), 10);
                assert!(found.iter().all(|(_, value)| *value == found[0].1), "{found:?}");
                assert!(found[0].1 >= newest, "time runs forward");
                newest.clone_from(&found[0].1);
                rounds += 1;
            }
        });
        (1..200).for_each(write);
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader is content");
    });
}

fn space_is_told(bench: &Bench<'_>) {
    let room = Room::new(bench);
    let space = room.store.space().expect("it can be found out");
    assert!(!space.is_low, "the tests need some room: {space:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Commit,
    Reopen,
    Scan(Vec<u8>, Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"bfimrstwx".to_vec());
    (kind, prop::collection::vec(0..4_u8, 0..4)).prop_map(|(kind, mut rest)| {
        rest.insert(0, kind);
        rest
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Step::Put(key, value)),
        6 => key().prop_map(Step::Delete),
        3 => Just(Step::Commit),
        1 => Just(Step::Reopen),
        2 => (key(), key()).prop_map(|(from, to)| Step::Scan(from, to)),
    ]
}

fn histories_match_the_model(bench: &Bench<'_>) {
    let mut runner =
        TestRunner::new(Config { cases: bench.cases, failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec(step(), 1..120);
    runner.run(&steps, |steps| play(bench, steps)).expect("every history matches");
}

fn play(bench: &Bench<'_>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut room = Room::new(bench);
    let (mut model, mut next, mut batch) = (Model::new(), Model::new(), Batch::new());
    for step in steps {
        match step {
            Step::Put(key, value) => {
                batch.put(&key, &value);
                next.insert(key, value);
            }
            Step::Delete(key) => {
                batch.delete(&key);
                next.remove(&key);
            }
            Step::Commit => {
                room.store.commit(&mut batch.changes(), true).expect("it commits");
                batch.clear();
                model.clone_from(&next);
            }
            Step::Reopen => {
                // What was not committed is gone.
                room = room.reopen();
                batch.clear();
                next.clone_from(&model);
            }
            Step::Scan(from, to) => {
                let expected: Vec<_> = if from < to {
                    model
                        .range(from.clone()..to.clone())
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect()
                } else {
                    Vec::new()
                };
                prop_assert_eq!(all(&*room.store, (&from, &to)), expected);
                prop_assert_eq!(room.find(&from), model.get(&from).cloned());
            }
        }
    }
    let expected: Vec<_> = model.into_iter().collect();
    prop_assert_eq!(all(&*room.store, ALL), expected);
    Ok(())
}
