//! Faults planted into the broker on purpose: what the oracle must notice.

use std::collections::BTreeMap;

use dunlin_broker::{records::key::kind, routing::mail::Mail};
use dunlin_packet::{
    fixed_header::Frame, packet::Packet, publish::Publish, qos::QoS, version::ProtocolVersion,
};

use crate::{network::LinkId, random::Random};

/// What a sabotaged broker does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// It loses a message to a Client.
    Drop,
    /// It sends a message twice.
    Double,
    /// It swaps two messages of one topic and QoS.
    Swap,
    /// It alters a payload.
    Alter,
    /// It sends RETAIN 1 in place of 0, or the other way round.
    AlterRetain,
    /// It sends a Will twice.
    DoubleWill,
    /// It does not send a Retained Message to a new Subscription.
    ForgetRetained,
    /// It loses a message on its way to another shard.
    DropMail,
    /// It loses a Retained Message on its way to the home of its topic.
    DropRetainedMail,
    /// It does not acknowledge.
    DropAcknowledgement,
    /// It takes a batch for durable that is not.
    AcknowledgeEarly,
    /// It loses the record of a message.
    LoseRecord,
    /// It takes the record of mail to another shard away before that one has filed what comes of it.
    ForgetTransit,
    /// It tries a commit that has failed once more, and takes what was lost for durable.
    PretendToWrite,
    /// It writes one half of a batch.
    TearBatch,
    /// It passes over a damaged record.
    SkipDamage,
}

/// Sits between the broker and the world and does wrong now and then.
#[derive(Debug)]
pub struct Saboteur {
    sabotage: Sabotage,
    /// Once in so many chances.
    times: u64,
    random: Random,
    held: BTreeMap<LinkId, Held>,
    /// How often it has done wrong.
    pub deeds: u64,
}

/// A message kept back, to be sent behind the next one.
#[derive(Debug)]
struct Held {
    topic: String,
    qos: QoS,
    bytes: Vec<u8>,
}

impl Saboteur {
    /// Does `sabotage` once in `times` chances.
    #[must_use]
    pub fn new(sabotage: Sabotage, times: u64, seed: u64) -> Self {
        Self { sabotage, times, random: Random::new(seed), held: BTreeMap::new(), deeds: 0 }
    }

    /// What is written in place of `bytes`.
    pub fn tamper(&mut self, link: LinkId, version: ProtocolVersion, bytes: &[u8]) -> Vec<u8> {
        let mut rest = bytes;
        let mut written = Vec::new();
        while let Ok(Some(frame)) = Frame::split(rest, u32::MAX) {
            let (packet, behind) = rest.split_at(frame.encoded_len);
            rest = behind;
            match Packet::decode(version, frame) {
                Ok(Packet::Publish(publish)) => self.tamper_publish(link, &publish, packet, &mut written),
                Ok(Packet::Puback(_) | Packet::Pubcomp(_))
                    if self.sabotage == Sabotage::DropAcknowledgement && self.strikes() => {}
                _ => written.extend_from_slice(packet),
            }
        }
        written.extend_from_slice(rest);
        written
    }

    fn tamper_publish(&mut self, link: LinkId, publish: &Publish<'_>, packet: &[u8], written: &mut Vec<u8>) {
        let topic = publish.topic_name.map_or("", |topic| topic.as_str());
        let is_first = !publish.dup;
        let is_chance = match self.sabotage {
            Sabotage::Drop | Sabotage::Double | Sabotage::AlterRetain => is_first,
            Sabotage::Swap => return self.swap(link, publish, packet, written),
            Sabotage::Alter => publish.payload.len() > 12,
            Sabotage::DoubleWill => is_first && topic.starts_with("w/") && publish.qos == QoS::AtMostOnce,
            Sabotage::ForgetRetained => is_first && publish.retain,
            Sabotage::DropMail
            | Sabotage::DropRetainedMail
            | Sabotage::DropAcknowledgement
            | Sabotage::AcknowledgeEarly
            | Sabotage::LoseRecord
            | Sabotage::ForgetTransit
            | Sabotage::PretendToWrite
            | Sabotage::TearBatch
            | Sabotage::SkipDamage => false,
        };
        if !is_chance || !self.strikes() {
            written.extend_from_slice(packet);
            return;
        }
        match self.sabotage {
            Sabotage::Drop | Sabotage::ForgetRetained => {}
            Sabotage::AlterRetain => {
                written.extend_from_slice(packet);
                let first = written.len() - packet.len();
                written[first] ^= 1;
            }
            Sabotage::Alter => {
                written.extend_from_slice(packet);
                *written.last_mut().expect("a packet has bytes") ^= 1;
            }
            _ => {
                written.extend_from_slice(packet);
                written.extend_from_slice(packet);
            }
        }
    }

    fn swap(&mut self, link: LinkId, publish: &Publish<'_>, packet: &[u8], written: &mut Vec<u8>) {
        let topic = publish.topic_name.map_or("", |topic| topic.as_str());
        let has_alias = publish.properties.topic_alias().is_some();
        match self.held.remove(&link) {
            Some(held) if held.topic == topic && held.qos == publish.qos => {
                written.extend_from_slice(packet);
                written.extend_from_slice(&held.bytes);
            }
            Some(held) => {
                written.extend_from_slice(&held.bytes);
                written.extend_from_slice(packet);
                // It was not a chance after all.
                self.deeds -= 1;
            }
            None if !publish.dup && !has_alias && self.strikes() => {
                let held = Held { topic: topic.to_owned(), qos: publish.qos, bytes: packet.to_vec() };
                self.held.insert(link, held);
            }
            None => written.extend_from_slice(packet),
        }
    }

    /// Whether a letter to another shard is lost.
    pub fn loses(&mut self, mail: &Mail) -> bool {
        let is_chance = match self.sabotage {
            Sabotage::DropMail => matches!(mail, Mail::Publish(..) | Mail::Bundle(_)),
            Sabotage::DropRetainedMail => matches!(mail, Mail::Retain(..)),
            _ => false,
        };
        is_chance && self.strikes()
    }

    /// Whether a batch is taken for durable before it is.
    pub fn acknowledges_early(&mut self) -> bool {
        self.sabotage == Sabotage::AcknowledgeEarly && self.strikes()
    }

    /// Whether the record under `key` is lost.
    pub fn loses_record(&mut self, key: &[u8]) -> bool {
        self.sabotage == Sabotage::LoseRecord && key.starts_with(&[kind::MESSAGE]) && self.strikes()
    }

    /// Whether the durable record under `key` is taken away too early.
    pub fn forgets_record(&mut self, key: &[u8]) -> bool {
        self.sabotage == Sabotage::ForgetTransit && key.starts_with(&[kind::TRANSIT]) && self.strikes()
    }

    /// Whether a commit that fails is taken for done.
    pub fn pretends_to_write(&mut self) -> bool {
        self.sabotage == Sabotage::PretendToWrite && self.strikes()
    }

    /// Whether one half of the last batch is written; it counts as a deed if there is one.
    pub fn tears_batches(&self) -> bool {
        self.sabotage == Sabotage::TearBatch
    }

    /// Whether damaged records are passed over at all.
    pub fn is_careless(&self) -> bool {
        self.sabotage == Sabotage::SkipDamage
    }

    /// Whether a damaged record is passed over.
    pub fn skips_damage(&mut self) -> bool {
        let is_careless = self.is_careless();
        self.deeds += u64::from(is_careless);
        is_careless
    }

    fn strikes(&mut self) -> bool {
        let strikes = self.random.once_in(self.times);
        self.deeds += u64::from(strikes);
        strikes
    }
}
