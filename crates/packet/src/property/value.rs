//! One Property: identifier and value (2.2.2.2).

use crate::{
    error::{DecodeError, EncodeError},
    property::identifier::{PropertyId, PropertyPlace, ValueType},
    qos::QoS,
    topic::name::TopicName,
    wire::{
        reader::Reader,
        text, variable_byte_integer,
        writer::{self, Buffer},
    },
};

/// One Property with its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Property<'a> {
    /// True if the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// Lifetime of the message in seconds.
    MessageExpiryInterval(u32),
    /// What the payload is, in words of the application.
    ContentType(&'a str),
    /// Topic Name for the response; valid, without wildcards.
    ResponseTopic(&'a str),
    /// Tells a requester which request a response answers.
    CorrelationData(&'a [u8]),
    /// 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// Seconds; 0xFFFF_FFFF means never.
    SessionExpiryInterval(u32),
    /// The Client Identifier that the Server has chosen.
    AssignedClientIdentifier(&'a str),
    /// Seconds; replaces the Keep Alive of the Client.
    ServerKeepAlive(u16),
    /// Name of the method of extended authentication.
    AuthenticationMethod(&'a str),
    /// Contents are up to the Authentication Method.
    AuthenticationData(&'a [u8]),
    /// False if the Client wants no Reason Strings and User Properties in most packets.
    RequestProblemInformation(bool),
    /// Seconds between the end of the Network Connection and the Will Message.
    WillDelayInterval(u32),
    /// True if the Client asks for Response Information.
    RequestResponseInformation(bool),
    /// A basis for Response Topics.
    ResponseInformation(&'a str),
    /// Another Server to use.
    ServerReference(&'a str),
    /// A text for people, for diagnosis only.
    ReasonString(&'a str),
    /// QoS 1 and 2 messages that the sender of this is willing to process at once; not zero.
    ReceiveMaximum(u16),
    /// The greatest Topic Alias the sender of this accepts; 0 means none.
    TopicAliasMaximum(u16),
    /// Stands for the Topic Name; not zero.
    TopicAlias(u16),
    /// QoS 0 or 1; QoS 2 is not written, it is the default.
    MaximumQoS(QoS),
    /// False if the Server keeps no Retained Messages.
    RetainAvailable(bool),
    /// Name and value, both in words of the application.
    UserProperty(&'a str, &'a str),
    /// Bytes; not zero.
    MaximumPacketSize(u32),
    /// False if the Server takes no wildcards in Subscriptions.
    WildcardSubscriptionAvailable(bool),
    /// False if the Server takes no Subscription Identifiers.
    SubscriptionIdentifierAvailable(bool),
    /// False if the Server takes no Shared Subscriptions.
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    /// Returns which Property it is.
    #[must_use]
    pub const fn id(&self) -> PropertyId {
        match self {
            Self::PayloadFormatIndicator(..) => PropertyId::PayloadFormatIndicator,
            Self::MessageExpiryInterval(..) => PropertyId::MessageExpiryInterval,
            Self::ContentType(..) => PropertyId::ContentType,
            Self::ResponseTopic(..) => PropertyId::ResponseTopic,
            Self::CorrelationData(..) => PropertyId::CorrelationData,
            Self::SubscriptionIdentifier(..) => PropertyId::SubscriptionIdentifier,
            Self::SessionExpiryInterval(..) => PropertyId::SessionExpiryInterval,
            Self::AssignedClientIdentifier(..) => PropertyId::AssignedClientIdentifier,
            Self::ServerKeepAlive(..) => PropertyId::ServerKeepAlive,
            Self::AuthenticationMethod(..) => PropertyId::AuthenticationMethod,
            Self::AuthenticationData(..) => PropertyId::AuthenticationData,
            Self::RequestProblemInformation(..) => PropertyId::RequestProblemInformation,
            Self::WillDelayInterval(..) => PropertyId::WillDelayInterval,
            Self::RequestResponseInformation(..) => PropertyId::RequestResponseInformation,
            Self::ResponseInformation(..) => PropertyId::ResponseInformation,
            Self::ServerReference(..) => PropertyId::ServerReference,
            Self::ReasonString(..) => PropertyId::ReasonString,
            Self::ReceiveMaximum(..) => PropertyId::ReceiveMaximum,
            Self::TopicAliasMaximum(..) => PropertyId::TopicAliasMaximum,
            Self::TopicAlias(..) => PropertyId::TopicAlias,
            Self::MaximumQoS(..) => PropertyId::MaximumQoS,
            Self::RetainAvailable(..) => PropertyId::RetainAvailable,
            Self::UserProperty(..) => PropertyId::UserProperty,
            Self::MaximumPacketSize(..) => PropertyId::MaximumPacketSize,
            Self::WildcardSubscriptionAvailable(..) => PropertyId::WildcardSubscriptionAvailable,
            Self::SubscriptionIdentifierAvailable(..) => PropertyId::SubscriptionIdentifierAvailable,
            Self::SharedSubscriptionAvailable(..) => PropertyId::SharedSubscriptionAvailable,
        }
    }

    /// Reads one Property; what it says about `place` is checked by the caller.
    ///
    /// # Errors
    /// Those of the value: cut short, no UTF-8, a flag other than 0 and 1, a zero that is not allowed.
    #[inline]
    pub(crate) fn decode(
        id: PropertyId,
        place: PropertyPlace,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        match id.value_type() {
            ValueType::Flag => Self::decode_flag(id, place, reader.u8()?),
            ValueType::TwoByteInteger => Self::from_u16(id, place, reader.u16()?),
            ValueType::FourByteInteger => Self::from_u32(id, place, reader.u32()?),
            ValueType::VariableByteInteger => match reader.variable_byte_integer()? {
                0 => Err(DecodeError::ZeroProperty { property: id, place }), // 3.8.2.1.2
                value => Ok(Self::SubscriptionIdentifier(value)),
            },
            ValueType::BinaryData => Ok(match (id, reader.binary()?) {
                (PropertyId::CorrelationData, data) => Self::CorrelationData(data),
                (_, data) => Self::AuthenticationData(data),
            }),
            // [MQTT-3.3.2-13] [MQTT-3.3.2-19]
            ValueType::Text => Self::from_text(id, place, reader.text()?),
            ValueType::TextPair => Ok(Self::UserProperty(reader.text()?, reader.text()?)), // [MQTT-1.5.7-1]
        }
    }

    fn decode_flag(property: PropertyId, place: PropertyPlace, value: u8) -> Result<Self, DecodeError> {
        let flag = match value {
            0 => false,
            1 => true,
            value => return Err(DecodeError::InvalidFlagProperty { property, place, value }),
        };
        Ok(match property {
            PropertyId::PayloadFormatIndicator => Self::PayloadFormatIndicator(flag),
            PropertyId::RequestProblemInformation => Self::RequestProblemInformation(flag),
            PropertyId::RequestResponseInformation => Self::RequestResponseInformation(flag),
            PropertyId::RetainAvailable => Self::RetainAvailable(flag),
            PropertyId::WildcardSubscriptionAvailable => Self::WildcardSubscriptionAvailable(flag),
            PropertyId::SubscriptionIdentifierAvailable => Self::SubscriptionIdentifierAvailable(flag),
            PropertyId::MaximumQoS => Self::MaximumQoS(if flag { QoS::AtLeastOnce } else { QoS::AtMostOnce }),
            _ => Self::SharedSubscriptionAvailable(flag),
        })
    }

    fn from_u16(property: PropertyId, place: PropertyPlace, value: u16) -> Result<Self, DecodeError> {
        Ok(match (property, value) {
            (PropertyId::ReceiveMaximum | PropertyId::TopicAlias, 0) => {
                return Err(DecodeError::ZeroProperty { property, place }); // [MQTT-3.3.2-8], 3.1.2.11.3
            }
            (PropertyId::ReceiveMaximum, value) => Self::ReceiveMaximum(value),
            (PropertyId::TopicAlias, value) => Self::TopicAlias(value),
            (PropertyId::TopicAliasMaximum, value) => Self::TopicAliasMaximum(value),
            (_, value) => Self::ServerKeepAlive(value),
        })
    }

    fn from_u32(property: PropertyId, place: PropertyPlace, value: u32) -> Result<Self, DecodeError> {
        Ok(match (property, value) {
            (PropertyId::MaximumPacketSize, 0) => {
                return Err(DecodeError::ZeroProperty { property, place }); // 3.1.2.11.4
            }
            (PropertyId::MaximumPacketSize, value) => Self::MaximumPacketSize(value),
            (PropertyId::MessageExpiryInterval, value) => Self::MessageExpiryInterval(value),
            (PropertyId::SessionExpiryInterval, value) => Self::SessionExpiryInterval(value),
            (_, value) => Self::WillDelayInterval(value),
        })
    }

    fn from_text(property: PropertyId, place: PropertyPlace, value: &'a str) -> Result<Self, DecodeError> {
        Ok(match property {
            PropertyId::ResponseTopic => match TopicName::parse(value) {
                Ok(topic_name) => Self::ResponseTopic(topic_name.as_str()),
                Err(error) => return Err(DecodeError::InvalidResponseTopic { place, error }), // [MQTT-3.3.2-14]
            },
            PropertyId::ContentType => Self::ContentType(value),
            PropertyId::AssignedClientIdentifier => Self::AssignedClientIdentifier(value),
            PropertyId::AuthenticationMethod => Self::AuthenticationMethod(value),
            PropertyId::ResponseInformation => Self::ResponseInformation(value),
            PropertyId::ServerReference => Self::ServerReference(value),
            _ => Self::ReasonString(value),
        })
    }

    /// Returns the number of bytes with the identifier.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        1 + match self {
            Self::MaximumQoS(_)
            | Self::PayloadFormatIndicator(_)
            | Self::RequestProblemInformation(_)
            | Self::RequestResponseInformation(_)
            | Self::RetainAvailable(_)
            | Self::WildcardSubscriptionAvailable(_)
            | Self::SubscriptionIdentifierAvailable(_)
            | Self::SharedSubscriptionAvailable(_) => 1,
            Self::ServerKeepAlive(_)
            | Self::ReceiveMaximum(_)
            | Self::TopicAliasMaximum(_)
            | Self::TopicAlias(_) => 2,
            Self::MessageExpiryInterval(_)
            | Self::SessionExpiryInterval(_)
            | Self::WillDelayInterval(_)
            | Self::MaximumPacketSize(_) => 4,
            Self::SubscriptionIdentifier(value) => variable_byte_integer::encoded_len(*value),
            Self::CorrelationData(data) | Self::AuthenticationData(data) => 2 + data.len(),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => 2 + text.len(),
            Self::UserProperty(name, value) => 4 + name.len() + value.len(),
        }
    }

    /// Tells whether the value may be sent.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`], [`EncodeError::NullCharacter`], [`EncodeError::InvalidProperty`].
    pub(crate) fn check(&self) -> Result<(), EncodeError> {
        match self {
            Self::ReceiveMaximum(0)
            | Self::TopicAlias(0)
            | Self::MaximumPacketSize(0)
            | Self::SubscriptionIdentifier(0)
            | Self::MaximumQoS(QoS::ExactlyOnce) => Err(EncodeError::InvalidProperty),
            Self::SubscriptionIdentifier(value) if *value > variable_byte_integer::MAX => {
                Err(EncodeError::InvalidProperty)
            }
            Self::ResponseTopic(topic) if TopicName::parse(topic).is_err() => {
                Err(EncodeError::InvalidProperty)
            }
            Self::CorrelationData(data) | Self::AuthenticationData(data) => {
                text::binary_encoded_len(data).map(drop)
            }
            Self::ContentType(value)
            | Self::ResponseTopic(value)
            | Self::AssignedClientIdentifier(value)
            | Self::AuthenticationMethod(value)
            | Self::ResponseInformation(value)
            | Self::ServerReference(value)
            | Self::ReasonString(value) => text::encoded_len(value).map(drop),
            Self::UserProperty(name, value) => {
                text::encoded_len(name)?;
                text::encoded_len(value).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Writes identifier and value.
    pub fn encode(&self, out: &mut impl Buffer) -> Result<(), EncodeError> {
        let id = self.id().value();
        match self {
            Self::MaximumQoS(value) => out.put(&[id, value.value()]),
            Self::PayloadFormatIndicator(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifierAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => out.put(&[id, u8::from(*value)]),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => {
                out.put(&[id])?;
                out.put(&value.to_be_bytes())
            }
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => {
                out.put(&[id])?;
                out.put(&value.to_be_bytes())
            }
            Self::SubscriptionIdentifier(value) => {
                out.put(&[id])?;
                writer::put_variable_byte_integer(out, *value)
            }
            Self::CorrelationData(data) | Self::AuthenticationData(data) => {
                out.put(&[id])?;
                writer::put_binary(out, data)
            }
            Self::ContentType(value)
            | Self::ResponseTopic(value)
            | Self::AssignedClientIdentifier(value)
            | Self::AuthenticationMethod(value)
            | Self::ResponseInformation(value)
            | Self::ServerReference(value)
            | Self::ReasonString(value) => {
                out.put(&[id])?;
                writer::put_text(out, value)
            }
            Self::UserProperty(name, value) => {
                out.put(&[id])?;
                writer::put_text(out, name)?;
                writer::put_text(out, value)
            }
        }
    }
}
