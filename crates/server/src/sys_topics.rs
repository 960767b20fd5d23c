//! The topics below `$SYS`, with the names that mosquitto gave them: what dashboards read.
//!
//! Each shard counts for itself; here the counts are asked for now and then, added up and published as Retained Messages with
//! QoS 0. They are kept in memory only, and what has not changed is not published again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dunlin_broker::{
    ids::ShardId,
    inspect::{answer::Sums, question::Question},
    message::{Message, MessageFacts},
    metrics::Counters,
};
use dunlin_packet::{qos::QoS, topic::name::TopicName};

use crate::{
    admin::{
        operator::{limits, resident_bytes},
        shards::{NoAnswer, Shards},
        sums::{Round, Whole},
    },
    lobby::desk::Desk,
};

/// Publishes how the Server does.
pub(crate) struct SysTopics {
    shards: Shards,
    desk: Arc<Desk>,
    started: Instant,
    round: Round,
    /// Of the last whole round.
    sums: Sums,
    clients_max: u64,
    heap_max: u64,
    loads: Vec<Load>,
    /// What was published last: names and values in the order of [`SysTopics::values`].
    published: Vec<(String, String)>,
}

/// A number that only grows, and how fast, as mosquitto tells it: per minute, over 1, 5 and 15 minutes.
#[derive(Debug)]
struct Load {
    name: &'static str,
    count: u64,
    per_minute: [f64; MINUTES.len()],
}

/// What is known at one moment.
struct Moment {
    whole: Whole,
    sockets_opened: u64,
    sockets_open: u64,
}

impl SysTopics {
    pub(crate) fn new(shards: Shards, desk: Arc<Desk>, started: Instant) -> Self {
        let load = |name| Load { name, count: 0, per_minute: [0.0; MINUTES.len()] };
        Self {
            shards,
            desk,
            started,
            round: Round::default(),
            sums: Sums::default(),
            clients_max: 0,
            heap_max: 0,
            loads: LOADS.map(load).into(),
            published: Vec::new(),
        }
    }

    /// Publishes at once and then after each `interval`, without end.
    pub(crate) async fn publish_every(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        // After a pause of the whole machine there is nothing to make up for.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            ticks.tick().await;
            let elapsed = last.elapsed();
            last = Instant::now();
            match self.publish(elapsed).await {
                Ok(()) => {}
                Err(NoAnswer::Gone) => return,
                Err(NoAnswer::Late) => tracing::debug!("a shard has too much to do for $SYS"),
            }
        }
    }

    async fn publish(&mut self, elapsed: Duration) -> Result<(), NoAnswer> {
        let whole = Whole::ask(&self.shards).await?;
        if let Some(sums) = self.round.go_on(&self.shards, PAGES_MAX).await? {
            self.sums = sums;
        }
        let (sockets_opened, half_open) = self.desk.half_open.figures();
        let sockets_open = u64::from(self.desk.seats.taken()) + half_open as u64;
        let moment = Moment { whole, sockets_opened, sockets_open };
        self.clients_max = self.clients_max.max(moment.whole.connections);
        for (load, count) in self.loads.iter_mut().zip(moment.growing()) {
            load.go_on(count, elapsed);
        }
        let values = self.values(&moment);
        let messages = self.changed(&values);
        // The home of each topic is found from any shard.
        self.shards.ask(ShardId(0), Question::Publish { messages }).await?;
        self.published = values;
        Ok(())
    }

    /// All topics below `$SYS/broker/` with their values.
    fn values(&mut self, moment: &Moment) -> Vec<(String, String)> {
        let Whole { counters, traffic, .. } = &moment.whole;
        let whole = &moment.whole;
        let away = whole.sessions.saturating_sub(whole.connections);
        let heap = resident_bytes().unwrap_or(0);
        self.heap_max = self.heap_max.max(heap);
        let stored = whole.retained_messages + self.sums.queue.messages() + self.sums.in_flight;
        let numbers = [
            ("clients/total", whole.sessions),
            ("clients/maximum", self.clients_max),
            ("clients/active", whole.connections),
            ("clients/inactive", away),
            ("clients/connected", whole.connections),
            ("clients/disconnected", away),
            ("clients/expired", counters.sessions_expired),
            ("bytes/received", traffic.bytes_received),
            ("bytes/sent", traffic.bytes_sent),
            ("messages/received", packets_received(counters)),
            ("messages/sent", whole.packets_sent),
            ("messages/stored", stored),
            ("publish/messages/received", counters.publishes_received),
            ("publish/messages/sent", counters.publishes_sent),
            ("publish/messages/dropped", counters.drops()),
            ("publish/bytes/received", counters.payload_bytes_received),
            ("publish/bytes/sent", counters.payload_bytes_sent),
            ("store/messages/count", stored),
            ("store/messages/bytes", whole.retained_bytes + self.sums.queue.bytes()),
            ("subscriptions/count", whole.subscriptions + self.sums.shared_subscriptions),
            ("shared_subscriptions/count", self.sums.shared_subscriptions),
            ("retained messages/count", whole.retained_messages),
            ("heap/current", heap),
            ("heap/maximum", self.heap_max),
            ("packet/out/bytes", self.sums.output_bytes),
            ("connections/socket/count", moment.sockets_open),
        ];
        let mut values = vec![
            ("version".to_owned(), concat!("dunlin version ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime".to_owned(), format!("{} seconds", self.started.elapsed().as_secs())),
        ];
        values.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
        let limits = limits(counters, &self.desk).by_name();
        values.extend(limits.map(|(name, number)| (format!("limits/{name}"), number.to_string())));
        for load in &self.loads {
            for (minutes, rate) in MINUTES.iter().zip(load.per_minute) {
                values.push((format!("load/{}/{minutes}min", load.name), format!("{rate:.2}")));
            }
        }
        values
    }

    /// What is to be published: whatever is not as it was.
    fn changed(&self, values: &[(String, String)]) -> Vec<Message> {
        let facts = MessageFacts { qos: QoS::AtMostOnce, retain: true, expires_at: None, publisher: 0 };
        let is_new = |number: usize| self.published.get(number) != Some(&values[number]);
        let message = |(name, value): &(String, String)| {
            let topic = format!("$SYS/broker/{name}");
            let topic_name = TopicName::parse(&topic).expect("the names are Topic Names");
            Message::from_parts(topic_name, &[], value.as_bytes(), facts)
        };
        let numbers = (0..values.len()).filter(|&number| is_new(number));
        numbers.map(|number| message(&values[number])).collect()
    }
}

