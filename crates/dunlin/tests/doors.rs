//! Every door of the real program: TLS, WebSocket, socket files, proxies, and one port for all.

#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;

#[path = "doors/any.rs"]
mod any;
#[path = "doors/authority.rs"]
mod authority;
#[path = "doors/cert.rs"]
mod cert;
#[path = "doors/certificates.rs"]
mod certificates;
#[path = "doors/crowd.rs"]
mod crowd;
#[path = "doors/proxies.rs"]
mod proxies;
#[path = "doors/reload.rs"]
mod reload;
#[path = "doors/scenarios.rs"]
mod scenarios;
#[path = "doors/socket_files.rs"]
mod socket_files;
#[path = "doors/tls.rs"]
mod tls;
#[path = "doors/tools.rs"]
mod tools;
#[path = "doors/websocket.rs"]
mod websocket;
#[path = "doors/world.rs"]
mod world;
