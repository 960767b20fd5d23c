//! The Authentication Method SCRAM-SHA-256 (RFC 5802, RFC 7677): the password never crosses the network, and the Server proves that
//! it knows it as well.

use data_encoding::BASE64;
use dunlin_passwords::scram::{ScramKeys, ScramProof};

use crate::authentication::{AuthenticationError, Begun, Exchange, Method};

/// A user and a password for SCRAM-SHA-256.
#[derive(Clone)]
pub struct Scram {
    user_name: String,
    password: Vec<u8>,
}

/// Where an exchange stands.
struct Proving {
    password: Vec<u8>,
    /// The first message, without what says that there is no channel binding.
    bare: String,
    nonce: String,
    /// What the Server must say in the end, once this is known.
    signature: Option<[u8; 32]>,
}

impl Scram {
    /// The name of the method.
    pub const NAME: &'static str = "SCRAM-SHA-256";

    /// Proves the `password` of the user `user_name`.
    #[must_use]
    pub fn new(user_name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        Self { user_name: user_name.into(), password: password.into() }
    }

    fn begin_with(&self, nonce: String) -> (String, Proving) {
        let prepared = stringprep::saslprep(&self.user_name);
        let name = prepared.map_or_else(|_| self.user_name.clone(), |name| name.into_owned());
        let bare = format!("n={},r={nonce}", name.replace('=', "=3D").replace(',', "=2C"));
        let first = format!("n,,{bare}");
        (first, Proving { password: self.password.clone(), bare, nonce, signature: None })
    }
}

impl Method for Scram {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn begin(&self) -> Result<Begun, AuthenticationError> {
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(|error| {
            AuthenticationError(format!("there are no random numbers for SCRAM: {error}"))
        })?;
        let (first, proving) = self.begin_with(BASE64.encode(&random));
        Ok(Begun { data: Some(first.into_bytes()), exchange: Box::new(proving) })
    }
}

impl Exchange for Proving {
    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Vec<u8>>, AuthenticationError> {
        if self.signature.is_some() {
            return Err(wrong("it asks for more after the proof"));
        }
        let challenge = str::from_utf8(data.unwrap_or_default()).map_err(|_| wrong("it is no text"))?;
        let mut parts = challenge.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or_else(|| wrong("it has no nonce"))?;
        let salt = part("s=").and_then(|salt| BASE64.decode(salt.as_bytes()).ok());
        let salt = salt.filter(|salt| !salt.is_empty()).ok_or_else(|| wrong("it has no salt"))?;
        let iterations: u32 = part("i=")
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| wrong("it has no iteration count"))?;
        // Otherwise it may be an answer to somebody else.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(wrong("its nonce does not go on with the Client's"));
        }
        if !(ScramKeys::ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(AuthenticationError(format!(
                "the Server asks for {iterations} iterations in SCRAM; from {} to {ITERATIONS_MAX} are made",
                ScramKeys::ITERATIONS_MIN
            )));
        }
        let without_proof = format!("c={},r={nonce}", BASE64.encode(b"n,,"));
        let said = format!("{},{challenge},{without_proof}", self.bare);
        let proof = ScramProof::new(&self.password, &salt, iterations, said.as_bytes());
        self.signature = Some(proof.server_signature);
        Ok(Some(format!("{without_proof},p={}", BASE64.encode(&proof.client_proof)).into_bytes()))
    }

    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), AuthenticationError> {
        let said = data.and_then(|data| str::from_utf8(data).ok()).and_then(|text| text.split(',').next());
        let signature = said.and_then(|text| text.strip_prefix("v="));
        let signature = signature.and_then(|signature| BASE64.decode(signature.as_bytes()).ok());
        let is_proved = self.signature.is_some_and(|expected| signature.as_deref() == Some(&expected));
        is_proved.then_some(()).ok_or_else(|| {
            AuthenticationError(
                "the Server does not prove that it knows the password; it may be another one".into(),
            )
        })
    }
}

fn wrong(what: &str) -> AuthenticationError {
    AuthenticationError(format!("the Server's message of SCRAM-SHA-256 is not valid: {what}"))
}

/// The most that is computed for one connection, less than a second.
const ITERATIONS_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun() -> Proving {
        Scram::new("user", "pencil").begin_with("rOprNGfwEbeRWgbNEkqO".into()).1
    }

    #[test]
    fn the_example_of_rfc_7677_is_played() {
        let (first, mut exchange) = Scram::new("user", "pencil").begin_with("rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = exchange.answer(Some(SERVER_FIRST.as_bytes())).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(last).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        exchange.finish(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).unwrap();
        assert!(exchange.answer(Some(SERVER_FIRST.as_bytes())).is_err());
    }

    #[test]
    fn a_server_that_proves_nothing_is_not_believed() {
        let mut exchange = begun();
        assert!(exchange.finish(Some(b"v=")).is_err(), "it was never asked");
        exchange.answer(Some(SERVER_FIRST.as_bytes())).unwrap();
        for data in [
            None,
            Some(&b""[..]),
            Some(b"v="),
            Some(b"e=other-error"),
            Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="),
        ] {
            let error = exchange.finish(data).unwrap_err().to_string();
            assert!(error.contains("does not prove"), "{error}");
        }
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        for (challenge, words) in [
            (String::new(), "no nonce"),
            (format!("r={nonce}x"), "no salt"),
            (format!("r={nonce}x,s=!,i=4096"), "no salt"),
            (format!("r={nonce}x,s=W22Z,i=x"), "no iteration count"),
            (format!("r={nonce},s=W22Z,i=4096"), "does not go on"),
            ("r=other,s=W22Z,i=4096".into(), "does not go on"),
            (format!("m=ext,r={nonce}x,s=W22Z,i=4096"), "no nonce"),
            (format!("r={nonce}x,s=W22Z,i=4095"), "4095 iterations"),
            (format!("r={nonce}x,s=W22Z,i=1000001"), "from 4096 to 1000000"),
        ] {
            let error = begun().answer(Some(challenge.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(words), "{challenge}: {error}");
        }
        let (first, _) = Scram::new("a=b,c", "x").begin_with("n".into());
        assert_eq!(first, "n,,n=a=3Db=2Cc,r=n");
    }
}
