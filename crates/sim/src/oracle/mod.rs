//! The oracle: knows what MQTT promises, sees everything that passes the broker's face, and says what was broken.
//!
//! It keeps a model of each Network Connection and Session, changed packet by packet in the order in which the broker
//! handled them. Where shards work at the same time, more than one result is right: a message may meet the Subscriptions
//! as they were at any moment of its window, which begins when it is accepted and ends when the mail that was sent then
//! has been handled. What the broker does must be one of these results.

pub mod census;
pub mod connection;
pub mod crash;
pub mod deliveries;
pub mod endings;
pub mod groups;
pub mod incoming;
pub mod matching;
pub mod messages;
pub mod outgoing;
pub mod resting;
pub mod retained;
pub mod session;
pub mod sharing;
pub mod state;
pub mod storage;
pub mod subscriptions;
pub mod tally;
pub mod words;
