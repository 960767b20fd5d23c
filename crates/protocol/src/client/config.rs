//! The bounds of a Client.

use core::time::Duration;

use crate::limits::PACKET_SIZE_LARGEST;

/// The bounds of a [`Client`](crate::client::Client).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bytes of the largest packet taken from the Server; a Maximum Packet Size in CONNECT counts if it is smaller.
    /// 268,435,460, the largest there is, by default. Memory is taken only for bytes that came.
    pub packet_bytes_max: u32,
    /// Topic Aliases used for sending, if the Server takes so many; 16 by default, 0 for none.
    pub topic_aliases_max: u16,
    /// How long CONNACK may take; 10 seconds by default.
    pub connack_time_max: Duration,
    /// An earlier process left a Session on the Server, and nothing of it is unfinished here: Session Present is no
    /// surprise on the first connection. `false` by default.
    pub has_session: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            packet_bytes_max: PACKET_SIZE_LARGEST,
            topic_aliases_max: 16,
            connack_time_max: Duration::from_secs(10),
            has_session: false,
        }
    }
}

/// Events that wait for [`Client::poll_event`](crate::client::Client::poll_event) before no more packets are handled. What became of messages with QoS 1
/// and 2 when a Session is lost is told beyond that bound.
pub const EVENTS_MAX: usize = 64;
/// Bytes of output that wait for [`Client::poll_output`](crate::client::Client::poll_output) before no more messages are taken.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// SUBSCRIBE and UNSUBSCRIBE packets without answer before no more are sent.
pub const REQUESTS_MAX: usize = 256;
/// An input buffer that was larger gives its memory back when it is empty.
pub(super) const INPUT_BYTES_KEPT: usize = 64 * 1024;
