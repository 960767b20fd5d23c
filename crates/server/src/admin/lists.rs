//! Long lists: asked of one shard after the other, page by page, and passed on as they come.

use std::cmp::{Ordering, Reverse};

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    question::SortKey,
    session::{Group, Session, Subscription},
};
use dunlin_broker::inspect::{
    answer,
    question::{Choice, Question, SubscriptionPlace},
};
use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};

use super::{
    lines::Lines,
    operator::{Operator, Stopped, drops},
    sums::Whole,
    words,
};

/// How many rows may still come.
struct Limit(u64);

impl Limit {
    fn new(limit: Option<u64>) -> Self {
        Self(limit.unwrap_or(u64::MAX))
    }

    /// Leaves away what is too much; says whether there is room for more.
    fn take<T>(&mut self, rows: &mut Vec<T>) -> bool {
        rows.truncate(usize::try_from(self.0).unwrap_or(usize::MAX));
        self.0 -= rows.len() as u64;
        self.0 > 0
    }
}

impl Operator {
    pub(super) async fn list_sessions(
        &self,
        filter: Option<String>,
        connected: Option<bool>,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let choice = words::choice(filter, connected, false);
        let (mut limit, mut matched, mut has_room) = (Limit::new(limit), 0, true);
        for shard in self.facts.shards.all() {
            let mut place = Some(0);
            while let Some(from) = place.take().filter(|_| has_room) {
                let question = Question::Sessions { from, choice: choice.clone() };
                let answer::Answer::Sessions { rows, next } = self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                let mut rows: Vec<Session> = rows.into_iter().map(words::session).collect();
                has_room = limit.take(&mut rows);
                matched += rows.len() as u64;
                if !rows.is_empty() {
                    lines.say(Answer::Sessions { rows, matched }).await?;
                }
                place = next;
            }
        }
        Ok(lines.say_last(Answer::Sessions { rows: Vec::new(), matched }).await?)
    }

    /// Looks at all and keeps the first ones.
    pub(super) async fn sort_sessions(
        &self,
        choice: Choice,
        key: SortKey,
        limit: usize,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let (mut best, mut matched) = (Vec::new(), 0);
        for shard in self.facts.shards.all() {
            let mut place = Some(0);
            while let Some(from) = place.take() {
                let question = Question::Sessions { from, choice: choice.clone() };
                let answer::Answer::Sessions { rows, next } = self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                matched += rows.len() as u64;
                best.extend(rows.into_iter().map(words::session));
                if best.len() >= limit.saturating_mul(2).max(ROWS_MAX) {
                    keep_first(&mut best, key, limit);
                }
                place = next;
            }
        }
        keep_first(&mut best, key, limit);
        while best.len() > ROWS_MAX {
            let rest = best.split_off(ROWS_MAX);
            lines.say(Answer::Sessions { rows: std::mem::replace(&mut best, rest), matched }).await?;
        }
        Ok(lines.say_last(Answer::Sessions { rows: best, matched }).await?)
    }

    pub(super) async fn show_session(&self, client_id: String, lines: &mut Lines) -> Result<(), Stopped> {
        let shards = &self.facts.shards;
        let home = shards.home_of(&client_id);
        let client_id: Box<str> = client_id.into();
        let question = Question::Session { client_id: client_id.clone() };
        let answer::Answer::Session(Some(report)) = shards.ask(home, question).await? else {
            return Ok(lines.refuse(Refusal::NotFound, no_session(&client_id)).await?);
        };
        lines.say(Answer::Session(Box::new(words::session(*report)))).await?;
        let (mut place, mut matched) = (Some(SubscriptionPlace::default()), 0);
        while let Some(from) = place.take() {
            let question = Question::Subscriptions { client_id: Some(client_id.clone()), from };
            let answer::Answer::Subscriptions { rows, next } = shards.ask(home, question).await? else {
                break;
            };
            let rows: Vec<Subscription> = rows.into_iter().map(words::subscription).collect();
            matched += rows.len() as u64;
            if next.is_none() {
                return Ok(lines.say_last(Answer::Subscriptions { rows, matched }).await?);
            }
            lines.say(Answer::Subscriptions { rows, matched }).await?;
            place = next;
        }
        Ok(lines.say_last(Answer::Subscriptions { rows: Vec::new(), matched }).await?)
    }

    pub(super) async fn list_subscriptions(
        &self,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let (mut limit, mut matched, mut has_room) = (Limit::new(limit), 0, true);
        for shard in self.facts.shards.all() {
            let mut place = Some(SubscriptionPlace::default());
            while let Some(from) = place.take().filter(|_| has_room) {
                let question = Question::Subscriptions { client_id: None, from };
                let answer::Answer::Subscriptions { rows, next } =
                    self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                let mut rows: Vec<Subscription> = rows.into_iter().map(words::subscription).collect();
                has_room = limit.take(&mut rows);
                matched += rows.len() as u64;
                if !rows.is_empty() {
                    lines.say(Answer::Subscriptions { rows, matched }).await?;
                }
                place = next;
            }
        }
        Ok(lines.say_last(Answer::Subscriptions { rows: Vec::new(), matched }).await?)
    }

