//! A running Server: first all that is inside, the doors last; and in the other order at the end.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    num::NonZero,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{JoinHandle, available_parallelism},
    time::Duration,
};

use dunlin_auth::{chains::Chains, rights::rulebook::Rulebook};
use dunlin_broker::{ids::ShardId, limits::Settings, routing::interests::Interests, shard::Shard};
use dunlin_net::tls::error::FileError;
use dunlin_store::writer::statistics::Statistics;
use mio::Waker;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, mpsc, watch},
    task,
};

use crate::{
    admin::{
        door,
        operator::Facts,
        shards::Shards,
        socket::{self, SocketFile},
    },
    authentication,
    clock::{ALIVE_TIME, Clock},
    config::model::{Config, ListenerConfig, ListenerKind, TlsConfig},
    counts::Counts,
    listen::{self, BoundSocket, Place},
    lobby::{
        accept::accept,
        certificates::{self, warn_of_ends},
        desk::Desk,
        door::Door,
        fights::Fights,
        listener::Listener,
        reauthentication::{self, WAITING_MAX},
    },
    memory::{gauge::Gauge, shedding},
    process::{give_memory_back, hold_little_memory},
    reload::{ReloadError, Reloaded, Reloader, Way},
    rights::{self, RightsError},
    shard::{
        mailbox::Post,
        neighbours::Neighbours,
        poller::Poller,
        resharding,
        storage::{Ready, StorageLink},
        surroundings::Surroundings,
        thread,
    },
    start_error::{StartError, refuse_public},
    starting::{self, desk, seats},
    storage::{self, LastRun},
    sys_topics::SysTopics,
};

/// A Server that runs in threads of this process. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<ListenerPlace>,
    doors: Vec<Arc<Door>>,
    desk: Arc<Desk>,
    rulebook: Arc<Rulebook>,
    reloader: Arc<Reloader>,
    counts: Arc<Counts>,
    shards: Vec<JoinHandle<()>>,
    storage: Option<Arc<StorageLink>>,
    admin_socket: Option<SocketFile>,
    /// One for each listener.
    accepting: Vec<task::JoinHandle<()>>,
    clock: Clock,
    stop: watch::Sender<bool>,
    failed: Arc<Notify>,
    /// The lobby's; nothing once the Server is stopped.
    runtime: Option<Runtime>,
}

/// A listener and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerPlace {
    /// Its name.
    pub name: String,
    /// What is spoken there.
    pub kind: ListenerKind,
    /// Where it listens, with the port that was chosen.
    pub place: Place,
}

impl Server {
    /// Starts a Server; when this returns, Clients can connect.
    ///
    /// # Errors
    /// Each [`StartError`].
    pub fn start(config: &Config, chains: impl Into<Chains>) -> Result<Self, StartError> {
        Self::launch(config, chains.into(), Way::default(), |_| Ok(()))
    }

    /// The same with the `way` to another configuration; `once_bound` is called when all is opened and read that the Server may lose
    /// the right to.
    pub(crate) fn launch(
        config: &Config,
        chains: Chains,
        way: Way,
        once_bound: impl FnOnce(&Config) -> Result<(), StartError>,
    ) -> Result<Self, StartError> {
        hold_little_memory();
        let began = std::time::Instant::now();
        let doors = doors(config, &chains)?;
        let rulebook = Arc::new(rulebook(config, &chains, &doors)?);
        let chains = Arc::new(chains.with_rulebook(&rulebook));
        let sockets = listen::bind(&config.listeners)?;
        once_bound(config)?;
        let count = shard_count(config.server.shards);
        let pollers = pollers(count)?;
        let post = Arc::new(Post::new(pollers.iter().map(|(_, waker)| Arc::clone(waker))));
        let settings = starting::settings(config);
        let (storage, last_run) = start_storage(config, count, &settings, &post)?;
        let (startup, ready) = std::sync::mpsc::channel();
        let runtime = runtime().map_err(|source| StartError::Resources { what: "the lobby", source })?;
        let (providers, requests) = mpsc::channel(WAITING_MAX);
        let around = Surroundings {
            post: Arc::clone(&post),
            neighbours: Arc::new(Neighbours::new(count)),
            clock: Clock::start_after(last_run.alive),
            husks: Arc::default(),
            seats: seats(config, &settings),
            memory: Arc::new(Gauge::new(config.lobby.memory_bytes_max())),
            fights: Arc::new(Fights::new(Duration::from_secs(config.lobby.takeover_delay_max_s.into()))),
            providers,
            counts: Arc::default(),
            backlog_max: settings.output_bytes_max as usize + settings.greatest_packet_size() as usize,
            storage: storage.clone(),
            startup,
        };
        let desk = desk(config, &around, &settings, &chains)?;
        runtime.spawn(reauthentication::serve(requests, Arc::clone(&desk)));
        let reloader = Arc::new(Reloader::new(way, config, &desk, &doors, &rulebook));
        let mut server = Self {
            listeners: sockets.iter().map(|socket| listener_place(config, socket)).collect(),
            doors,
            counts: Arc::clone(&around.counts),
            rulebook,
            reloader,
            desk,
            shards: Vec::new(),
            storage,
            accepting: Vec::new(),
            admin_socket: None,
            clock: around.clock,
            stop: watch::Sender::new(false),
            failed: Arc::new(Notify::new()),
            runtime: Some(runtime),
        };
        server.start_shards(pollers.into_iter().map(|(poller, _)| poller), around, &settings)?;
        server.await_shards(&ready, last_run)?;
        server.begin_chores(config, began)?;
        server.open_doors(sockets)?;
        Ok(server)
    }

