//! Bans at the wish of an operator.

use std::sync::Arc;

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    ban,
    question::REASON_BYTES_MAX,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::task::spawn_blocking;

use crate::bans::{
    ban::{Ban, Origin},
    list::NotAdded,
};

use super::{
    expelling::expel,
    lines::Lines,
    operator::{Operator, Stopped},
};

impl Operator {
    /// Makes a ban, and disconnects whom it is about.
    pub(super) async fn ban(&self, ban: Ban, lines: &mut Lines) -> Result<(), Stopped> {
        let reason = ban.reason.clone().unwrap_or_default();
        if reason.len() > REASON_BYTES_MAX || reason.contains('\0') {
            let message = format!("a reason has at most {REASON_BYTES_MAX} bytes, none of them 0");
            return Ok(lines.refuse(Refusal::BadValue, message).await?);
        }
        let who = match ban.who() {
            Ok(who) => Arc::new(who),
            Err(message) => return Ok(lines.refuse(Refusal::BadValue, message).await?),
        };
        let bans = Arc::clone(&self.facts.desk.bans);
        let added = spawn_blocking(move || bans.add(ban)).await;
        let (id, trouble) = match added {
            Ok(Ok(ban)) => {
                self.log_ban("ban", &ban);
                (Some(ban.id), None)
            }
            Ok(Err(error @ NotAdded::NotKept(_))) => (None, Some(error)),
            Ok(Err(error @ NotAdded::Bad(_))) => return Ok(lines.refuse(Refusal::BadValue, error).await?),
            Ok(Err(error @ NotAdded::Full)) => return Ok(lines.refuse(Refusal::Busy, error).await?),
            Err(_) => return Ok(lines.refuse(Refusal::Unavailable, "the Server shuts down").await?),
        };
        let reason = if reason.is_empty() { "banned".to_owned() } else { format!("banned: {reason}") };
        let count = expel(&self.facts.shards, &who, ReasonCode::AdministrativeAction, &reason).await?;
        if let Some(error) = trouble {
            tracing::error!(%error, "a ban is not kept");
            return Ok(lines.refuse(Refusal::NotDurable, error).await?);
        }
        let until = if self.facts.desk.bans.are_kept() { "" } else { ", until the Server ends" };
        let message =
            format!("ban {} counts{until}; {count} connected Clients were disconnected", id.unwrap_or(0));
        Ok(lines.say_last(Answer::Done { message }).await?)
    }

    /// Takes a ban away.
    pub(super) async fn unban(&self, id: u64, lines: &mut Lines) -> Result<(), Stopped> {
        let bans = Arc::clone(&self.facts.desk.bans);
        match spawn_blocking(move || bans.remove(id)).await {
            Ok(Ok(Some(ban))) => {
                self.log_ban("remove the ban", &ban);
                let again = match ban.origin {
                    Origin::Configuration => "; it stands in the configuration and is back after a restart",
                    Origin::Operator | Origin::Flapping => "",
                };
                let message = format!("ban {id} is gone{again}");
                Ok(lines.say_last(Answer::Done { message }).await?)
            }
            Ok(Ok(None)) => Ok(lines.refuse(Refusal::NotFound, format!("there is no ban {id}")).await?),
            Ok(Err(error)) => {
                let message =
                    format!("ban {id} is gone until the Server ends, but that cannot be written: {error}");
                Ok(lines.refuse(Refusal::NotDurable, message).await?)
            }
            Err(_) => Ok(lines.refuse(Refusal::Unavailable, "the Server shuts down").await?),
        }
    }

    /// Lists them.
    pub(super) async fn list_bans(&self, lines: &mut Lines) -> Result<(), Stopped> {
        let all = self.facts.desk.bans.all();
        for some in all.chunks(ROWS_MAX) {
            lines.say(Answer::Bans { rows: some.iter().cloned().map(words).collect() }).await?;
        }
        Ok(lines.say_last(Answer::Bans { rows: Vec::new() }).await?)
    }

    fn log_ban(&self, act: &'static str, ban: &Ban) {
        let Ban { id, user, client_id, address, reason, .. } = ban;
        let (uid, pid) = (self.uid, self.pid);
        tracing::info!(act, id, user, client_id, address, reason, uid, pid, "an operator acts");
    }
}

fn words(ban: Ban) -> ban::Ban {
    let Ban { id, user, client_id, address, reason, made_at_ms, expires_at_ms, origin } = ban;
    let origin = match origin {
        Origin::Operator => ban::Origin::Operator,
        Origin::Configuration => ban::Origin::Configuration,
        Origin::Flapping => ban::Origin::Flapping,
    };
    ban::Ban { id, user, client_id, address, reason, made_at_ms, expires_at_ms, origin }
}

/// Bans in one line.
const ROWS_MAX: usize = 256;
