//! Addresses and URLs of MQTT Servers, and sockets.
//!
//! What Servers and Clients speak below MQTT is here without sockets: TLS, WebSocket, and what proxies say. [`connect::Connector`]
//! is the Client's way from an address to a stream of MQTT (4.2).

#![forbid(unsafe_code)]

pub mod address;
#[cfg(feature = "arguments")]
pub mod arguments;
pub mod connect;
pub mod first_bytes;
pub mod http_head;
pub mod ip_network;
pub mod layer;
pub mod outgoing;
pub mod proxy_header;
pub mod stream;
pub mod tls;
pub mod websocket;
