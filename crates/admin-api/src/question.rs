//! What may be asked, and what may be wanted done.

use serde::{Deserialize, Serialize};

use crate::explain::Stated;

/// One question, one line. Text is bounded by the length of the line, [`LINE_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// How the Server does.
    Status {},
    /// Sessions.
    Sessions {
        /// A Client Identifier, or its beginning and `*`; without it all.
        #[serde(default)]
        filter: Option<String>,
        /// Only those with a Network Connection, or only those without.
        #[serde(default)]
        connected: Option<bool>,
        /// The greatest first; without it in no order.
        #[serde(default)]
        sort: Option<SortKey>,
        /// At most so many; with `sort` at most, and without saying so, [`SORTED_MAX`].
        #[serde(default)]
        limit: Option<u64>,
    },
    /// One Session with its Subscriptions.
    Session {
        /// Whose.
        client_id: String,
    },
    /// Subscriptions: all, or those that match a Topic Name.
    Subscriptions {
        /// The Topic Name.
        #[serde(default)]
        topic: Option<String>,
        /// At most so many; with `topic` at most, and without saying so, [`SORTED_MAX`].
        #[serde(default)]
        limit: Option<u64>,
    },
    /// Retained Messages, in the order of their topics within each shard.
    Retained {
        /// A Topic Filter; without it `#`, which does not match topics that begin with `$`.
        #[serde(default)]
        filter: Option<String>,
        /// At most so many.
        #[serde(default)]
        limit: Option<u64>,
    },
    /// Messages that were dropped: by cause, and by Session, the greatest losses first.
    Drops {
        /// At most so many Sessions; at most, and without saying so, [`SORTED_MAX`].
        #[serde(default)]
        limit: Option<u64>,
    },
    /// What would become of a message that nobody has published.
    ExplainPublish {
        /// Who would publish it.
        client_id: String,
        /// The Topic Name.
        topic: String,
        /// The QoS, 0 to 2.
        #[serde(default)]
        qos: u8,
        /// Whether with RETAIN.
        #[serde(default)]
        retain: bool,
        /// Bytes of its payload; without it [`PAYLOAD_BYTES`].
        #[serde(default)]
        payload_bytes: Option<u64>,
        /// What to take for known of the Client.
        #[serde(default)]
        stated: Stated,
        /// At most so many receivers; at most, and without saying so, [`SORTED_MAX`].
        #[serde(default)]
        limit: Option<u64>,
    },
    /// What would become of a Subscription that nobody has asked for.
    ExplainSubscribe {
        /// Who would subscribe.
        client_id: String,
        /// The Topic Filter.
        topic_filter: String,
        /// The QoS, 0 to 2.
        #[serde(default)]
        qos: u8,
        /// What to take for known of the Client.
        #[serde(default)]
        stated: Stated,
        /// At most so many Retained Messages; at most, and without saying so, [`SORTED_MAX`].
        #[serde(default)]
        limit: Option<u64>,
    },
    /// Whether a Client may get what one of its Subscriptions matches.
    ExplainReceive {
        /// Who would get it.
        client_id: String,
        /// The Topic Name.
        topic: String,
        /// What to take for known of the Client.
        #[serde(default)]
        stated: Stated,
    },
    /// Why a Client does not get a message.
    ExplainMissing {
        /// Who does not get it.
        client_id: String,
        /// The Topic Name.
        topic: String,
        /// The QoS it was published with, 0 to 2.
        #[serde(default)]
        qos: u8,
        /// Bytes of its payload; without it [`PAYLOAD_BYTES`].
        #[serde(default)]
        payload_bytes: Option<u64>,
        /// The Client Identifier of who has published it, if that is known.
        #[serde(default)]
        from: Option<String>,
    },
    /// Ends the Network Connection of a Client: DISCONNECT with Administrative action (0x98) for 5.0.
    Disconnect {
        /// Whose.
        client_id: String,
        /// The Reason String that a 5.0 Client gets, at most [`REASON_BYTES_MAX`].
        #[serde(default)]
        reason: Option<String>,
    },
    /// Reads the configuration and all files that it names again, and puts in force what can be changed while the Server runs: all
    /// of it, or nothing.
    Reload {},
    /// Ends a Session: its Subscriptions and what waits for it are gone, its Will is published.
    DeleteSession {
        /// Whose.
        client_id: String,
    },
}

/// By what Sessions are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SortKey {
    /// By Client Identifier, the least first.
    ClientId,
    /// By the messages that wait.
    Queue,
    /// By the bytes that wait.
    QueueBytes,
    /// By the messages that were dropped.
    Drops,
    /// By the messages sent and not acknowledged.
    InFlight,
    /// By the number of Subscriptions.
    Subscriptions,
}

/// Bytes of the longest line that is taken as a question, without its end.
pub const LINE_BYTES_MAX: usize = 512 << 10;

/// Rows of the longest list that has an order.
pub const SORTED_MAX: u64 = 10_000;

/// Bytes of a payload of which nothing is said.
pub const PAYLOAD_BYTES: u64 = 1;

/// Bytes of the longest Reason String.
pub const REASON_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_short_to_write() {
        for (text, question) in [
            (r#"{"ask":"status"}"#, Question::Status {}),
            (
                r#"{"ask":"sessions","filter":"dev-*","sort":"queue-bytes"}"#,
                Question::Sessions {
                    filter: Some("dev-*".into()),
                    connected: None,
                    sort: Some(SortKey::QueueBytes),
                    limit: None,
                },
            ),
            (
                r#"{"ask":"delete-session","client_id":"a"}"#,
                Question::DeleteSession { client_id: "a".into() },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Question>(text).unwrap(), question);
        }
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        for text in [
            r#"{"ask":"statistics"}"#,
            r#"{"ask":"status","now":true}"#,
            r#"{"ask":"sessions","sort":"colour"}"#,
            r#"{"ask":"session"}"#,
            "{}",
            "7",
        ] {
            assert!(serde_json::from_str::<Question>(text).is_err(), "{text}");
        }
    }
}
