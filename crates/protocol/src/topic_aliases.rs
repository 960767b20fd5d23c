//! Topic Aliases, both directions (3.3.2.3.4). They belong to the Network Connection, never to the Session.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The aliases the other end has set: the receiver's side.
///
/// Memory follows what was really sent, never the size of an alias number.
#[derive(Debug)]
pub struct InboundAliases {
    /// Sorted by alias.
    entries: Vec<(u16, String)>,
    maximum: u16,
}

/// The aliases this end has set: the sender's side. The topic used longest ago gives way to a new one.
#[derive(Debug)]
pub struct OutboundAliases {
    /// The entry at index `i` is alias `i + 1`.
    entries: Vec<OutboundAlias>,
    maximum: u16,
    /// Counts uses; the greater, the later.
    clock: u32,
}

#[derive(Debug)]
struct OutboundAlias {
    fingerprint: u32,
    used: u32,
    topic_name: String,
}

/// How to send a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AliasChoice {
    /// Send the Topic Name without an alias.
    None,
    /// Send the Topic Name and this alias, which stands for it from now on.
    New(u16),
    /// Send an empty Topic Name and this alias.
    Known(u16),
}

/// A PUBLISH whose topic cannot be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AliasError {
    /// The alias is 0: on the wire 0x94. [MQTT-3.3.2-8]
    Zero,
    /// The alias is above what this end allows: on the wire 0x94. [MQTT-3.3.2-9] [MQTT-3.3.2-11]
    AboveMaximum,
    /// Empty Topic Name and an alias that was never set: on the wire 0x82.
    Unknown,
    /// Empty Topic Name and no alias: on the wire 0x82.
    NoTopic,
}

impl InboundAliases {
    /// None set; aliases from 1 to `maximum` are accepted [MQTT-3.3.2-10] [MQTT-3.3.2-12], none at all if it is 0.
    #[must_use]
    pub const fn new(maximum: u16) -> Self {
        Self { entries: Vec::new(), maximum }
    }

    /// The topic of a PUBLISH with this Topic Name and alias; a Topic Name with an alias sets the alias anew.
    ///
    /// # Errors
    /// Each [`AliasError`].
    pub fn resolve<'a>(
        &'a mut self,
        topic_name: Option<&'a str>,
        alias: Option<u16>,
    ) -> Result<&'a str, AliasError> {
        let Some(alias) = alias else { return topic_name.ok_or(AliasError::NoTopic) };
        if alias == 0 {
            return Err(AliasError::Zero);
        }
        if alias > self.maximum {
            return Err(AliasError::AboveMaximum);
        }
        match (topic_name, self.find(alias)) {
            (None, Ok(index)) => Ok(&self.entries[index].1),
            (None, Err(_)) => Err(AliasError::Unknown),
            (Some(topic_name), Ok(index)) => {
                let entry = &mut self.entries[index].1;
                if entry != topic_name {
                    entry.clear();
                    entry.push_str(topic_name);
                }
                Ok(topic_name)
            }
            (Some(topic_name), Err(index)) => {
                self.entries.insert(index, (alias, topic_name.into()));
                Ok(topic_name)
            }
        }
    }

    /// Aliases handed out from 1 upwards are found without a search.
    #[inline]
    fn find(&self, alias: u16) -> Result<usize, usize> {
        let index = usize::from(alias) - 1;
        if self.entries.get(index).is_some_and(|(known, _)| *known == alias) {
            return Ok(index);
        }
        self.entries.binary_search_by_key(&alias, |(known, _)| *known)
    }
}

impl OutboundAliases {
    /// None set; at most `maximum` will be, none at all if it is 0. [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.1.2-26]
    /// [MQTT-3.1.2-27]
    ///
    /// Each message compares its topic with all that are set: callers keep `maximum` small.
    #[must_use]
    pub const fn new(maximum: u16) -> Self {
        Self { entries: Vec::new(), maximum, clock: 0 }
    }

    /// Whether aliases are in use at all on this Network Connection.
    #[inline]
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.maximum > 0
    }

    /// How to send a message to `topic_name`, which must then be sent so.
    pub fn choose(&mut self, topic_name: &str) -> AliasChoice {
        if self.maximum == 0 {
            return AliasChoice::None;
        }
        let used = self.tick();
        let fingerprint = fingerprint(topic_name);
        let known =
            self.entries.iter().position(|e| e.fingerprint == fingerprint && e.topic_name == topic_name);
        if let Some(index) = known {
            self.entries[index].used = used;
            return AliasChoice::Known(index as u16 + 1);
        }
        if self.entries.len() < usize::from(self.maximum) {
            self.entries.push(OutboundAlias { fingerprint, used, topic_name: topic_name.into() });
            return AliasChoice::New(self.entries.len() as u16);
        }
        let Some((index, oldest)) = self.entries.iter_mut().enumerate().min_by_key(|(_, entry)| entry.used)
        else {
            return AliasChoice::None;
        };
        (oldest.fingerprint, oldest.used) = (fingerprint, used);
        oldest.topic_name.clear();
        oldest.topic_name.push_str(topic_name);
        AliasChoice::New(index as u16 + 1)
    }

    /// Takes back a [`AliasChoice::New`] that was not sent after all, as when the packet proved too large.
    pub fn forget(&mut self, alias: u16) {
        let index = usize::from(alias).wrapping_sub(1);
        if let Some(entry) = self.entries.get_mut(index) {
            // No Topic Name is empty: this never matches, and is the first to give way.
            entry.topic_name.clear();
            entry.used = 0;
        }
    }

    fn tick(&mut self) -> u32 {
        if self.clock == u32::MAX {
            self.clock = 0;
            for entry in &mut self.entries {
                entry.used = 0;
            }
        }
        self.clock += 1;
        self.clock
    }
}

