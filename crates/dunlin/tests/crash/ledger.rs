//! What was said by whom and when, apart from the Server: the judge of what must arrive, and what must not.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use super::history::{Deed, Event};

/// A moment: its place among all events of the test, and the time since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) order: u64,
    pub(crate) at: Duration,
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It may arrive or not: nothing was said about it, or it was refused.
    Open,
    /// The Server has taken it over: it must arrive.
    Owed(Moment),
    /// It must not arrive, for this reason.
    Forbidden(&'static str),
}

/// One message of the test.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) publisher: usize,
    pub(crate) topic: Rc<str>,
    pub(crate) qos: u8,
    pub(crate) sent: Moment,
    /// How often it was sent to the Server.
    pub(crate) sends: u32,
    pub(crate) fate: Fate,
    /// Set for a Retained Message without payload, which nobody can tell from another.
    pub(crate) is_silent: bool,
    pub(crate) events: Vec<Event>,
}

/// A Subscription, from the wish for it to its end.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) filter: Rc<str>,
    pub(crate) qos: u8,
    /// Its Subscription Identifier, in version 5.0.
    pub(crate) id: Option<u32>,
    pub(crate) asked: Moment,
    pub(crate) given: Option<Moment>,
    /// When its end, or another Subscription with the same Topic Filter, was asked for.
    pub(crate) asked_back: Option<Moment>,
    pub(crate) gone: Option<Moment>,
}

/// What one Session has got of one message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receipt {
    /// How often it came, the Server's second attempts not counted.
    pub(crate) times: u32,
    /// How often it may come more often than it was sent.
    pub(crate) spare: u32,
}

/// One Session's Subscriptions and receipts.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) name: String,
    /// Whether messages may be missing, for the Session ends with its Network Connection.
    pub(crate) is_kept: bool,
    /// Its members share one book of what must arrive.
    pub(crate) group: Option<usize>,
    pub(crate) spans: Vec<Span>,
    pub(crate) receipts: HashMap<u64, Receipt>,
    last: HashMap<(usize, Rc<str>, u8), u64>,
}

/// Numbers of a whole run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    pub(crate) taken: u64,
    pub(crate) deliveries: u64,
    pub(crate) redeliveries: u64,
    pub(crate) wills_sent: u64,
    pub(crate) wills_withheld: u64,
    pub(crate) retained_checked: u64,
    pub(crate) lost: u64,
}

/// All messages since the last reckoning, and all Sessions.
#[derive(Debug)]
pub(crate) struct Ledger {
    start: Instant,
    order: u64,
    pub(crate) now: Moment,
    /// The number of the first message in `messages`.
    first: u64,
    messages: Vec<Message>,
    pub(crate) books: Vec<Book>,
    pub(crate) publishers: Vec<String>,
    /// What went wrong, in words.
    pub(crate) faults: Vec<String>,
    pub(crate) totals: Totals,
    pub(crate) round: u32,
}

/// Mail between two shards may arrive this much later than the acknowledgement at the publisher.
const MAIL_TIME: Duration = Duration::from_secs(1);

/// Faults that are told; more say nothing new.
const FAULTS_MAX: usize = 8;

impl Ledger {
    pub(crate) fn new() -> Ledger {
        Ledger {
            start: Instant::now(),
            order: 0,
            now: Moment { order: 0, at: Duration::ZERO },
            first: 0,
            messages: Vec::new(),
            books: Vec::new(),
            publishers: Vec::new(),
            faults: Vec::new(),
            totals: Totals::default(),
            round: 0,
        }
    }

    /// The next moment.
    pub(crate) fn tick(&mut self) -> Moment {
        self.order += 1;
        self.now = Moment { order: self.order, at: self.start.elapsed() };
        self.now
    }

    /// Opens the book of a Session.
    pub(crate) fn open_book(&mut self, name: &str, is_kept: bool, group: Option<usize>) -> usize {
        let (receipts, last) = (HashMap::new(), HashMap::new());
        self.books.push(Book { name: name.to_owned(), is_kept, group, spans: Vec::new(), receipts, last });
        self.books.len() - 1
    }

    /// Begins a book again: its Session is a new one.
    pub(crate) fn begin_anew(&mut self, book: usize) {
        let book = &mut self.books[book];
        book.spans.clear();
        book.receipts.clear();
        book.last.clear();
    }

    /// A message that is about to be sent for the first time; returns its number.
    pub(crate) fn enter(&mut self, publisher: usize, topic: &Rc<str>, qos: u8, is_silent: bool) -> u64 {
        let sent = self.tick();
        let topic = Rc::clone(topic);
        let (fate, events) = (Fate::Open, Vec::new());
        self.messages.push(Message { publisher, topic, qos, sent, sends: 1, fate, is_silent, events });
        self.totals.messages += 1;
        let number = self.first + self.messages.len() as u64 - 1;
        self.note(number, Deed::Sent { qos });
        number
    }

    /// A message by its number; nothing if it was reckoned up before, or never sent.
    pub(crate) fn message(&self, number: u64) -> Option<&Message> {
        self.messages.get(number.checked_sub(self.first)? as usize)
    }

