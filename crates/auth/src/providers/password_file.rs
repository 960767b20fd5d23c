//! Users with passwords, in a file (3.1.3.5, 3.1.3.6).

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    sync::{Arc, RwLock},
    time::Instant,
};

use dunlin_packet::reason_code::ReasonCode;
use dunlin_passwords::{
    file::{self, BYTES_MAX},
    hash::PasswordHash,
};

use crate::{
    authenticator::{Authenticator, ProviderError, Question, Verdict, VerdictFuture},
    hashing::HashingPool,
    successes::Successes,
    watched_file::WatchedFile,
};

/// Knows the users of one file. A user that is not in it is the next provider's; a wrong password is refused here.
pub struct PasswordFile {
    name: Box<str>,
    file: WatchedFile,
    users: RwLock<Arc<Users>>,
    pool: Arc<HashingPool>,
    successes: Successes,
}

/// One version of the file.
#[derive(Default)]
struct Users {
    numbers: HashMap<Box<str>, usize>,
    hashes: Box<[PasswordHash]>,
}

impl PasswordFile {
    /// Reads `path`.
    ///
    /// # Errors
    /// [`ProviderError`] with file and line if it cannot be read or has a broken line.
    pub fn open(
        name: &str,
        path: &Path,
        pool: Arc<HashingPool>,
        successes: Successes,
    ) -> Result<Self, ProviderError> {
        let file = WatchedFile::new(path);
        let users = read(&file)?.unwrap_or_default();
        Ok(Self { name: name.into(), file, users: RwLock::new(Arc::new(users)), pool, successes })
    }

    async fn check(&self, user_name: &str, password: &[u8]) -> Verdict {
        let users = self.users();
        let number = users.numbers.get(user_name).copied();
        // The same work whether the user is there or not: who asks learns nothing from the time it takes. The hash that is
        // checked for one who is not there is that of another user, always of the same one.
        let other = || self.successes.pick(user_name, users.hashes.len());
        let Some(hash) = users.hashes.get(number.unwrap_or_else(other)) else { return Verdict::NotMine };
        let was_right = self.successes.knows(user_name, hash, password, Instant::now());
        let is_right = was_right || self.pool.verify(hash.clone(), password.to_vec()).await;
        match number {
            None => Verdict::NotMine,
            Some(_) if is_right => {
                if !was_right {
                    self.successes.note(user_name, hash, password, Instant::now());
                }
                Verdict::user(user_name)
            }
            Some(_) => Verdict::Deny(ReasonCode::BadUserNameOrPassword),
        }
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().expect(LOCK))
    }
}

impl Authenticator for PasswordFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let credentials = &question.credentials;
        match (&credentials.method, &credentials.user_name) {
            (None, Some(user_name)) => {
                let password = credentials.password.as_deref().unwrap_or_default();
                Box::pin(self.check(user_name, password))
            }
            _ => Box::pin(async { Verdict::NotMine }),
        }
    }

    fn refresh(&self) -> Result<bool, ProviderError> {
        let Some(users) = read(&self.file)? else { return Ok(false) };
        *self.users.write().expect(LOCK) = Arc::new(users);
        Ok(true)
    }

    fn user_names(&self) -> Option<HashSet<Box<str>>> {
        Some(self.users().numbers.keys().cloned().collect())
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile")
            .field("name", &self.name)
            .field("path", &self.file.path())
            .finish_non_exhaustive()
    }
}

/// The users of a file that has changed.
fn read(file: &WatchedFile) -> Result<Option<Users>, ProviderError> {
    let path = file.path().display();
    let bytes = file
        .read_if_changed(BYTES_MAX)
        .map_err(|error| ProviderError(format!("cannot read the password file {path}: {error}")))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let parsed = file::PasswordFile::parse(&bytes)
        .map_err(|error| ProviderError(format!("{path}:{}: {}", error.line, error.problem)))?;
    let numbers = parsed.users().enumerate().map(|(number, (name, _))| (name.into(), number)).collect();
    Ok(Some(Users { numbers, hashes: parsed.users().map(|(_, hash)| hash.clone()).collect() }))
}

const LOCK: &str = "nobody panics while holding the lock of the users";

#[cfg(test)]
mod tests;
