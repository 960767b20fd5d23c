//! The faults of the simulated disk: what they leave, and what is told of them.

use dunlin_broker::{output::PageReader, records::key::Owner};

use super::*;

const A: ShardId = ShardId(0);
const B: ShardId = ShardId(1);

fn batch(fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}

fn all(disk: &Disk) -> Vec<(&[u8], &[u8])> {
    disk.scan(b"", b"\xff").collect()
}

fn committed(reports: &[(ShardId, Report)]) -> Vec<(ShardId, u64)> {
    let number = |(shard, report): &(ShardId, Report)| match report {
        Report::Committed { number } => Some((*shard, *number)),
        Report::Page(_) | Report::State(_) => None,
    };
    reports.iter().filter_map(number).collect()
}

#[test]
fn a_crash_leaves_what_was_committed_and_nothing_else() {
    let mut disk = Disk::default();
    disk.submit(A, 1, &batch(|it| it.put(b"s1", b"one")));
    disk.submit(B, 1, &batch(|it| it.put(b"s2", b"two")));
    let reports = disk.commit();
    assert_eq!(committed(&reports), [(A, 1), (B, 1)]);
    disk.submit(A, 2, &batch(|it| it.put(b"s1", b"three")));
    disk.submit(B, 2, &batch(|it| it.delete(b"s2")));
    assert!(disk.has_pending());
    disk.crash(false);
    assert!(!disk.has_pending());
    assert_eq!(all(&disk), [(&b"s1"[..], &b"one"[..]), (b"s2", b"two")]);
    assert!(disk.commit().is_empty());
}

#[test]
fn changes_are_made_in_order_and_received_mail_goes_last() {
    let mut disk = Disk::default();
    // The receiver's turn ends before the sender's: it knew of the mail all the same.
    disk.submit(B, 1, &batch(|it| it.delete(b"x\0\x01n")));
    disk.submit(A, 1, &batch(|it| it.put_new(b"x\0\x01n", b"mail")));
    disk.submit(A, 2, &batch(|it| it.put(b"s", b"1")));
    disk.submit(A, 3, &batch(|it| it.delete(b"s")));
    disk.submit(A, 4, &batch(|it| it.put(b"s", b"2")));
    disk.commit();
    assert_eq!(all(&disk), [(&b"s"[..], &b"2"[..])]);
}

#[test]
fn a_question_is_answered_behind_what_was_submitted_before() {
    let owner = Owner { slot: 1, uid: 2 };
    let key = |number| Key::Message(owner, number).to_bytes();
    let mut disk = Disk::default();
    disk.submit(A, 1, &batch(|it| (1..=3).for_each(|number| it.put_new(&key(number), b"four"))));
    let reader = PageReader::Purge(owner);
    disk.ask(A, PageRequest { reader, from: key(2), to: key(9), bytes_max: 1 });
    let reports = disk.commit();
    assert_eq!(committed(&reports), [(A, 1)]);
    let Some((A, Report::Page(page))) = reports.last() else { panic!("{reports:?}") };
    let keys: Vec<_> = page.records.iter().map(|record| record.key.clone()).collect();
    assert_eq!((keys, page.is_last), (vec![key(2)], false));
}

#[test]
fn a_failure_is_final_until_the_program_starts_again() {
    let mut disk = Disk::with_faults(Faults { fails_at: Some(2), room: None });
    disk.submit(A, 1, &batch(|it| it.put(b"s", b"1")));
    disk.commit();
    for number in 2..4 {
        disk.submit(A, number, &batch(|it| it.put(b"s", b"2")));
        assert!(disk.commit().is_empty());
        assert_eq!(disk.storage(), Storage::Failed);
    }
    disk.crash(false);
    assert_eq!(disk.storage(), Storage::Ready);
    assert_eq!(all(&disk), [(&b"s"[..], &b"1"[..])]);
    disk.submit(A, 4, &batch(|it| it.put(b"s", b"3")));
    assert_eq!(committed(&disk.commit()), [(A, 4)]);
}

