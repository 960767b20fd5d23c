//! The Authentication Method SCRAM-SHA-256 (4.12; RFC 5802, RFC 7677): the password never crosses the network, the Server does
//! not keep it, and it proves itself to the Client as well.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    sync::{Arc, RwLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_passwords::{
    file::{BYTES_MAX, PasswordFile},
    scram::ScramKeys,
};

use crate::{
    authenticator::{Authenticator, Grant, NextStep, ProviderError, Question, Verdict, VerdictFuture},
    watched_file::WatchedFile,
};

/// Knows the users of a file that have keys for SCRAM. Whoever names the method is judged here, also one who is not in the file.
pub struct Scram {
    name: Box<str>,
    file: WatchedFile,
    users: RwLock<Arc<Users>>,
    /// Makes up the keys of users that there are not.
    seed: [u8; 32],
}

type Users = HashMap<Box<str>, ScramKeys>;

/// Between the first answer and the Client's proof.
struct Proving {
    user_name: Box<str>,
    /// Whether there is such a user. If not, the proof is checked all the same.
    is_known: bool,
    keys: ScramKeys,
    nonce: String,
    /// What the proof must be about, up to the last message.
    said: String,
    /// What the Client must repeat: the channel binding it spoke of.
    header: String,
}

/// The Client's first message, taken apart.
struct ClientFirst<'a> {
    header: &'a str,
    bare: &'a str,
    user_name: String,
    nonce: &'a str,
}

impl Scram {
    /// The Authentication Method.
    pub const METHOD: &'static str = "SCRAM-SHA-256";

    /// Reads `path`.
    ///
    /// # Errors
    /// [`ProviderError`] with file and line if it cannot be read or has a broken line, or if there are no random numbers.
    pub fn open(name: &str, path: &Path) -> Result<Self, ProviderError> {
        let file = WatchedFile::new(path);
        let users = read(&file)?.unwrap_or_default();
        let seed = random().map_err(ProviderError)?;
        Ok(Self { name: name.into(), file, users: RwLock::new(Arc::new(users)), seed })
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().expect(LOCK))
    }

    fn first(&self, data: &[u8]) -> Verdict {
        let Some(first) = ClientFirst::parse(data) else { return Verdict::Deny(ReasonCode::NotAuthorized) };
        let Ok(random) = random::<18>() else { return Verdict::Deny(ReasonCode::ServerUnavailable) };
        let users = self.users();
        let known = users.get(&*first.user_name);
        let keys = match known {
            Some(keys) => keys.clone(),
            None => {
                let like = users.values().next();
                let (iterations, salt_bytes) =
                    like.map_or((ScramKeys::ITERATIONS, 16), |keys| (keys.iterations(), keys.salt().len()));
                ScramKeys::pretended(&self.seed, &first.user_name, iterations, salt_bytes)
            }
        };
        let nonce = format!("{}{}", first.nonce, BASE64_STANDARD.encode(random));
        let answer = format!("r={nonce},s={},i={}", BASE64_STANDARD.encode(keys.salt()), keys.iterations());
        let next = Proving {
            user_name: first.user_name.into(),
            is_known: known.is_some(),
            keys,
            nonce,
            said: format!("{},{answer}", first.bare),
            header: BASE64_STANDARD.encode(first.header),
        };
        Verdict::Challenge { data: answer.into_bytes(), next: Box::new(next) }
    }
}

impl Authenticator for Scram {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let credentials = &question.credentials;
        let is_mine = credentials.method.as_deref() == Some(Self::METHOD);
        Box::pin(async move { if is_mine { self.first(&credentials.data) } else { Verdict::NotMine } })
    }

    fn refresh(&self) -> Result<bool, ProviderError> {
        let Some(users) = read(&self.file)? else { return Ok(false) };
        *self.users.write().expect(LOCK) = Arc::new(users);
        Ok(true)
    }

    fn user_names(&self) -> Option<HashSet<Box<str>>> {
        Some(self.users().keys().cloned().collect())
    }
}

