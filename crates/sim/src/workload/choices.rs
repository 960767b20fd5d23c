//! Topics, filters, messages and properties to choose from: few, so that they meet often.

use dunlin_packet::{property::value::Property, qos::QoS};

use crate::random::Random;

/// Topic Names of ordinary messages.
pub const TOPICS: &[&str] = &[
    "a", "a/b", "a/c", "a/b/c", "a//b", "/", "/a", "x/1", "x/2", "x/3", "$d/a", "ä/€", "q/1", "q/2", "q/x/1",
    "w/all",
];

/// Topic Filters that match no topic below `q`.
pub const PLAIN_FILTERS: &[&str] = &[
    "a", "a/b", "a/c", "a//b", "/", "/a", "a/#", "a/+", "+/b", "a/+/c", "x/1", "x/2", "x/#", "x/+", "$d/a",
    "$d/#", "w/#", "w/+", "ä/+", "/#", "a/b/#", "+/b/c", "a/b/c/#",
];

/// Topic Filters that match topics below `q`, and others.
pub const WIDE_FILTERS: &[&str] = &["#", "+/#", "+/+", "q/#", "q/1", "q/+", "+", "+/x/+", "q/x/1"];

/// Topic Filters of Shared Subscriptions, all below `q`.
pub const SHARED_FILTERS: &[&str] =
    &["$share/g1/q/#", "$share/g2/q/#", "$share/g1/q/1", "$share/g1/q/+", "$share/g3/q/x/1", "$share/g/q/2"];

/// Topic Filters of Shared Subscriptions that match much.
pub const WIDE_SHARED_FILTERS: &[&str] = &["$share/g1/#", "$share/g4/+/+"];

/// Texts that are no Topic Filters.
pub const INVALID_FILTERS: &[&str] =
    &["a/#/b", "a+", "#a", "$share/g", "$share//a", "$share/g+/a", "$share/g/"];

/// One of 0, 1 and 2, at most `maximum`.
pub fn qos(random: &mut Random, maximum: QoS) -> QoS {
    let qos = random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    qos.min(maximum)
}

/// A payload that begins with its number.
pub fn payload(random: &mut Random, number: u64, is_large: bool) -> Vec<u8> {
    let mut payload = format!("m{number}.").into_bytes();
    let filler = match is_large {
        true => random.between(3_000, 9_000),
        false if random.once_in(3) => 0,
        false => random.below(200),
    };
    payload.extend((0..filler).map(|place| b'a' + (place % 26) as u8));
    payload
}

/// Properties of a message that are forwarded, encoded; often none.
pub fn message_properties(random: &mut Random, expiry_s: Option<u32>) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut put = |property: Property<'_>| property.encode(&mut encoded).expect("it fits into memory");
    let texts = ["", "one", "two", "a longer text with ä and €"];
    if random.once_in(2) {
        if random.once_in(3) {
            put(Property::PayloadFormatIndicator(true));
        }
        if random.once_in(3) {
            put(Property::ContentType(random.pick(&texts)));
        }
        if random.once_in(3) {
            put(Property::ResponseTopic(random.pick(TOPICS)));
            put(Property::CorrelationData(random.pick(&texts).as_bytes()));
        }
        for _ in 0..random.below(4) {
            let (name, value) = (random.pick(&texts), random.pick(&texts));
            put(Property::UserProperty(name, value));
        }
    }
    if let Some(seconds) = expiry_s {
        put(Property::MessageExpiryInterval(seconds));
    }
    encoded
}

/// Seconds that a message lives; mostly for ever.
pub fn expiry_s(random: &mut Random) -> Option<u32> {
    random.once_in(6).then(|| random.between(1, 30) as u32)
}
