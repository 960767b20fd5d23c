//! One accessor for each Property (2.2.2.2); absent is `None`, defaults are the caller's matter.

use crate::{
    property::{identifier::PropertyId, list::PropertyList, value::Property},
    qos::QoS,
};

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {
        impl<'a> PropertyList<'a> {
            $($(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(&self) -> Option<$type> {
                match self.find(PropertyId::$variant)? {
                    Property::$variant(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

accessors! {
    /// Payload Format Indicator: True if the payload is UTF-8 text.
    payload_format_indicator: PayloadFormatIndicator -> bool;
    /// Message Expiry Interval: Lifetime of the message in seconds.
    message_expiry_interval_s: MessageExpiryInterval -> u32;
    /// Content Type: What the payload is, in words of the application.
    content_type: ContentType -> &'a str;
    /// Response Topic: Topic Name for the response; valid, without wildcards.
    response_topic: ResponseTopic -> &'a str;
    /// Correlation Data: Tells a requester which request a response answers.
    correlation_data: CorrelationData -> &'a [u8];
    /// Session Expiry Interval: Seconds; 0xFFFF_FFFF means never.
    session_expiry_interval_s: SessionExpiryInterval -> u32;
    /// Assigned Client Identifier: The Client Identifier that the Server has chosen.
    assigned_client_identifier: AssignedClientIdentifier -> &'a str;
    /// Server Keep Alive: Seconds; replaces the Keep Alive of the Client.
    server_keep_alive_s: ServerKeepAlive -> u16;
    /// Authentication Method: Name of the method of extended authentication.
    authentication_method: AuthenticationMethod -> &'a str;
    /// Authentication Data: Contents are up to the Authentication Method.
    authentication_data: AuthenticationData -> &'a [u8];
    /// Request Problem Information: False if the Client wants no Reason Strings and User Properties in most
    /// packets.
    request_problem_information: RequestProblemInformation -> bool;
    /// Will Delay Interval: Seconds between the end of the Network Connection and the Will Message.
    will_delay_interval_s: WillDelayInterval -> u32;
    /// Request Response Information: True if the Client asks for Response Information.
    request_response_information: RequestResponseInformation -> bool;
    /// Response Information: A basis for Response Topics.
    response_information: ResponseInformation -> &'a str;
    /// Server Reference: Another Server to use.
    server_reference: ServerReference -> &'a str;
    /// Reason String: A text for people, for diagnosis only.
    reason_string: ReasonString -> &'a str;
    /// Receive Maximum: QoS 1 and 2 messages that the sender of this is willing to process at once; not zero.
    receive_maximum: ReceiveMaximum -> u16;
    /// Topic Alias Maximum: The greatest Topic Alias the sender of this accepts; 0 means none.
    topic_alias_maximum: TopicAliasMaximum -> u16;
    /// Topic Alias: Stands for the Topic Name; not zero.
    topic_alias: TopicAlias -> u16;
    /// Maximum QoS: QoS 0 or 1; QoS 2 is not written, it is the default.
    maximum_qos: MaximumQoS -> QoS;
    /// Retain Available: False if the Server keeps no Retained Messages.
    retain_available: RetainAvailable -> bool;
    /// Maximum Packet Size: Bytes; not zero.
    maximum_packet_size: MaximumPacketSize -> u32;
    /// Wildcard Subscription Available: False if the Server takes no wildcards in Subscriptions.
    wildcard_subscription_available: WildcardSubscriptionAvailable -> bool;
    /// Subscription Identifier Available: False if the Server takes no Subscription Identifiers.
    subscription_identifier_available: SubscriptionIdentifierAvailable -> bool;
    /// Shared Subscription Available: False if the Server takes no Shared Subscriptions.
    shared_subscription_available: SharedSubscriptionAvailable -> bool;
}
