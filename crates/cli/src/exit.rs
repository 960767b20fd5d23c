//! What the process says and returns when it fails.

use std::fmt::Display;

use dunlin_client::error::{ConnectError, ConnectionError, Error, Failure as Below, TlsFailure};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::version::ProtocolVersion;

/// A failure: one line for a person and an exit code for a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: i32,
    /// Wrong options are always told, also with `--quiet`.
    pub(crate) is_usage: bool,
}

/// The exit code when `-W` has run out.
pub(crate) const TIMED_OUT: i32 = 27;

impl Failure {
    /// Wrong options: 1.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1, is_usage: true }
    }

    /// Anything else that went wrong on this side: 1.
    pub(crate) fn other(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1, is_usage: false }
    }

    /// Anything that has a code of its own.
    pub(crate) fn coded(code: i32, message: impl Display) -> Self {
        Self { message: message.to_string(), code, is_usage: false }
    }

    /// The Server refused something in its acknowledgement: the Reason Code.
    pub(crate) fn refused(what: impl Display, reason_code: ReasonCode) -> Self {
        let message = format!("the Server refuses {what}: {reason_code}{}", advice(reason_code));
        Self { message, code: i32::from(reason_code.value()), is_usage: false }
    }

    /// No connection, or no more: the code of CONNACK in the numbers of the version, the Reason Code of a DISCONNECT,
    /// mosquitto's 7 for a connection that is closed at once and 8 for TLS, or 1.
    pub(crate) fn connection(error: &ConnectionError, version: ProtocolVersion) -> Self {
        let (code, advice) = match error {
            ConnectionError::Refused { reason_code, .. } if version.has_properties() => {
                (reason_code.value(), advice(*reason_code))
            }
            ConnectionError::Refused { reason_code, .. } => {
                (reason_code.connect_return_code(), advice(*reason_code))
            }
            ConnectionError::ByServer { reason_code, .. } if reason_code.is_error() => {
                (reason_code.value(), advice(*reason_code))
            }
            ConnectionError::ClosedAtOnce(_) | ConnectionError::NotMqtt(_) => (CLOSED, ""),
            ConnectionError::Below(Below::Tls(failure)) => (TLS, tls_advice(failure)),
            ConnectionError::Network(error) => match &**error {
                ConnectError::Below { failure: Below::Tls(failure), .. } => (TLS, tls_advice(failure)),
                _ => (1, ""),
            },
            _ => (1, ""),
        };
        Self { message: format!("{error}{advice}"), code: i32::from(code), is_usage: false }
    }

    /// A request failed.
    pub(crate) fn request(what: impl Display, error: &Error, version: ProtocolVersion) -> Self {
        match error {
            Error::Refused(reason_code) => Self::refused(what, *reason_code),
            Error::Ended(error) => Self::connection(error, version),
            Error::Request(error) => Self::other(format!("cannot send {what}: {error}")),
            error => Self::other(error),
        }
    }
}

/// The exit code when the Server closes the connection before it says a word of MQTT.
const CLOSED: u8 = 7;
/// The exit code when there is no TLS.
const TLS: u8 = 8;

/// What to do next, after TLS has failed.
fn tls_advice(failure: &TlsFailure) -> &'static str {
    match failure {
        TlsFailure::UnknownCa | TlsFailure::OtherCa => "; give the certificate of its CA with --cafile",
        TlsFailure::WrongName { .. } => {
            "; give one of these names with -h, or do without the name with --insecure"
        }
        TlsFailure::NotTls(_) | TlsFailure::ClosedAtOnce => {
            "; give the port of a listener for TLS with -p, or leave the options of TLS out"
        }
        TlsFailure::CertificateWanted => "; give one with --cert and --key",
        TlsFailure::CertificateRefused(_) => "; give another one with --cert and --key",
        _ => "",
    }
}

/// What to do next, after the Reason Code.
fn advice(reason_code: ReasonCode) -> &'static str {
    match reason_code {
        ReasonCode::BadUserNameOrPassword => "; check -u and -P",
        ReasonCode::NotAuthorized => "; check -u and -P, and what the Server allows this user",
        ReasonCode::ClientIdentifierNotValid => "; give another client id with -i",
        ReasonCode::UnsupportedProtocolVersion => "; try another version with -V",
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => "; try again later",
        ReasonCode::SessionTakenOver => "; another client uses the same id, give another one with -i",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_number_of_its_version() {
        let error = |reason_code| ConnectionError::Refused { reason_code, reason: None };
        for (reason_code, old, new) in [
            (ReasonCode::UnsupportedProtocolVersion, 1, 132),
            (ReasonCode::ClientIdentifierNotValid, 2, 133),
            (ReasonCode::ServerUnavailable, 3, 136),
            (ReasonCode::BadUserNameOrPassword, 4, 134),
            (ReasonCode::NotAuthorized, 5, 135),
        ] {
            let error = error(reason_code);
            assert_eq!(Failure::connection(&error, ProtocolVersion::V3_1_1).code, old);
            assert_eq!(Failure::connection(&error, ProtocolVersion::V5_0).code, new);
        }
        let failure = Failure::connection(&error(ReasonCode::BadUserNameOrPassword), ProtocolVersion::V5_0);
        let expected = "the Server refuses the connection: Bad User Name or Password (0x86); check -u and -P";
        assert_eq!(failure.message, expected);
    }

    #[test]
    fn everything_else_is_1() {
        assert_eq!(Failure::connection(&ConnectionError::Lost, ProtocolVersion::V5_0).code, 1);
        assert_eq!(Failure::usage("x").code, 1);
        let refused = Error::Refused(ReasonCode::NotAuthorized);
        assert_eq!(Failure::request("the message", &refused, ProtocolVersion::V5_0).code, 135);
    }
}
