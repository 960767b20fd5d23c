//! All bans that count.

use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use dunlin_broker::permissions::{subject::Subject, who::Who};

use crate::{config::bans::BansConfig, source::Source};

use super::{
    ban::{Ban, Origin, now_ms, stranger},
    file::{self, BansError},
    flapping::Flapping,
};

/// All bans, and who is about to get one.
#[derive(Debug)]
pub(crate) struct Bans {
    list: RwLock<List>,
    flapping: Mutex<Flapping>,
    flapping_ban: Duration,
    /// Where those of operators are kept; nowhere if nothing is kept.
    file: Option<PathBuf>,
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct List {
    entries: Vec<Entry>,
    last_id: u64,
}

#[derive(Debug)]
struct Entry {
    ban: Ban,
    who: Who,
}

/// Somebody may not come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Banned {
    /// By which ban.
    pub(crate) id: u64,
    /// Why, if it says.
    pub(crate) reason: Option<String>,
}

/// Why there is no ban.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdded {
    /// What is wrong with it.
    #[error("{0}")]
    Bad(String),
    /// There are as many as there may be.
    #[error(
        "there are {BANS_MAX} bans, and no room for more; ranges of addresses and beginnings of names need fewer"
    )]
    Full,
    /// It counts, but not beyond the end of the program.
    #[error("it counts until the Server ends, but it cannot be written: {0}")]
    NotKept(io::Error),
}

impl Bans {
    /// Reads what is kept, and takes what is configured.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub(crate) fn open(config: &BansConfig, file: Option<PathBuf>) -> Result<Self, BansError> {
        let kept = file.as_deref().map(file::read).transpose()?.unwrap_or_default();
        let last_id = kept.iter().map(|ban| ban.id).max().unwrap_or(0);
        let mut list = List { entries: Vec::new(), last_id };
        for ban in kept {
            list.push(ban);
        }
        for ban in &config.bans {
            list.last_id += 1;
            let (id, origin) = (list.last_id, Origin::Configuration);
            list.push(Ban { id, origin, made_at_ms: now_ms(), ..ban.clone().into() });
        }
        let window = Duration::from_secs(config.flapping_window_s.into());
        Ok(Self {
            list: RwLock::new(list),
            flapping: Mutex::new(Flapping::new(config.flapping_connects_max, window)),
            flapping_ban: Duration::from_secs(config.flapping_ban_s.into()),
            file,
            writing: Mutex::default(),
        })
    }

    /// Whether a Client is banned of which only this is known. Bans of users count once it has proved who it is.
    pub(crate) fn bars_stranger(&self, client_id: &str, address: IpAddr) -> Option<Banned> {
        self.bars(|| stranger(client_id, address))
    }

    /// Whether a Client is banned.
    pub(crate) fn bars_client(&self, subject: &Subject) -> Option<Banned> {
        self.bars(|| subject)
    }

    fn bars<S: std::borrow::Borrow<Subject>>(&self, subject: impl FnOnce() -> S) -> Option<Banned> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        if list.entries.is_empty() {
            return None;
        }
        let (subject, now_ms) = (subject(), now_ms());
        let fits = |entry: &&Entry| entry.who.fits(subject.borrow()) && !entry.ban.is_over(now_ms);
        let entry = list.entries.iter().find(fits)?;
        Some(Banned { id: entry.ban.id, reason: entry.ban.reason.clone() })
    }

    /// A Client that has proved who it is connects: if that is too often, it is banned for some time.
    pub(crate) fn count_visit(&self, client_id: &str, address: IpAddr) -> Option<Ban> {
        let mut flapping = lock(&self.flapping);
        if flapping.is_off() || !flapping.count(Instant::now(), client_id, Source::of(address)) {
            return None;
        }
        drop(flapping);
        let expires_at_ms = now_ms() + u64::try_from(self.flapping_ban.as_millis()).unwrap_or(u64::MAX / 2);
        let ban = Ban {
            id: 0,
            user: None,
            client_id: Some(client_id.to_owned()),
            address: Some(address.to_canonical().to_string()),
            reason: Some("it connects too often".to_owned()),
            made_at_ms: 0,
            expires_at_ms: Some(expires_at_ms),
            origin: Origin::Flapping,
        };
        self.put(ban).ok()
    }

    /// Adds a ban, also to the file if it is an operator's; returns it with its number. It may block.
    ///
    /// # Errors
    /// Each [`NotAdded`].
    pub(crate) fn add(&self, ban: Ban) -> Result<Ban, NotAdded> {
        let ban = self.put(ban)?;
        self.keep().map_err(NotAdded::NotKept)?;
        Ok(ban)
    }

    fn put(&self, mut ban: Ban) -> Result<Ban, NotAdded> {
        let who = ban.who().map_err(NotAdded::Bad)?;
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.forget_over();
        if list.entries.len() >= BANS_MAX {
            return Err(NotAdded::Full);
        }
        list.last_id += 1;
        (ban.id, ban.made_at_ms) = (list.last_id, now_ms());
        list.entries.push(Entry { ban: ban.clone(), who });
        Ok(ban)
    }

    /// Takes a ban away; `None` if there is none with this number. It may block.
    ///
    /// # Errors
    /// If the file cannot be written; then it is back after a restart.
    pub(crate) fn remove(&self, id: u64) -> io::Result<Option<Ban>> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.forget_over();
        let Some(place) = list.entries.iter().position(|entry| entry.ban.id == id) else { return Ok(None) };
        let removed = list.entries.remove(place).ban;
        drop(list);
        self.keep()?;
        Ok(Some(removed))
    }

    /// All that count, in the order of their numbers.
    pub(crate) fn all(&self) -> Vec<Ban> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.forget_over();
        let mut all: Vec<Ban> = list.entries.iter().map(|entry| entry.ban.clone()).collect();
        all.sort_by_key(|ban| ban.id);
        all
    }

    /// Whether bans are kept beyond the end of the program.
    pub(crate) fn are_kept(&self) -> bool {
        self.file.is_some()
    }

    fn keep(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        // One writes at a time, and the last one writes what counts then.
        let _one_at_a_time = lock(&self.writing);
        let all = self.all();
        file::write(file, all.iter().filter(|ban| ban.origin == Origin::Operator))
    }
}

