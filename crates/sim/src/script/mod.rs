//! Conversations: readable scripts of packets between Clients and the Server, and how they are played.
//!
//! A conversation is a text file below `spec/conversations`. Its language is described in that folder's README. Here
//! it is read ([`parser`]), played against any [`play::Player`] and judged ([`matching`]).
//!
//! The judge has an encoder and a decoder of its own, driven by the tables of [`vocabulary`]. It must be able to write
//! packets that our codec refuses to write, and a mistake of our codec must not hide itself by being made twice.

pub mod decoding;
pub mod display;
pub mod encoding;
pub mod language;
pub mod library;
pub mod matching;
pub mod memory;
pub mod packet;
pub mod packet_text;
pub mod parser;
pub mod play;
pub mod rights;
pub mod vocabulary;
pub mod words;
