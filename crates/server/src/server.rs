//! A running Server: first all that is inside, the doors last; and in the other order at the end.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    num::NonZero,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{JoinHandle, available_parallelism},
    time::Duration,
};

use dunlin_auth::chain::Chain;
use dunlin_broker::{ids::ShardId, limits::Settings, routing::interests::Interests, shard::Shard};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, mpsc, watch},
};

use crate::{
    clock::Clock,
    config::model::Config,
    counts::Counts,
    listen::{self, BoundSocket, ListenError, is_public},
    lobby::{
        accept::{Listener, accept},
        desk::Desk,
        half_open::HalfOpen,
        reauthentication::{self, Reauthentication, WAITING_MAX},
        refusals::Refusals,
    },
    process::raise_open_files_limit,
    seats::Seats,
    shard::{mailbox::Post, poller::Poller, thread, turn::Surroundings},
};

/// A Server that runs in threads of this process. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    desk: Arc<Desk>,
    counts: Arc<Counts>,
    shards: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    failed: Arc<Notify>,
    /// The lobby's; nothing once the Server is stopped.
    runtime: Option<Runtime>,
}

/// Why a Server does not start; its text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Strangers could do everything.
    #[error(
        "other machines can reach {0}, and nobody is asked for a password: anybody there could read and \
         write everything; listen on 127.0.0.1, or allow it with --allow-anonymous or \
         `allow_anonymous_public = true` in [server]"
    )]
    Public(SocketAddr),
    /// The folder for data.
    #[error("cannot make the data folder {}: {source}; choose another one with --data-dir", .path.display())]
    DataDir {
        /// Which folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system gives no thread or no descriptor.
    #[error("cannot start {what}: {source}; check the limits of open files and threads (ulimit -n -u)")]
    Resources {
        /// What could not be started.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Server {
    /// Starts a Server; when this returns, Clients can connect.
    ///
    /// # Errors
    /// Each [`StartError`].
    pub fn start(config: &Config, chain: Chain) -> Result<Self, StartError> {
        if chain.is_empty() && !config.server.allow_anonymous_public {
            refuse_public(config)?;
        }
        if let Some(path) = &config.server.data_dir {
            make_data_dir(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        }
        let sockets = listen::bind(&config.listeners)?;
        let count = shard_count(config.server.shards);
        let pollers: Vec<_> = (0..count)
            .map(|_| Poller::new())
            .collect::<Result<_, _>>()
            .map_err(|source| StartError::Resources { what: "a poller", source })?;
        let post = Arc::new(Post::new(pollers.iter().map(|(_, waker)| Arc::clone(waker))));
        let settings = Arc::new(config.broker.clone());
        let chain = Arc::new(chain);
        let runtime = runtime().map_err(|source| StartError::Resources { what: "the lobby", source })?;
        let (providers, requests) = mpsc::channel(WAITING_MAX);
        let around = surroundings(&post, &settings, providers, connections_max(config));
        let desk = desk(config, &around, &settings, &chain);
        runtime.spawn(reauthentication::serve(requests, chain, Arc::clone(&post), desk.connect_timeout));
        let mut server = Self {
            addresses: sockets.iter().map(BoundSocket::address).collect(),
            counts: Arc::clone(&around.counts),
            desk,
            shards: Vec::new(),
            stop: watch::Sender::new(false),
            failed: Arc::new(Notify::new()),
            runtime: Some(runtime),
        };
        server.start_shards(pollers.into_iter().map(|(poller, _)| poller), &around, &settings)?;
        server.open_doors(sockets)?;
        Ok(server)
    }

    fn start_shards(
        &mut self,
        pollers: impl ExactSizeIterator<Item = Poller>,
        around: &Surroundings,
        settings: &Arc<Settings>,
    ) -> Result<(), StartError> {
        let count = around.post.shards();
        let interests = Interests::new(count);
        for (number, poller) in (0..).zip(pollers) {
            let id = ShardId(number);
            let shard = Shard::new(id, count, Arc::clone(settings), &interests);
            let thread = thread::start(id, shard, poller, around.clone(), Arc::clone(&self.failed))
                .map_err(|source| StartError::Resources { what: "a shard", source })?;
            self.shards.push(thread);
        }
        Ok(())
    }

    fn open_doors(&self, sockets: Vec<BoundSocket>) -> Result<(), StartError> {
        let runtime = self.runtime.as_ref().expect("the Server is starting");
        let _context = runtime.enter();
        for socket in sockets {
            let listener = Listener::new(socket.listen()?)
                .map_err(|source| StartError::Resources { what: "a listener", source })?;
            runtime.spawn(accept(Arc::clone(&self.desk), listener, self.stop.subscribe()));
        }
        Ok(())
    }

    /// Where Clients can connect, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many shards carry the Clients.
    #[must_use]
    pub fn shards(&self) -> u8 {
        self.desk.post.shards()
    }

    /// Network Connections of Clients now, those included that are about to be closed.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.desk.seats.taken()
    }

    /// Panics that were caught; anything but 0 is a fault of the program.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.counts.panics()
    }

    /// Waits until a shard cannot go on, which it should never say.
    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// Plays `future` in the lobby's runtime, on this thread.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("the Server runs").block_on(future)
    }

    /// Plays `future` beside the lobby.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().expect("the Server runs").spawn(future);
    }

    /// Stops: no new connections, the Clients are told and what is pending is written; all within a few
    /// seconds.
    pub fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.stop.send_replace(true);
        self.desk.half_open.clear();
        self.desk.post.stop();
        for shard in self.shards.drain(..) {
            if shard.join().is_err() {
                tracing::error!("a shard ended with a panic");
            }
        }
        runtime.shutdown_background();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn refuse_public(config: &Config) -> Result<(), StartError> {
    match config.listeners.iter().find(|listener| is_public(listener.bind)) {
        None => Ok(()),
        Some(listener) => Err(StartError::Public(SocketAddr::new(listener.bind, listener.port))),
    }
}

