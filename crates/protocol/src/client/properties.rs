//! Properties that outlive the bytes they came in.

use alloc::vec::Vec;
use core::fmt;

use dunlin_packet::auth::Auth;
use dunlin_packet::connect::{Connect, Will};
use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::error::EncodeError;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet::{Packet, PacketType};
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::property::identifier::PropertyPlace;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::publish::Publish;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest};
use dunlin_packet::topic::name::TopicName;
use dunlin_packet::unsubscribe::{TopicFilters, Unsubscribe};
use dunlin_packet::version::ProtocolVersion;

/// An owned [`PropertyList`], valid for the place it was made for.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(Vec<u8>);

impl Properties {
    /// No properties.
    pub const EMPTY: Self = Self(Vec::new());

    /// Keeps `items` for a packet a Client sends: CONNECT, the Will, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT or AUTH.
    ///
    /// # Errors
    /// [`EncodeError::InvalidProperty`] if one does not belong there, is there twice or has a bad value,
    /// [`EncodeError::InvalidPacket`] for another packet, and the other [`EncodeError`]s.
    pub fn new(place: PropertyPlace, items: &[Property<'_>]) -> Result<Self, EncodeError> {
        if items.is_empty() {
            return Ok(Self::EMPTY);
        }
        let mut bytes = Vec::new();
        encode_carrier(place, PropertyList::from_items(items), &mut bytes)?;
        // Reading back what was written checks the values, and leaves the list in its wire form.
        let frame = Frame::split(&bytes, u32::MAX).ok().flatten().ok_or(EncodeError::InvalidPacket)?;
        let packet =
            Packet::decode(ProtocolVersion::V5_0, frame).map_err(|_| EncodeError::InvalidProperty)?;
        Ok(Self::from(&carried(place, &packet).ok_or(EncodeError::InvalidPacket)?))
    }

    /// The list, for reading and for packets.
    #[must_use]
    pub fn list(&self) -> PropertyList<'_> {
        PropertyList::with_encoded(&[], &self.0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Copies a list out of a decoded packet.
impl From<&PropertyList<'_>> for Properties {
    fn from(decoded: &PropertyList<'_>) -> Self {
        Self(decoded.encoded().to_vec())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list().fmt(f)
    }
}

/// Writes the smallest packet with `properties` in `place`.
fn encode_carrier(
    place: PropertyPlace,
    properties: PropertyList<'_>,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let topic_name = TopicName::parse("-").map_err(|_| EncodeError::InvalidPacket)?;
    let options = SubscriptionOptions::with_qos(QoS::AtMostOnce);
    let requests = [SubscriptionRequest { topic_filter: "-", options }];
    let mut connect = Connect {
        version: ProtocolVersion::V5_0,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "",
        properties: PropertyList::EMPTY,
        will: None,
        user_name: None,
        password: None,
        is_bridge: false,
    };
    let packet = match place {
        PropertyPlace::Packet(PacketType::Connect) => {
            connect.properties = properties;
            Packet::Connect(connect)
        }
        PropertyPlace::Will => {
            let will = Will { qos: QoS::AtMostOnce, retain: false, topic_name, payload: &[], properties };
            connect.will = Some(will);
            Packet::Connect(connect)
        }
        PropertyPlace::Packet(PacketType::Publish) => Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic_name: Some(topic_name),
            packet_id: None,
            properties,
            payload: &[],
        }),
        PropertyPlace::Packet(PacketType::Subscribe) => {
            let filters = SubscriptionFilters::from_slice(&requests);
            return Subscribe { packet_id: PacketId::MIN, properties, filters }
                .encode(ProtocolVersion::V5_0, bytes);
        }
        PropertyPlace::Packet(PacketType::Unsubscribe) => {
            let filters = TopicFilters::from_slice(&["-"]);
            Packet::Unsubscribe(Unsubscribe { packet_id: PacketId::MIN, properties, filters })
        }
        PropertyPlace::Packet(PacketType::Disconnect) => {
            Packet::Disconnect(Disconnect { reason_code: ReasonCode::Success, properties })
        }
        PropertyPlace::Packet(PacketType::Auth) => {
            Packet::Auth(Auth { reason_code: ReasonCode::ContinueAuthentication, properties })
        }
        PropertyPlace::Packet(_) => return Err(EncodeError::InvalidPacket),
    };
    packet.encode(ProtocolVersion::V5_0, bytes)
}

/// The properties in `place` of the packet that [`encode_carrier`] wrote.
fn carried<'a>(place: PropertyPlace, packet: &Packet<'a>) -> Option<PropertyList<'a>> {
    match packet {
        Packet::Connect(connect) if place == PropertyPlace::Will => connect.will.map(|will| will.properties),
        Packet::Connect(connect) => Some(connect.properties),
        Packet::Publish(publish) => Some(publish.properties),
        Packet::Subscribe(subscribe) => Some(subscribe.properties),
        Packet::Unsubscribe(unsubscribe) => Some(unsubscribe.properties),
        Packet::Disconnect(disconnect) => Some(disconnect.properties),
        Packet::Auth(auth) => Some(auth.properties),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Property<'_> = Property::UserProperty("name", "value");

    #[test]
    fn every_place_a_client_writes_keeps_its_properties() {
        let method = Property::AuthenticationMethod("x");
        for (place, items) in [
            (PropertyPlace::Packet(PacketType::Connect), [Property::ReceiveMaximum(7), USER]),
            (PropertyPlace::Will, [Property::WillDelayInterval(9), USER]),
            (PropertyPlace::Packet(PacketType::Publish), [Property::ResponseTopic("a/b"), USER]),
            (PropertyPlace::Packet(PacketType::Subscribe), [Property::SubscriptionIdentifier(300), USER]),
            (PropertyPlace::Packet(PacketType::Unsubscribe), [USER, USER]),
            (PropertyPlace::Packet(PacketType::Disconnect), [Property::SessionExpiryInterval(1), USER]),
            (PropertyPlace::Packet(PacketType::Auth), [method, USER]),
        ] {
            let properties =
                Properties::new(place, &items).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(properties.list(), PropertyList::from_items(&items), "{place}");
        }
        let nothing = Properties::new(PropertyPlace::Packet(PacketType::Suback), &[]).unwrap();
        assert!(nothing.is_empty());
    }

    #[test]
    fn misplaced_and_bad_properties_are_refused() {
        let publish = PropertyPlace::Packet(PacketType::Publish);
        for items in [
            &[Property::ReceiveMaximum(1)][..],
            &[Property::TopicAlias(0)],
            &[Property::ContentType("a"), Property::ContentType("b")],
            &[Property::ResponseTopic("#")],
        ] {
            assert_eq!(Properties::new(publish, items), Err(EncodeError::InvalidProperty), "{items:?}");
        }
        let suback = PropertyPlace::Packet(PacketType::Suback);
        assert_eq!(Properties::new(suback, &[USER]), Err(EncodeError::InvalidPacket));
    }
}
