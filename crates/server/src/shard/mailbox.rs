//! Mailboxes between the shards: many writers, one reader, a bound, and no needless wake-up.
//!
//! Delivery is causal: what one turn of a shard sends becomes visible to all its peers at once, so that no
//! answer to a letter can overtake another letter of the same turn. Either all letters of a turn are
//! delivered or none.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Decision, Page, Storage},
    limits::Settings,
    output::PageReader,
    permissions::rule_set::RuleSet,
    routing::{group_mail::GroupMail, mail::Mail},
};
use dunlin_protocol::time::Instant;
use dunlin_store::store::StoreError;
use mio::Waker;
use smallvec::SmallVec;

use dunlin_auth::chain::Exchange;

use super::{admission::Admission, asking::Asking};

/// The mailboxes of all shards.
#[derive(Debug)]
pub(crate) struct Post {
    mailboxes: Box<[Mailbox]>,
}

/// What is in a mailbox; the reader swaps it for an empty one and gives the memory back with the next.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Letters in the order of their delivery.
    pub(crate) letters: VecDeque<Mail>,
    /// Who sent them: so many in a row of one shard.
    pub(crate) senders: VecDeque<(ShardId, u32)>,
    /// Clients that have this shard as their home.
    pub(crate) admissions: Vec<Admission>,
    /// What the providers said about connected Clients.
    pub(crate) answers: Vec<Answer>,
    /// What operators ask.
    pub(crate) questions: Vec<Asking>,
    /// What the storage has to say.
    pub(crate) storage: Vec<StorageNews>,
    /// All shards are restored: time to settle, with the last moment at which the Server is known to have run.
    pub(crate) settle: Option<Instant>,
    /// New rules, the last ones at the end.
    pub(crate) rules: Vec<Arc<RuleSet>>,
    /// Other limits.
    pub(crate) settings: Option<Arc<Settings>>,
    /// Whether the Server shuts down.
    pub(crate) is_stopping: bool,
    /// Cost of the letters, in bytes.
    weight: usize,
    /// The shards that found no room, one bit each.
    waiting: u64,
}

/// What the storage tells a shard.
#[derive(Debug)]
pub(crate) enum StorageNews {
    /// For the broker.
    Input(StorageInput),
    /// There is room for more batches.
    HasRoom,
}

/// What the broker is told of the storage.
#[derive(Debug)]
pub(crate) enum StorageInput {
    /// The batches up to this number are durable.
    Committed(u64),
    /// A page that was asked for.
    Page(Page),
    /// One that was asked for cannot be read now.
    Unreadable(PageReader, StoreError),
    /// How it stands.
    State(Storage),
}

/// The providers' answer to one step of a re-authentication (4.12.1).
pub(crate) struct Answer {
    /// Whose.
    pub(crate) connection: ConnectionId,
    /// Tells the connection from others that have had the same number.
    pub(crate) serial: u32,
    /// What they said.
    pub(crate) decision: Decision,
    /// What is remembered until the next step.
    pub(crate) exchange: Exchange,
}

/// One shard's mailbox, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Mailbox {
    contents: Mutex<Contents>,
    /// There may be something to look at: contents, or room in a peer's mailbox that was full.
    has_news: AtomicBool,
    /// The reader sleeps or is about to; whoever takes this back must wake it.
    is_asleep: AtomicBool,
    waker: Arc<Waker>,
}

