//! Whose records these are: Sessions by their owners' numbers.

use dunlin_broker::records::{
    key::{Key, Owner},
    record::Record,
};

use crate::store::{Store, StoreError};

/// The Session that a record other than the Session's own belongs to.
pub(crate) fn owner_of(key: Key<'_>) -> Option<Owner> {
    match key {
        Key::Subscription(owner, _)
        | Key::Will(owner)
        | Key::Message(owner, _)
        | Key::InFlight(owner, _)
        | Key::Received(owner, _) => Some(owner),
        _ => None,
    }
}

/// What is known of the Session that a record belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SessionState {
    /// It is there, with this Client Identifier.
    There(String),
    /// There is no such record.
    Missing,
    /// Its record cannot be read.
    Damaged,
}

/// Finds Sessions; remembers the last one, since records of one Session lie side by side.
pub(crate) struct Sessions<'s> {
    store: &'s dyn Store,
    last: Option<(Owner, SessionState)>,
}

impl<'s> Sessions<'s> {
    pub(crate) fn new(store: &'s dyn Store) -> Self {
        Self { store, last: None }
    }

    /// Looks it up.
    pub(crate) fn find(&mut self, owner: Owner) -> Result<&SessionState, StoreError> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != owner) {
            let state = read(self.store, owner)?;
            self.last = Some((owner, state));
        }
        let (_, state) = self.last.as_ref().expect("it was found just now");
        Ok(state)
    }

    /// The Client Identifier, if it can be read.
    pub(crate) fn client_id(&mut self, owner: Owner) -> Result<Option<&str>, StoreError> {
        Ok(match self.find(owner)? {
            SessionState::There(client_id) => Some(client_id),
            SessionState::Missing | SessionState::Damaged => None,
        })
    }
}

fn read(store: &dyn Store, owner: Owner) -> Result<SessionState, StoreError> {
    let key = Key::Session(owner).to_bytes();
    let Some(value) = store.find(&key)? else { return Ok(SessionState::Missing) };
    Ok(match Record::decode(&key, &value) {
        Ok(Record::Session(_, content)) => SessionState::There(content.client_id.to_owned()),
        _ => SessionState::Damaged,
    })
}
