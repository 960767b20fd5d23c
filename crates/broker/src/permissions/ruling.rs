//! What rules say about one wish of a Client, and why.

use std::fmt;

/// The answer to one question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling<'a> {
    /// It may.
    Allowed(Ground<'a>),
    /// It may not.
    Denied(Ground<'a>),
}

/// What decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ground<'a> {
    /// There are no rules about it, or the first of them allows everything.
    Free,
    /// A rule.
    Rule {
        /// The file it stands in.
        file: &'a str,
        /// Its line, from 1.
        line: u32,
    },
    /// No rule allows it.
    NoRule {
        /// The files with the rules.
        files: &'a str,
    },
    /// `$SYS` belongs to the Server (4.7.2).
    ServerOnly,
    /// The user is not known any more.
    UserGone,
    /// The Client's certificate is revoked.
    CertificateRevoked,
    /// The user name or the Client Identifier has a character with which it could pose as a wildcard.
    UnsafeName {
        /// The files with the rules.
        files: &'a str,
    },
}

impl<'a> Ruling<'a> {
    /// Whether it may.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// What decided.
    #[must_use]
    pub fn ground(&self) -> Ground<'a> {
        match *self {
            Self::Allowed(ground) | Self::Denied(ground) => ground,
        }
    }
}

impl fmt::Display for Ground<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("no rule limits it"),
            Self::Rule { file, line } => write!(f, "{file}:{line}"),
            Self::NoRule { files } => write!(f, "no rule in {files} allows it"),
            Self::ServerOnly => f.write_str("only the Server publishes to $SYS"),
            Self::UserGone => f.write_str("the user is not known any more"),
            Self::CertificateRevoked => f.write_str("the certificate of the Client is revoked"),
            Self::UnsafeName { files } => {
                write!(f, "a name with + or # in it, and {files} has patterns for names")
            }
        }
    }
}
