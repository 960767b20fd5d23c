//! One ban, and whom it is about.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dunlin_broker::permissions::{
    subject::Subject,
    who::{NamePattern, Network, Who},
};
use serde::{Deserialize, Serialize};

use crate::config::bans::BanConfig;

/// One ban: whoever fits all that it names may not come in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    /// Tells it from the others; counted from 1.
    pub(crate) id: u64,
    /// A user name, or its beginning and `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// A Client Identifier, or its beginning and `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// An address, or a range of them such as `192.0.2.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Why, for the operator and for the Client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub(crate) made_at_ms: u64,
    /// When it is over; never if there is nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at_ms: Option<u64>,
    /// Where it comes from; only those of operators are in the file.
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// Where a ban comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Origin {
    /// An operator has made it.
    #[default]
    Operator,
    /// It stands in the configuration.
    Configuration,
    /// The Client has come too often.
    Flapping,
}

impl Ban {
    /// One that an operator wants, without a number yet.
    pub(crate) fn of_operator(
        user: Option<String>,
        client_id: Option<String>,
        address: Option<String>,
        for_s: Option<u64>,
        reason: Option<String>,
    ) -> Self {
        let expires_at_ms = for_s.map(|seconds| now_ms().saturating_add(seconds.saturating_mul(1_000)));
        let origin = Origin::Operator;
        Self { id: 0, user, client_id, address, reason, made_at_ms: 0, expires_at_ms, origin }
    }

    /// Whom it is about.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn who(&self) -> Result<Who, String> {
        if self.user.is_none() && self.client_id.is_none() && self.address.is_none() {
            return Err("a ban names a user, a client_id or an address".to_owned());
        }
        // A Client Identifier of a Client that comes too often is never a pattern.
        let pattern = |name: &String| match self.origin {
            Origin::Flapping => NamePattern::Exact(name.as_str().into()),
            Origin::Operator | Origin::Configuration => NamePattern::parse(name),
        };
        let address = self.address.as_deref().map(network).transpose()?;
        Ok(Who {
            users: self.user.iter().map(pattern).collect(),
            client_ids: self.client_id.iter().map(pattern).collect(),
            addresses: address.into_iter().collect(),
            ..Who::default()
        })
    }

    /// Whether it counts no more.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}

impl From<BanConfig> for Ban {
    fn from(config: BanConfig) -> Self {
        let BanConfig { user, client_id, address, reason } = config;
        let (made_at_ms, origin) = (0, Origin::Configuration);
        Self { id: 0, user, client_id, address, reason, made_at_ms, expires_at_ms: None, origin }
    }
}

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an address such as 192.0.2.1, or a range such as 192.0.2.0/24 or 2001:db8::/32"
        )
    })
}

/// A Client before it has proved who it is.
pub(super) fn stranger(client_id: &str, address: IpAddr) -> Subject {
    Subject::anonymous(client_id, address)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
