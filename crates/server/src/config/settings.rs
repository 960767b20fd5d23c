//! All settings of the Server: their names, units, defaults and bounds. One list feeds reader and handbook.

mod limits;
mod listener;
mod log;
mod mqtt;
mod queue;
mod rights;
mod server;
pub(super) mod setting;
mod storage;

use dunlin_broker::limits::OverflowRule;

use super::model::ListenerConfig;
use setting::{List, Setting, Table};

/// The tables, in the order of the handbook.
pub(super) const TABLES: [Table; 8] = [
    one("server", server::SETTINGS),
    Table {
        name: "listener",
        settings: listener::SETTINGS,
        list: Some(List {
            begin: |draft| draft.listener = ListenerConfig::default(),
            end: |draft| draft.listeners.push(draft.listener.clone()),
        }),
    },
    one("mqtt", mqtt::SETTINGS),
    Table {
        name: "queue",
        settings: queue::SETTINGS,
        list: Some(List {
            begin: |draft| draft.queue = OverflowRule::default(),
            end: |draft| draft.broker.queue_overflow_rules.push(draft.queue.clone()),
        }),
    },
    one("rights", rights::SETTINGS),
    one("limits", limits::SETTINGS),
    one("storage", storage::SETTINGS),
    one("log", log::SETTINGS),
];

const fn one(name: &'static str, settings: &'static [Setting]) -> Table {
    Table { name, settings, list: None }
}
