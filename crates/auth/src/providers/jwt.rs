//! Tokens in the place of passwords: JSON Web Tokens (RFC 7519), signed by somebody whom the Server trusts.

use std::{collections::HashSet, fmt};

use dunlin_packet::reason_code::ReasonCode;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};

use self::keys::{Key, KeySource, Keys};
use crate::{
    authenticator::{Authenticator, Grant, ProviderError, Question, Verdict, VerdictFuture},
    claims::{self, Claims},
};

pub mod keys;
mod verifier;

/// Knows all Clients whose password is a token; what is not one is the next provider's. The user name of CONNECT does not matter.
pub struct Jwt {
    name: Box<str>,
    config: JwtConfig,
    keys: Keys,
}

/// What a token must be like, and what is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// Who signs.
    pub keys: KeySource,
    /// The algorithms that are taken, such as `RS256`; those of the keys if it is empty.
    pub algorithms: Vec<String>,
    /// The issuers that are taken; all if it is empty.
    pub issuers: Vec<String>,
    /// The audiences that are taken; all if it is empty.
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway_s: u32,
    /// Whether a token without `exp` is refused.
    pub needs_expiry: bool,
    /// The claim with the user name; a token without it is refused.
    pub user_name_claim: String,
    /// The claim with the Client Identifier, if there is one.
    pub client_id_claim: String,
    /// The claim with the groups, if there is one.
    pub groups_claim: String,
    /// The claim with the rights, if there is one.
    pub rights_claim: String,
}

impl Jwt {
    /// Reads the keys, or prepares to fetch them.
    ///
    /// # Errors
    /// [`ProviderError`] if they cannot be read, or an algorithm is not known.
    pub fn open(name: &str, config: JwtConfig) -> Result<Self, ProviderError> {
        verifier::install();
        if let Some(unknown) = config.algorithms.iter().find(|name| name.parse::<Algorithm>().is_err()) {
            return Err(ProviderError(format!(
                "the algorithm `{unknown}` is not known; expected such as \"RS256\""
            )));
        }
        let keys = Keys::open(name, &config.keys)?;
        Ok(Self { name: name.into(), config, keys })
    }

    async fn check(&self, token: &[u8]) -> Verdict {
        let Ok(header) = decode_header(token) else { return Verdict::NotMine };
        let is_taken = self.config.algorithms.is_empty()
            || self.config.algorithms.iter().any(|name| name.parse() == Ok(header.alg));
        if !is_taken {
            return self.refuse(&format!("the algorithm {:?} is not taken here", header.alg));
        }
        let Some(keys) = self.keys.of(header.kid.as_deref()).await else {
            return Verdict::Deny(ReasonCode::ServerUnavailable);
        };
        let mut why = "no key is for it".to_owned();
        for key in keys.iter().filter(|key| key.algorithms.contains(&header.alg)) {
            match decode::<Claims>(token, &key.key, &self.validation(key)) {
                Ok(token) => return self.grant(&token.claims).unwrap_or_else(|error| self.refuse(&error)),
                Err(error) => why = error.to_string(),
            }
        }
        self.refuse(&why)
    }

    fn validation(&self, key: &Key) -> Validation {
        let JwtConfig { issuers, audiences, leeway_s, needs_expiry, .. } = &self.config;
        let mut validation = Validation {
            algorithms: key.algorithms.clone(),
            leeway: u64::from(*leeway_s),
            validate_nbf: true,
            validate_aud: !audiences.is_empty(),
            ..Validation::default()
        };
        let mut required = HashSet::new();
        if *needs_expiry {
            required.insert("exp".to_owned());
        }
        if !issuers.is_empty() {
            validation.set_issuer(issuers);
            required.insert("iss".to_owned());
        }
        if !audiences.is_empty() {
            validation.set_audience(audiences);
            required.insert("aud".to_owned());
        }
        validation.required_spec_claims = required;
        validation
    }

    fn grant(&self, claims: &Claims) -> Result<Verdict, String> {
        let JwtConfig { user_name_claim, client_id_claim, groups_claim, rights_claim, .. } = &self.config;
        let user_name = claims::text(claims, user_name_claim)?;
        let grant = Grant {
            user_name: Some(user_name.ok_or_else(|| format!("it has no `{user_name_claim}`"))?),
            groups: claims::texts(claims, groups_claim)?,
            rules: claims::rights(claims, rights_claim, "the token")?,
            expires: claims::time(claims, "exp")?,
            client_id: claims::text(claims, client_id_claim)?,
        };
        Ok(Verdict::Grant { grant, data: Vec::new() })
    }

    fn refuse(&self, why: &str) -> Verdict {
        tracing::debug!(provider = &*self.name, "a token is refused: {why}");
        // A signature cannot be guessed, so there is nothing to delay.
        Verdict::Deny(ReasonCode::NotAuthorized)
    }
}

impl Authenticator for Jwt {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        match &question.credentials.password {
            Some(token) if question.credentials.method.is_none() => Box::pin(self.check(token)),
            _ => Box::pin(async { Verdict::NotMine }),
        }
    }

    fn refresh(&self) -> Result<bool, ProviderError> {
        self.keys.refresh()
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("name", &self.name).field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
