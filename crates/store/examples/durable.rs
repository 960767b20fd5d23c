//! How much a data folder can take: shards submit small batches through the writer as fast as they may, each record is
//! deleted some batches later, and everything is synced.
//!
//! `DUNLIN_DATA=folder cargo run --release -p dunlin-store --example durable -- [shards] [seconds] [records a batch] [value bytes]
//! [batches after which a record is deleted]`

use std::{
    env,
    error::Error,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use dunlin_broker::{ids::ShardId, records::batch::Batch};
use dunlin_store::{
    disk::{Disk, DiskOptions},
    store::Store,
    writer::{Durability, Report, Room, Writer, WriterOptions},
};

/// Batches that a shard submits before it waits for the first of them.
const AHEAD: u64 = 64;

#[derive(Clone, Copy)]
struct Load {
    records: u64,
    value: usize,
    window: u64,
    until: Instant,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |it| it.parse());
    let (shards, seconds, records, value) = (number(2)?, number(5)?, number(10)?, number(200)?);
    let window = number(200)?;
    let folder =
        env::var_os("DUNLIN_DATA").map_or_else(|| env::temp_dir().join("dunlin-durable"), PathBuf::from);
    let started = Instant::now();
    let store = Arc::new(Disk::open(&DiskOptions::new(&folder))?);
    println!("opened in             {:?}", started.elapsed());
    let shards = u8::try_from(shards)?;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel()).unzip();
    let options = WriterOptions { shards, durability: Durability::Sync, ..WriterOptions::default() };
    let engine: Arc<Disk> = Arc::clone(&store);
    let writer = Writer::start(engine, options, move |shard, report| {
        // A shard that has ended listens no more.
        let _ = senders[shard.index()].send(report);
    })?;
    let started = Instant::now();
    let load = Load { records, value: value as usize, window, until: started + Duration::from_secs(seconds) };
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let shards: Vec<_> = (0..shards)
            .zip(receivers)
            .map(|(shard, reports)| (shard, reports, &writer))
            .map(|(shard, reports, writer)| {
                scope.spawn(move || submit(writer, ShardId(shard), &reports, load))
            })
            .collect();
        shards.into_iter().flat_map(|it| it.join().expect("a shard does not panic")).collect()
    });
    let took = started.elapsed().as_secs_f64();
    writer.stop()?;
    latencies.sort_unstable();
    let figures = writer.statistics().figures();
    let batches = latencies.len() as f64;
    let changes = (figures.changes + figures.cancelled) as f64;
    println!("changes submitted     {:>10.0}/s ({:.0} batches/s)", changes / took, batches / took);
    println!("  of them cancelled   {:>10.0}/s", figures.cancelled as f64 / took);
    println!("fsyncs                {:>10.0}/s", figures.syncs as f64 / took);
    println!("changes per fsync     {:>10.0}", changes / figures.syncs as f64);
    println!("written               {:>10.1} MB/s", figures.bytes as f64 / took / 1e6);
    println!("commit and fsync      {:?}", figures.time);
    if latencies.is_empty() {
        return Ok(());
    }
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("submit to committed   p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0));
    if let Some(cpu) = cpu_time() {
        println!(
            "processor             {:.2} us a change, {:.0} % of one core",
            cpu * 1e6 / changes,
            cpu / took * 100.0
        );
    }
    drop(writer);
    reopen(store, &folder)
}

fn submit(writer: &Writer, shard: ShardId, reports: &Receiver<Report>, load: Load) -> Vec<Duration> {
    let value = vec![shard.0; load.value];
    let (mut batch, mut submitted, mut latencies) = (Batch::new(), Vec::new(), Vec::new());
    let key = |number: u64, record: u64| {
        // One of a hundred queues.
        let queue = [&[b'm', shard.0, (number % 100) as u8][..], &[0; 8]].concat();
        [queue, (number * 1_000 + record).to_be_bytes().to_vec()].concat()
    };
    for number in 1.. {
        if Instant::now() >= load.until {
            break;
        }
        for record in 0..load.records {
            batch.put_new(&key(number, record), &value);
            if number > load.window {
                batch.delete(&key(number - load.window, record));
            }
        }
        submitted.push(Instant::now());
        let mut must_wait = writer.submit(shard, number, &mut batch) == Room::Full;
        while must_wait || submitted.len() - latencies.len() > AHEAD as usize {
            match reports.recv().expect("the writer lives") {
                Report::Committed { number } => {
                    let now = Instant::now();
                    latencies.extend(submitted[latencies.len()..number as usize].iter().map(|at| now - *at));
                }
                Report::HasRoom => must_wait = false,
                other => panic!("{other:?}"),
            }
        }
    }
    latencies
}

fn reopen(store: Arc<Disk>, folder: &PathBuf) -> Result<(), Box<dyn Error>> {
    drop(store);
    let started = Instant::now();
    let store = Disk::open(&DiskOptions::new(folder))?;
    let opened = started.elapsed();
    let mut count = 0;
    store.scan(b"", b"\xff", &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    println!("opened again in       {opened:?}, {count} records read in {:?}", started.elapsed() - opened);
    Ok(())
}

/// Seconds of processor time that this process has used.
fn cpu_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = text.rsplit(") ").next()?.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}