    /// What is done now and then as long as the Server runs, and what it says of itself.
    fn begin_chores(&mut self, config: &Config, began: std::time::Instant) -> Result<(), StartError> {
        self.note_alive_now_and_then();
        self.mind_users();
        self.give_memory_back_now_and_then();
        self.mind_certificates(&config.tls);
        self.mind_memory();
        self.open_admin_door(config, began)?;
        self.publish_sys_topics(config, began);
        Ok(())
    }

    /// Looks how much memory is used, if that has a bound.
    fn mind_memory(&self) {
        if self.desk.memory.max() == 0 {
            return;
        }
        let watching =
            shedding::watch(Arc::clone(&self.desk.memory), Shards::new(Arc::clone(&self.desk.post)));
        let mut stop = self.stop.subscribe();
        self.spawn(async move {
            tokio::select! {
                () = watching => {}
                _ = stop.changed() => {}
            }
        });
    }

    fn start_shards(
        &mut self,
        pollers: impl ExactSizeIterator<Item = Poller>,
        around: Surroundings,
        settings: &Arc<Settings>,
    ) -> Result<(), StartError> {
        let count = around.post.shards();
        let interests = Interests::new(count);
        for (number, poller) in (0..).zip(pollers) {
            let id = ShardId(number);
            let mut shard = Shard::new(id, count, Arc::clone(settings), &interests);
            shard.put_rules(self.rulebook.current());
            let thread = thread::start(id, shard, poller, around.clone(), Arc::clone(&self.failed))
                .map_err(|source| StartError::Resources { what: "a shard", source })?;
            self.shards.push(thread);
        }
        Ok(())
    }

    /// Waits until all shards are restored and have settled with each other.
    fn await_shards(&self, ready: &Receiver<Ready>, last_run: LastRun) -> Result<(), StartError> {
        let began = std::time::Instant::now();
        let (mut restored, mut settled) = (0, 0);
        while settled < self.shards.len() {
            match ready.recv_timeout(PROGRESS_TIME) {
                Ok(Ready::Restored) => {
                    restored += 1;
                    if restored == self.shards.len() {
                        let alive = last_run.alive.map(|alive| alive + ALIVE_TIME);
                        self.desk.post.settle(alive.unwrap_or(self.clock.now()));
                    }
                }
                Ok(Ready::Settled) => settled += 1,
                Ok(Ready::Failed(error)) => return Err(error.into()),
                Err(RecvTimeoutError::Timeout) => self.tell_progress(began),
                Err(RecvTimeoutError::Disconnected) => {
                    let source = io::Error::other("a shard has ended while it was restored");
                    return Err(StartError::Resources { what: "a shard", source });
                }
            }
        }
        if began.elapsed() >= PROGRESS_TIME {
            self.tell_progress(began);
        }
        Ok(())
    }

    fn tell_progress(&self, began: std::time::Instant) {
        let Some(storage) = &self.storage else { return };
        let records = storage.progress().records();
        tracing::info!(records, seconds = began.elapsed().as_secs(), "reading what is kept");
    }

    /// Notes that the Server runs, so that the next one knows for how long there was none.
    fn note_alive_now_and_then(&self) {
        let Some(storage) = self.storage.clone() else { return };
        let clock = self.clock;
        let mut stop = self.stop.subscribe();
        self.spawn(async move {
            for number in 1.. {
                storage.note_alive(number, clock.now());
                tokio::select! {
                    () = tokio::time::sleep(ALIVE_TIME) => {}
                    _ = stop.changed() => return,
                }
            }
        });
    }

