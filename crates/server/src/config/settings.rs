//! All settings of the Server: their names, units, defaults and bounds. One list feeds reader and handbook.

mod admin;
mod auth;
mod ban;
mod limit;
mod limits;
mod listener;
mod log;
mod mqtt;
mod queue;
mod rights;
mod server;
pub(super) mod setting;
mod storage;
mod tls;

use dunlin_broker::limits::OverflowRule;

use setting::{List, Setting, Table};

/// The tables, in the order of the handbook.
pub(super) const TABLES: [Table; 13] = [
    one("server", server::SETTINGS),
    Table {
        name: "listener",
        settings: listener::SETTINGS,
        list: Some(List { begin: listener::begin, end: listener::end, pick: listener::pick }),
    },
    one("tls", tls::SETTINGS),
    Table {
        name: "auth",
        settings: auth::SETTINGS,
        list: Some(List { begin: auth::begin, end: auth::end, pick: auth::pick }),
    },
    one("mqtt", mqtt::SETTINGS),
    Table {
        name: "queue",
        settings: queue::SETTINGS,
        list: Some(List {
            begin: |draft| draft.queue = OverflowRule::default(),
            end: |draft| {
                draft.broker.queue_overflow_rules.push(draft.queue.clone());
                Ok(())
            },
            pick: |draft, config, number| {
                let rule = config.broker.queue_overflow_rules.get(number);
                rule.map(|rule| draft.queue = rule.clone()).is_some()
            },
        }),
    },
    one("rights", rights::SETTINGS),
    one("limits", limits::SETTINGS),
    Table {
        name: "limit",
        settings: limit::SETTINGS,
        list: Some(List { begin: limit::begin, end: limit::end, pick: limit::pick }),
    },
    Table {
        name: "ban",
        settings: ban::SETTINGS,
        list: Some(List { begin: ban::begin, end: ban::end, pick: ban::pick }),
    },
    one("storage", storage::SETTINGS),
    one("admin", admin::SETTINGS),
    one("log", log::SETTINGS),
];

const fn one(name: &'static str, settings: &'static [Setting]) -> Table {
    Table { name, settings, list: None }
}
