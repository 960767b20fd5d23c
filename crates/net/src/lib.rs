//! Addresses and URLs of MQTT Servers, and sockets.
//!
//! This build speaks MQTT over TCP (4.2); the schemes of TLS and WebSocket are known and refused by name.

#![forbid(unsafe_code)]

pub mod address;
pub mod connect;
