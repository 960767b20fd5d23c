//! How much of what there is in a store.

use std::{cmp::Reverse, ops::ControlFlow};

use dunlin_broker::records::{
    content::{BodyContent, MessageContent, TransitContent},
    key::Owner,
    record::Record,
};
use dunlin_packet::topic::filter::TopicFilter;
use dunlin_protocol::time::Instant;

use crate::{
    facts,
    sessions::Sessions,
    store::{Store, StoreError},
};

/// A number of messages, and the bytes of their topics, Properties and payloads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Messages {
    /// How many.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// The queue of a Session, with what is in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    /// The Client Identifier; nothing if there is no such Session any more.
    pub client_id: Option<String>,
    /// What is in it.
    pub messages: Messages,
}

/// What there is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Stat {
    /// The format of the records.
    pub format: Option<u32>,
    /// Among how many shards they are parted.
    pub shards: Option<u8>,
    /// The last moment at which a Server is known to have run with them.
    pub alive: Option<Instant>,
    /// Sessions.
    pub sessions: u64,
    /// Subscriptions, without Shared Subscriptions.
    pub subscriptions: u64,
    /// Sessions' parts in Shared Subscriptions.
    pub shared_subscriptions: u64,
    /// Messages that are not acknowledged, once for each Session.
    pub queued: Messages,
    /// Those of them that are kept once for several Sessions.
    pub shared: Messages,
    /// Packet Identifiers that wait for an acknowledgement of a Client.
    pub in_flight: u64,
    /// QoS 2 Packet Identifiers that wait for PUBREL.
    pub received: u64,
    /// Retained Messages.
    pub retained: Messages,
    /// Wills.
    pub wills: u64,
    /// Messages on their way from one shard to another.
    pub mail: Messages,
    /// Records that cannot be read, and are not counted elsewhere.
    pub damaged: u64,
    /// The Sessions with the most bytes in their queues, at most [`LONGEST`].
    pub longest: Vec<Queue>,
}

/// So many queues are told.
pub const LONGEST: usize = 10;

/// Counts everything.
///
/// # Errors
/// If the store cannot be read.
pub fn stat(store: &dyn Store) -> Result<Stat, StoreError> {
    let mut count = Count { stat: Stat::default(), queue: None, longest: Vec::new() };
    store.scan(b"", b"\xff", &mut |key, value| {
        match Record::decode(key, value) {
            Ok(record) => count.add(&record),
            Err(_) => count.stat.damaged += 1,
        }
        ControlFlow::Continue(())
    })?;
    count.end_queue();
    let mut sessions = Sessions::new(store);
    for (owner, messages) in count.longest {
        let client_id = sessions.client_id(owner)?.map(str::to_owned);
        count.stat.longest.push(Queue { client_id, messages });
    }
    Ok(count.stat)
}

struct Count {
    stat: Stat,
    /// Of the Session whose messages are being read.
    queue: Option<(Owner, Messages)>,
    longest: Vec<(Owner, Messages)>,
}

impl Messages {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
    }
}

impl Count {
    fn add(&mut self, record: &Record<'_>) {
        let stat = &mut self.stat;
        match record {
            Record::Fact { name, value } => self.add_fact(name, value),
            Record::Session(..) => stat.sessions += 1,
            Record::Subscription(_, filter, _) => {
                let is_shared = TopicFilter::parse(filter).is_ok_and(|filter| filter.share().is_some());
                *(if is_shared { &mut stat.shared_subscriptions } else { &mut stat.subscriptions }) += 1;
            }
            Record::Will(..) => stat.wills += 1,
            Record::Message(owner, _, content) => self.add_message(*owner, content),
            Record::InFlight(..) => stat.in_flight += 1,
            Record::Received(..) => stat.received += 1,
            Record::Retained(_, message, _) => stat.retained.add(message.size()),
            Record::Body(_, _, message) => stat.shared.add(message.size()),
            Record::Transit { content, .. } => {
                let (TransitContent::Publish(message)
                | TransitContent::Retain(message, _)
                | TransitContent::Share(_, message)) = content;
                stat.mail.add(message.size());
            }
        }
    }

    fn add_fact(&mut self, name: &str, value: &[u8]) {
        match name {
            facts::FORMAT => self.stat.format = value.try_into().ok().map(u32::from_be_bytes),
            "shards" => self.stat.shards = value.first().copied(),
            "alive" => {
                let ms = value.try_into().ok().map(u64::from_be_bytes);
                self.stat.alive = ms.map(Instant::from_ms);
            }
            _ => {}
        }
    }

    fn add_message(&mut self, owner: Owner, content: &MessageContent<'_>) {
        let bytes = match &content.body {
            BodyContent::Inside(message) => message.size(),
            BodyContent::Shared { size } => *size as usize,
        };
        if content.packet_id.is_some() {
            self.stat.in_flight += 1;
        }
        self.stat.queued.add(bytes);
        if self.queue.as_ref().is_none_or(|(last, _)| *last != owner) {
            self.end_queue();
            self.queue = Some((owner, Messages::default()));
        }
        let (_, messages) = self.queue.as_mut().expect("it has just been made");
        messages.add(bytes);
    }

    fn end_queue(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        self.longest.push(queue);
        self.longest.sort_by_key(|(owner, messages)| (Reverse(messages.bytes), *owner));
        self.longest.truncate(LONGEST);
    }
}
