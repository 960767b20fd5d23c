//! What would become of a message or a Subscription: asked of the shards that would have to do with it, page by page.

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    explain::{GroupOutlook, Publication, Receiver, Receiving},
    question::SORTED_MAX,
};
use dunlin_broker::{
    ids::ShardId,
    inspect::{
        answer,
        explanation::{self, Called, Intent, Receivers, RightReport, Stated, Trial},
        question::Question,
    },
    slot::home_of,
};
use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};

use super::{
    explain_words::{self as words, Asked},
    lines::Lines,
    operator::{Operator, Stopped},
    shards::NoAnswer,
};

impl Operator {
    pub(super) async fn explain_publish(
        &self,
        asked: Asked,
        stated: dunlin_admin_api::explain::Stated,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let is_stated = stated != dunlin_admin_api::explain::Stated::default();
        let (trial, stated) = match (asked.trial(Some(&asked.client_id)), words::stated(stated)) {
            (Ok(trial), Ok(stated)) => (trial, stated),
            (Err(message), _) | (_, Err(message)) => {
                return Ok(lines.refuse(Refusal::BadValue, message).await?);
            }
        };
        let client_id = &asked.client_id;
        let (home, report) = self.right(client_id, stated, Intent::Publish(trial.clone())).await?;
        let RightReport { session, subject, ruling, refusal, .. } = report;
        let is_refused = refusal.is_some();
        let keeping = match trial.retain {
            true if !is_refused => Some(self.keeping(&trial).await?),
            _ => None,
        };
        let publication = Publication {
            who: words::who(client_id, home, &subject, session.map(|session| *session), is_stated),
            ruling: words::ruling(ruling),
            refusal: words::refusal(refusal),
            keeping,
        };
        let answer = Answer::Publication(Box::new(publication));
        if is_refused {
            return Ok(lines.say_last(answer).await?);
        }
        lines.say(answer).await?;
        self.list_receivers(&trial, limit, lines).await?;
        self.list_outlooks(&trial, lines).await
    }

    /// What a Client may, as the home of its Session sees it.
    pub(super) async fn right(
        &self,
        client_id: &str,
        stated: Stated,
        intent: Intent,
    ) -> Result<(ShardId, RightReport), NoAnswer> {
        let shards = &self.facts.shards;
        let home = shards.home_of(client_id);
        let question = Question::Right { client_id: client_id.into(), stated: Box::new(stated), intent };
        match shards.ask(home, question).await? {
            answer::Answer::Right(report) => Ok((home, *report)),
            _ => Err(NoAnswer::Gone),
        }
    }

    async fn keeping(&self, trial: &Trial) -> Result<dunlin_admin_api::explain::KeepingReport, NoAnswer> {
        let shards = &self.facts.shards;
        let home = home_of(&trial.topic_name, shards.count());
        match shards.ask(home, Question::Keeping { trial: trial.clone() }).await? {
            answer::Answer::Keeping(report) => Ok(words::keeping(*report, home)),
            _ => Err(NoAnswer::Gone),
        }
    }

    /// Those who would get it by their own Subscriptions: a page a question, and no more pages than rows are wanted.
    async fn list_receivers(
        &self,
        trial: &Trial,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let mut left = limit.unwrap_or(SORTED_MAX).min(SORTED_MAX) as usize;
        let (mut sessions, mut subscriptions) = (0, 0);
        for shard in self.facts.shards.all() {
            let mut place = Some(0);
            while let Some(from) = place.take().filter(|&from| from == 0 || left > 0) {
                let question = Question::Receivers { trial: trial.clone(), from };
                let answer::Answer::Receivers(Receivers { mut rows, next, total }) =
                    self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                let (more_sessions, more_subscriptions) = total.unwrap_or_default();
                sessions += more_sessions;
                subscriptions += more_subscriptions;
                rows.truncate(left);
                left -= rows.len();
                let rows: Vec<Receiver> = rows.into_iter().map(words::receiver).collect();
                lines.say(Answer::Receivers { rows, sessions, subscriptions }).await?;
                place = next;
            }
        }
        Ok(())
    }

    /// The groups of which one member would get it; the last lines.
    async fn list_outlooks(&self, trial: &Trial, lines: &mut Lines) -> Result<(), Stopped> {
        let (mut rows, mut total) = (Vec::new(), 0);
        for shard in self.facts.shards.all() {
            let rows_max = GROUPS_MAX - rows.len();
            let question = Question::Groups { topic_name: trial.topic_name.clone(), rows_max };
            let answer::Answer::Groups { rows: found, total: more } =
                self.facts.shards.ask(shard, question).await?
            else {
                continue;
            };
            total += more as u64;
            for outlook in found {
                rows.push(self.group_outlook(outlook, trial).await?);
            }
        }
        rows.sort_unstable_by(|a: &GroupOutlook, b| a.group.topic_filter.cmp(&b.group.topic_filter));
        Ok(lines.say_last(Answer::Outlooks { rows, total }).await?)
    }

