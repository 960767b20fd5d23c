//! The rules that are configured: read at the start, and again when they have changed.

use std::sync::Arc;

use dunlin_auth::rights::{acl_file::read_acl_file, error::RulesError, rules_file::read_rules_file};
use dunlin_broker::permissions::rule_set::{RuleSet, Users};

use crate::config::model::RightsConfig;

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