#[test]
fn room_is_short_for_a_while_and_then_there_is_none() {
    let room = Some(Shortage { period: 5, low: 3, full: 1 });
    let mut disk = Disk::with_faults(Faults { fails_at: None, room });
    let mut storages = Vec::new();
    for number in 1..=6 {
        disk.submit(A, number, &batch(|it| it.put(b"s", b"1")));
        storages.push((disk.commit().len(), disk.storage()));
    }
    let (ready, low) = (Storage::Ready, Storage::Low);
    assert_eq!(storages, [(1, ready), (1, low), (1, low), (0, low), (2, ready), (1, ready)]);
}

#[test]
fn what_is_sealed_survives_untold_and_a_torn_batch_goes_as_a_whole() {
    let mut disk = Disk::default();
    disk.submit(A, 1, &batch(|it| it.put(b"s1", b"1")));
    disk.seal();
    disk.submit(B, 1, &batch(|it| (2..5).for_each(|key| it.put(&[b's', key], b"2"))));
    assert_eq!(disk.crash(true), Wreck { untold: 1, lost: 1, is_torn: true });
    assert_eq!(all(&disk), [(&b"s1"[..], &b"1"[..])]);
    assert!(!disk.has_pending());
}

#[test]
fn a_wrong_bit_is_found_in_every_place() {
    let mut disk = Disk::default();
    let key = Key::Fact("a").to_bytes();
    disk.submit(A, 1, &batch(|it| it.put_fact("a", b"b")));
    disk.commit();
    let whole: Vec<_> = disk.scan(b"", b"\xff").map(|(_, value)| value.to_vec()).collect();
    let mut random = Random::new(1);
    for _ in 0..200 {
        let damage = disk.damage(&mut random, |_| false).unwrap();
        assert_eq!((&damage.key, &damage.value), (&key, &whole[0]));
        let (key, value) = disk.scan(b"", b"\xff").next().unwrap();
        assert!(Record::decode(key, value).is_err());
        disk.mend(damage);
    }
    assert!(disk.damage(&mut random, |_| true).is_none());
}

#[test]
fn the_operation_that_is_to_fail_fails() {
    let ask = |disk: &mut Disk| {
        let reader = PageReader::Purge(Owner { slot: 1, uid: 2 });
        disk.ask(A, PageRequest { reader, from: vec![], to: vec![255], bytes_max: 1 });
    };
    for (fails_at, answers) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        let mut disk = Disk::with_faults(Faults { fails_at: Some(fails_at), room: None });
        disk.submit(A, 1, &batch(|it| it.put(b"s", b"1")));
        ask(&mut disk);
        ask(&mut disk);
        assert_eq!(disk.is_doomed(), fails_at == 1);
        assert_eq!(disk.commit().len(), answers);
        assert_eq!((disk.has_failed(), disk.is_doomed()), (fails_at < 4, true));
        assert_eq!(disk.operations(), fails_at.min(3));
    }
}

#[test]
fn a_new_key_that_is_none_is_noticed() {
    let mut disk = Disk::default();
    disk.submit(A, 1, &batch(|it| it.put_new(b"m1", b"1")));
    disk.crash(false);
    disk.submit(A, 1, &batch(|it| it.put_new(b"m1", b"1")));
    disk.submit(A, 2, &batch(|it| it.delete(b"m1")));
    disk.commit();
    assert!(disk.misused().is_empty() && all(&disk).is_empty());
    disk.submit(A, 2, &batch(|it| it.put_new(b"m1", b"1")));
    disk.commit();
    assert!(disk.misused().is_empty());
    disk.submit(A, 3, &batch(|it| it.put_new(b"m1", b"1")));
    disk.commit();
    assert_eq!(disk.misused(), [b"m1"]);
}

#[test]
fn records_without_a_session_are_left_overs() {
    let owner = |uid| Owner { slot: 1, uid };
    let mut disk = Disk::default();
    disk.submit(
        A,
        1,
        &batch(|it| {
            it.put(&Key::Session(owner(1)).to_bytes(), b"");
            it.put(&Key::Message(owner(1), 1).to_bytes(), b"");
            it.put(&Key::Message(owner(2), 1).to_bytes(), b"");
            it.put(&Key::Retained(1, "a").to_bytes(), b"");
        }),
    );
    disk.commit();
    assert_eq!(disk.left_overs(), [format!("{:?}", Some(Key::Message(owner(2), 1)))]);
}
