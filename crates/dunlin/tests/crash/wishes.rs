//! The Subscriptions a Client asks for and gives up again.

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use dunlin_packet::{
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{RetainHandling, Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    unsubscribe::{TopicFilters, Unsubscribe},
};

use super::{client::Stage, ledger::Span, role::Role, wire::Link};

/// Packet Identifiers from here on belong to SUBSCRIBE and UNSUBSCRIBE.
const FIRST_PACKET_ID: u16 = 50_000;

#[derive(Clone, Debug)]
struct Wish {
    filter: Rc<str>,
    /// The greatest QoS; nothing if the Subscription is to end.
    qos: Option<u8>,
    /// How often it was asked for before.
    tries: u32,
}

/// What is wished for: one at a time is asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    waiting: VecDeque<Wish>,
    asked: Option<(u16, Wish)>,
    packet_id: u16,
    next: Instant,
}

impl Wishes {
    pub(crate) fn new(now: Instant) -> Wishes {
        Wishes { waiting: VecDeque::new(), asked: None, packet_id: FIRST_PACKET_ID, next: now }
    }

    /// Whether all that was wished for is granted.
    pub(crate) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_none()
    }

    /// A new Session: everything the role is subscribed to from the beginning is asked for.
    pub(crate) fn begin(&mut self, role: &Role) {
        self.asked = None;
        let wish = |(filter, qos): &(Rc<str>, u8)| Wish { filter: filter.clone(), qos: Some(*qos), tries: 0 };
        self.waiting = role.filters.iter().map(wish).collect();
    }

    /// The Network Connection is gone: what was asked for is asked for again on the next one.
    pub(crate) fn lost(&mut self) {
        if let Some((_, wish)) = self.asked.take() {
            self.waiting.push_front(Wish { tries: wish.tries + 1, ..wish });
        }
    }

    /// Asks for the next thing, or thinks of one.
    pub(crate) fn step(&mut self, role: &Role, book: usize, link: &mut Link, stage: &mut Stage<'_>) {
        if self.asked.is_some() {
            return;
        }
        if self.waiting.is_empty()
            && stage.may_publish()
            && stage.now >= self.next
            && !role.changing.is_empty()
        {
            self.think(role, book, stage);
        }
        if let Some(wish) = self.waiting.pop_front() {
            self.ask(wish, role, book, link, stage);
        }
    }

    fn think(&mut self, role: &Role, book: usize, stage: &mut Stage<'_>) {
        self.next = stage.now + Duration::from_millis(stage.random.between(10, 200));
        let filter = Rc::clone(&role.changing[stage.random.index(role.changing.len())]);
        let spans = &stage.ledger.books[book].spans;
        let is_there = spans.iter().any(|span| span.filter == filter && span.gone.is_none());
        let is_end = is_there && !stage.random.once_in(4);
        let qos = (!is_end).then(|| stage.random.between(1, 2) as u8);
        self.waiting.push_back(Wish { filter, qos, tries: 0 });
    }

    fn ask(&mut self, wish: Wish, role: &Role, book: usize, link: &mut Link, stage: &mut Stage<'_>) {
        self.packet_id = if self.packet_id == u16::MAX { FIRST_PACKET_ID } else { self.packet_id + 1 };
        let packet_id = PacketId::new(self.packet_id).expect("it is above 50,000");
        let asked = stage.ledger.tick();
        let spans = &mut stage.ledger.books[book].spans;
        match wish.qos {
            Some(qos) => {
                let id = role.version.has_properties().then_some(spans.len() as u32 + 1);
                let filter = Rc::clone(&wish.filter);
                spans.push(Span { filter, qos, id, asked, given: None, asked_back: None, gone: None });
                send_subscribe(packet_id, &wish.filter, qos, id, link);
            }
            None => {
                for span in spans.iter_mut().filter(|span| span.filter == wish.filter) {
                    span.asked_back.get_or_insert(asked);
                }
                let (properties, filters) = (PropertyList::EMPTY, [&*wish.filter]);
                let filters = TopicFilters::from_slice(&filters);
                link.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }));
            }
        }
        self.asked = Some((packet_id.value(), wish));
    }

    /// SUBACK or UNSUBACK has come; says what is wrong with it.
    pub(crate) fn granted(
        &mut self,
        book: usize,
        packet_id: u16,
        code: ReasonCode,
        stage: &mut Stage<'_>,
    ) -> Option<String> {
        let Some((_, wish)) = self.asked.take_if(|(asked, _)| *asked == packet_id) else {
            return Some(format!("SUBACK or UNSUBACK came for {packet_id}, which was not asked"));
        };
        let now = stage.ledger.tick();
        let spans = &mut stage.ledger.books[book].spans;
        let there = spans.iter_mut().filter(|span| span.filter == wish.filter && span.gone.is_none());
        let mut there: Vec<&mut Span> = there.collect();
        let last = if wish.qos.is_some() { there.pop() } else { None };
        let was_there = there.iter().any(|span| span.given.is_some());
        for span in there {
            span.asked_back.get_or_insert(now);
            span.gone = Some(now);
        }
        if let Some(span) = last {
            span.given = Some(now);
        }
        let filter = &wish.filter;
        match wish.qos {
            Some(qos) if code.value() != qos => {
                Some(format!("{filter} was asked for with {qos}, granted {code}"))
            }
            None if code != ReasonCode::Success && was_there && wish.tries == 0 => {
                Some(format!("{filter} was subscribed to, and UNSUBACK says {code}"))
            }
            _ => None,
        }
    }
}

fn send_subscribe(packet_id: PacketId, filter: &str, qos: u8, id: Option<u32>, link: &mut Link) {
    let qos = QoS::from_value(qos).expect("1 or 2");
    let retain_handling = RetainHandling::DoNotSend;
    let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::with_qos(qos) };
    let requests = [SubscriptionRequest { topic_filter: filter, options }];
    let items = id.map(Property::SubscriptionIdentifier);
    link.send(&Packet::Subscribe(Subscribe {
        packet_id,
        properties: PropertyList::from_items(items.as_slice()),
        filters: SubscriptionFilters::from_slice(&requests),
    }));
}