impl NextStep for Proving {
    fn judge<'a>(self: Box<Self>, question: &'a Question) -> VerdictFuture<'a> {
        let verdict = match self.signature(&question.credentials.data) {
            Some(signature) => Verdict::Grant {
                grant: Grant { user_name: Some(self.user_name), ..Grant::default() },
                data: format!("v={}", BASE64_STANDARD.encode(signature)).into_bytes(),
            },
            None => Verdict::Deny(ReasonCode::NotAuthorized), // [MQTT-4.12.0-4]
        };
        Box::pin(async { verdict })
    }

    fn user_name(&self) -> Option<&str> {
        Some(&self.user_name)
    }
}

impl Proving {
    /// What shows the Client that this is the Server, if the proof in its last message is right.
    fn signature(&self, data: &[u8]) -> Option<[u8; 32]> {
        let (without_proof, proof) = str::from_utf8(data).ok()?.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let has_header = parts.next()?.strip_prefix("c=")? == self.header;
        let has_nonce = parts.next()?.strip_prefix("r=")? == self.nonce;
        // What follows are extensions; `m=` would be one that must be understood.
        let is_plain = !parts.any(|part| part.starts_with("m="));
        let auth_message = format!("{},{without_proof}", self.said);
        let is_right = self.keys.is_proof(&BASE64_STANDARD.decode(proof).ok()?, auth_message.as_bytes());
        let is_well = has_header & has_nonce & is_plain & is_right & self.is_known;
        is_well.then(|| self.keys.server_signature(auth_message.as_bytes()))
    }
}

impl<'a> ClientFirst<'a> {
    /// `n,,n=user,r=nonce`, perhaps with `y` at the beginning, an authorization identity, and extensions at the end.
    fn parse(data: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(data).ok()?;
        let mut parts = text.splitn(3, ',');
        let (binding, authorization, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // Channel binding is not offered, so a Client must not use it.
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let mut parts = bare.split(',');
        let user_name = saslname(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let is_printable = |byte: u8| (0x21..=0x7E).contains(&byte) && byte != b',';
        if nonce.is_empty() || !nonce.bytes().all(is_printable) || user_name.is_empty() {
            return None;
        }
        // Nobody acts for another user.
        if !authorization.is_empty() && saslname(authorization.strip_prefix("a=")?)? != user_name {
            return None;
        }
        let header = &text[..text.len() - bare.len()];
        Some(Self { header, bare, user_name, nonce })
    }
}

/// A name in which `=2C` is a comma and `=3D` an equals sign, normalized.
fn saslname(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next()?);
    for part in parts {
        let (sign, rest) = part.split_at_checked(2)?;
        name.push(match sign {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    stringprep::saslprep(&name).ok().map(|name| name.into_owned())
}

/// The users of a file that has changed.
fn read(file: &WatchedFile) -> Result<Option<Users>, ProviderError> {
    let path = file.path().display();
    let bytes = file
        .read_if_changed(BYTES_MAX)
        .map_err(|error| ProviderError(format!("cannot read the password file {path}: {error}")))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let parsed = PasswordFile::parse(&bytes)
        .map_err(|error| ProviderError(format!("{path}:{}: {}", error.line, error.problem)))?;
    let keys = |hash: &dunlin_passwords::hash::PasswordHash| hash.scram_keys().cloned();
    Ok(Some(parsed.users().filter_map(|(name, hash)| Some((name.into(), keys(hash)?))).collect()))
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("there are no random numbers: {error}"))?;
    Ok(bytes)
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("name", &self.name).finish_non_exhaustive()
    }
}

const LOCK: &str = "nobody panics while holding the lock of the users";

#[cfg(test)]
mod tests {
    use std::fs;

    use dunlin_passwords::{
        hash::{Algorithm, PasswordHash},
        scram::ScramProof,
    };

    use super::*;
    use crate::testing::question;

    /// A provider that knows `user` with `pencil`, and `bob` without keys.
    fn provider() -> Scram {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let line = |algorithm| PasswordHash::new(algorithm, b"pencil", Some(4_096)).unwrap();
        let (scram, other) = (line(Algorithm::ScramSha256), line(Algorithm::Sha512));
        fs::write(&path, format!("us=,er:{}\nbob:{}\n", scram.as_str(), other.as_str())).unwrap();
        Scram::open("scram", &path).unwrap()
    }

    fn step(data: &str, is_continued: bool) -> Question {
        let mut question = question();
        question.credentials.method = Some(Scram::METHOD.into());
        question.credentials.data = data.into();
        question.credentials.is_continued = is_continued;
        question
    }

    /// Plays a Client up to its proof, changed by `change`; the verdict, and what the Server must answer.
    async fn play(
        provider: &Scram,
        name: &str,
        password: &[u8],
        change: impl Fn(String) -> String,
    ) -> (Verdict, String) {
        let bare = format!("n={name},r=fyko");
        let question = step(&format!("n,,{bare}"), false);
        let Verdict::Challenge { data, next } = provider.judge(&question).await else {
            panic!("no challenge")
        };
        let challenge = String::from_utf8(data).unwrap();
        let (nonce, rest) = challenge.strip_prefix("r=").unwrap().split_once(",s=").unwrap();
        let (salt, iterations) = rest.split_once(",i=").unwrap();
        assert!(nonce.starts_with("fyko") && nonce.len() == 4 + 24 && iterations == "4096", "{challenge}");
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{bare},{challenge},{without_proof}");
        let salt = BASE64_STANDARD.decode(salt).unwrap();
        let proof = ScramProof::new(password, &salt, 4_096, auth_message.as_bytes());
        let last = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof.client_proof));
        let signature = format!("v={}", BASE64_STANDARD.encode(proof.server_signature));
        assert_eq!(next.user_name(), saslname(name).as_deref());
        (next.judge(&step(&change(last), true)).await, signature)
    }

