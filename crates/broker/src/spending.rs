//! What a connection with bounded rates has left of them.

use std::time::Duration;

use dunlin_packet::{fixed_header::Frame, packet::PacketType};
use dunlin_protocol::time::Instant;

use crate::{
    limits::client::{Allowance, ClientLimits},
    rates::Bucket,
};

/// What a connection with a bounded rate has left of it.
#[derive(Debug)]
pub(crate) struct Spending {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Until then nothing is looked at and nothing is read.
    pub(crate) waits_until: Option<Instant>,
}

impl Spending {
    /// Nothing for a Client whose rates have no bounds.
    pub(crate) fn new(now: Instant, limits: &ClientLimits) -> Option<Self> {
        let bucket = |it: Allowance| (it.per_s > 0).then(|| Bucket::new(now, it.per_s, it.burst));
        let (messages, bytes) = (bucket(limits.messages), bucket(limits.bytes));
        (messages.is_some() || bytes.is_some()).then_some(Self { messages, bytes, waits_until: None })
    }

    /// Fills what is spent with what the time since the last look brings.
    pub(crate) fn fill(&mut self, now: Instant) {
        [&mut self.messages, &mut self.bytes].into_iter().flatten().for_each(|bucket| bucket.fill(now));
    }

    /// Pays for a packet; if there is nothing left to pay with, how long it must wait.
    pub(crate) fn pay(&mut self, frame: &Frame<'_>) -> Result<(), Duration> {
        let is_publish = frame.header.packet_type == PacketType::Publish;
        let messages = self.messages.as_mut().filter(|_| is_publish);
        let waits = messages.iter().map(|it| it.time_to_wait());
        let wait = waits.chain(self.bytes.iter().map(Bucket::time_to_wait)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        if let Some(messages) = messages {
            messages.take(1);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.take(u32::try_from(frame.encoded_len).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}
