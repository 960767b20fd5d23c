//! `dunlin bench`: loads any MQTT Server, verifies every message, and measures what it costs.
#![forbid(unsafe_code)]

pub mod args;
pub mod command;

mod alarm;
mod bring_up;
mod clock;
mod connecting;
mod context;
mod crew;
mod due;
mod exchange;
mod failure;
mod flood;
mod idle;
mod interrupt;
mod job;
mod keeping;
mod listener;
mod listening;
mod load;
mod measure;
mod order;
mod pace;
mod pattern;
mod picture;
mod process;
mod progress;
mod publisher;
mod reactor;
mod relay;
mod report;
mod settings;
mod shared;
mod stream;
mod topology;
mod watch;
mod wire;