    /// Looks now and then whether there are other users, who have other rights.
    fn mind_users(&self) {
        let (desk, reloader) = (Arc::clone(&self.desk), Arc::clone(&self.reloader));
        let chains = move || Arc::clone(&desk.terms().chains);
        // The log is told of errors there.
        let on_change = move || drop(reloader.reload_rights());
        self.spawn(authentication::keep_up_to_date(chains, on_change, self.stop.subscribe()));
    }

    /// Many Clients that come or go leave holes in memory: they are given back once it is quiet again.
    fn give_memory_back_now_and_then(&self) {
        let (seats, husks) = (Arc::clone(&self.desk.seats), Arc::clone(&self.desk.husks));
        let mut stop = self.stop.subscribe();
        self.spawn(async move {
            let (mut last, mut at_last) = (0, 0);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(QUIET_TIME) => {}
                    _ = stop.changed() => return,
                }
                let now = seats.taken();
                husks.free();
                if now == last && now.abs_diff(at_last) >= MANY_CLIENTS {
                    at_last = now;
                    give_memory_back();
                }
                last = now;
            }
        });
    }

    /// Lets operators in.
    fn open_admin_door(&mut self, config: &Config, started: std::time::Instant) -> Result<(), StartError> {
        let Some((listener, file)) = socket::open_for(config)? else { return Ok(()) };
        self.admin_socket = Some(file);
        let facts = Arc::new(Facts {
            shards: Shards::new(Arc::clone(&self.desk.post)),
            desk: Arc::clone(&self.desk),
            counts: Arc::clone(&self.counts),
            storage: config.storage.clone(),
            reloader: Arc::clone(&self.reloader),
            started,
        });
        self.spawn(door::serve(listener, facts, self.stop.subscribe()));
        Ok(())
    }

    /// Publishes how the Server does, every now and then.
    fn publish_sys_topics(&self, config: &Config, started: std::time::Instant) {
        let interval = Duration::from_secs(config.server.sys_interval_s.into());
        if interval.is_zero() {
            return;
        }
        let shards = Shards::new(Arc::clone(&self.desk.post));
        let topics = SysTopics::new(shards, Arc::clone(&self.desk), started);
        let mut stop = self.stop.subscribe();
        self.spawn(async move {
            tokio::select! {
                () = topics.publish_every(interval) => {}
                _ = stop.changed() => {}
            }
        });
    }

    fn open_doors(&mut self, sockets: Vec<BoundSocket>) -> Result<(), StartError> {
        let runtime = self.runtime.as_ref().expect("the Server is starting");
        let _context = runtime.enter();
        for socket in sockets {
            let door = Arc::clone(&self.doors[socket.number()]);
            let listener = Listener::new(socket.listen()?)
                .map_err(|source| StartError::Resources { what: "a listener", source })?;
            let accepting = accept(Arc::clone(&self.desk), door, listener, self.stop.subscribe());
            self.accepting.push(runtime.spawn(accepting));
        }
        Ok(())
    }

    /// Waits until all listeners are closed, and the files of those that have one are gone.
    fn await_listeners(&self) {
        let until = std::time::Instant::now() + CLOSE_TIME;
        while self.accepting.iter().any(|task| !task.is_finished()) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Warns of certificates that end soon, and reads them again when their files change.
    fn mind_certificates(&self, config: &TlsConfig) {
        if self.doors.iter().all(|door| door.tls.is_none()) {
            return;
        }
        warn_of_ends(&self.doors, config.expiry_warning_days);
        let reloader = Arc::clone(&self.reloader);
        let on_change = move || reloader.renew_revoked();
        self.spawn(certificates::watch(self.doors.clone(), config.clone(), on_change));
    }

    /// Reads certificates, keys, CAs and lists of revoked certificates of all listeners again, for new connections; those that are there
    /// stay, but for Clients whose certificates are revoked now. Returns the listeners whose files cannot be used, which stay as they were.
    pub fn reload_certificates(&self) -> Vec<(String, FileError)> {
        let failed = certificates::reload(&self.doors);
        self.reloader.renew_revoked();
        failed
    }

    /// Where Clients can connect, in the order of the configuration.
    #[must_use]
    pub fn listeners(&self) -> &[ListenerPlace] {
        &self.listeners
    }

    /// The addresses where Clients can connect, in the order of the configuration; socket files have none.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |listener: &ListenerPlace| match listener.place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        };
        self.listeners.iter().filter_map(address).collect()
    }

    /// The socket for operators, if there is one.
    #[must_use]
    pub fn admin_socket(&self) -> Option<&Path> {
        self.admin_socket.as_ref().map(SocketFile::path)
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

    /// What the storage has done so far; nothing if all is kept in memory only.
    #[must_use]
    pub fn storage_statistics(&self) -> Option<&Statistics> {
        self.storage.as_deref().map(StorageLink::statistics)
    }

    /// Reads the rules again and puts them in force at once, for living Sessions as well: Subscriptions that are not
    /// allowed any more are taken away, Clients whose users are gone are disconnected.
    ///
    /// # Errors
    /// If they cannot be used; then those that were in force stay.
    pub fn reload_rights(&self) -> Result<(), RightsError> {
        self.reloader.reload_rights()
    }

    /// Reads the configuration and all files that it names again, and puts in force what can be changed while the Server runs: all of it, or
    /// nothing. It may block.
    ///
    /// # Errors
    /// Each [`ReloadError`]; then everything is as it was.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reloader.reload()
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
        self.admin_socket = None;
        self.desk.half_open.clear();
        self.desk.post.stop();
        for shard in self.shards.drain(..) {
            if shard.join().is_err() {
                tracing::error!("a shard ended with a panic");
            }
        }
        self.await_listeners();
        runtime.shutdown_background();
        if let Some(storage) = self.storage.take() {
            if let Err(error) = storage.stop() {
                tracing::error!(%error, "not everything could be kept");
            }
            storage.tell_figures();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads the certificates of all listeners.
fn doors(config: &Config, chains: &Chains) -> Result<Vec<Arc<Door>>, StartError> {
    refuse_public(config, chains)?;
    let packet_bytes_max = config.broker.greatest_packet_size();
    let door = |(number, listener)| {
        let door = Door::new(number, listener, packet_bytes_max);
        door.map(Arc::new).map_err(|source| {
            let name = config.listeners[usize::from(number)].name.clone();
            StartError::Certificates { name, source }
        })
    };
    (0..).zip(&config.listeners).map(door).collect()
}

/// Reads the rules, for the users there are, without those whose certificates are revoked.
fn rulebook(config: &Config, chains: &Chains, doors: &[Arc<Door>]) -> Result<Rulebook, StartError> {
    let rules = rights::read(&config.rights, chains.users())?;
    Ok(Rulebook::new(rights::without_revoked(&rules, certificates::revoked(doors))))
}

fn listener_place(config: &Config, socket: &BoundSocket) -> ListenerPlace {
    let ListenerConfig { name, kind, .. } = &config.listeners[socket.number()];
    ListenerPlace { name: name.clone(), kind: *kind, place: socket.place().clone() }
}

/// One poller for each shard, with what wakes it.
fn pollers(count: u8) -> Result<Vec<(Poller, Arc<Waker>)>, StartError> {
    let pollers = (0..count).map(|_| Poller::new()).collect::<Result<_, _>>();
    pollers.map_err(|source| StartError::Resources { what: "a poller", source })
}

/// Opens the store, if there is to be one, and starts its writer.
fn start_storage(
    config: &Config,
    shards: u8,
    settings: &Arc<Settings>,
    post: &Arc<Post>,
) -> Result<(Option<Arc<StorageLink>>, LastRun), StartError> {
    if config.storage.is_memory_only {
        return Ok((None, LastRun::default()));
    }
    let folder = storage::data_dir(config);
    let store = storage::open(&folder, &config.storage)?;
    dunlin_store::facts::refuse_unfinished_import(&*store, &folder)?;
    let last_run = LastRun::read(&*store)?;
    if last_run.shards != Some(shards) {
        if let Some(before) = last_run.shards {
            resharding::reshard(&*store, settings, before, last_run)?;
        }
        storage::note_shards(&*store, shards)?;
    }
    let link = StorageLink::start(store, storage::writer_options(&config.storage), shards, post)
        .map_err(|source| StartError::Resources { what: "the writer", source })?;
    Ok((Some(Arc::new(link)), last_run))
}

fn shard_count(configured: u8) -> u8 {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let count = if configured == 0 { cores } else { usize::from(configured) };
    u8::try_from(count).unwrap_or(ShardId::MAX_COUNT).min(ShardId::MAX_COUNT)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("lobby").enable_all().build()
}

/// How often the log is told how far the restoring has come.
const PROGRESS_TIME: Duration = Duration::from_secs(2);

/// How long nobody has come or gone when memory is given back,
const QUIET_TIME: Duration = Duration::from_millis(500);

/// and how many more or fewer Clients there must be than the last time.
const MANY_CLIENTS: u32 = 500;

/// The longest wait for the listeners to close.
const CLOSE_TIME: Duration = Duration::from_secs(1);
