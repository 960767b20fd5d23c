//! Bytes to MQTT Control Packets and back, for versions 3.1, 3.1.1 and 5.0
//!
//! The crate borrows: a decoded packet points into the bytes it came from, and nothing is allocated. Decoding is strict:
//! what the standard calls malformed or a Protocol Error is a [`DecodeError`](error::DecodeError) that knows its Reason
//! Code. No input makes it panic.
//!
//! ```
//! use dunlin_packet::{fixed_header::Frame, packet::Packet, version::ProtocolVersion};
//!
//! let bytes = [0x30, 0x07, 0x00, 0x03, b'a', b'/', b'b', b'h', b'i'];
//! let frame = Frame::split(&bytes, u32::MAX).expect("a sound header").expect("a whole packet");
//! let Ok(Packet::Publish(publish)) = Packet::decode(ProtocolVersion::V3_1_1, frame) else { unreachable!() };
//! assert_eq!(publish.payload, b"hi");
//! ```
//!
//! Things are imported from the module that defines them. Rows of good and bad bytes stand in `spec/packets/`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod acks;
pub mod auth;
pub mod connack;
pub mod connect;
pub mod disconnect;
pub mod error;
pub mod fixed_header;
pub mod packet;
pub mod packet_identifier;
pub mod packet_type;
pub mod property;
pub mod publish;
pub mod qos;
pub mod reason_code;
pub mod suback;
pub mod subscribe;
pub mod topic;
pub mod unsuback;
pub mod unsubscribe;
pub mod version;
pub mod wire;
