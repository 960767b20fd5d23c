//! Killed at any moment, a process leaves all that it has reported committed, and each batch whole.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, mpsc},
};

use dunlin_broker::{ids::ShardId, records::batch::Batch};
use dunlin_store::{
    disk::{Disk, DiskOptions},
    store::Store,
    writer::{Report, Writer, WriterOptions},
};

const CHILD: &str = "DUNLIN_TEST_KILLED";
const NAME: &str = "what_was_reported_survives_a_kill";
const SHARDS: u8 = 2;
/// Batches after which a record is deleted.
const WINDOW: u64 = 20;
/// Batches that may wait for their commit.
const AHEAD: u64 = 8;

#[test]
fn what_was_reported_survives_a_kill() {
    if let Some(folder) = env::var_os(CHILD) {
        return write_for_ever(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut before = [0; SHARDS as usize];
    for lines in [1, 150, 400, 777, 1_500] {
        let reported = run_and_kill(folder.path(), lines);
        let disk = Disk::open(&options(folder.path())).unwrap();
        for shard in 0..SHARDS {
            let last = last(&disk, shard);
            let (reported, before) = (reported[usize::from(shard)], &mut before[usize::from(shard)]);
            assert!(last >= reported && last >= *before, "{last} of {reported}, and {before} before");
            *before = last;
            let expected: Vec<_> = (last.saturating_sub(WINDOW) + 1..=last).collect();
            assert_eq!(numbers(&disk, shard), expected);
        }
    }
    assert!(before.iter().sum::<u64>() > 1_500, "{before:?}");
}

fn options(folder: &Path) -> DiskOptions {
    DiskOptions { memtable: 1 << 20, reserve: 1 << 20, ..DiskOptions::new(folder.join("data")) }
}

fn last(disk: &Disk, shard: u8) -> u64 {
    let found = disk.find(&[b's', shard]).unwrap();
    found.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap()))
}

fn numbers(disk: &Disk, shard: u8) -> Vec<u64> {
    let mut found = Vec::new();
    disk.scan(&[b'm', shard], &[b'm', shard + 1], &mut |key, value| {
        let number = u64::from_be_bytes(key[2..].try_into().unwrap());
        assert!(value == vec![number as u8; 1_000]);
        found.push(number);
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// Lets a process write until it has reported so many times; the last batch of each shard that it has reported.
fn run_and_kill(folder: &Path, lines: usize) -> [u64; SHARDS as usize] {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", NAME])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut reported, mut count, mut line) = ([0; SHARDS as usize], 0, String::new());
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some((shard, number)) =
            line.trim().strip_prefix("committed ").and_then(|it| it.split_once(' '))
        {
            // The last line may have been cut off in the middle, which makes the number smaller.
            let reported = &mut reported[shard.parse::<usize>().unwrap()];
            *reported = number.parse::<u64>().map_or(*reported, |number| number.max(*reported));
            count += 1;
            if count == lines {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(count >= lines, "{count}");
    reported
}

fn write_for_ever(folder: &Path) {
    let disk = Arc::new(Disk::open(&options(folder)).unwrap());
    let mut number = [0; SHARDS as usize];
    for shard in 0..SHARDS {
        number[usize::from(shard)] = last(&disk, shard);
    }
    let (sender, reports) = mpsc::channel();
    let writer = Writer::start(
        disk,
        WriterOptions { shards: SHARDS, ..WriterOptions::default() },
        move |shard, report| {
            if let Report::Committed { number } = report {
                let mut out = std::io::stdout();
                let _ = writeln!(out, "committed {} {number}", shard.0).and_then(|()| out.flush());
                let _ = sender.send((shard.index(), number));
            }
        },
    )
    .unwrap();
    println!();
    let (mut batch, mut committed) = (Batch::new(), number);
    // For as long as it takes; and if nobody kills it, not for ever.
    for _ in 0..100_000 {
        for shard in 0..SHARDS {
            let index = usize::from(shard);
            number[index] += 1;
            let key = |number: u64| [&[b'm', shard][..], &number.to_be_bytes()].concat();
            batch.put_new(&key(number[index]), &[number[index] as u8; 1_000]);
            batch.put(&[b's', shard], &number[index].to_be_bytes());
            if number[index] > WINDOW {
                batch.delete(&key(number[index] - WINDOW));
            }
            let _ = writer.submit(ShardId(shard), number[index], &mut batch);
        }
        while (0..number.len()).any(|index| number[index] > committed[index] + AHEAD) {
            let (index, number) = reports.recv().unwrap();
            committed[index] = number;
        }
    }
}
