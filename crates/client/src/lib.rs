//! An MQTT client library with reconnection that can be trusted, on tokio.
//!
//! ```no_run
//! use dunlin_client::client::Client;
//! use dunlin_client::options::{Message, Options, QoS, Subscription};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut messages) = Client::connect(Options::parse("mqtt://localhost")?).await?;
//! client.subscribe(vec![Subscription::new("greetings/#", QoS::AtLeastOnce)]).await?;
//! client.publish(Message::new("greetings/world", QoS::AtLeastOnce, "hello")).await?;
//! while let Some(received) = messages.recv().await {
//!     println!("{}", received.message.topic_name);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! One task owns the Network Connection and runs [`dunlin_protocol::client::Client`], which has all the rules. When the
//! connection is lost it makes another, with growing delays, and goes on: unacknowledged messages are sent again,
//! Subscriptions are made again if the Server has lost them.

#![forbid(unsafe_code)]

pub mod authentication;
pub mod blocking;
pub mod client;
pub mod error;
pub mod messages;
pub mod options;
pub mod scram;

mod clock;
mod command;
mod driver;
mod exchange;
mod reconnect;
mod requests;
