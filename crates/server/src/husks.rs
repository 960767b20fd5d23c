//! What the lobby has made and a shard no longer needs: it is freed where it was made.
//!
//! An allocator with a cache for each thread gives a thread that frees a piece the same piece for its next thing. Sessions,
//! which stay, would so come to lie between the tasks of strangers, which go, and keep their pages.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use dunlin_broker::input::ConnectRequest;

/// Pieces on their way back to the lobby.
#[derive(Debug, Default)]
pub(crate) struct Husks(Mutex<Vec<Husk>>);

/// What is left of a Client that was let in.
#[derive(Debug)]
pub(crate) struct Husk {
    /// CONNECT.
    pub(crate) request: Box<ConnectRequest>,
    /// What came behind it.
    pub(crate) unread: Vec<u8>,
}

impl Husks {
    /// Puts one to the others; if there are too many, it is freed here.
    pub(crate) fn add(&self, husk: Husk) {
        let mut husks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if husks.len() < HUSKS_MAX {
            husks.push(husk);
        }
    }

    /// Frees all of them; called by the lobby.
    pub(crate) fn free(&self) {
        let husks = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(husks);
    }
}

impl Husk {
    /// Takes the request out, in memory of its own where there is always some.
    pub(crate) fn take_out(&mut self) -> ConnectRequest {
        let request = &mut *self.request;
        ConnectRequest {
            client_id: request.client_id.clone(),
            user_name: request.user_name.clone(),
            peer: request.peer.clone(),
            will: request.will.take(),
            authentication: request.authentication.take(),
            permissions: request.permissions.apart(),
            entry: request.entry.take(),
            ..*request
        }
    }
}

/// Husks that wait for the lobby.
const HUSKS_MAX: usize = 4_096;
