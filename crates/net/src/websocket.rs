//! MQTT over WebSocket (6, RFC 6455): frames, the stream of bytes in them, and the HTTP request that begins it. No socket and no
//! clock: bytes go in, bytes come out.

pub mod frame;
pub mod mask;
pub mod opening;
pub mod stream;
pub mod upgrade;