fn make_data_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn shard_count(configured: u8) -> u8 {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let count = if configured == 0 { cores } else { usize::from(configured) };
    u8::try_from(count).unwrap_or(ShardId::MAX_COUNT).min(ShardId::MAX_COUNT)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("lobby").enable_all().build()
}

/// What is configured, or what the descriptors allow if that is less.
fn connections_max(config: &Config) -> u32 {
    match raise_open_files_limit() {
        Ok(limit) => {
            let allowed = u32::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(u32::MAX);
            config.lobby.connections_max.min(allowed.max(1))
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            config.lobby.connections_max
        }
    }
}

fn surroundings(
    post: &Arc<Post>,
    settings: &Settings,
    providers: mpsc::Sender<Reauthentication>,
    connections_max: u32,
) -> Surroundings {
    Surroundings {
        post: Arc::clone(post),
        clock: Clock::start(),
        seats: Seats::new(connections_max),
        providers,
        counts: Arc::default(),
        backlog_max: settings.output_bytes_max as usize + settings.maximum_packet_size as usize,
    }
}

fn desk(config: &Config, around: &Surroundings, settings: &Arc<Settings>, chain: &Arc<Chain>) -> Arc<Desk> {
    Arc::new(Desk {
        settings: Arc::clone(settings),
        chain: Arc::clone(chain),
        post: Arc::clone(&around.post),
        seats: Arc::clone(&around.seats),
        half_open: HalfOpen::new(&config.lobby),
        refusals: Refusals::new(),
        connect_timeout: Duration::from_secs(u64::from(config.lobby.connect_timeout_s)),
    })
}

/// Descriptors for all that is not a Client: standard streams, listeners, pollers, wakers, and some in the
/// lobby.
const OTHER_DESCRIPTORS: u64 = 64;
