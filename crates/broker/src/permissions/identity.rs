//! Who a Client was: what stays of its rights when it is gone.

use std::sync::Arc;

use super::subject::Subject;

/// Who a Client is or was, and by which rules it is judged.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// Who.
    pub subject: Arc<Subject>,
    /// The name of the rule set; none if rules came with the Client, which are gone with it.
    pub rules: Option<Arc<str>>,
}