    fn message_mut(&mut self, number: u64) -> Option<&mut Message> {
        self.messages.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// Writes down what was done with a message, for its history.
    pub(crate) fn note(&mut self, number: u64, deed: Deed) {
        let (at, round) = (self.now.at, self.round);
        if let Some(message) = self.message_mut(number) {
            message.events.push(Event { at, round, deed });
        }
    }

    /// The publisher has sent it once more.
    pub(crate) fn sent_again(&mut self, number: u64) {
        self.tick();
        self.note(number, Deed::SentAgain);
        if let Some(message) = self.message_mut(number) {
            message.sends += 1;
        }
    }

    /// The Server has acknowledged it: PUBACK or PUBREC, or its Will is due.
    pub(crate) fn taken(&mut self, number: u64, deed: Deed) {
        let now = self.tick();
        self.note(number, deed);
        let Some(message) = self.message_mut(number) else { return };
        if !matches!(message.fate, Fate::Owed(_)) {
            message.fate = Fate::Owed(now);
            self.totals.taken += 1;
        }
    }

    /// Whether it must arrive is not known any more, or it must not.
    pub(crate) fn decide(&mut self, number: u64, fate: Fate, deed: Deed) {
        self.tick();
        self.note(number, deed);
        if let Some(message) = self.message_mut(number) {
            message.fate = fate;
        }
    }

    /// What went wrong, with the history of the message.
    pub(crate) fn fault(&mut self, text: &str, number: Option<u64>) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let mut words = format!("in round {}: {text}", self.round);
        if let Some(number) = number {
            words.push_str(&self.history(number));
        }
        self.faults.push(words);
    }

    fn history(&self, number: u64) -> String {
        let Some(message) = self.message(number) else {
            return format!("\n  message {number} was counted as settled long before");
        };
        let publisher = &self.publishers[message.publisher];
        let mut text =
            format!("\n  message {number}, QoS {} of {publisher} on {}:", message.qos, message.topic);
        for event in &message.events {
            text.push_str(&event.words(&self.books));
        }
        text
    }

    /// Whether anybody has got it, or it was reckoned up before.
    pub(crate) fn has_come(&self, number: u64) -> bool {
        number < self.first || self.books.iter().any(|book| book.receipts.contains_key(&number))
    }

    /// A message has come to a Session. `is_again` says that it is the Server's second attempt at what came before.
    pub(crate) fn arrived(&mut self, book: usize, number: u64, qos: u8, packet_id: u16, is_again: bool) {
        self.tick();
        let deed = if is_again {
            Deed::CameAgain { book, qos, packet_id }
        } else {
            Deed::Came { book, qos, packet_id }
        };
        self.note(number, deed);
        if is_again {
            self.totals.redeliveries += 1;
            return;
        }
        self.totals.deliveries += 1;
        let name = self.books[book].name.clone();
        let Some(message) = self.message(number) else {
            return self.fault(&format!("{name} got an old or unknown message, without DUP"), Some(number));
        };
        let (sends, message_qos) = (message.sends, message.qos);
        let key = (message.publisher, Rc::clone(&message.topic), message_qos);
        let receipt = self.books[book].receipts.entry(number).or_default();
        receipt.times += 1;
        let times = receipt.times;
        let allowed = receipt.spare + if message_qos == 2 { 1 } else { sends };
        if times > allowed {
            let text = format!("{name} got a message {times} times that was sent {sends} times");
            return self.fault(&text, Some(number));
        }
        if times == 1 && self.books[book].group.is_none() {
            let last = self.books[book].last.insert(key, number).unwrap_or(0);
            // A message that its publisher sends again is received behind what it has sent in between (4.6). That shows in a
            // Session that did not subscribe for certain when the message was sent first, and in no other.
            if last > number && (sends == 1 || self.must_have_met(book, number)) {
                self.fault(&format!("{name} got message {last} before"), Some(number));
            }
        }
        self.check_wanted(book, number, qos);
    }

    /// Whether a Session subscribed for certain to the message when it was sent first.
    fn must_have_met(&self, book: usize, number: u64) -> bool {
        let Some(message) = self.message(number) else { return false };
        self.books[book].spans.iter().any(|span| span.must_match(message, message.sent))
    }

    /// What came to a Session may come once more, as if for the first time.
    pub(crate) fn spare(&mut self, book: usize, number: u64) {
        if let Some(receipt) = self.books[book].receipts.get_mut(&number) {
            receipt.spare += 1;
        }
    }

    /// Checks that a Subscription asked for the message, and that the QoS is the one it was granted.
    fn check_wanted(&mut self, book: usize, number: u64, qos: u8) {
        let Some(message) = self.message(number) else { return };
        let wanted = self.books[book].spans.iter().filter(|span| span.may_match(message));
        let mut granted: Vec<u8> = wanted.map(|span| span.qos.min(message.qos)).collect();
        granted.dedup();
        let name = &self.books[book].name;
        let text = match granted[..] {
            [] => format!("{name} got what no Subscription of it asked for"),
            [granted] if granted != qos => {
                format!("{name} got with QoS {qos} what it was granted {granted} for")
            }
            _ => return,
        };
        self.fault(&text, Some(number));
    }

