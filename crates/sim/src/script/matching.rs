//! Compares a packet that came with the one that a script expects.

use std::collections::BTreeMap;

use super::{
    packet::{Body, Bytes, Number, OneOf, Packet, Property, PropertyValue, Publish},
    vocabulary::PROPERTIES,
};

/// What the names of a conversation (`?name`) stand for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    numbers: BTreeMap<String, u32>,
    texts: BTreeMap<String, Vec<u8>>,
}

impl Names {
    /// The number that `number` stands for.
    ///
    /// # Errors
    /// It is left open.
    pub fn number(&self, number: &Number) -> Result<u32, String> {
        match number {
            Number::Exact(number) => Ok(*number),
            Number::Named(name) => self.numbers.get(name).copied().ok_or_else(|| nothing_yet(name)),
            Number::Any | Number::Range(..) => Err("what is sent must be written out".into()),
        }
    }

    /// The bytes that `bytes` stands for.
    ///
    /// # Errors
    /// They are left open.
    pub fn bytes(&self, bytes: &Bytes) -> Result<Vec<u8>, String> {
        match bytes {
            Bytes::Exact(bytes) => Ok(bytes.clone()),
            Bytes::Named(name) => self.texts.get(name).cloned().ok_or_else(|| nothing_yet(name)),
            Bytes::Any => Err("what is sent must be written out".into()),
        }
    }

    fn number_fits(&mut self, expected: &Number, came: &Number) -> bool {
        let Number::Exact(came) = came else { return false };
        match expected {
            Number::Exact(number) => number == came,
            Number::Range(low, high) => (low..=high).contains(&came),
            Number::Any => true,
            Number::Named(name) => self.numbers.entry(name.clone()).or_insert(*came) == came,
        }
    }

    fn bytes_fit(&mut self, expected: &Bytes, came: &Bytes) -> bool {
        let Bytes::Exact(came) = came else { return false };
        match expected {
            Bytes::Exact(bytes) => bytes == came,
            Bytes::Any => true,
            Bytes::Named(name) => self.texts.entry(name.clone()).or_insert_with(|| came.clone()) == came,
        }
    }

    fn property_fits(&mut self, expected: &Property, came: &Property) -> bool {
        expected.identifier == came.identifier
            && match (&expected.value, &came.value) {
                (PropertyValue::Number(expected), PropertyValue::Number(came)) => {
                    self.number_fits(expected, came)
                }
                (PropertyValue::Bytes(expected), PropertyValue::Bytes(came)) => {
                    self.bytes_fit(expected, came)
                }
                (expected, came) => expected == came,
            }
    }
}

fn nothing_yet(name: &str) -> String {
    format!("?{name} stands for nothing yet")
}

/// Compares `came` with `expected`, and gives names that stand for nothing yet their meaning.
///
/// # Errors
/// What differs, for a person; then no name has changed.
pub fn compare(expected: &Packet, came: &Packet, names: &mut Names) -> Result<(), String> {
    if expected.kind != came.kind {
        return Err("another packet type".into());
    }
    let mut trial = names.clone();
    compare_bodies(&expected.body, &came.body, &mut trial)?;
    compare_properties(expected, came, &mut trial)?;
    *names = trial;
    Ok(())
}

fn compare_bodies(expected: &Body, came: &Body, names: &mut Names) -> Result<(), String> {
    use Body::*;
    let first_difference = match (expected, came) {
        (Connack { session_present: p1, reason: r1 }, Connack { session_present: p2, reason: r2 }) => {
            [(allows(r1, r2), "the Reason Code"), (p1 == p2, "Session Present")]
                .into_iter()
                .find(|(is_same, _)| !is_same)
        }
        (Publish(expected), Publish(came)) => return compare_publish(expected, came, names),
        (Ack { packet_id: i1, reason: r1 }, Ack { packet_id: i2, reason: r2 }) => {
            [(names.number_fits(i1, i2), "the Packet Identifier"), (allows(r1, r2), "the Reason Code")]
                .into_iter()
                .find(|(is_same, _)| !is_same)
        }
        (Reasons { packet_id: i1, reasons: r1 }, Reasons { packet_id: i2, reasons: r2 }) => {
            let reasons_fit = r1.len() == r2.len() && r1.iter().zip(r2).all(|(r1, r2)| allows(r1, r2));
            [(names.number_fits(i1, i2), "the Packet Identifier"), (reasons_fit, "the Reason Codes")]
                .into_iter()
                .find(|(is_same, _)| !is_same)
        }
        (Reason(r1), Reason(r2)) => Some((allows(r1, r2), "the Reason Code")).filter(|(is_same, _)| !is_same),
        (Empty, Empty) => None,
        _ => Some((false, "the packet")),
    };
    first_difference.map_or(Ok(()), |(_, what)| differs(what))
}

fn allows(expected: &OneOf, came: &OneOf) -> bool {
    expected.0.contains(&came.first())
}