    #[tokio::test]
    async fn both_sides_prove_that_they_know_the_password() {
        let (verdict, signature) = play(&provider(), "us=3D=2Cer", b"pencil", |last| last).await;
        let Verdict::Grant { grant, data } = verdict else { panic!("not granted") };
        assert_eq!(grant.user_name.as_deref(), Some("us=,er"));
        assert_eq!(String::from_utf8(data).unwrap(), signature);
    }

    #[tokio::test]
    async fn a_wrong_or_changed_proof_and_an_unknown_user_are_refused_alike() {
        let provider = provider();
        let same = |last: String| last;
        let flipped = |last: String| last.replacen("p=", "p=A", 1);
        let other_nonce = |last: String| last.replacen(",r=", ",r=x", 1);
        let other_binding = |last: String| last.replacen("biws", "eSws", 1);
        let mandatory = |last: String| last.replacen(",p=", ",m=x,p=", 1);
        let denied = [
            play(&provider, "us=3D=2Cer", b"Pencil", same).await.0,
            play(&provider, "us=3D=2Cer", b"pencil", flipped).await.0,
            play(&provider, "us=3D=2Cer", b"pencil", other_nonce).await.0,
            play(&provider, "us=3D=2Cer", b"pencil", other_binding).await.0,
            play(&provider, "us=3D=2Cer", b"pencil", mandatory).await.0,
            play(&provider, "us=3D=2Cer", b"pencil", |_| String::new()).await.0,
            play(&provider, "nobody", b"pencil", same).await.0,
            play(&provider, "bob", b"pencil", same).await.0,
        ];
        for (number, verdict) in denied.into_iter().enumerate() {
            assert!(matches!(verdict, Verdict::Deny(ReasonCode::NotAuthorized)), "{number}");
        }
    }

    #[tokio::test]
    async fn a_first_message_that_is_none_is_refused() {
        let provider = provider();
        for data in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,n=,r=x",
            "n,,n=user,r=",
            "n,,n=user,r=a b",
            "n,,n=us=2er,r=x",
            "n,,n=us=,r=x",
            "n,,m=ext,n=user,r=x",
            "n,a=admin,n=user,r=x",
            "p=tls-unique,,n=user,r=x",
            "x,,n=user,r=x",
        ] {
            let verdict = provider.judge(&step(data, false)).await;
            assert!(matches!(verdict, Verdict::Deny(ReasonCode::NotAuthorized)), "{data}");
        }
        for data in ["y,,n=user,r=x", "n,a=user,n=user,r=x", "n,,n=user,r=x,ext=1"] {
            let verdict = provider.judge(&step(data, false)).await;
            assert!(matches!(verdict, Verdict::Challenge { .. }), "{data}");
        }
        let mut other = step("n,,n=user,r=x", false);
        other.credentials.method = Some("SCRAM-SHA-1".into());
        assert!(matches!(provider.judge(&other).await, Verdict::NotMine)); // [MQTT-4.12.0-1]
    }
}
