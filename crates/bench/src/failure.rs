//! What ends a run before it has figures: one line for a person, an exit code for a script.

use std::fmt::Display;

use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::version::ProtocolVersion;

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: i32,
}

/// The exit code of a run in which messages were lost, doubled, out of order or changed, or that did not come to its
/// end.
pub(crate) const NOT_VALID: i32 = 20;

impl Failure {
    /// Wrong options, no Server, limits of this machine: 1.
    pub(crate) fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// The Server refuses; the code is that of CONNACK in the numbers of the version, or the Reason Code.
    pub(crate) fn refused(what: impl Display, reason_code: ReasonCode, version: ProtocolVersion) -> Self {
        let code = match version.has_properties() {
            true => reason_code.value(),
            false => reason_code.connect_return_code(),
        };
        let message = format!("the Server refuses {what}: {reason_code}{}", advice(reason_code));
        Self { message, code: i32::from(code) }
    }
}

/// What to do next, after the Reason Code.
fn advice(reason_code: ReasonCode) -> &'static str {
    match reason_code {
        ReasonCode::BadUserNameOrPassword => "; check -u and -P",
        ReasonCode::NotAuthorized => "; check -u and -P, and what the Server allows this user",
        ReasonCode::ClientIdentifierNotValid => "; give other client ids with -i",
        ReasonCode::UnsupportedProtocolVersion => "; try another version with -V",
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => "; it may have too many connections",
        ReasonCode::ConnectionRateExceeded => "; connect more slowly with --connect-rate",
        ReasonCode::QuotaExceeded => "; it has a limit on this",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_keeps_the_number_of_its_version() {
        let refused = |version| Failure::refused("connection 3", ReasonCode::BadUserNameOrPassword, version);
        assert_eq!(refused(ProtocolVersion::V3_1_1).code, 4);
        let failure = refused(ProtocolVersion::V5_0);
        assert_eq!(failure.code, 134);
        let expected = "the Server refuses connection 3: Bad User Name or Password (0x86); check -u and -P";
        assert_eq!(failure.message, expected);
    }
}
