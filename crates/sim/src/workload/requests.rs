//! What a Client asks for: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, and odd packets that are allowed all the same.

use std::rc::Rc;

use dunlin_packet::{
    acks::Ack,
    auth::Auth,
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{RetainHandling, Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    unsubscribe::{TopicFilters, Unsubscribe},
    version::ProtocolVersion,
};
use dunlin_protocol::topic_aliases::AliasChoice;

use crate::{
    random::Random,
    workload::{
        choices,
        client::{Client, OutMessage, Scene},
    },
};

impl OutMessage {
    /// The packet; an alias stands in `items`.
    #[must_use]
    pub fn publish<'a>(
        &'a self,
        qos: QoS,
        packet_id: Option<PacketId>,
        dup: bool,
        items: &'a [Property<'a>],
    ) -> Publish<'a> {
        Publish {
            dup,
            qos,
            retain: self.retain,
            topic_name: Some(TopicName::parse(self.topic).expect("the workload chooses Topic Names")),
            packet_id,
            properties: PropertyList::with_encoded(items, &self.properties),
            payload: &self.payload,
        }
    }
}

impl Client {
    /// Publishes a new message; nothing if the Server's quota is used up.
    pub fn publish(&mut self, scene: &mut Scene<'_>) {
        let topic = match scene.random.once_in(150) {
            true => "$SYS/mine",
            false => scene.random.pick(choices::TOPICS),
        };
        self.publish_on(scene, topic);
    }

    /// Publishes some messages, one right after the other.
    pub fn publish_burst(&mut self, scene: &mut Scene<'_>) {
        let topic = scene.random.pick(choices::TOPICS);
        for _ in 0..scene.random.between(2, 12) {
            self.publish_on(scene, topic);
        }
    }