    pub(super) async fn list_subscribers(
        &self,
        topic: String,
        limit: usize,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        if let Err(error) = TopicName::parse(&topic) {
            let message = format!("{topic:?} is no Topic Name: {error}");
            return Ok(lines.refuse(Refusal::BadValue, message).await?);
        }
        let topic_name: Box<str> = topic.into();
        let (mut left, mut matched, mut groups) = (limit, 0, Vec::new());
        for shard in self.facts.shards.all() {
            let question = Question::Subscribers { topic_name: topic_name.clone(), rows_max: left };
            let answer::Answer::Subscribers { rows, total, groups: found } =
                self.facts.shards.ask(shard, question).await?
            else {
                continue;
            };
            matched += total as u64;
            left -= rows.len().min(left);
            groups.extend(found.into_iter().map(words::group));
            let mut rows = rows.into_iter().map(words::subscription).peekable();
            while rows.peek().is_some() {
                let rows = rows.by_ref().take(ROWS_MAX).collect();
                lines.say(Answer::Subscriptions { rows, matched }).await?;
            }
        }
        lines.say(Answer::Subscriptions { rows: Vec::new(), matched }).await?;
        groups.sort_unstable_by(|a: &Group, b| a.topic_filter.cmp(&b.topic_filter));
        Ok(lines.say_last(Answer::Groups { rows: groups }).await?)
    }

    pub(super) async fn list_retained(
        &self,
        filter: Option<String>,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let filter = filter.unwrap_or_else(|| "#".to_owned());
        if let Err(error) = TopicFilter::parse(&filter) {
            let message = format!("{filter:?} is no Topic Filter: {error}");
            return Ok(lines.refuse(Refusal::BadValue, message).await?);
        }
        let topic_filter: Box<str> = filter.into();
        let (mut limit, mut matched, mut has_room) = (Limit::new(limit), 0, true);
        for shard in self.facts.shards.all() {
            let (mut cursor, mut is_done) = (None, false);
            while has_room && !is_done {
                let question = Question::Retained { topic_filter: topic_filter.clone(), from: cursor.take() };
                let answer::Answer::Retained { mut messages, next } =
                    self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                has_room = limit.take(&mut messages);
                for part in messages.chunks(RETAINED_ROWS_MAX) {
                    matched += part.len() as u64;
                    let rows = part.iter().map(words::retained).collect();
                    lines.say(Answer::Retained { rows, matched }).await?;
                }
                is_done = next.is_none();
                cursor = next;
            }
        }
        Ok(lines.say_last(Answer::Retained { rows: Vec::new(), matched }).await?)
    }

    pub(super) async fn show_drops(&self, limit: usize, lines: &mut Lines) -> Result<(), Stopped> {
        let whole = Whole::ask(&self.facts.shards).await?;
        lines.say(Answer::Drops(drops(&whole.counters))).await?;
        let choice = words::choice(None, None, true);
        self.sort_sessions(choice, SortKey::Drops, limit, lines).await
    }
}

/// Sorts the Sessions and keeps the first ones, not more text than [`SORTED_BYTES_MAX`].
fn keep_first(sessions: &mut Vec<Session>, key: SortKey, limit: usize) {
    sessions.sort_by(|a, b| compare(a, b, key));
    sessions.truncate(limit);
    let mut bytes = 0;
    let fitting = sessions.iter().take_while(|session| {
        bytes += session.client_id.len();
        bytes <= SORTED_BYTES_MAX
    });
    let count = fitting.count();
    sessions.truncate(count);
}

fn compare(a: &Session, b: &Session, key: SortKey) -> Ordering {
    let number = |session: &Session| match key {
        SortKey::ClientId => 0,
        SortKey::Queue => session.queue.messages,
        SortKey::QueueBytes => session.queue.bytes,
        SortKey::Drops => session.drops.total(),
        SortKey::InFlight => session.in_flight,
        SortKey::Subscriptions => session.subscriptions,
    };
    Reverse(number(a)).cmp(&Reverse(number(b))).then_with(|| a.client_id.cmp(&b.client_id))
}

/// In words for people.
pub(super) fn no_session(client_id: &str) -> String {
    format!("there is no Session of {client_id:?}")
}

/// Rows in one line.
const ROWS_MAX: usize = 256;
/// Retained Messages in one line: each may have a long topic.
const RETAINED_ROWS_MAX: usize = 64;
/// Bytes of Client Identifiers in a list that has an order.
const SORTED_BYTES_MAX: usize = 8 << 20;
