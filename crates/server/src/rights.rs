//! The rules that are configured: read at the start, and again when they have changed.

use std::{net::IpAddr, sync::Arc};

use dunlin_auth::rights::{
    acl_file::read_acl_file, error::RulesError, rulebook::Rulebook, rules_file::read_rules_file,
};
use dunlin_broker::permissions::{
    Permissions,
    revoked::Revoked,
    rule_set::{RuleSet, Users},
    ruling::Ground,
    subject::Subject,
};
use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};

use crate::{config::model::RightsConfig, shard::mailbox::Post};

/// The name of the rules in all that is kept.
const NAME: &str = "main";

/// Why there are no rules; nothing is allowed then, and the Server does not start.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// The file is not as it must be.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Nobody could say which file counts.
    #[error("[rights] has both `rules_file` and `acl_file`: give one of them")]
    TwoFiles,
}

/// Reads the rules that `config` names, for these users.
///
/// # Errors
/// Each [`RightsError`].
pub fn read(config: &RightsConfig, users: Option<Users>) -> Result<Arc<RuleSet>, RightsError> {
    let rules = match (&config.rules_file, &config.acl_file) {
        (None, None) => RuleSet::open(NAME),
        (Some(file), None) => read_rules_file(NAME, file)?,
        (None, Some(file)) => read_acl_file(NAME, file)?,
        (Some(_), Some(_)) => return Err(RightsError::TwoFiles),
    };
    Ok(Arc::new(rules.with_users(users.map(Arc::new))))
}

/// The same rules, for whoever has not shown one of these certificates.
pub(crate) fn without_revoked(rules: &RuleSet, revoked: Arc<Revoked>) -> Arc<RuleSet> {
    Arc::new(rules.clone().with_revoked(revoked))
}

/// Reads the rules again and puts them in force, for these users, with these certificates revoked.
///
/// # Errors
/// Each [`RightsError`]; then those that were in force stay.
pub(crate) fn put_in_force(
    config: &RightsConfig,
    users: Option<Users>,
    revoked: Arc<Revoked>,
    rulebook: &Rulebook,
    post: &Post,
) -> Result<(), RightsError> {
    let rules =
        read(config, users).inspect_err(|error| tracing::error!(%error, "the rules stay as they were"))?;
    swap(without_revoked(&rules, revoked), rulebook, post);
    Ok(())
}

/// Puts rules in force that were read.
pub(crate) fn swap(rules: Arc<RuleSet>, rulebook: &Rulebook, post: &Post) {
    tracing::info!(rules = rules.len(), "new rules are in force");
    tell(rules, rulebook, post);
}

/// Keeps the rules in force, but for other certificates that are revoked; those who have shown one are disconnected.
pub(crate) fn revoke(revoked: Arc<Revoked>, rulebook: &Rulebook, post: &Post) {
    let current = rulebook.current();
    if current.revoked().map_or(revoked.is_empty(), |known| *known == revoked) {
        return;
    }
    tracing::info!(certificates = revoked.len(), "other certificates are revoked");
    tell(without_revoked(&current, revoked), rulebook, post);
}

fn tell(rules: Arc<RuleSet>, rulebook: &Rulebook, post: &Post) {
    // First for those who come, then for those who are there: nobody slips through in between.
    rulebook.swap(Arc::clone(&rules));
    post.change_rules(&rules);
}

/// Who wants to do something, for [`explain`].
#[derive(Clone, Debug)]
pub struct Asker {
    /// The Client Identifier.
    pub client_id: String,
    /// The user name that was proved, if one was.
    pub user_name: Option<String>,
    /// The groups of the user.
    pub groups: Vec<String>,
    /// Where the Client comes from.
    pub address: IpAddr,
}

/// What somebody wants to do, for [`explain`].
#[derive(Clone, Copy, Debug)]
pub enum Wish<'a> {
    /// To publish such a message.
    Publish {
        /// The Topic Name.
        topic: &'a str,
        /// The QoS, 0 to 2.
        qos: u8,
        /// Whether it is retained.
        retain: bool,
    },
    /// To subscribe.
    Subscribe {
        /// The Topic Filter.
        filter: &'a str,
        /// The QoS, 0 to 2.
        qos: u8,
    },
    /// To get a message that a Subscription matches.
    Receive {
        /// The Topic Name.
        topic: &'a str,
    },
}

/// What the rules say, and which of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// File and line of the rule that decides, if one does.
    pub rule: Option<(String, u32)>,
    /// The same in words.
    pub reason: String,
}

/// Says what the rules in the files that `config` names make of a wish, whoever the users are.
///
/// # Errors
/// If there are no such rules, or the wish is none: what is wrong with it, in words.
pub fn explain(config: &RightsConfig, asker: &Asker, wish: Wish<'_>) -> Result<Explanation, String> {
    let rules = read(config, None).map_err(|error| error.to_string())?;
    let subject = Subject {
        user_name: asker.user_name.as_deref().map(Into::into),
        groups: asker.groups.iter().map(|group| group.as_str().into()).collect(),
        ..Subject::anonymous(&asker.client_id, asker.address)
    };
    let qos_of = |value| QoS::from_value(value).ok_or_else(|| "the QoS is 0, 1 or 2".to_owned());
    let name_of = |text| TopicName::parse(text).map_err(|error| format!("the topic {text:?}: {error}"));
    let permissions = Permissions::new(Arc::new(subject), rules);
    let ruling = match wish {
        Wish::Publish { topic, qos, retain } => {
            permissions.rule_for_publish(name_of(topic)?, qos_of(qos)?, retain)
        }
        Wish::Subscribe { filter, qos } => {
            let parsed = TopicFilter::parse(filter);
            let parsed = parsed.map_err(|error| format!("the Topic Filter {filter:?}: {error}"))?;
            permissions.may_subscribe(parsed, qos_of(qos)?)
        }
        Wish::Receive { topic } => permissions.rule_for_receive(name_of(topic)?),
    };
    let rule = match ruling.ground() {
        Ground::Rule { file, line } => Some((file.to_owned(), line)),
        _ => None,
    };
    let reason = match (&rule, ruling.is_allowed()) {
        (Some((file, line)), true) => format!("the rule at {file}:{line} allows it"),
        (Some((file, line)), false) => format!("the rule at {file}:{line} denies it"),
        (None, _) => ruling.ground().to_string(),
    };
    Ok(Explanation { is_allowed: ruling.is_allowed(), rule, reason })
}
