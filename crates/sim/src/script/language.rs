//! A conversation as it was read: settings of the Server, then steps.

use std::time::Duration;

use super::packet::{Packet, Version};

/// A conversation.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file it stands in, as messages name it.
    pub file: String,
    /// The first comment line: the fact that it shows.
    pub title: String,
    /// The tags of the normative statements it proves, such as `MQTT-3.8.4-4`.
    pub clauses: Vec<String>,
    /// Settings of the Server: key of the table `[mqtt]` and value, written as in the configuration file.
    pub settings: Vec<(String, String)>,
    /// It needs what only the pure broker has (`= only memory`).
    pub is_for_memory_only: bool,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Script {
    /// Whether the Server crashes in it.
    #[must_use]
    pub fn has_crash(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::CrashAndRestart))
    }
}

/// One line, or one line with its `|` lines.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The line as it was written.
    pub text: String,
    /// What it says.
    pub action: Action,
}

/// What a step says.
#[derive(Clone, Debug)]
pub enum Action {
    /// `client > PACKET`
    Send(Clients, Box<Packet>),
    /// `client > raw 10 0c`, with the version that a CONNECT among the bytes names.
    SendRaw(Clients, Vec<u8>, Option<Version>),
    /// `client < PACKET`; with further `client | PACKET` lines: all of them, in any order.
    Expect(Clients, Vec<Packet>),
    /// `client < nothing`
    ExpectNothing(Clients),
    /// `client < closed`
    ExpectClosed(Clients),
    /// `client cut`
    Cut(Clients),
    /// `@ +5s`
    Advance(Duration),
    /// `! crash and restart`
    CrashAndRestart,
}

/// Who speaks or listens: one Client, or `a|b`: whichever of them the Server chooses.
///
/// Of several, the first packet that comes to any of them is taken, and `>` speaks for the one that got the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clients(pub Vec<String>);