    /// Checks the Subscription Identifiers that came with a message.
    pub(crate) fn check_ids(&mut self, book: usize, number: u64, ids: &[u32]) {
        let Some(message) = self.message(number) else { return };
        let spans = &self.books[book].spans;
        let may = |id: u32| spans.iter().any(|span| span.id == Some(id) && span.may_match(message));
        let Some(strange) = ids.iter().find(|&&id| !may(id)) else { return };
        let text = format!("{} got Subscription Identifier {strange}", self.books[book].name);
        self.fault(&text, Some(number));
    }

    /// What must have arrived and has not: Session and number.
    pub(crate) fn missing(&self) -> Vec<(usize, u64)> {
        let mut missing = Vec::new();
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, book) in self.books.iter().enumerate().filter(|(_, book)| book.is_kept) {
            match book.group {
                Some(group) => groups.entry(group).or_default().push(index),
                None => missing.extend(self.missing_of(&[index]).map(|number| (index, number))),
            }
        }
        for members in groups.values() {
            missing.extend(self.missing_of(members).map(|number| (members[0], number)));
        }
        missing
    }

    /// What none of `members` has got, and one of them must have.
    fn missing_of<'a>(&'a self, members: &'a [usize]) -> impl Iterator<Item = u64> + 'a {
        (self.first..).zip(&self.messages).filter_map(move |(number, message)| {
            let Fate::Owed(taken) = message.fate else { return None };
            let books = || members.iter().map(|&index| &self.books[index]);
            let has_come = books().any(|book| book.receipts.contains_key(&number));
            let is_owed =
                || books().any(|book| book.spans.iter().any(|span| span.must_match(message, taken)));
            (!message.is_silent && !has_come && is_owed()).then_some(number)
        })
    }

    /// Tells each message that is missing, each that came to two members of a group, and each that must not have come.
    pub(crate) fn reckon(&mut self) {
        let missing = self.missing();
        self.totals.lost += missing.len() as u64;
        if !missing.is_empty() {
            self.fault(&format!("{} messages are lost", missing.len()), None);
        }
        for (book, number) in missing {
            let name = self.books[book].name.clone();
            self.fault(&format!("{name} did not get what the Server had acknowledged"), Some(number));
        }
        for number in self.first..self.first + self.messages.len() as u64 {
            self.check_end(number);
        }
    }

    fn check_end(&mut self, number: u64) {
        let Some(message) = self.message(number) else { return };
        let allowed = if message.qos == 2 { 1 } else { message.sends };
        let mut in_groups: BTreeMap<usize, u32> = BTreeMap::new(); // how often beyond what is spared
        let mut got_by = None;
        for book in &self.books {
            let Some(receipt) = book.receipts.get(&number) else { continue };
            got_by = Some(book.name.clone());
            if let Some(group) = book.group {
                *in_groups.entry(group).or_default() += receipt.times.saturating_sub(receipt.spare);
            }
        }
        let forbidden = match message.fate {
            Fate::Forbidden(reason) => got_by.map(|name| format!("{name} got a Will although {reason}")),
            _ => None,
        };
        if in_groups.values().any(|&times| times > allowed) {
            self.fault(
                "the members of a Shared Subscription got a message more often than it was sent",
                Some(number),
            );
        }
        if let Some(text) = forbidden {
            self.fault(&text, Some(number));
        }
    }

    /// Forgets what is settled; the Sessions go on.
    pub(crate) fn close_accounts(&mut self) {
        self.first += self.messages.len() as u64;
        self.messages.clear();
        for book in &mut self.books {
            book.receipts.clear();
            book.last.clear();
            book.spans.retain(|span| span.gone.is_none());
        }
    }
}

impl Span {
    fn matches(&self, topic: &str) -> bool {
        use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};
        let filter = TopicFilter::parse(&self.filter).expect("the test subscribes to sound filters");
        filter.without_share().matches(TopicName::parse(topic).expect("the test publishes to sound topics"))
    }

    /// Whether the Subscription was there for certain from when the message was sent until it had been dealt with.
    fn must_match(&self, message: &Message, taken: Moment) -> bool {
        let was_there = self.given.is_some_and(|given| given.order < message.sent.order);
        let stayed = self.asked_back.is_none_or(|back| back.at > taken.at + MAIL_TIME);
        was_there && stayed && self.matches(&message.topic)
    }

    /// Whether the message may have met the Subscription.
    fn may_match(&self, message: &Message) -> bool {
        let was_asked = match message.fate {
            Fate::Owed(taken) => self.asked.at < taken.at + MAIL_TIME,
            _ => true,
        };
        let was_there = self.gone.is_none_or(|gone| gone.order > message.sent.order);
        was_asked && was_there && self.matches(&message.topic)
    }
}
