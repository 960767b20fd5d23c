//! Network Connections as pipes of bytes: cut into pieces, delayed, broken at any place, read slowly or never.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use crate::random::Random;

/// Names a Network Connection; it is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkId(pub u32);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// How one direction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Properly: what is under way arrives first.
    Closed,
    /// At once: what is under way is lost.
    Reset,
    /// Without a word: what is under way may arrive, and the other end never learns.
    Silent,
}

/// Both directions of one connection.
#[derive(Debug)]
struct Link {
    /// To the Server, not read by it.
    up: VecDeque<u8>,
    up_end: Option<End>,
    /// To the Client, taken over from the Server's buffer.
    down: VecDeque<u8>,
    down_end: Option<End>,
    /// Bytes that `down` takes before the Server's socket is full.
    capacity: usize,
}

/// All connections there are.
#[derive(Debug, Default)]
pub struct Network {
    links: BTreeMap<LinkId, Link>,
    fresh: Vec<LinkId>,
    last: u32,
}

impl Network {
    /// Opens a connection on which `capacity` bytes fit before the Client has to read.
    pub fn open(&mut self, capacity: usize) -> LinkId {
        self.last += 1;
        let link =
            Link { up: VecDeque::new(), up_end: None, down: VecDeque::new(), down_end: None, capacity };
        self.links.insert(LinkId(self.last), link);
        self.fresh.push(LinkId(self.last));
        LinkId(self.last)
    }

    /// The Client sends `bytes`; they are lost if its direction has ended.
    pub fn send(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&link).filter(|link| link.up_end.is_none()) {
            link.up.extend(bytes);
        }
    }

    /// The Client reads at most `max` bytes. The end comes after the last byte.
    pub fn receive(&mut self, link: LinkId, max: usize) -> (Vec<u8>, Option<End>) {
        let Some(link) = self.links.get_mut(&link) else { return (Vec::new(), Some(End::Reset)) };
        let count = link.down.len().min(max);
        let bytes: Vec<u8> = link.down.drain(..count).collect();
        let end = link.down_end.filter(|_| link.down.is_empty());
        (bytes, end)
    }

    /// The Client ends its direction. With [`End::Reset`] a random part of what is under way still arrives.
    pub fn close(&mut self, link: LinkId, end: End, random: &mut Random) {
        let Some(link) = self.links.get_mut(&link).filter(|link| link.up_end.is_none()) else { return };
        if end == End::Reset && !link.up.is_empty() {
            let kept = random.index(link.up.len() + 1);
            link.up.truncate(kept);
        }
        link.up_end = Some(end);
    }

    /// The Server learns of a Client that left without a word; false if there was none.
    pub fn reveal(&mut self, link: LinkId) -> bool {
        let link = self.links.get_mut(&link).filter(|link| link.up_end == Some(End::Silent));
        link.map(|link| link.up_end = Some(End::Reset)).is_some()
    }

    /// Whether there are bytes, or there is news of the end, for the Server.
    #[must_use]
    pub fn has_news(&self, link: LinkId) -> bool {
        self.unread(link) > 0 || self.has_ended(link)
    }

    /// Bytes for the Server.
    #[must_use]
    pub fn unread(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, |link| link.up.len())
    }

    /// Whether the Server has read everything and can see the end.
    #[must_use]
    pub fn has_ended(&self, link: LinkId) -> bool {
        self.links
            .get(&link)
            .is_none_or(|link| link.up.is_empty() && matches!(link.up_end, Some(End::Closed | End::Reset)))
    }

    /// The Server reads at most `max` bytes.
    pub fn read(&mut self, link: LinkId, max: usize) -> Vec<u8> {
        let Some(link) = self.links.get_mut(&link) else { return Vec::new() };
        let count = link.up.len().min(max);
        link.up.drain(..count).collect()
    }

    /// What the Server could read.
    pub fn peek(&self, link: LinkId) -> impl Iterator<Item = u8> + '_ {
        self.links.get(&link).into_iter().flat_map(|link| link.up.iter().copied())
    }

    /// Bytes that the Server has read are given back: it reads them once more.
    pub fn give_back(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&link) else { return };
        bytes.iter().rev().for_each(|&byte| link.up.push_front(byte));
    }

    /// Bytes that the Server's socket takes now.
    #[must_use]
    pub fn room(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, |link| link.capacity.saturating_sub(link.down.len()))
    }

    /// The Server writes `bytes`, for which there is room.
    pub fn write(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&link) {
            link.down.extend(bytes);
        }
    }

    /// The Server closes: properly, or at once.
    pub fn shut(&mut self, link: LinkId, end: End, random: &mut Random) {
        let Some(link) = self.links.get_mut(&link) else { return };
        if end == End::Reset && !link.down.is_empty() {
            let kept = random.index(link.down.len() + 1);
            link.down.truncate(kept);
        }
        link.down_end = Some(end);
        link.up.clear();
        link.up_end.get_or_insert(End::Closed);
    }

    /// Both ends are done with it.
    pub fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Whether there are bytes, or there is news of the end, for the Client.
    #[must_use]
    pub fn has_mail(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|link| !link.down.is_empty() || link.down_end.is_some())
    }

    /// Connections that have been opened since this was last asked.
    pub fn take_fresh(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.fresh)
    }

    /// Connections that the Client left without a word.
    #[must_use]
    pub fn silent(&self) -> Vec<LinkId> {
        let silent = self.links.iter().filter(|(_, link)| link.up_end == Some(End::Silent));
        silent.map(|(link, _)| *link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_and_the_end_after_them() {
        let mut network = Network::default();
        let mut random = Random::new(1);
        let link = network.open(4);
        network.send(link, b"abc");
        network.close(link, End::Closed, &mut random);
        network.send(link, b"lost");
        assert_eq!(network.read(link, 2), b"ab");
        assert!(network.has_news(link) && !network.has_ended(link));
        assert_eq!(network.read(link, 9), b"c");
        assert!(network.has_ended(link));
        assert_eq!(network.room(link), 4);
        network.write(link, b"xyz");
        network.shut(link, End::Closed, &mut random);
        assert_eq!(network.receive(link, 1), (b"x".to_vec(), None));
        assert_eq!(network.receive(link, 9), (b"yz".to_vec(), Some(End::Closed)));
    }

    #[test]
    fn silence_is_not_noticed_until_it_is_revealed() {
        let mut network = Network::default();
        let mut random = Random::new(1);
        let link = network.open(4);
        network.close(link, End::Silent, &mut random);
        assert!(!network.has_ended(link));
        assert_eq!(network.silent(), [link]);
        assert!(network.reveal(link));
        assert!(network.has_ended(link));
    }
}