impl Post {
    /// One mailbox for each waker.
    pub(crate) fn new(wakers: impl IntoIterator<Item = Arc<Waker>>) -> Self {
        Self { mailboxes: wakers.into_iter().map(Mailbox::new).collect() }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u8 {
        u8::try_from(self.mailboxes.len()).expect("there are at most 64 shards")
    }

    /// Delivers the letters in `routes`, one list for each shard, and leaves the lists empty; or, if a
    /// mailbox is full, delivers none of them, leaves them where they are and returns `false`. Then `from` is
    /// woken when there is room.
    ///
    /// Readers that sleep and get little are not woken but added to `asleep`: the caller sees to them.
    pub(crate) fn send(&self, from: ShardId, routes: &mut [Vec<Mail>], asleep: &mut Shards) -> bool {
        let mut targets: Targets<'_> = SmallVec::new();
        // All locks are held together: that makes the delivery causal. The order of the shards prevents
        // deadlock.
        for ((shard, mailbox), letters) in (0..).zip(self.mailboxes.iter()).zip(routes.iter()) {
            if !letters.is_empty() {
                targets.push((ShardId(shard), mailbox.lock()));
            }
        }
        let mut has_room = true;
        for (_, contents) in &mut targets {
            if contents.is_full() {
                contents.waiting |= from.bit();
                has_room = false;
            }
        }
        if has_room {
            let lists = routes.iter_mut().filter(|letters| !letters.is_empty());
            let mut written = Shards::new();
            for ((shard, contents), letters) in targets.iter_mut().zip(lists) {
                contents.append(from, letters);
                self.mailboxes[shard.index()].announce();
                if contents.weight <= LITTLE_WEIGHT {
                    asleep.retain(|other| *other != *shard);
                    asleep.push(*shard);
                } else {
                    written.push(*shard);
                }
            }
            drop(targets);
            asleep.retain(|shard| self.mailboxes[shard.index()].is_asleep.load(Ordering::SeqCst));
            written.into_iter().for_each(|shard| self.wake(shard));
        }
        has_room
    }

    /// Wakes the reader of a mailbox, if it sleeps.
    pub(crate) fn wake(&self, shard: ShardId) {
        self.mailboxes[shard.index()].wake();
    }

    /// Whether there is something in a mailbox that its reader has not seen.
    pub(crate) fn has_news(&self, shard: ShardId) -> bool {
        self.mailboxes[shard.index()].has_news.load(Ordering::SeqCst)
    }

    /// Takes out all that is in the mailbox of `shard`, for `into`, which must be empty. Peers that waited
    /// for room are told.
    pub(crate) fn take(&self, shard: ShardId, into: &mut Contents) {
        let mailbox = &self.mailboxes[shard.index()];
        if !mailbox.has_news.load(Ordering::Acquire) {
            return;
        }
        {
            let mut contents = mailbox.lock();
            mailbox.has_news.store(false, Ordering::Relaxed);
            mem::swap(&mut *contents, into);
        }
        let mut waiting = mem::take(&mut into.waiting);
        into.weight = 0;
        while waiting != 0 {
            let peer = &self.mailboxes[waiting.trailing_zeros() as usize];
            peer.announce();
            peer.wake();
            waiting &= waiting - 1;
        }
    }

    /// Says that the reader of `shard` is going to sleep unless this returns `false`: then there is something
    /// in its mailbox. After sleeping it calls [`awake`](Self::awake).
    pub(crate) fn may_sleep(&self, shard: ShardId) -> bool {
        let mailbox = &self.mailboxes[shard.index()];
        // Sequentially consistent, like the two in `announce` and `wake`: of "I sleep, is there news?" here
        // and "there is news, does it sleep?" there, at least one sees what the other has written.
        mailbox.is_asleep.store(true, Ordering::SeqCst);
        if mailbox.has_news.load(Ordering::SeqCst) {
            self.awake(shard);
            return false;
        }
        true
    }

    /// Says that the reader of `shard` is awake and will look into its mailbox before it sleeps again.
    pub(crate) fn awake(&self, shard: ShardId) {
        self.mailboxes[shard.index()].is_asleep.store(false, Ordering::Relaxed);
    }

    /// Hands a Client over to its home.
    pub(crate) fn admit(&self, home: ShardId, admission: Admission) {
        self.post(home, |contents| contents.admissions.push(admission));
    }

    /// Tells a shard what the providers said.
    pub(crate) fn answer(&self, shard: ShardId, answer: Answer) {
        self.post(shard, |contents| contents.answers.push(answer));
    }

    /// Asks a shard for an operator.
    pub(crate) fn ask(&self, shard: ShardId, asking: Asking) {
        self.post(shard, |contents| contents.questions.push(asking));
    }

    /// Tells a shard what the storage has to say.
    pub(crate) fn tell_storage(&self, shard: ShardId, news: StorageNews) {
        self.post(shard, |contents| contents.storage.push(news));
    }

    /// Tells all shards that all of them are restored.
    pub(crate) fn settle(&self, last_alive: Instant) {
        for shard in 0..self.shards() {
            self.post(ShardId(shard), |contents| contents.settle = Some(last_alive));
        }
    }

    /// Puts rules in force in all shards.
    pub(crate) fn change_rules(&self, rules: &Arc<RuleSet>) {
        for shard in 0..self.shards() {
            self.post(ShardId(shard), |contents| contents.rules.push(Arc::clone(rules)));
        }
    }

    /// Puts limits in force in all shards.
    pub(crate) fn change_settings(&self, settings: &Arc<Settings>) {
        for shard in 0..self.shards() {
            self.post(ShardId(shard), |contents| contents.settings = Some(Arc::clone(settings)));
        }
    }

    /// Tells all shards that the Server shuts down.
    pub(crate) fn stop(&self) {
        for shard in 0..self.shards() {
            self.post(ShardId(shard), |contents| contents.is_stopping = true);
        }
    }

    fn post(&self, shard: ShardId, put: impl FnOnce(&mut Contents)) {
        let mailbox = &self.mailboxes[shard.index()];
        {
            let mut contents = mailbox.lock();
            put(&mut contents);
            mailbox.announce();
        }
        mailbox.wake();
    }
}

/// Some shards.
pub(crate) type Shards = SmallVec<[ShardId; TARGETS_INLINE]>;

type Targets<'a> = SmallVec<[(ShardId, MutexGuard<'a, Contents>); TARGETS_INLINE]>;

