//! From the broker's terms to the words of the admin API.

use dunlin_admin_api::{session, status};
use dunlin_broker::{
    inspect::{
        question::Choice,
        reports::{ConnectionReport, GroupReport, QueueReport, SessionReport, SubscriptionReport},
    },
    message::Message,
    rights::denials::DenialCounts,
    sessions::drops::DropCounts,
};
use dunlin_protocol::time::Instant;

/// Which Sessions are wanted.
pub(crate) fn choice(filter: Option<String>, is_connected: Option<bool>, has_drops: bool) -> Choice {
    Choice { client_id: filter.map(Into::into), is_connected, has_drops }
}

pub(crate) fn session(report: SessionReport) -> session::Session {
    let SessionReport {
        client_id,
        is_kept,
        expiry_s,
        expires_at,
        subscriptions,
        queue,
        in_flight,
        in_flight_from,
        has_will,
        drops,
        denials: DenialCounts { publish, subscribe, receive, will },
        connection,
    } = report;
    session::Session {
        client_id: client_id.into(),
        connection: connection.map(self::connection),
        is_kept,
        expiry_s: (expiry_s != u32::MAX).then_some(expiry_s),
        expires_at_ms: expires_at.map(Instant::as_ms),
        subscriptions: subscriptions as u64,
        queue: self::queue(&queue),
        in_flight: in_flight as u64,
        in_flight_from_client: in_flight_from as u64,
        has_will,
        drops: self::drops(&drops),
        denials: session::Denials { publish, subscribe, receive, will },
    }
}

fn connection(report: ConnectionReport) -> session::Connection {
    let ConnectionReport {
        peer,
        entry,
        user_name,
        version,
        connected_at,
        last_packet_at,
        keep_alive_s,
        output_bytes,
        ..
    } = report;
    session::Connection {
        address: peer.into(),
        listener: entry.as_ref().map(|entry| entry.listener.to_string()),
        provider: entry.and_then(|entry| entry.provider.as_deref().map(Into::into)),
        user_name: user_name.map(Into::into),
        version: version.to_string(),
        connected_at_ms: connected_at.as_ms(),
        last_packet_at_ms: last_packet_at.as_ms(),
        keep_alive_s,
        output_bytes,
    }
}

pub(crate) fn queue(report: &QueueReport) -> status::Queue {
    status::Queue {
        messages: report.messages(),
        bytes: report.bytes(),
        disk_messages: report.messages_on_disk,
        disk_bytes: report.bytes_on_disk,
    }
}

fn drops(counts: &DropCounts) -> status::Drops {
    let DropCounts { slow, offline, queue_full, expired, too_large, damaged } = *counts;
    status::Drops { slow, offline, queue_full, expired, too_large, damaged, ..status::Drops::default() }
}

pub(crate) fn subscription(report: SubscriptionReport) -> session::Subscription {
    let SubscriptionReport { client_id, is_connected, topic_filter, subscription } = report;
    let options = subscription.options;
    session::Subscription {
        client_id: client_id.into(),
        is_connected,
        topic_filter: topic_filter.into(),
        qos: options.qos.value(),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling as u8,
        identifier: subscription.identifier.map(Into::into),
    }
}

pub(crate) fn group(report: GroupReport) -> session::Group {
    let GroupReport { topic_filter, members, connected } = report;
    session::Group { topic_filter: topic_filter.into(), members: members as u64, connected: connected as u64 }
}

pub(crate) fn retained(message: &Message) -> session::Retained {
    let (payload, facts) = (message.payload(), message.facts());
    session::Retained {
        topic: message.topic_name().as_str().to_owned(),
        qos: facts.qos.value(),
        payload_bytes: payload.len() as u64,
        payload_start: start_of(payload),
        expires_at_ms: facts.expires_at.map(Instant::as_ms),
    }
}

/// The beginning of a payload, without half a character at the end.
fn start_of(payload: &[u8]) -> String {
    let cut = &payload[..payload.len().min(PAYLOAD_START_MAX)];
    let is_cut = cut.len() < payload.len();
    match std::str::from_utf8(cut) {
        Err(error) if is_cut && error.error_len().is_none() => {
            String::from_utf8_lossy(&cut[..error.valid_up_to()]).into_owned()
        }
        _ => String::from_utf8_lossy(cut).into_owned(),
    }
}

/// Bytes of a payload that are shown.
const PAYLOAD_START_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_cut_between_characters() {
        let long = "ä".repeat(100);
        assert_eq!(start_of(long.as_bytes()), "ä".repeat(64));
        let odd = format!("a{long}");
        assert_eq!(start_of(odd.as_bytes()), format!("a{}", "ä".repeat(63)));
        assert_eq!(start_of(b"\xffabc"), "\u{fffd}abc");
        assert_eq!(start_of(b"a\xc3"), "a\u{fffd}");
    }
}