fn compare_publish(expected: &Publish, came: &Publish, names: &mut Names) -> Result<(), String> {
    let ids_fit = match (&expected.packet_id, &came.packet_id) {
        (Some(expected), Some(came)) => names.number_fits(expected, came),
        (expected, came) => expected.is_none() && came.is_none(),
    };
    let parts = [
        (names.bytes_fit(&expected.topic, &came.topic), "the Topic Name"),
        (names.bytes_fit(&expected.payload, &came.payload), "the payload"),
        (expected.qos == came.qos, "the QoS"),
        (expected.retain == came.retain, "RETAIN"),
        (expected.dup == came.dup, "DUP"),
        (ids_fit, "the Packet Identifier"),
    ];
    parts.into_iter().find(|(is_same, _)| !is_same).map_or(Ok(()), |(_, what)| differs(what))
}

fn differs(what: &str) -> Result<(), String> {
    Err(format!("{what} differs"))
}

/// Properties come in any order, but those of one name in the order that the script writes.
fn compare_properties(expected: &Packet, came: &Packet, names: &mut Names) -> Result<(), String> {
    if let Some(unwanted) =
        came.properties.iter().find(|property| expected.absent.contains(&property.identifier))
    {
        return Err(format!("there must be no {}", name(unwanted.identifier)));
    }
    let mut left: Vec<&Property> = came.properties.iter().collect();
    for property in &expected.properties {
        let is_same_name = |other: &&Property| other.identifier == property.identifier;
        let mut candidates = (0..left.len()).filter(|&place| is_same_name(&left[place]));
        // [MQTT-3.3.2-18] keeps the order of User Properties; that of Subscription Identifiers says nothing.
        let found = match property.identifier {
            SUBSCRIPTION_IDENTIFIER => candidates.find(|&place| names.property_fits(property, left[place])),
            _ => candidates.next().filter(|&place| names.property_fits(property, left[place])),
        };
        left.remove(found.ok_or_else(|| format!("{} differs", name(property.identifier)))?);
    }
    let is_too_much = |property: &&&Property| property.identifier != REASON_STRING && !expected.is_open;
    match left.iter().find(is_too_much) {
        Some(property) => Err(format!("{} is too much", name(property.identifier))),
        None => Ok(()),
    }
}

fn name(identifier: u8) -> &'static str {
    PROPERTIES.iter().find(|row| row.identifier == identifier).map_or("an unknown property", |row| row.name)
}

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const REASON_STRING: u8 = 0x1F;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{packet_text, words};

    fn packet(text: &str) -> Packet {
        packet_text::read(words::split(text).expect("the line is well formed")).expect("it is a packet")
    }

    fn fits(expected: &str, came: &str) -> bool {
        compare(&packet(expected), &packet(came), &mut Names::default()).is_ok()
    }

    #[test]
    fn all_that_is_written_must_be_there_and_nothing_else() {
        assert!(fits("PUBLISH 1 a \"x\" qos1", "PUBLISH 1 a \"x\" qos1"));
        assert!(!fits("PUBLISH 1 a \"x\" qos1", "PUBLISH 1 a \"x\" qos1 dup"));
        assert!(!fits("PUBLISH 1 a \"x\" qos1", "PUBLISH 2 a \"x\" qos1"));
        assert!(!fits("CONNACK Success", "CONNACK Success receive_maximum=1"));
        assert!(!fits("CONNACK Success receive_maximum=1", "CONNACK Success"));
        assert!(fits("CONNACK Success ...", "CONNACK Success receive_maximum=1"));
        assert!(!fits("CONNACK Success ...", "CONNACK Success present"));
        assert!(fits("PUBACK 1 Success|NoMatchingSubscribers", "PUBACK 1 NoMatchingSubscribers"));
        assert!(!fits("CONNACK Success !receive_maximum ...", "CONNACK Success receive_maximum=1"));
    }

    #[test]
    fn a_reason_string_is_ignored_unless_it_is_expected() {
        assert!(fits("PUBACK 1 NotAuthorized", "PUBACK 1 NotAuthorized reason_string=no"));
        assert!(!fits("PUBACK 1 NotAuthorized reason_string=no", "PUBACK 1 NotAuthorized"));
        assert!(!fits("PUBACK 1 NotAuthorized !reason_string", "PUBACK 1 NotAuthorized reason_string=no"));
    }

    #[test]
    fn user_properties_keep_their_order_and_subscription_identifiers_need_not() {
        assert!(!fits(
            "PUBLISH a \"\" user_property=a:1 user_property=b:2",
            "PUBLISH a \"\" user_property=b:2 user_property=a:1"
        ));
        assert!(fits(
            "PUBLISH a \"\" subscription_identifier=1 subscription_identifier=2",
            "PUBLISH a \"\" subscription_identifier=2 subscription_identifier=1"
        ));
    }

    #[test]
    fn open_values_are_remembered() {
        let mut names = Names::default();
        let expected = packet("PUBLISH ?m a \"x\" qos1 message_expiry=5..9");
        assert!(compare(&expected, &packet("PUBLISH 7 a \"x\" qos1 message_expiry=4"), &mut names).is_err());
        assert!(compare(&expected, &packet("PUBLISH 7 a \"x\" qos1 message_expiry=5"), &mut names).is_ok());
        assert!(compare(&expected, &packet("PUBLISH 8 a \"x\" qos1 message_expiry=5"), &mut names).is_err());
        assert_eq!(names.number(&Number::Named("m".into())), Ok(7));
    }
}