impl Contents {
    fn is_full(&self) -> bool {
        self.weight >= WEIGHT_MAX
    }

    /// A turn is bounded, and so is what it may go beyond the bound of the mailbox.
    fn append(&mut self, from: ShardId, letters: &mut Vec<Mail>) {
        self.weight += letters.iter().map(weight).sum::<usize>();
        let count = u32::try_from(letters.len()).expect("a turn has fewer letters");
        match self.senders.back_mut() {
            Some((last, letters)) if *last == from => *letters += count,
            _ => self.senders.push_back((from, count)),
        }
        self.letters.extend(letters.drain(..));
    }
}

impl Mailbox {
    fn new(waker: Arc<Waker>) -> Self {
        Self {
            contents: Mutex::default(),
            has_news: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("nobody panics while holding the lock of a mailbox")
    }

    fn announce(&self) {
        self.has_news.store(true, Ordering::SeqCst);
    }

    /// Wakes the reader if it may sleep; only one of several wakes it.
    fn wake(&self) {
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake().expect("an event descriptor takes a wake-up");
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// What a letter costs in a mailbox: itself and the messages it keeps alive.
fn weight(mail: &Mail) -> usize {
    let messages = match mail {
        Mail::Bundle(bundle) => bundle.size(),
        Mail::Shares(shares) => shares.size(),
        Mail::Publish(message, _) | Mail::Retain(message, ..) => message.size(),
        Mail::Retained { messages, .. } => messages.iter().map(|message| message.size() + LETTER_BYTES).sum(),
        Mail::Group(mail) => match &**mail {
            GroupMail::Deliver { message, .. } | GroupMail::Return { message, .. } => message.size(),
            _ => 0,
        },
        _ => 0,
    };
    messages + LETTER_BYTES
}

/// Bytes of letters that a mailbox holds before it is full.
const WEIGHT_MAX: usize = 4 << 20;

/// Bytes of letters that are not worth a wake-up.
const LITTLE_WEIGHT: usize = 4 << 10;

/// What a letter costs beside its message.
const LETTER_BYTES: usize = 64;

/// Locks that need no memory of their own.
const TARGETS_INLINE: usize = 8;

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use dunlin_broker::{
        ids::Receipt,
        message::{Message, MessageFacts},
    };
    use dunlin_packet::{qos::QoS, topic::name::TopicName};

    use super::*;
    use crate::shard::poller::Poller;

    fn post(shards: usize) -> (Arc<Post>, Vec<Poller>) {
        let (pollers, wakers): (Vec<_>, Vec<_>) = (0..shards).map(|_| Poller::new().unwrap()).unzip();
        (Arc::new(Post::new(wakers)), pollers)
    }

    /// Sends and wakes all readers.
    fn send(post: &Post, from: ShardId, routes: &mut [Vec<Mail>]) -> bool {
        let mut asleep = Shards::new();
        let is_sent = post.send(from, routes, &mut asleep);
        asleep.into_iter().for_each(|shard| post.wake(shard));
        is_sent
    }

    fn numbered(ask: u64) -> Mail {
        Mail::Fence { ask }
    }

    fn number(mail: &Mail) -> u64 {
        match mail {
            Mail::Fence { ask } => *ask,
            other => panic!("{other:?}"),
        }
    }

    fn heavy() -> Mail {
        let facts = MessageFacts { qos: QoS::AtMostOnce, retain: false, expires_at: None, publisher: 0 };
        let topic = TopicName::parse("a").unwrap();
        let message = Message::from_parts(topic, &[], &vec![0; WEIGHT_MAX], facts);
        Mail::Publish(message, Receipt::NONE)
    }

    fn take(post: &Post, shard: u8) -> Contents {
        let mut contents = Contents::default();
        post.take(ShardId(shard), &mut contents);
        contents
    }

    #[test]
    fn letters_keep_their_order_and_their_senders() {
        let (post, _pollers) = post(3);
        let (zero, one) = (ShardId(0), ShardId(1));
        assert!(send(&post, zero, &mut [vec![], vec![], vec![numbered(1), numbered(2)]]));
        assert!(send(&post, one, &mut [vec![numbered(9)], vec![], vec![numbered(3)]]));
        assert!(send(&post, zero, &mut [vec![], vec![], vec![numbered(4)]]));
        let contents = take(&post, 2);
        assert_eq!(contents.letters.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(contents.senders, [(zero, 2), (one, 1), (zero, 1)]);
        assert_eq!(take(&post, 0).letters.len(), 1);
        assert!(take(&post, 1).letters.is_empty());
    }

    #[test]
    fn a_full_mailbox_keeps_all_letters_back_until_there_is_room() {
        let (post, _pollers) = post(3);
        let zero = ShardId(0);
        assert!(send(&post, zero, &mut [vec![], vec![heavy()], vec![]]));
        assert!(post.may_sleep(zero));
        let mut routes = [vec![], vec![numbered(1)], vec![numbered(2)]];
        assert!(!send(&post, zero, &mut routes), "the mailbox of shard 1 is full");
        assert!(routes[1].len() == 1 && routes[2].len() == 1, "all letters stay");
        assert!(take(&post, 2).letters.is_empty(), "nothing overtakes");
        assert_eq!(take(&post, 1).letters.len(), 1);
        assert!(!post.may_sleep(zero), "it is told that there is room");
        assert!(send(&post, zero, &mut routes) && routes.iter().all(Vec::is_empty));
        assert_eq!((take(&post, 1).letters.len(), take(&post, 2).letters.len()), (1, 1));
    }

    #[test]
    fn no_wake_up_is_lost() {
        const LETTERS: u64 = 100_000;
        let (post, mut pollers) = post(2);
        let (sender, mut poller) = (Arc::clone(&post), pollers.pop().unwrap());
        let sending = thread::spawn(move || {
            for ask in 0..LETTERS {
                while !send(&sender, ShardId(0), &mut [vec![], vec![numbered(ask)]]) {
                    thread::yield_now();
                }
                if ask % 3 == 0 {
                    thread::yield_now();
                }
            }
            sender.stop();
        });
        let (mut contents, mut wanted, mut is_stopping) = (Contents::default(), 0, false);
        while !is_stopping {
            if post.may_sleep(ShardId(1)) {
                poller.wait(None).unwrap(); // without end if a wake-up is lost
                post.awake(ShardId(1));
            }
            post.take(ShardId(1), &mut contents);
            for letter in contents.letters.drain(..) {
                assert_eq!(number(&letter), wanted);
                wanted += 1;
            }
            contents.senders.clear();
            is_stopping = contents.is_stopping;
        }
        assert_eq!(wanted, LETTERS);
        sending.join().unwrap();
    }

    /// Shard 0 writes to 2 and to 1 in one turn; 1 passes its letter on to 2. There it must be the second of
    /// the two.
    #[test]
    fn an_answer_never_overtakes_what_was_sent_before_the_question() {
        const LETTERS: u64 = 50_000;
        let (post, mut pollers) = post(3);
        let (to, via) = (pollers.pop().unwrap(), pollers.pop().unwrap());
        let asking = Arc::clone(&post);
        let zero = thread::spawn(move || {
            for ask in 0..LETTERS {
                let mut routes = [vec![], vec![numbered(ask)], vec![numbered(ask)]];
                while !send(&asking, ShardId(0), &mut routes) {
                    thread::yield_now();
                }
            }
        });
        let passing = Arc::clone(&post);
        let one = thread::spawn(move || {
            receive(&passing, ShardId(1), via, LETTERS, |_, ask| {
                while !send(&passing, ShardId(1), &mut [vec![], vec![], vec![numbered(ask)]]) {
                    thread::yield_now();
                }
            });
        });
        let mut direct = HashSet::new();
        receive(&post, ShardId(2), to, 2 * LETTERS, |from, ask| match from {
            ShardId(0) => assert!(direct.insert(ask)),
            _ => assert!(direct.contains(&ask), "the letter by way of shard 1 has overtaken number {ask}"),
        });
        zero.join().unwrap();
        one.join().unwrap();
    }

    fn receive(
        post: &Post,
        shard: ShardId,
        mut poller: Poller,
        count: u64,
        mut each: impl FnMut(ShardId, u64),
    ) {
        let (mut contents, mut received) = (Contents::default(), 0);
        while received < count {
            if post.may_sleep(shard) {
                poller.wait(None).unwrap();
                post.awake(shard);
            }
            post.take(shard, &mut contents);
            for (from, in_a_row) in std::mem::take(&mut contents.senders) {
                for letter in contents.letters.drain(..in_a_row as usize) {
                    each(from, number(&letter));
                    received += 1;
                }
            }
        }
    }
}
