//! Where passwords are hashed: slow and large work, on threads of its own, a bounded amount at a time.

use std::sync::Arc;

use dunlin_passwords::hash::PasswordHash;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Checks passwords against hashes. One for all providers.
#[derive(Debug)]
pub struct HashingPool {
    threads: Arc<Semaphore>,
    memory_kib: Arc<Semaphore>,
    memory_kib_max: u32,
}

impl HashingPool {
    /// At most `threads` hashes at a time, which together use at most `memory_bytes_max`; one that needs more than that by itself
    /// is computed alone.
    #[must_use]
    pub fn new(threads: usize, memory_bytes_max: u64) -> Self {
        let memory_kib_max = u32::try_from(memory_bytes_max / 1_024).unwrap_or(u32::MAX).max(1);
        Self {
            threads: Arc::new(Semaphore::new(threads.max(1))),
            memory_kib: Arc::new(Semaphore::new(memory_kib_max as usize)),
            memory_kib_max,
        }
    }

    /// Whether `password` is that of `hash`. Those who ask are served in their order; who gives up leaves the queue.
    pub(crate) async fn verify(&self, hash: PasswordHash, password: Vec<u8>) -> bool {
        let kib = u32::try_from(hash.memory_bytes() / 1_024).unwrap_or(u32::MAX).min(self.memory_kib_max);
        let closed = "the pool is never closed";
        let thread = Arc::clone(&self.threads).acquire_owned().await.expect(closed);
        let memory = Arc::clone(&self.memory_kib).acquire_many_owned(kib).await.expect(closed);
        let work = spawn_blocking(move || {
            let is_right = hash.verify(&password);
            // Not before: nobody may be waiting any more, but the work goes on.
            drop((thread, memory));
            is_right
        });
        match work.await {
            Ok(is_right) => is_right,
            Err(error) => {
                tracing::error!(%error, "a password could not be checked");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_passwords::hash::Algorithm;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn more_work_than_room_is_done_one_after_the_other() {
        let pool = Arc::new(HashingPool::new(8, 1 << 20));
        let hash = PasswordHash::new(Algorithm::Argon2id, b"right", None).unwrap();
        let mut all = JoinSet::new();
        for number in 0..6 {
            let (pool, hash) = (Arc::clone(&pool), hash.clone());
            all.spawn(async move {
                let password = if number % 2 == 0 { "right" } else { "wrong" };
                let is_right = pool.verify(hash, password.into()).await;
                assert!(pool.memory_kib.available_permits() <= 1_024);
                is_right == (number % 2 == 0)
            });
        }
        assert!(all.join_all().await.into_iter().all(|is_well| is_well));
        assert_eq!((pool.threads.available_permits(), pool.memory_kib.available_permits()), (8, 1_024));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue() {
        let pool = HashingPool::new(1, 1 << 30);
        let busy = Arc::clone(&pool.threads).acquire_owned().await.unwrap();
        let hash = PasswordHash::new(Algorithm::Sha512, b"x", None).unwrap();
        let mut asked = Box::pin(pool.verify(hash, b"x".to_vec()));
        assert!(poll_once(&mut asked).is_pending());
        drop(asked);
        drop(busy);
        assert_eq!(pool.threads.available_permits(), 1);
    }

    fn poll_once<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> std::task::Poll<T> {
        future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
