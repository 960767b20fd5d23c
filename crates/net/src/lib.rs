//! Addresses and URLs of MQTT Servers, and sockets.
//!
//! Clients reach Servers over TCP (4.2) so far; the schemes of TLS and WebSocket are known and refused by name. What a Server speaks
//! below MQTT is here without sockets: TLS, WebSocket, and what proxies say.

#![forbid(unsafe_code)]

pub mod address;
pub mod connect;
pub mod first_bytes;
pub mod http_head;
pub mod ip_network;
pub mod layer;
pub mod proxy_header;
pub mod tls;
pub mod websocket;