impl List {
    fn push(&mut self, ban: Ban) {
        // It was checked when it was read.
        if let Ok(who) = ban.who() {
            self.entries.push(Entry { ban, who });
        }
    }

    fn forget_over(&mut self) {
        let now_ms = now_ms();
        self.entries.retain(|entry| !entry.ban.is_over(now_ms));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most bans.
const BANS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn ban(user: Option<&str>, client_id: Option<&str>, address: Option<&str>) -> Ban {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ban {
            id: 0,
            user: owned(user),
            client_id: owned(client_id),
            address: owned(address),
            reason: None,
            made_at_ms: 0,
            expires_at_ms: None,
            origin: Origin::Operator,
        }
    }

    fn subject(user: &str, client_id: &str, address: &str) -> Subject {
        Subject { user_name: Some(user.into()), ..Subject::anonymous(client_id, address.parse().unwrap()) }
    }

    #[test]
    fn a_ban_is_about_whoever_fits_all_that_it_names() {
        let bans = Bans::open(&BansConfig::default(), None).unwrap();
        let of_user = bans.add(ban(Some("eve"), None, None)).unwrap();
        bans.add(ban(None, Some("bad-*"), Some("192.0.2.0/24"))).unwrap();
        let id = |subject| bans.bars_client(&subject).map(|banned| banned.id);
        assert_eq!(id(subject("eve", "x", "198.51.100.1")), Some(1));
        assert_eq!(id(subject("ann", "bad-7", "192.0.2.9")), Some(2));
        assert_eq!(id(subject("ann", "bad-7", "198.51.100.1")), None);
        assert_eq!(id(subject("ann", "good", "192.0.2.9")), None);
        assert!(bans.bars_stranger("bad-7", [192, 0, 2, 9].into()).is_some());
        assert!(bans.remove(of_user.id).unwrap().is_some() && bans.remove(of_user.id).unwrap().is_none());
        assert_eq!(id(subject("eve", "x", "198.51.100.1")), None);
        for (bad, words) in
            [(ban(None, None, None), "names a user"), (ban(None, None, Some("192.0.2.0/33")), "/33")]
        {
            let error = bans.add(bad).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn bans_end_and_others_are_kept_with_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bans");
        let open = || Bans::open(&BansConfig::default(), Some(file.clone())).unwrap();
        let bans = open();
        bans.add(Ban { expires_at_ms: Some(now_ms()), ..ban(Some("over"), None, None) }).unwrap();
        bans.add(Ban { reason: Some("spam\n".to_owned()), ..ban(Some("eve"), None, None) }).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = open();
        let all = again.all();
        assert_eq!((all.len(), all[0].id, all[0].reason.as_deref()), (1, 2, Some("spam\n")));
        assert_eq!(again.add(ban(None, Some("x"), None)).unwrap().id, 3);
    }

    #[test]
    fn a_damaged_file_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bans");
        let good = r#"{"id":1,"user":"eve","made_at_ms":7}"#;
        for (bad, words) in [
            ("{\"id\":2,\"us", "EOF"),
            (r#"{"id":2,"user":"a","made_at_ms":7,"colour":1}"#, "colour"),
            (r#"{"id":2,"made_at_ms":7}"#, "names a user"),
            (r#"{"id":2,"address":"here","made_at_ms":7}"#, "`here` is not an address"),
            ("\u{0}\u{0}", "expected value"),
        ] {
            fs::write(&file, format!("{good}\n\n{bad}\n")).unwrap();
            let error = Bans::open(&BansConfig::default(), Some(file.clone())).unwrap_err().to_string();
            assert!(error.contains(&format!("{}:3: ", file.display())) && error.contains(words), "{error}");
        }
        fs::write(&file, format!("{good}\n")).unwrap();
        assert_eq!(Bans::open(&BansConfig::default(), Some(file)).unwrap().all().len(), 1);
    }

    #[test]
    fn who_comes_too_often_is_banned_for_a_time_and_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bans");
        let config = BansConfig { flapping_connects_max: 2, ..BansConfig::default() };
        let bans = Bans::open(&config, Some(file.clone())).unwrap();
        let address = [192, 0, 2, 1].into();
        let visit = || bans.count_visit("a*", address);
        assert!(visit().is_none() && visit().is_none());
        let ban = visit().unwrap();
        assert!(ban.expires_at_ms.unwrap() > now_ms() + 100_000);
        assert!(bans.bars_stranger("a*", address).is_some());
        assert!(bans.bars_stranger("ab", address).is_none(), "its name is no pattern");
        assert!(bans.bars_stranger("a*", [192, 0, 2, 2].into()).is_none());
        bans.add(self::ban(Some("eve"), None, None)).unwrap();
        assert_eq!(file::read(&file).unwrap().len(), 1);
    }
}