    /// Whose turn it is in a group, and what would become of the message there.
    pub(super) async fn group_outlook(
        &self,
        outlook: explanation::GroupOutlook,
        trial: &Trial,
    ) -> Result<GroupOutlook, NoAnswer> {
        let explanation::GroupOutlook { report, name, next } = outlook;
        let next = match next {
            None => None,
            Some(member) => {
                let question = Question::Member { group: name, member, trial: trial.clone() };
                match self.facts.shards.ask(member.shard, question).await? {
                    answer::Answer::Member(found) => found.map(|report| words::receiver(*report)),
                    _ => None,
                }
            }
        };
        Ok(GroupOutlook { group: super::words::group(report), next })
    }

    pub(super) async fn explain_receive(
        &self,
        client_id: String,
        topic: String,
        stated: dunlin_admin_api::explain::Stated,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let is_stated = stated != dunlin_admin_api::explain::Stated::default();
        if let Err(error) = TopicName::parse(&topic) {
            let message = format!("{topic:?} is no Topic Name: {error}");
            return Ok(lines.refuse(Refusal::BadValue, message).await?);
        }
        let stated = match words::stated(stated) {
            Ok(stated) => stated,
            Err(message) => return Ok(lines.refuse(Refusal::BadValue, message).await?),
        };
        let intent = Intent::Receive { topic_name: topic.into() };
        let (home, report) = self.right(&client_id, stated, intent).await?;
        let RightReport { session, subject, ruling, refusal, .. } = report;
        let receiving = Receiving {
            who: words::who(&client_id, home, &subject, session.map(|session| *session), is_stated),
            ruling: words::ruling(ruling),
            refusal: words::refusal(refusal),
        };
        Ok(lines.say_last(Answer::Receiving(Box::new(receiving))).await?)
    }

    pub(super) async fn explain_subscribe(
        &self,
        client_id: String,
        (topic_filter, qos): (String, u8),
        stated: dunlin_admin_api::explain::Stated,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let is_stated = stated != dunlin_admin_api::explain::Stated::default();
        let parsed = TopicFilter::parse(&topic_filter)
            .map_err(|error| format!("{topic_filter:?} is no Topic Filter: {error}"));
        let (filter, qos, stated) = match (parsed, words::qos(qos), words::stated(stated)) {
            (Ok(filter), Ok(qos), Ok(stated)) => (filter, qos, stated),
            (Err(message), _, _) | (_, Err(message), _) | (_, _, Err(message)) => {
                return Ok(lines.refuse(Refusal::BadValue, message).await?);
            }
        };
        let is_shared = filter.share().is_some();
        let intent = Intent::Subscribe { topic_filter: topic_filter.as_str().into(), qos };
        let (home, report) = self.right(&client_id, stated, intent).await?;
        let permissions = Box::new(report.permissions.clone());
        let place = (client_id.as_str(), home);
        let subscribing = words::subscribing(report, place, (&topic_filter, qos), is_shared, is_stated);
        let has_more = subscribing.refusal.is_none() && !is_shared;
        let answer = Answer::Subscribing(Box::new(subscribing));
        if !has_more {
            return Ok(lines.say_last(answer).await?);
        }
        lines.say(answer).await?;
        self.list_called(&topic_filter, permissions, limit, lines).await
    }

    /// The Retained Messages that a Subscription would call for.
    async fn list_called(
        &self,
        topic_filter: &str,
        permissions: Box<dunlin_broker::permissions::Permissions>,
        limit: Option<u64>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let mut left = limit.unwrap_or(SORTED_MAX).min(SORTED_MAX) as usize;
        let (mut messages, mut denied, mut is_cut) = (0, 0, false);
        for shard in self.facts.shards.all() {
            let (mut cursor, mut is_done) = (None, false);
            while !is_done && !is_cut {
                let question = Question::Called {
                    permissions: permissions.clone(),
                    topic_filter: topic_filter.into(),
                    from: cursor.take(),
                };
                let answer::Answer::Called(Called { rows, next }) =
                    self.facts.shards.ask(shard, question).await?
                else {
                    break;
                };
                let refused = rows.iter().filter(|row| row.objection.is_some()).count();
                denied += refused as u64;
                messages += (rows.len() - refused) as u64;
                for part in rows[..rows.len().min(left)].chunks(ROWS_MAX) {
                    let rows = part.iter().map(words::called).collect();
                    lines.say(Answer::Called { rows, messages, denied, is_cut }).await?;
                }
                left -= rows.len().min(left);
                is_cut = messages + denied >= COUNTED_MAX && next.is_some();
                is_done = next.is_none();
                cursor = next;
            }
        }
        Ok(lines.say_last(Answer::Called { rows: Vec::new(), messages, denied, is_cut }).await?)
    }
}

/// Groups that are listed.
const GROUPS_MAX: usize = 64;
/// Rows in one line: each may have a long topic.
const ROWS_MAX: usize = 64;
/// Retained Messages that are counted.
const COUNTED_MAX: u64 = 100_000;
