//! Packets in one line, for the trace of a run that is to be read.

use dunlin_packet::{
    acks::Ack, connect::Connect, fixed_header::Frame, packet::Packet, publish::Publish,
    version::ProtocolVersion,
};

/// The whole packets at the start of `bytes`, and how many bytes follow them.
#[must_use]
pub fn packets(version: ProtocolVersion, bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut words = Vec::new();
    while let Ok(Some(frame)) = Frame::split(rest, u32::MAX) {
        rest = &rest[frame.encoded_len..];
        words.push(match Packet::decode(version, frame) {
            Ok(packet) => packet_in_words(&packet),
            Err(error) => format!("<{error}>"),
        });
    }
    if !rest.is_empty() {
        words.push(format!("+{} bytes", rest.len()));
    }
    words.join(", ")
}

fn packet_in_words(packet: &Packet<'_>) -> String {
    let name = packet.packet_type().name();
    match packet {
        Packet::Connect(connect) => connect_in_words(connect),
        Packet::Connack(connack) => {
            let present = if connack.session_present { " session present" } else { "" };
            format!("CONNACK {}{present}", connack.reason_code)
        }
        Packet::Publish(publish) => publish_in_words(publish),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack_in_words(name, ack)
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.iter().map(|request| {
                let options = request.options;
                let no_local = if options.no_local { " no-local" } else { "" };
                let published = if options.retain_as_published { " as-published" } else { "" };
                let handling = options.retain_handling as u8;
                format!(
                    "{} qos{}{no_local}{published} rh{handling}",
                    request.topic_filter,
                    options.qos.value()
                )
            });
            let filters = filters.collect::<Vec<_>>().join("; ");
            let id = subscribe.properties.subscription_identifiers().next();
            format!("SUBSCRIBE {} [{filters}] id {id:?}", subscribe.packet_id.value())
        }
        Packet::Suback(suback) => format!("SUBACK {} {:?}", suback.packet_id.value(), suback.reason_codes),
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.iter().collect::<Vec<_>>().join("; ");
            format!("UNSUBSCRIBE {} [{filters}]", unsubscribe.packet_id.value())
        }
        Packet::Unsuback(unsuback) => format!("UNSUBACK {}", unsuback.packet_id.value()),
        Packet::Disconnect(disconnect) => {
            let expiry = disconnect.properties.session_expiry_interval_s();
            let expiry = expiry.map(|seconds| format!(" expiry {seconds}s")).unwrap_or_default();
            format!("DISCONNECT {}{expiry}", disconnect.reason_code)
        }
        Packet::Auth(auth) => format!("AUTH {}", auth.reason_code),
        Packet::Pingreq | Packet::Pingresp => name.to_owned(),
    }
}

fn connect_in_words(connect: &Connect<'_>) -> String {
    let properties = &connect.properties;
    let will = connect.will.as_ref().map(|will| {
        let payload = String::from_utf8_lossy(&will.payload[..will.payload.len().min(12)]).into_owned();
        let delay = will.properties.will_delay_interval_s().unwrap_or(0);
        format!(
            " will {} {payload} qos{} retain {} delay {delay}s",
            will.topic_name,
            will.qos.value(),
            will.retain
        )
    });
    format!(
        "CONNECT {:?} {:?} clean {} keep alive {}s expiry {:?} receive maximum {:?} packet size {:?} aliases {:?}{}",
        connect.version,
        connect.client_id,
        connect.clean_start,
        connect.keep_alive_s,
        properties.session_expiry_interval_s(),
        properties.receive_maximum(),
        properties.maximum_packet_size(),
        properties.topic_alias_maximum(),
        will.unwrap_or_default()
    )
}

fn publish_in_words(publish: &Publish<'_>) -> String {
    let payload = String::from_utf8_lossy(publish.payload);
    let number = payload.split('.').next().unwrap_or_default();
    let topic = publish.topic_name.map_or("", |topic| topic.as_str());
    let mut words = format!("PUBLISH {topic} {number:?} qos{}", publish.qos.value());
    if let Some(packet_id) = publish.packet_id {
        words += &format!(" {}", packet_id.value());
    }
    if publish.dup {
        words += " dup";
    }
    if publish.retain {
        words += " retain";
    }
    if let Some(alias) = publish.properties.topic_alias() {
        words += &format!(" alias {alias}");
    }
    if let Some(seconds) = publish.properties.message_expiry_interval_s() {
        words += &format!(" expiry {seconds}s");
    }
    let ids: Vec<u32> = publish.properties.subscription_identifiers().collect();
    if !ids.is_empty() {
        words += &format!(" ids {ids:?}");
    }
    words
}

fn ack_in_words(name: &str, ack: &Ack<'_>) -> String {
    match ack.reason_code.value() {
        0 => format!("{name} {}", ack.packet_id.value()),
        _ => format!("{name} {} {}", ack.packet_id.value(), ack.reason_code),
    }
}
