//! Acknowledgements and DISCONNECT: Reason Codes and Reason Strings as the Client can take them (4.13).

use dunlin_packet::{
    acks::Ack,
    disconnect::Disconnect,
    packet::PacketType,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
};

use crate::{connection::Connection, ids::ConnectionId, output::Outbox};

/// Writes PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(crate) fn write_ack(
    connection: &Connection,
    id: ConnectionId,
    packet_type: PacketType,
    packet_id: PacketId,
    reason_code: ReasonCode,
    out: &mut Outbox,
) {
    let mut ack = Ack::with_reason(packet_id, reason_code);
    let items = [Property::ReasonString(reason_code.name())];
    if connection.version.has_properties() && reason_code.is_error() && connection.wants_problem_information {
        // [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2]
        ack.properties = PropertyList::from_items(&items);
        let len = ack.encoded_len(packet_type, connection.version).unwrap_or(usize::MAX);
        if len > connection.maximum_packet_size as usize {
            ack.properties = PropertyList::EMPTY;
        }
    }
    ack.encode(packet_type, connection.version, out.buffer(id))
        .expect("a Reason Code of this packet and a short text");
}

/// Writes DISCONNECT for a Client of 5.0; the others are just cut off. [MQTT3-4.8.0-1]
pub(crate) fn write_disconnect(
    connection: &Connection,
    id: ConnectionId,
    reason_code: ReasonCode,
    reason: &str,
    out: &mut Outbox,
) {
    if !connection.version.has_properties() {
        return;
    }
    let items = [Property::ReasonString(reason)];
    let mut disconnect = Disconnect { reason_code, properties: PropertyList::from_items(&items) };
    let maximum = connection.maximum_packet_size as usize;
    if disconnect.encoded_len(connection.version).is_ok_and(|len| len <= maximum) {
        disconnect.encode(connection.version, out.buffer(id)).expect("its length was computed before");
        return;
    }
    disconnect.properties = PropertyList::EMPTY; // [MQTT-3.14.2-3]
    if disconnect.encoded_len(connection.version).is_ok_and(|len| len <= maximum) {
        disconnect.encode(connection.version, out.buffer(id)).expect("its length was computed before");
    }
}