/// Tells most topics apart without comparing them: the length and the last bytes, where topics differ.
fn fingerprint(topic_name: &str) -> u32 {
    let bytes = topic_name.as_bytes();
    let tail = &bytes[bytes.len().saturating_sub(8)..];
    tail.iter().fold(bytes.len() as u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte))
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "Topic Alias 0",
            Self::AboveMaximum => "a Topic Alias above the Topic Alias Maximum",
            Self::Unknown => "an empty Topic Name with a Topic Alias that was never set",
            Self::NoTopic => "an empty Topic Name without Topic Alias",
        })
    }
}

impl core::error::Error for AliasError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-10] [MQTT-3.3.2-11] [MQTT-3.3.2-12]
    #[test]
    fn inbound_takes_the_whole_range_and_nothing_else() {
        let mut aliases = InboundAliases::new(u16::MAX);
        assert_eq!(aliases.resolve(Some("z"), Some(u16::MAX)), Ok("z"));
        assert!(aliases.entries.capacity() < 100, "memory does not follow the number");
        for alias in (1..100).rev() {
            assert_eq!(aliases.resolve(Some("a"), Some(alias)), Ok("a"));
        }
        assert_eq!(aliases.resolve(None, Some(50)), Ok("a"));
        assert_eq!(aliases.resolve(None, Some(u16::MAX)), Ok("z"));
        assert_eq!(aliases.resolve(Some("a"), Some(0)), Err(AliasError::Zero));
        assert_eq!(InboundAliases::new(3).resolve(Some("a"), Some(4)), Err(AliasError::AboveMaximum));
        assert_eq!(InboundAliases::new(0).resolve(Some("a"), Some(1)), Err(AliasError::AboveMaximum));
    }

    #[test]
    fn inbound_alias_is_set_anew_by_topic_and_alias() {
        let mut aliases = InboundAliases::new(2);
        assert_eq!(aliases.resolve(Some("plain"), None), Ok("plain"));
        assert_eq!(aliases.resolve(None, None), Err(AliasError::NoTopic));
        assert_eq!(aliases.resolve(None, Some(2)), Err(AliasError::Unknown));
        assert_eq!(aliases.resolve(Some("one"), Some(2)), Ok("one"));
        assert_eq!(aliases.resolve(Some("another"), Some(2)), Ok("another"));
        assert_eq!(aliases.resolve(None, Some(2)), Ok("another"));
        assert_eq!(aliases.resolve(None, Some(1)), Err(AliasError::Unknown));
    }

    /// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
    #[test]
    fn outbound_keeps_within_the_maximum_and_drops_the_one_used_longest_ago() {
        assert_eq!(OutboundAliases::new(0).choose("a"), AliasChoice::None);
        let mut aliases = OutboundAliases::new(2);
        assert_eq!(aliases.choose("a"), AliasChoice::New(1));
        assert_eq!(aliases.choose("b"), AliasChoice::New(2));
        assert_eq!(aliases.choose("a"), AliasChoice::Known(1));
        assert_eq!(aliases.choose("c"), AliasChoice::New(2));
        assert_eq!(aliases.choose("b"), AliasChoice::New(1));
        assert_eq!(aliases.choose("c"), AliasChoice::Known(2));
        aliases.forget(2);
        assert_eq!(aliases.choose("c"), AliasChoice::New(2));
    }

    #[test]
    fn what_outbound_sends_inbound_understands() {
        let (mut sender, mut receiver) = (OutboundAliases::new(3), InboundAliases::new(3));
        let topics = ["a", "b", "sensor/1", "sensor/2", "a", "sensor/1", "b", "b", "c", "sensor/2", "a"];
        for topic_name in topics.into_iter().cycle().take(500) {
            let (on_the_wire, alias) = match sender.choose(topic_name) {
                AliasChoice::None => (Some(topic_name), None),
                AliasChoice::New(alias) => (Some(topic_name), Some(alias)),
                AliasChoice::Known(alias) => (None, Some(alias)),
            };
            assert_eq!(receiver.resolve(on_the_wire, alias), Ok(topic_name));
        }
    }
}
