//! What an operator does to Clients; each act stands in the log with who asked for it.

use std::sync::Arc;

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    question::REASON_BYTES_MAX,
};
use dunlin_broker::inspect::{
    answer::{self, Deletion},
    question::Question,
};
use tokio::task::spawn_blocking;

use crate::reload::Reloaded;
use dunlin_packet::reason_code::ReasonCode;

use super::{
    lines::Lines,
    lists::no_session,
    operator::{Operator, Stopped},
};

impl Operator {
    pub(super) async fn disconnect(
        &self,
        client_id: String,
        reason: Option<String>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let reason = reason.unwrap_or_default();
        // A Reason String is a UTF-8 Encoded String (1.5.4).
        if reason.len() > REASON_BYTES_MAX || reason.contains('\0') {
            let message = format!("a reason has at most {REASON_BYTES_MAX} bytes, none of them 0");
            return Ok(lines.refuse(Refusal::BadValue, message).await?);
        }
        self.log("disconnect", Some(&client_id));
        let shards = &self.facts.shards;
        let (client, code) = (client_id.as_str().into(), ReasonCode::AdministrativeAction);
        let question = Question::Disconnect { client_id: client, code, reason: reason.into() };
        match shards.ask(shards.home_of(&client_id), question).await? {
            answer::Answer::Disconnected(true) => {
                let message = format!("{client_id:?} is disconnected");
                Ok(lines.say_last(Answer::Done { message }).await?)
            }
            _ => {
                let message = format!("{client_id:?} is not connected");
                Ok(lines.refuse(Refusal::NotFound, message).await?)
            }
        }
    }

    pub(super) async fn delete(&self, client_id: String, lines: &mut Lines) -> Result<(), Stopped> {
        self.log("delete the Session", Some(&client_id));
        let shards = &self.facts.shards;
        let question = Question::Delete { client_id: client_id.as_str().into() };
        let answer::Answer::Deleted(deletion) = shards.ask(shards.home_of(&client_id), question).await?
        else {
            return Ok(lines.refuse(Refusal::Unavailable, "the shard did not understand").await?);
        };
        match deletion {
            Deletion::Done => {
                let message = format!("the Session of {client_id:?} is deleted");
                Ok(lines.say_last(Answer::Done { message }).await?)
            }
            Deletion::Unknown => Ok(lines.refuse(Refusal::NotFound, no_session(&client_id)).await?),
            Deletion::NotDurable => {
                let message = format!(
                    "the Session of {client_id:?} is deleted, but the storage has failed: after a restart it may be \
                     there again"
                );
                Ok(lines.refuse(Refusal::NotDurable, message).await?)
            }
        }
    }

    /// Reads the configuration and its files again.
    pub(super) async fn reload(&self, lines: &mut Lines) -> Result<(), Stopped> {
        self.log("reload", None);
        let reloader = Arc::clone(&self.facts.reloader);
        // It waits for the disk.
        let answer = match spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(Reloaded { changed, restart })) => Answer::Reloaded { changed, restart },
            Ok(Err(error)) => {
                let message = format!("nothing is changed, for what was read cannot be used:\n{error}");
                Answer::Refused { why: Refusal::BadConfiguration, message }
            }
            Err(_) => {
                let message = "the Server shuts down, or a part of it has failed".to_owned();
                Answer::Refused { why: Refusal::Unavailable, message }
            }
        };
        Ok(lines.say_last(answer).await?)
    }

    fn log(&self, act: &'static str, client_id: Option<&str>) {
        tracing::info!(act, client_id, uid = self.uid, pid = self.pid, "an operator acts");
    }
}
