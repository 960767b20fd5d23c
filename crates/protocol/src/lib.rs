//! The rules both ends of an MQTT connection keep, as pure machines: no clock, no input or output, no thread.
//!
//! Each machine is told what came in and what time it is, and says what is to be done.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod client;
pub mod error;
pub mod inbound;
pub mod keep_alive;
pub mod limits;
pub mod outbound;
pub mod time;
pub mod topic_aliases;