impl Moment {
    /// The numbers behind [`LOADS`], in its order.
    fn growing(&self) -> [u64; LOADS.len()] {
        let Whole { counters, traffic, packets_sent, .. } = &self.whole;
        [
            packets_received(counters),
            *packets_sent,
            counters.publishes_received,
            counters.publishes_sent,
            counters.drops(),
            traffic.bytes_received,
            traffic.bytes_sent,
            counters.connects,
            self.sockets_opened,
        ]
    }
}

impl Load {
    /// The number is `count` now, `elapsed` after it was told before.
    fn go_on(&mut self, count: u64, elapsed: Duration) {
        let grown = count.saturating_sub(self.count);
        self.count = count;
        let elapsed_min = elapsed.as_secs_f64() / 60.0;
        if elapsed_min <= 0.0 {
            return;
        }
        let rate = grown as f64 / elapsed_min;
        for (average, minutes) in self.per_minute.iter_mut().zip(MINUTES) {
            *average = rate + (-elapsed_min / f64::from(minutes)).exp() * (*average - rate);
        }
    }
}

/// CONNECT is read in the lobby.
fn packets_received(counters: &Counters) -> u64 {
    counters.packets_received + counters.connects
}

/// What the loads are of.
const LOADS: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
    "connections",
    "sockets",
];
/// Over how many minutes loads are told.
const MINUTES: [u32; 3] = [1, 5, 15];
/// Pages of Sessions that are looked at for one publication. With more than a quarter of a million Sessions the numbers that
/// only a look at all of them tells are some publications old.
const PAGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_comes_near_to_what_it_is_over_its_time() {
        let mut load = Load { name: "x", count: 0, per_minute: [0.0; 3] };
        for tick in 1..=6 {
            load.go_on(tick * 100, Duration::from_secs(10));
        }
        // After a minute at 600 each: 1 - 1/e of it, less over more minutes.
        let [one, five, fifteen] = load.per_minute;
        assert!((one - 379.3).abs() < 0.1, "{one}");
        assert!((five - 108.8).abs() < 0.1 && (fifteen - 38.7).abs() < 0.1, "{five} {fifteen}");
        for _ in 0..100 {
            load.go_on(600, Duration::from_secs(10));
        }
        assert!(load.per_minute[0] < 0.01);
    }
}
