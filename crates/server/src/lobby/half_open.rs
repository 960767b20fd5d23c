//! Who is in the lobby: connections that are not authenticated yet, counted, all together and by address.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::task::AbortHandle;

use crate::source::Source;

/// The connections that are not authenticated yet.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    inner: Mutex<Inner>,
    max: AtomicU32,
    per_address_max: AtomicU32,
}

/// A place in the lobby; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Permit {
    half_open: Arc<HalfOpen>,
    number: u64,
    source: Source,
}

#[derive(Debug, Default)]
struct Inner {
    by_source: HashMap<Source, u32>,
    /// Oldest first; what ends the task that serves it.
    by_age: BTreeMap<u64, Option<AbortHandle>>,
    entered: u64,
}

impl HalfOpen {
    /// Nobody is there; at most `max` may be, and `per_address_max` from one address.
    pub(crate) fn new(max: u32, per_address_max: u32) -> Arc<Self> {
        let (max, per_address_max) = (AtomicU32::new(max), AtomicU32::new(per_address_max));
        Arc::new(Self { inner: Mutex::default(), max, per_address_max })
    }

    /// Other limits, for those who come from now on.
    pub(crate) fn change_limits(&self, max: u32, per_address_max: u32) {
        self.max.store(max, Ordering::Relaxed);
        self.per_address_max.store(per_address_max, Ordering::Relaxed);
    }

    /// How many have been let in so far, and how many are there now.
    pub(crate) fn figures(&self) -> (u64, usize) {
        let inner = self.lock();
        (inner.entered, inner.by_age.len())
    }

    /// Lets one in, unless its address has too many there. If the lobby is full, the oldest must leave:
    /// whoever connects in earnest is through before that.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        self.let_in(address, self.per_address_max.load(Ordering::Relaxed))
    }

    /// Lets in a proxy, behind which there are many.
    pub(crate) fn enter_as_proxy(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        self.let_in(address, u32::MAX)
    }

    fn let_in(self: &Arc<Self>, address: IpAddr, per_address_max: u32) -> Option<Permit> {
        let source = Source::of(address);
        let mut inner = self.lock();
        if !inner.count_in(source, per_address_max) {
            return None;
        }
        inner.entered += 1;
        let number = inner.entered;
        let is_full = inner.by_age.len() >= self.max.load(Ordering::Relaxed) as usize;
        inner.by_age.insert(number, None);
        drop(inner);
        if is_full {
            self.leave_oldest();
        }
        Some(Permit { half_open: Arc::clone(self), number, source })
    }

    /// Says which task serves `number`; nothing happens if it is done already.
    pub(crate) fn serve(&self, number: u64, task: AbortHandle) {
        if let Some(place) = self.lock().by_age.get_mut(&number) {
            *place = Some(task);
        }
    }

    /// The task that serves `number`, so that it can be ended elsewhere, too.
    pub(crate) fn task(&self, number: u64) -> Option<AbortHandle> {
        self.lock().by_age.get(&number).cloned().flatten()
    }

    /// Has the oldest leave; `false` if nobody is there.
    pub(crate) fn leave_oldest(&self) -> bool {
        let oldest = self.lock().by_age.pop_first();
        if let Some((_, Some(task))) = &oldest {
            task.abort();
        }
        oldest.is_some()
    }

    /// Ends the tasks of all.
    pub(crate) fn clear(&self) {
        let tasks: Vec<AbortHandle> = self.lock().by_age.values().flatten().cloned().collect();
        tasks.iter().for_each(AbortHandle::abort);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics while holding the lock of the lobby")
    }
}

impl Inner {
    /// Counts one more of `source`, unless it has `max`.
    fn count_in(&mut self, source: Source, max: u32) -> bool {
        let count = self.by_source.entry(source).or_default();
        let may_come = *count < max;
        if may_come {
            *count += 1;
        }
        may_come
    }

    fn count_out(&mut self, source: Source) {
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

impl Permit {
    /// The number of the place, for [`HalfOpen::serve`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A proxy has said that this is one from `address`; `false` if that has too many there.
    pub(crate) fn pass_to(&mut self, address: IpAddr) -> bool {
        let source = Source::of(address);
        let mut inner = self.half_open.lock();
        let may_come = inner.count_in(source, self.half_open.per_address_max.load(Ordering::Relaxed));
        if may_come {
            inner.count_out(self.source);
            self.source = source;
        }
        may_come
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.half_open.lock();
        inner.by_age.remove(&self.number);
        inner.count_out(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_fill_the_lobby() {
        let lobby = HalfOpen::new(100, 2);
        for (same, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")] {
            let first = lobby.enter(address(same)).unwrap();
            let _second = lobby.enter(address(same)).unwrap();
            assert!(lobby.enter(address(same)).is_none());
            assert!(lobby.enter(address(other)).is_some());
            drop(first);
            assert!(lobby.enter(address(same)).is_some());
        }
    }

    #[test]
    fn a_proxy_has_many_behind_it_and_they_are_counted_by_their_own_addresses() {
        let lobby = HalfOpen::new(100, 1);
        let mut permits: Vec<Permit> =
            (0..3).map(|_| lobby.enter_as_proxy(address("10.0.0.1")).unwrap()).collect();
        assert!(permits[0].pass_to(address("192.0.2.1")));
        assert!(!permits[1].pass_to(address("192.0.2.1")));
        assert!(permits[1].pass_to(address("192.0.2.2")));
        permits.clear();
        assert!(lobby.lock().by_source.is_empty());
    }

    #[tokio::test]
    async fn in_a_full_lobby_the_oldest_leaves() {
        let lobby = HalfOpen::new(2, 10);
        let mut tasks = Vec::new();
        for host in 1..=3 {
            let permit = lobby.enter(IpAddr::from([192, 0, 2, host])).unwrap();
            let number = permit.number();
            let task = tokio::spawn(async move {
                let _permit = permit;
                std::future::pending::<()>().await;
            });
            lobby.serve(number, task.abort_handle());
            tasks.push(task);
        }
        assert!(tasks.remove(0).await.unwrap_err().is_cancelled());
        assert_eq!(lobby.lock().by_age.len(), 2);
        lobby.clear();
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        let inner = lobby.lock();
        assert!(inner.by_age.is_empty() && inner.by_source.is_empty());
    }
}
