//! A packet as one line of text, in the short form of spec/packets/README.md.

use std::fmt::Write;

use dunlin_packet::{
    acks::Ack,
    connect::Connect,
    packet::{Packet, PacketType},
    property::list::{Property, PropertyList},
    publish::Publish,
    reason_code::ReasonCode,
    suback::ReasonCodes,
    subscribe::{RetainHandling, Subscribe},
};

/// Returns the short form of `packet`.
pub(crate) fn of(packet: &Packet<'_>) -> String {
    let name = packet.packet_type().name();
    match packet {
        Packet::Connect(connect) => connect_form(connect),
        Packet::Connack(connack) => {
            let present = flag(connack.session_present, " present");
            let code = code(PacketType::Connack, connack.reason_code);
            format!("{name}{present}{code}{}", properties(&connack.properties))
        }
        Packet::Publish(publish) => publish_form(publish),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            let Ack { packet_id, reason_code, properties: list } = ack;
            format!("{name} id={packet_id}{}{}", code(packet.packet_type(), *reason_code), properties(list))
        }
        Packet::Subscribe(subscribe) => subscribe_form(subscribe),
        Packet::Suback(suback) => {
            let list = properties(&suback.properties);
            format!("{name} id={}{list}{}", suback.packet_id, codes(&suback.reason_codes))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<String> = unsubscribe.iter().map(|text| format!(" {text:?}")).collect();
            let list = properties(&unsubscribe.properties);
            format!("{name} id={}{list}{}", unsubscribe.packet_id, filters.join(","))
        }
        Packet::Unsuback(unsuback) => {
            let list = properties(&unsuback.properties);
            format!("{name} id={}{list}{}", unsuback.packet_id, codes(&unsuback.reason_codes))
        }
        Packet::Pingreq | Packet::Pingresp => name.to_owned(),
        Packet::Disconnect(disconnect) => {
            let code = code(PacketType::Disconnect, disconnect.reason_code);
            format!("{name}{code}{}", properties(&disconnect.properties))
        }
        Packet::Auth(auth) => {
            format!("{name}{}{}", code(PacketType::Auth, auth.reason_code), properties(&auth.properties))
        }
    }
}

fn connect_form(connect: &Connect<'_>) -> String {
    let mut text = format!(
        "CONNECT {}{}{} keep-alive={} client={:?}{}",
        connect.version,
        flag(connect.is_bridge, " bridge"),
        flag(connect.clean_start, " clean"),
        connect.keep_alive_s,
        connect.client_id,
        properties(&connect.properties)
    );
    if let Some(will) = &connect.will {
        let retain = flag(will.retain, " retain");
        let topic = will.topic_name.as_str();
        let list = properties(&will.properties);
        let payload = quoted(will.payload);
        let qos = will.qos.value();
        add(&mut text, &format!(" will(qos={qos}{retain} topic={topic:?}{list} payload={payload})"));
    }
    if let Some(user_name) = connect.user_name {
        add(&mut text, &format!(" user={user_name:?}"));
    }
    if let Some(password) = connect.password {
        add(&mut text, &format!(" password={}", quoted(password)));
    }
    text
}

fn publish_form(publish: &Publish<'_>) -> String {
    let mut text = format!("PUBLISH{} qos={}", flag(publish.dup, " dup"), publish.qos.value());
    add(&mut text, flag(publish.retain, " retain"));
    if let Some(topic_name) = publish.topic_name {
        add(&mut text, &format!(" topic={:?}", topic_name.as_str()));
    }
    if let Some(packet_id) = publish.packet_id {
        add(&mut text, &format!(" id={packet_id}"));
    }
    add(&mut text, &properties(&publish.properties));
    add(&mut text, &format!(" payload={}", quoted(publish.payload)));
    text
}

fn subscribe_form(subscribe: &Subscribe<'_>) -> String {
    let mut entries = Vec::new();
    for request in subscribe.iter() {
        let mut text = format!(" {:?}", request.topic_filter);
        if let Err(error) = request.filter() {
            add(&mut text, &format!(" ({error})"));
        }
        let options = request.options;
        add(&mut text, &format!(" qos={}", options.qos.value()));
        add(&mut text, flag(options.no_local, " no-local"));
        add(&mut text, flag(options.retain_as_published, " retain-as-published"));
        add(
            &mut text,
            match options.retain_handling {
                RetainHandling::SendAtSubscribe => "",
                RetainHandling::SendIfNew => " retain-handling=1",
                RetainHandling::DoNotSend => " retain-handling=2",
            },
        );
        entries.push(text);
    }
    let list = properties(&subscribe.properties);
    format!("SUBSCRIBE id={}{list}{}", subscribe.packet_id, entries.join(","))
}

fn code(packet_type: PacketType, reason_code: ReasonCode) -> String {
    format!(" 0x{:02X} {}", reason_code.value(), reason_code.name_in(packet_type))
}

fn codes(codes: &ReasonCodes<'_>) -> String {
    codes.iter().map(|code| format!(" 0x{:02X}", code.value())).collect()
}

fn properties(list: &PropertyList<'_>) -> String {
    if list.is_empty() {
        return String::new();
    }
    let entries: Vec<String> =
        list.iter().map(|property| format!("{}={}", property.id().name(), value(&property))).collect();
    format!(" [{}]", entries.join(", "))
}

fn value(property: &Property<'_>) -> String {
    match property {
        Property::PayloadFormatIndicator(value)
        | Property::RequestProblemInformation(value)
        | Property::RequestResponseInformation(value)
        | Property::RetainAvailable(value)
        | Property::WildcardSubscriptionAvailable(value)
        | Property::SubscriptionIdentifierAvailable(value)
        | Property::SharedSubscriptionAvailable(value) => u8::from(*value).to_string(),
        Property::MaximumQoS(qos) => qos.value().to_string(),
        Property::ServerKeepAlive(value)
        | Property::ReceiveMaximum(value)
        | Property::TopicAliasMaximum(value)
        | Property::TopicAlias(value) => value.to_string(),
        Property::MessageExpiryInterval(value)
        | Property::SubscriptionIdentifier(value)
        | Property::SessionExpiryInterval(value)
        | Property::WillDelayInterval(value)
        | Property::MaximumPacketSize(value) => value.to_string(),
        Property::CorrelationData(data) | Property::AuthenticationData(data) => quoted(data),
        Property::ContentType(text)
        | Property::ResponseTopic(text)
        | Property::AssignedClientIdentifier(text)
        | Property::AuthenticationMethod(text)
        | Property::ResponseInformation(text)
        | Property::ServerReference(text)
        | Property::ReasonString(text) => format!("{text:?}"),
        Property::UserProperty(name, value) => format!("{name:?}:{value:?}"),
    }
}

/// Bytes as text; a long run of one byte as `"x"*100`.
fn quoted(bytes: &[u8]) -> String {
    match bytes {
        [first, rest @ ..] if bytes.len() > 64 && rest.iter().all(|byte| byte == first) => {
            format!("\"{}\"*{}", first.escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn flag(is_set: bool, text: &'static str) -> &'static str {
    if is_set { text } else { "" }
}

fn add(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes all");
}
