//! `-d`: a line for each packet sent and received.

use std::sync::{Mutex, PoisonError};

use dunlin_client::options::{Observation, ProtocolVersion};
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet::Packet;
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::topic::name::TopicName;

use crate::output;

/// Cuts the stream of each direction into packets and prints them.
pub(crate) struct Trace {
    version: ProtocolVersion,
    state: Mutex<State>,
}

struct State {
    client_id: String,
    sent: Vec<u8>,
    received: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Sending,
    Received,
}

impl Trace {
    pub(crate) fn new(version: ProtocolVersion, client_id: &str) -> Self {
        let state = State { client_id: client_id.into(), sent: Vec::new(), received: Vec::new() };
        Self { version, state: Mutex::new(state) }
    }

    pub(crate) fn observe(&self, observation: Observation<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match observation {
            Observation::Sent(bytes) => {
                let mut stream = std::mem::take(&mut state.sent);
                stream.extend_from_slice(bytes);
                self.print_packets(&mut state, Direction::Sending, &mut stream);
                state.sent = stream;
            }
            Observation::Received(bytes) => {
                let mut stream = std::mem::take(&mut state.received);
                stream.extend_from_slice(bytes);
                self.print_packets(&mut state, Direction::Received, &mut stream);
                state.received = stream;
            }
            Observation::Opened { tls: Some((version, is_resumed)) } => {
                let how = if is_resumed { "resumed" } else { "from the beginning" };
                let version = version.replace('_', ".");
                output::debug_line(format_args!(
                    "Client {} speaks {version}, {how}",
                    shown_id(&state.client_id)
                ));
            }
            Observation::Disconnected { error, retry_in } => {
                state.sent.clear();
                state.received.clear();
                let next = retry_in
                    .map_or(String::new(), |delay| format!("; trying again in {:.1} s", delay.as_secs_f32()));
                output::debug_line(format_args!(
                    "Client {} disconnected: {error}{next}",
                    shown_id(&state.client_id)
                ));
            }
            _ => {}
        }
    }

    fn print_packets(&self, state: &mut State, direction: Direction, stream: &mut Vec<u8>) {
        let mut used = 0;
        // What does not decode is told by the error that ends the connection.
        while let Ok(Some(frame)) = Frame::split(&stream[used..], u32::MAX) {
            used += frame.encoded_len;
            let Ok(packet) = Packet::decode(self.version, frame) else { continue };
            if let Packet::Connack(connack) = &packet
                && let Some(assigned) = connack.properties.assigned_client_identifier()
            {
                state.client_id = assigned.into();
            }
            for line in lines(self.version, direction, &packet) {
                output::debug_line(format_args!("Client {} {line}", shown_id(&state.client_id)));
            }
            if let Packet::Suback(suback) = &packet {
                let codes: Vec<_> = suback.reason_codes.iter().map(|code| code.value().to_string()).collect();
                output::debug_line(format_args!(
                    "Subscribed (mid: {}): {}",
                    suback.packet_id,
                    codes.join(", ")
                ));
            }
        }
        stream.drain(..used);
    }
}

