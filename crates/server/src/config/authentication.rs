//! Who may connect: what `[[auth]]` has, and what `[limits]` has about wrong passwords.

use std::path::PathBuf;

use dunlin_auth::{
    providers::{certificate::NameSource, http::OnFailure},
    secret::Secret,
};

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Tells it from the others, for the listeners that ask it.
    pub name: String,
    /// What it is; always there in a configuration that was read.
    pub kind: Option<AuthKind>,
    /// The password file.
    pub file: Option<PathBuf>,
    /// Seconds for which an answer is remembered; the kind has a default.
    pub cache_s: Option<u32>,
    /// How many answers are remembered.
    pub cache_entries_max: u32,
    /// Which name of a certificate is the user name.
    pub user_name: NameSource,
    /// The secret that tokens are signed with.
    pub secret: Option<Secret>,
    /// A file with it.
    pub secret_file: Option<PathBuf>,
    /// The public key that tokens are signed with.
    pub public_key_file: Option<PathBuf>,
    /// A set of such keys.
    pub jwks_file: Option<PathBuf>,
    /// A service that publishes one.
    pub jwks_url: Option<String>,
    /// Seconds for which such a set is used.
    pub jwks_refresh_s: u32,
    /// The algorithms that are taken; those of the keys if it is empty.
    pub algorithms: Vec<String>,
    /// The issuers that are taken; all if it is empty.
    pub issuers: Vec<String>,
    /// The audiences that are taken; all if it is empty.
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway_s: u32,
    /// Whether a token without an end is refused.
    pub needs_expiry: bool,
    /// The claim with the user name.
    pub user_name_claim: String,
    /// The claim with the Client Identifier.
    pub client_id_claim: String,
    /// The claim with the groups.
    pub groups_claim: String,
    /// The claim with the rights.
    pub rights_claim: String,
    /// The service that is asked.
    pub url: Option<String>,
    /// The header Authorization for it.
    pub authorization: Option<Secret>,
    /// A file with it.
    pub authorization_file: Option<PathBuf>,
    /// Certificates of those who issue the certificates of services.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds that a service has for an answer.
    pub time_limit_ms: u32,
    /// Questions to a service at a time.
    pub concurrent_max: u32,
    /// What happens if it does not answer.
    pub on_failure: OnFailure,
}

/// What a provider is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthKind {
    /// Users and hashed passwords in a file.
    PasswordFile,
    /// SCRAM-SHA-256, with the users of a file.
    Scram,
    /// The certificate that a Client shows in TLS.
    Certificate,
    /// A token in the place of the password.
    Jwt,
    /// Another service.
    Http,
}

/// What wrong passwords cost, and what checking them may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginConfig {
    /// Passwords that are hashed at a time; 0 is one less than there are cores.
    pub hashing_threads: u16,
    /// Bytes of memory for all of them.
    pub hashing_memory_bytes_max: u64,
    /// Wrong passwords of one user from one address without a consequence.
    pub failed_logins_free: u32,
    /// Seconds of the longest delay; 0 turns the delays off.
    pub failed_login_delay_max_s: u32,
    /// Entries of each table of failures.
    pub failed_login_entries_max: u32,
}

impl AuthConfig {
    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { file, secret_file, public_key_file, jwks_file, authorization_file, ca_file, .. } = self;
        [file, secret_file, public_key_file, jwks_file, authorization_file, ca_file].into_iter().flatten()
    }
}

impl AuthKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PasswordFile, Self::Scram, Self::Certificate, Self::Jwt, Self::Http];

    /// As it is written in a configuration file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PasswordFile => "password_file",
            Self::Scram => "scram",
            Self::Certificate => "certificate",
            Self::Jwt => "jwt",
            Self::Http => "http",
        }
    }

    /// The keys that only some kinds have, and this one has.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::PasswordFile => &["file", "cache_s", "cache_entries_max"],
            Self::Scram => &["file"],
            Self::Certificate => &["user_name"],
            Self::Jwt => &[
                "secret",
                "secret_file",
                "public_key_file",
                "jwks_file",
                "jwks_url",
                "jwks_refresh_s",
                "algorithms",
                "issuers",
                "audiences",
                "leeway_s",
                "needs_expiry",
                "user_name_claim",
                "client_id_claim",
                "groups_claim",
                "rights_claim",
                "ca_file",
                "time_limit_ms",
            ],
            Self::Http => &[
                "url",
                "authorization",
                "authorization_file",
                "ca_file",
                "time_limit_ms",
                "concurrent_max",
                "on_failure",
                "cache_s",
                "cache_entries_max",
            ],
        }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: None,
            file: None,
            cache_s: None,
            cache_entries_max: 100_000,
            user_name: NameSource::default(),
            secret: None,
            secret_file: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            jwks_refresh_s: 300,
            algorithms: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_s: 30,
            needs_expiry: true,
            user_name_claim: "sub".to_owned(),
            client_id_claim: "client_id".to_owned(),
            groups_claim: "groups".to_owned(),
            rights_claim: "rights".to_owned(),
            url: None,
            authorization: None,
            authorization_file: None,
            ca_file: None,
            time_limit_ms: 3_000,
            concurrent_max: 64,
            on_failure: OnFailure::default(),
        }
    }
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            hashing_threads: 0,
            hashing_memory_bytes_max: 256 << 20,
            failed_logins_free: 5,
            failed_login_delay_max_s: 60,
            failed_login_entries_max: 100_000,
        }
    }
}
