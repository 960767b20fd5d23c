//! Acknowledgements and DISCONNECT: Reason Codes and Reason Strings as the Client can take them (4.13).

use dunlin_packet::{
    acks::Ack,
    connack::Connack,
    disconnect::Disconnect,
    error::EncodeError,
    packet::PacketType,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
    version::ProtocolVersion,
};

use crate::{connection::Connection, ids::ConnectionId, output::Outbox};

/// The Properties of a packet that says no: the Reason String in `items`, or nothing where the packet, whose length `len`
/// tells, would be too large with it. [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2]
/// [MQTT-3.9.2-1] [MQTT-3.11.2-1] [MQTT-3.14.2-3]
///
/// There are never User Properties. [MQTT-3.2.2-20] [MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3]
/// [MQTT-3.9.2-2] [MQTT-3.11.2-2] [MQTT-3.14.2-4]
fn fitting<'a>(
    items: &'a [Property<'a>; 1],
    version: ProtocolVersion,
    maximum_packet_size: u32,
    len: impl FnOnce(PropertyList<'a>) -> Result<usize, EncodeError>,
) -> PropertyList<'a> {
    let properties = PropertyList::from_items(items);
    if version.has_properties() && len(properties).is_ok_and(|len| len <= maximum_packet_size as usize) {
        properties
    } else {
        PropertyList::EMPTY
    }
}

/// [`fitting`] for an acknowledgement, where the Client may have said that it wants no Reason String. [MQTT-3.1.2-29]
pub(crate) fn explanation<'a>(
    items: &'a [Property<'a>; 1],
    connection: &Connection,
    len: impl FnOnce(PropertyList<'a>) -> Result<usize, EncodeError>,
) -> PropertyList<'a> {
    if connection.wants_problem_information {
        fitting(items, connection.version, connection.maximum_packet_size, len)
    } else {
        PropertyList::EMPTY
    }
}

/// Writes PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(crate) fn write_ack(
    connection: &Connection,
    id: ConnectionId,
    packet_type: PacketType,
    packet_id: PacketId,
    reason_code: ReasonCode,
    out: &mut Outbox,
) {
    let version = connection.version;
    let mut ack = Ack::with_reason(packet_id, reason_code); // [MQTT-2.2.1-5] [MQTT3-2.3.1-6]
    let items = [Property::ReasonString(reason_code.name())];
    if reason_code.is_error() {
        ack.properties = explanation(&items, connection, |properties| {
            Ack { properties, ..ack }.encoded_len(packet_type, version)
        });
    }
    ack.encode(packet_type, version, out.buffer(id)).expect("a Reason Code of this packet and a short text");
}

/// Writes DISCONNECT for a Client of 5.0; the others are just cut off. [MQTT3-4.8.0-1]
pub(crate) fn write_disconnect(
    connection: &Connection,
    id: ConnectionId,
    reason_code: ReasonCode,
    reason: &str,
    out: &mut Outbox,
) {
    let Connection { version, maximum_packet_size, .. } = *connection;
    if !version.has_properties() {
        return;
    }
    let items = [Property::ReasonString(reason)];
    let properties = fitting(&items, version, maximum_packet_size, |properties| {
        Disconnect { reason_code, properties }.encoded_len(version)
    });
    let disconnect = Disconnect { reason_code, properties };
    if disconnect.encoded_len(version).is_ok_and(|len| len <= maximum_packet_size as usize) {
        disconnect.encode(version, out.buffer(id)).expect("its length was computed before");
    }
}

/// Writes CONNACK of a refusal: no Session Present [MQTT-3.2.2-6] [MQTT3-3.2.2-4], and nothing if the Client cannot take
/// it.
pub(crate) fn write_refusal(
    version: ProtocolVersion,
    maximum_packet_size: u32,
    reason_code: ReasonCode,
    reason: &str,
    out: &mut Vec<u8>,
) {
    let items = [Property::ReasonString(reason)];
    let mut connack = Connack { session_present: false, reason_code, properties: PropertyList::EMPTY };
    connack.properties = fitting(&items, version, maximum_packet_size, |properties| {
        Connack { properties, ..connack }.encoded_len(version)
    });
    if connack.encoded_len(version).is_ok_and(|len| len <= maximum_packet_size as usize) {
        connack.encode(version, out).expect("its length was computed before");
    }
}
