//! All Sessions of a shard, by Client Identifier and by number.

use std::{
    ops::{Index, IndexMut},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::{
    limits::client::ClientLimits, message::publisher_key, sessions::session::Session,
    topics::ids::SessionIndex,
};

/// The Sessions of one shard. A number is given again after its Session has ended; the serial tells them apart.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    free: Vec<u32>,
    by_client_id: HashTable<u32>,
    hasher: RandomState,
    serials: u32,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.by_client_id.len()
    }

    /// One more than the greatest number in use so far.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The Session of a Client Identifier. [MQTT-3.1.3-2] [MQTT3-3.1.3-2]
    pub(crate) fn find(&self, client_id: &str) -> Option<SessionIndex> {
        let hash = self.hasher.hash_one(client_id);
        self.by_client_id
            .find(hash, |&index| self.is_named(index, client_id))
            .map(|&index| SessionIndex(index))
    }

    fn is_named(&self, index: u32, client_id: &str) -> bool {
        self.slots[index as usize].as_ref().is_some_and(|session| &*session.client_id == client_id)
    }

    /// Makes a new Session; there must be none with this Client Identifier.
    pub(crate) fn create(&mut self, client_id: Box<str>, limits: Arc<ClientLimits>) -> SessionIndex {
        debug_assert!(self.find(&client_id).is_none());
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.serials = self.serials.wrapping_add(1);
        let hash = self.hasher.hash_one(&*client_id);
        let publisher = publisher_key(&client_id);
        self.slots[index as usize] = Some(Box::new(Session::new(client_id, self.serials, publisher, limits)));
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_client_id.insert_unique(hash, index, |&other| {
            let session = slots[other as usize].as_ref().expect("a named Session exists");
            hasher.hash_one(&*session.client_id)
        });
        SessionIndex(index)
    }

    pub(crate) fn remove(&mut self, index: SessionIndex) -> Option<Box<Session>> {
        let client_id = &self.at(index)?.client_id;
        let hash = self.hasher.hash_one(&**client_id);
        let entry = self.by_client_id.find_entry(hash, |&other| other == index.0).ok()?;
        entry.remove();
        self.free.push(index.0);
        self.slots[index.0 as usize].take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten().map(|session| &**session)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten().map(|session| &mut **session)
    }

    pub(crate) fn at(&self, index: SessionIndex) -> Option<&Session> {
        self.slots.get(index.0 as usize)?.as_deref()
    }

    pub(crate) fn at_mut(&mut self, index: SessionIndex) -> Option<&mut Session> {
        self.slots.get_mut(index.0 as usize)?.as_deref_mut()
    }

    /// The Session with this number, if it is still the one with this serial.
    pub(crate) fn of(&mut self, index: SessionIndex, serial: u32) -> Option<&mut Session> {
        self.at_mut(index).filter(|session| session.serial == serial)
    }
}

impl Index<SessionIndex> for Sessions {
    type Output = Session;

    fn index(&self, index: SessionIndex) -> &Session {
        self.slots[index.0 as usize].as_deref().expect("a number in use names a Session")
    }
}

impl IndexMut<SessionIndex> for Sessions {
    fn index_mut(&mut self, index: SessionIndex) -> &mut Session {
        self.slots[index.0 as usize].as_deref_mut().expect("a number in use names a Session")
    }
}