fn lines(version: ProtocolVersion, direction: Direction, packet: &Packet<'_>) -> Vec<String> {
    let verb = if direction == Direction::Sending { "sending" } else { "received" };
    let name = packet.packet_type().name();
    let details = match (packet, direction) {
        (Packet::Subscribe(subscribe), _) => {
            let packet_id = subscribe.packet_id;
            let line = |filter: &str, qos: u8, options: u8| {
                format!(
                    "{verb} {name} (Mid: {packet_id}, Topic: {filter}, QoS: {qos}, Options: 0x{options:02x})"
                )
            };
            let options = |options: u8| options & 0xFC;
            let each = subscribe.iter().map(|request| {
                let byte = request.options.encode(ProtocolVersion::V5_0);
                line(&shown(request.topic_filter), request.options.qos.value(), options(byte))
            });
            return each.collect();
        }
        (Packet::Unsubscribe(unsubscribe), _) => {
            let packet_id = unsubscribe.packet_id;
            let each = unsubscribe.iter();
            return each
                .map(|filter| format!("{verb} {name} (Mid: {packet_id}, Topic: {})", shown(filter)))
                .collect();
        }
        (Packet::Publish(publish), _) => format!(
            " (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
            u8::from(publish.dup),
            publish.qos.value(),
            u8::from(publish.retain),
            publish.packet_id.map_or(0, PacketId::value),
            shown(publish.topic_name.map_or("", TopicName::as_str)),
            publish.payload.len(),
        ),
        (Packet::Connack(connack), _) if version.has_properties() => {
            format!(" ({})", connack.reason_code.value())
        }
        (Packet::Connack(connack), _) => format!(" ({})", connack.reason_code.connect_return_code()),
        (Packet::Puback(ack) | Packet::Pubcomp(ack), Direction::Received) => {
            format!(" (Mid: {}, RC:{})", ack.packet_id, ack.reason_code.value())
        }
        (Packet::Pubrec(ack) | Packet::Pubrel(ack), Direction::Received) => {
            format!(" (Mid: {})", ack.packet_id)
        }
        (Packet::Puback(ack) | Packet::Pubrec(ack), Direction::Sending) => {
            format!(" (m{}, rc{})", ack.packet_id, ack.reason_code.value())
        }
        (Packet::Pubrel(ack) | Packet::Pubcomp(ack), Direction::Sending) => format!(" (m{})", ack.packet_id),
        (Packet::Disconnect(disconnect), Direction::Received) => {
            format!(" ({})", disconnect.reason_code.value())
        }
        _ => String::new(),
    };
    vec![format!("{verb} {name}{details}")]
}

fn shown_id(client_id: &str) -> String {
    if client_id.is_empty() { "(null)".into() } else { shown(client_id) }
}

/// Text of strangers, without characters that could play with the terminal.
fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use dunlin_client::options::{QoS, SubscriptionOptions};
    use dunlin_packet::acks::Ack;
    use dunlin_packet::connack::Connack;
    use dunlin_packet::property::list::PropertyList;
    use dunlin_packet::publish::Publish;
    use dunlin_packet::reason_code::ReasonCode;
    use dunlin_packet::subscribe::{Subscribe, SubscriptionFilters, SubscriptionRequest};

    use super::*;

    #[test]
    fn lines_look_as_scripts_know_them() {
        use Direction::{Received, Sending};
        let ack = Ack::success(PacketId::MIN);
        let publish = Publish {
            dup: false,
            qos: QoS::ExactlyOnce,
            retain: false,
            topic_name: TopicName::parse("topic\u{1b}").ok(),
            packet_id: Some(PacketId::MIN),
            properties: PropertyList::EMPTY,
            payload: b"hi",
        };
        let options =
            SubscriptionOptions { no_local: true, ..SubscriptionOptions::with_qos(QoS::AtLeastOnce) };
        let requests = ["a", "b/#"].map(|topic_filter| SubscriptionRequest { topic_filter, options });
        let (packet_id, properties) = (PacketId::MIN, PropertyList::EMPTY);
        let filters = SubscriptionFilters::from_slice(&requests);
        let connack = Connack { session_present: false, reason_code: ReasonCode::NotAuthorized, properties };
        for (direction, packet, expected) in [
            (Sending, Packet::Pingreq, "sending PINGREQ"),
            (Received, Packet::Connack(connack), "received CONNACK (5)"),
            (
                Sending,
                Packet::Publish(publish),
                "sending PUBLISH (d0, q2, r0, m1, 'topic\\u{1b}', ... (2 bytes))",
            ),
            (Received, Packet::Pubrec(ack), "received PUBREC (Mid: 1)"),
            (Sending, Packet::Pubrel(ack), "sending PUBREL (m1)"),
            (Received, Packet::Pubcomp(ack), "received PUBCOMP (Mid: 1, RC:0)"),
            (Sending, Packet::Puback(ack), "sending PUBACK (m1, rc0)"),
            (
                Sending,
                Packet::Subscribe(Subscribe { packet_id, properties, filters }),
                "sending SUBSCRIBE (Mid: 1, Topic: a, QoS: 1, Options: 0x04)\n\
                 sending SUBSCRIBE (Mid: 1, Topic: b/#, QoS: 1, Options: 0x04)",
            ),
        ] {
            assert_eq!(lines(ProtocolVersion::V3_1_1, direction, &packet).join("\n"), expected);
        }
        assert_eq!(shown_id(""), "(null)");
    }
}