    fn publish_on(&mut self, scene: &mut Scene<'_>, topic: &'static str) {
        let Some(attached) = &self.attached else { return };
        let limits = attached.limits;
        let mut qos = choices::qos(scene.random, limits.maximum_qos);
        if qos != QoS::AtMostOnce && !self.outbound.can_send() {
            qos = QoS::AtMostOnce;
        }
        let message = self.compose(scene, topic);
        let bare = message.publish(QoS::AtMostOnce, None, false, &[]);
        let len = bare.encoded_len(self.version).expect("a right message");
        if len + 10 > limits.maximum_packet_size as usize {
            return; // [MQTT-3.2.2-15]
        }
        let message = Rc::new(message);
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => self.outbound.send(qos, Rc::clone(&message)),
        };
        let alias = match self.version.has_properties() && scene.random.once_in(2) {
            true => self.attached.as_mut().map_or(AliasChoice::None, |it| it.aliases_out.choose(topic)),
            false => AliasChoice::None,
        };
        let (items, is_named) = match alias {
            AliasChoice::None => (None, true),
            AliasChoice::New(alias) => (Some([Property::TopicAlias(alias)]), true),
            AliasChoice::Known(alias) => (Some([Property::TopicAlias(alias)]), false),
        };
        let items = items.as_ref().map_or(&[][..], |items| &items[..]);
        let mut publish = message.publish(qos, packet_id, false, items);
        publish.topic_name = publish.topic_name.filter(|_| is_named);
        self.send(scene, &Packet::Publish(publish));
    }

    /// Publishes an empty message with RETAIN: the topic has no Retained Message any more. [MQTT-3.3.1-6]
    pub fn publish_empty(&mut self, scene: &mut Scene<'_>, topic: &str) {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic_name: Some(TopicName::parse(topic).expect("a topic that was published to")),
            packet_id: None,
            properties: PropertyList::EMPTY,
            payload: &[],
        };
        self.send(scene, &Packet::Publish(publish));
    }

    fn compose(&mut self, scene: &mut Scene<'_>, topic: &'static str) -> OutMessage {
        let is_v5 = self.version.has_properties();
        let is_retain_available = self.attached.as_ref().is_some_and(|it| it.limits.is_retain_available);
        let random = &mut *scene.random;
        let retain = is_retain_available && random.once_in(5);
        let is_empty = retain && random.once_in(4) || random.once_in(200);
        let is_large = random.percent(scene.plan.large_percent);
        *scene.last_number += 1;
        let payload = match is_empty {
            true => Vec::new(),
            false => choices::payload(random, *scene.last_number, is_large),
        };
        let expiry_s = choices::expiry_s(random);
        let properties = if is_v5 { choices::message_properties(random, expiry_s) } else { Vec::new() };
        OutMessage { topic, retain, payload, properties }
    }

    /// Subscribes and publishes right behind CONNECT: Clients need not wait for CONNACK (3.1.4).
    pub fn send_early(&mut self, scene: &mut Scene<'_>) {
        let filter = self.choose_filter(scene.random);
        if self.may_ask_for(scene, filter) {
            // No other request comes so far up.
            let packet_id = PacketId::new(u16::MAX).expect("not 0");
            self.send_subscribe(scene, packet_id, &[filter]);
        }
        let topic = scene.random.pick(choices::TOPICS);
        let message = self.compose(scene, topic);
        let publish = message.publish(QoS::AtMostOnce, None, false, &[]);
        self.send(scene, &Packet::Publish(publish));
    }

    /// Subscribes to one or some filters.
    pub fn subscribe(&mut self, scene: &mut Scene<'_>) {
        let count = scene.random.pick(&[1, 1, 1, 2, 3]);
        let filters: Vec<&'static str> = (0..count).map(|_| self.choose_filter(scene.random)).collect();
        if filters.iter().all(|filter| self.may_ask_for(scene, filter)) {
            self.subscribe_to(scene, &filters);
        }
    }

    /// 3.1 has no way to refuse a Subscription but to end the connection.
    fn may_ask_for(&self, scene: &Scene<'_>, filter: &str) -> bool {
        let settings = &scene.plan.settings;
        let is_refused = choices::INVALID_FILTERS.contains(&filter)
            || !settings.wildcard_subscription_available && filter.contains(['+', '#'])
            || !settings.shared_subscription_available && filter.starts_with("$share")
            || settings.subscriptions_max < 100;
        self.version > ProtocolVersion::V3_1 || !is_refused
    }

    /// Subscribes to `filters` in one packet.
    pub fn subscribe_to(&mut self, scene: &mut Scene<'_>, filters: &[&'static str]) {
        let Some(packet_id) = self.outbound.reserve() else { return };
        if let Some(attached) = &mut self.attached {
            attached.requests.insert(packet_id);
        }
        self.send_subscribe(scene, packet_id, filters);
    }

    fn send_subscribe(&mut self, scene: &mut Scene<'_>, packet_id: PacketId, filters: &[&'static str]) {
        let id = self.choose_id(scene.random, filters[0]);
        // Only one identifier for all filters of a packet: a sharer keeps them apart.
        let filters = if id.is_some() { &filters[..1] } else { filters };
        let requests: Vec<_> = filters
            .iter()
            .map(|filter| {
                let options = self.choose_options(scene, filter);
                SubscriptionRequest { topic_filter: filter, options }
            })
            .collect();
        let items: Vec<_> = id.map(Property::SubscriptionIdentifier).into_iter().collect();
        let subscribe = Subscribe {
            packet_id,
            properties: PropertyList::from_items(&items),
            filters: SubscriptionFilters::from_slice(&requests),
        };
        self.send(scene, &Packet::Subscribe(subscribe));
    }

    fn choose_filter(&self, random: &mut Random) -> &'static str {
        let character = &self.character;
        if random.once_in(40) {
            return random.pick(choices::INVALID_FILTERS);
        }
        match (character.is_sharer, character.has_ids) {
            (false, _) if random.once_in(3) => random.pick(choices::WIDE_FILTERS),
            (false, _) => random.pick(choices::PLAIN_FILTERS),
            (true, true) => match random.below(5) {
                0 | 1 => random.pick(choices::SHARED_FILTERS),
                2 => random.pick(choices::WIDE_SHARED_FILTERS),
                3 => random.pick(choices::WIDE_FILTERS),
                _ => random.pick(choices::PLAIN_FILTERS),
            },
            // Without identifiers only the topic tells why a message comes.
            (true, false) if random.once_in(3) => character.shared_filter,
            (true, false) => random.pick(choices::PLAIN_FILTERS),
        }
    }

    /// An identifier that names the filter, and now and then another one for the same filter.
    fn choose_id(&mut self, random: &mut Random, filter: &'static str) -> Option<u32> {
        if !self.character.has_ids || !self.version.has_properties() {
            return None;
        }
        if !self.character.is_sharer && random.once_in(4) {
            return None;
        }
        let variant = self.id_variants.entry(filter).or_default();
        if random.once_in(3) {
            *variant += 1;
        }
        let pools = [
            choices::PLAIN_FILTERS,
            choices::WIDE_FILTERS,
            choices::SHARED_FILTERS,
            choices::WIDE_SHARED_FILTERS,
            choices::INVALID_FILTERS,
        ];
        let place = pools.iter().copied().flatten().position(|other| *other == filter)?;
        Some(1 + place as u32 + 100 * (*variant % 3) * if *variant % 3 == 2 { 1_000_000 } else { 1 })
    }

    fn choose_options(&self, scene: &mut Scene<'_>, filter: &str) -> SubscriptionOptions {
        let random = &mut *scene.random;
        let qos = choices::qos(random, QoS::ExactlyOnce);
        if !self.version.has_properties() {
            return SubscriptionOptions::with_qos(qos);
        }
        SubscriptionOptions {
            qos,
            no_local: random.once_in(4) && !filter.starts_with("$share"), // [MQTT-3.8.3-4]
            retain_as_published: random.once_in(3),
            retain_handling: random.pick(&[
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]),
        }
    }

    /// Unsubscribes from filters that it may have, or not.
    pub fn unsubscribe(&mut self, scene: &mut Scene<'_>) {
        let Some(packet_id) = self.outbound.reserve() else { return };
        let count = scene.random.pick(&[1, 1, 2, 4]);
        let filters: Vec<&str> = (0..count).map(|_| self.choose_filter(scene.random)).collect();
        let unsubscribe = Unsubscribe {
            packet_id,
            properties: PropertyList::EMPTY,
            filters: TopicFilters::from_slice(&filters),
        };
        if let Some(attached) = &mut self.attached {
            attached.requests.insert(packet_id);
        }
        self.send(scene, &Packet::Unsubscribe(unsubscribe));
    }

    /// Does something that is allowed, but odd: acknowledges what never was (3.6.2.1).
    pub fn be_odd(&mut self, scene: &mut Scene<'_>) {
        let packet_id = PacketId::new(60_000 + scene.random.below(100) as u16).expect("not 0");
        let ack = Ack::success(packet_id);
        let packet = match scene.random.below(4) {
            0 => Packet::Puback(ack),
            1 => Packet::Pubrec(ack),
            2 => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        };
        self.send(scene, &packet);
    }

    /// Authenticates again, if it uses extended authentication (4.12.1).
    pub fn authenticate_again(&mut self, scene: &mut Scene<'_>) {
        let Some(attached) = self.attached.as_mut().filter(|attached| !attached.is_authenticating) else {
            return;
        };
        if !self.character.has_method || !self.version.has_properties() {
            return;
        }
        attached.is_authenticating = true;
        let data: &[u8] = if scene.random.once_in(2) { b"again" } else { b"ok" };
        let items = [Property::AuthenticationMethod("echo"), Property::AuthenticationData(data)];
        let properties = PropertyList::from_items(&items);
        self.send(scene, &Packet::Auth(Auth { reason_code: ReasonCode::ReAuthenticate, properties }));
    }
}
