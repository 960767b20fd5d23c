//! An Application Message as part of a line (3.3).

use std::borrow::Cow;

use dunlin_broker::message::{Message, MessageFacts};
use dunlin_packet::{
    property::{
        identifier::PropertyId,
        list::{Property, PropertyList},
    },
    qos::QoS,
    topic::name::TopicName,
};
use dunlin_protocol::time::Instant;
use serde::{Deserialize, Serialize};

use crate::base64;

/// The most bytes that a message can have: no packet is longer (2.1.4).
pub(super) const BODY_MAX: u32 = 268_435_455;

/// An Application Message.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageLine<'a> {
    #[serde(borrow)]
    topic_name: Cow<'a, str>,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    /// A number that stands for the Client Identifier of the publisher; a text, since it is larger than 2^53.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    publisher: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    properties: Vec<PropertyLine<'a>>,
    /// Instead, if they are not as they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties_base64: Option<String>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    payload: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// One of the Properties that are forwarded unaltered (3.3.2.3).
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
enum PropertyLine<'a> {
    PayloadFormatIndicator(u8),
    #[serde(borrow)]
    ContentType(Cow<'a, str>),
    ResponseTopic(Cow<'a, str>),
    CorrelationData(Cow<'a, str>),
    CorrelationDataBase64(String),
    UserProperty(Cow<'a, str>, Cow<'a, str>),
}

impl<'a> MessageLine<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let view = message.view();
        let facts = view.facts;
        let properties = property_lines(view.properties);
        let properties_base64 = properties.is_none().then(|| base64::encode(view.properties));
        let payload = std::str::from_utf8(view.payload).ok();
        Self {
            topic_name: view.topic_name.as_str().into(),
            qos: facts.qos.value(),
            retain: facts.retain,
            expires_at_ms: facts.expires_at.map(Instant::as_ms),
            publisher: (facts.publisher != 0).then(|| facts.publisher.to_string().into()),
            properties: properties.unwrap_or_default(),
            properties_base64,
            payload: payload.map(Cow::Borrowed),
            payload_base64: payload.is_none().then(|| base64::encode(view.payload)),
        }
    }

    pub(super) fn message(&self) -> Result<Message, String> {
        let topic_name =
            TopicName::parse(&self.topic_name).map_err(|error| format!("`topic_name`: {error}"))?;
        if self.expires_at_ms == Some(0) {
            return Err("`expires_at_ms` is left out rather than 0".into());
        }
        let publisher = match &self.publisher {
            None => 0,
            Some(text) => text.parse().map_err(|_| "`publisher` is not a whole number in quotes")?,
        };
        let facts = MessageFacts {
            qos: checked_qos(self.qos)?,
            retain: self.retain,
            expires_at: self.expires_at_ms.map(Instant::from_ms),
            publisher,
        };
        let payload = match (&self.payload, &self.payload_base64) {
            (Some(text), None) => Cow::Borrowed(text.as_bytes()),
            (None, Some(text)) => base64::decode(text).ok_or("`payload_base64` is not base64")?.into(),
            _ => return Err("either `payload` or `payload_base64` is expected".into()),
        };
        let properties = self.encoded_properties()?;
        let size = topic_name.as_str().len() + properties.len() + payload.len();
        if size > BODY_MAX as usize {
            return Err(format!("the message has {size} bytes, and {} are the most", BODY_MAX));
        }
        Ok(Message::from_parts(topic_name, &properties, &payload, facts))
    }

    fn encoded_properties(&self) -> Result<Vec<u8>, String> {
        if let Some(text) = &self.properties_base64 {
            if !self.properties.is_empty() {
                return Err("either `properties` or `properties_base64` is expected".into());
            }
            return base64::decode(text).ok_or_else(|| "`properties_base64` is not base64".into());
        }
        let mut bytes = Vec::new();
        for property in &self.properties {
            property.encode(&mut bytes)?;
        }
        Ok(bytes)
    }
}

/// The Properties one by one; nothing if they would not be encoded to the same bytes again.
fn property_lines(encoded: &[u8]) -> Option<Vec<PropertyLine<'_>>> {
    let mut again = Vec::with_capacity(encoded.len());
    let mut lines = Vec::new();
    for property in PropertyList::with_encoded(&[], encoded).iter() {
        let line = PropertyLine::of(property)?;
        line.encode(&mut again).ok()?;
        lines.push(line);
    }
    (again == encoded).then_some(lines)
}

impl<'a> PropertyLine<'a> {
    fn of(property: Property<'a>) -> Option<Self> {
        Some(match property {
            Property::PayloadFormatIndicator(is_text) => Self::PayloadFormatIndicator(is_text.into()),
            Property::ContentType(text) => Self::ContentType(text.into()),
            Property::ResponseTopic(text) => Self::ResponseTopic(text.into()),
            Property::CorrelationData(data) => match std::str::from_utf8(data) {
                Ok(text) => Self::CorrelationData(text.into()),
                Err(_) => Self::CorrelationDataBase64(base64::encode(data)),
            },
            Property::UserProperty(name, value) => Self::UserProperty(name.into(), value.into()),
            _ => return None,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let mut put = |id: PropertyId, name: &str, texts: &[&str]| {
            out.push(id.value());
            texts.iter().try_for_each(|text| {
                checked_text(name, text)?;
                put_sized(out, text.as_bytes());
                Ok(())
            })
        };
        match self {
            Self::PayloadFormatIndicator(value @ (0 | 1)) => {
                out.extend([PropertyId::PayloadFormatIndicator.value(), *value]);
                Ok(())
            }
            Self::PayloadFormatIndicator(_) => Err("`payload_format_indicator` is 0 or 1".into()),
            Self::ContentType(text) => put(PropertyId::ContentType, "content_type", &[text]),
            Self::ResponseTopic(text) => {
                TopicName::parse(text).map_err(|error| format!("`response_topic`: {error}"))?;
                put(PropertyId::ResponseTopic, "response_topic", &[text])
            }
            Self::UserProperty(name, value) => put(PropertyId::UserProperty, "user_property", &[name, value]),
            Self::CorrelationData(text) => encode_correlation(text.as_bytes(), out),
            Self::CorrelationDataBase64(text) => {
                let data = base64::decode(text).ok_or("`correlation_data_base64` is not base64")?;
                encode_correlation(&data, out)
            }
        }
    }
}

fn encode_correlation(data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    if data.len() > usize::from(u16::MAX) {
        return Err("`correlation_data` has more than 65,535 bytes".into());
    }
    out.push(PropertyId::CorrelationData.value());
    put_sized(out, data);
    Ok(())
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Checks that `text` can be a UTF-8 Encoded String (1.5.4).
pub(super) fn checked_text(name: &str, text: &str) -> Result<(), String> {
    if text.len() > usize::from(u16::MAX) {
        return Err(format!("`{name}` has more than 65,535 bytes"));
    }
    if text.contains('\0') {
        return Err(format!("`{name}` has a null character"));
    }
    Ok(())
}

pub(super) fn checked_qos(qos: u8) -> Result<QoS, String> {
    QoS::from_value(qos).ok_or_else(|| "`qos` is 0, 1 or 2".into())
}
