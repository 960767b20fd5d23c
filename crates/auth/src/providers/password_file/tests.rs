//! Users in a file, asked, changed, broken.

use std::{fs, time::Duration};

use dunlin_passwords::hash::Algorithm;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use super::*;
use crate::testing::{login, question};

struct World {
    folder: TempDir,
    provider: PasswordFile,
}

fn line(name: &str, password: &[u8], algorithm: Algorithm) -> String {
    format!("{name}:{}\n", PasswordHash::new(algorithm, password, None).unwrap().as_str())
}

fn open(folder: &TempDir) -> Result<PasswordFile, ProviderError> {
    let successes = Successes::new(20_000, Duration::from_secs(3_600)).unwrap();
    let pool = Arc::new(HashingPool::new(2, 256 << 20));
    PasswordFile::open("users", &folder.path().join("users"), pool, successes)
}

impl World {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("users"), text).unwrap();
        Self { provider: open(&folder).unwrap(), folder }
    }

    /// Puts another file in the place, as programs should.
    fn change(&self, text: &str) {
        fs::write(self.folder.path().join("new"), text).unwrap();
        fs::rename(self.folder.path().join("new"), self.folder.path().join("users")).unwrap();
    }

    async fn ask(&self, user_name: &str, password: &[u8]) -> Result<Option<Box<str>>, ReasonCode> {
        match self.provider.judge(&login(user_name, password)).await {
            Verdict::Grant { grant, .. } => Ok(grant.user_name),
            Verdict::Deny(code) => Err(code),
            Verdict::NotMine => Ok(None),
            Verdict::Challenge { .. } => panic!("a challenge"),
        }
    }
}

#[tokio::test]
async fn users_are_known_by_their_passwords() {
    let text = [
        line("ann", b"a\0b", Algorithm::Argon2id),
        line("bob", b"two", Algorithm::Pbkdf2Sha512),
        line("eve", b"three", Algorithm::ScramSha256),
    ];
    let world = World::with(&text.concat());
    for _ in 0..2 {
        for (name, password) in [("ann", &b"a\0b"[..]), ("bob", b"two"), ("eve", b"three")] {
            assert_eq!(world.ask(name, password).await, Ok(Some(name.into())));
            for wrong in [&password[..1], &[password, b"\0"].concat(), b""] {
                assert_eq!(world.ask(name, wrong).await, Err(ReasonCode::BadUserNameOrPassword), "{name}");
            }
        }
        for name in ["Ann", "", "nobody", "#ann"] {
            assert_eq!(world.ask(name, b"two").await, Ok(None), "{name}");
        }
    }
    let anonymous = world.provider.judge(&question()).await;
    assert!(matches!(anonymous, Verdict::NotMine));
    let mut with_method = login("bob", b"two");
    with_method.credentials.method = Some("other".into());
    assert!(matches!(world.provider.judge(&with_method).await, Verdict::NotMine)); // [MQTT-4.12.0-1]
    let names = world.provider.user_names().unwrap();
    assert_eq!(names, ["ann", "bob", "eve"].map(Box::from).into());
}

#[tokio::test]
async fn a_changed_file_acts_at_once_and_a_broken_one_never() {
    let (one, two) = (line("ann", b"one", Algorithm::Sha512), line("ann", b"two", Algorithm::Sha512));
    let world = World::with(&one);
    assert_eq!(world.ask("ann", b"one").await, Ok(Some("ann".into())));
    assert_eq!(world.provider.refresh(), Ok(false));
    world.change(&two);
    assert_eq!(world.provider.refresh(), Ok(true));
    assert_eq!(world.ask("ann", b"one").await, Err(ReasonCode::BadUserNameOrPassword));
    assert_eq!(world.ask("ann", b"two").await, Ok(Some("ann".into())));
    world.change("# bob is next\nbob\n");
    let error = world.provider.refresh().unwrap_err().to_string();
    assert!(error.contains("/users:2: there is no `:` in it; expected `name:hash`"), "{error}");
    assert_eq!(world.provider.refresh(), Ok(false), "told once");
    assert_eq!(world.ask("ann", b"two").await, Ok(Some("ann".into())), "what was known stays in force");
    world.change("");
    assert_eq!(world.provider.refresh(), Ok(true));
    assert_eq!(world.ask("ann", b"two").await, Ok(None));
}

#[test]
fn a_broken_line_or_no_file_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the password file "), "{error}");
    fs::write(folder.path().join("users"), "ann:plain\n").unwrap();
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("/users:1: this is no password hash") && !error.contains("plain\n"), "{error}");
}

#[tokio::test]
async fn ten_thousand_clients_come_back_at_once() {
    const CLIENTS: usize = 10_000;
    let text: String = (0..CLIENTS)
        .map(|number| line(&format!("user {number}"), number.to_string().as_bytes(), Algorithm::Sha512))
        .collect();
    // One of them has a slow hash: the second wave must not compute it either.
    let world = World::with(&(text + &line("ann", b"slow", Algorithm::Argon2id)));
    let wave = async || {
        let began = thread_time();
        for number in 0..CLIENTS {
            let name = format!("user {number}");
            assert!(world.ask(&name, number.to_string().as_bytes()).await.unwrap().is_some());
        }
        assert!(world.ask("ann", b"slow").await.unwrap().is_some());
        thread_time() - began
    };
    wave().await;
    let each = wave().await / CLIENTS as u32;
    println!("each Client that comes back costs {each:?}");
    assert!(each < Duration::from_micros(10), "{each:?}");
}

/// What this thread has computed, whatever other programs do.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

#[tokio::test]
async fn unknown_users_cost_as_much_as_wrong_passwords() {
    let text = (0..3).map(|number| line(&format!("user {number}"), b"x", Algorithm::Argon2id));
    let world = World::with(&text.collect::<String>());
    let mut times = [Duration::MAX; 2];
    for number in 0..3 {
        for (time, name) in times.iter_mut().zip(["user", "nobody"]) {
            let began = Instant::now();
            let answer = world.ask(&format!("{name} {number}"), b"wrong").await;
            assert_ne!(answer, Ok(Some("".into())));
            *time = (*time).min(began.elapsed());
        }
    }
    let [known, unknown] = times;
    assert!(unknown * 3 > known && known * 3 > unknown, "known {known:?}, unknown {unknown:?}");
}
