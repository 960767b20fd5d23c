//! `dunlin serve`: the Server as a program, with its screen, its signals and its exit codes.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    authentication::Providers,
    config::{
        durability::Durability,
        load::{Flags, Loaded, load_with_origins},
        model::{Config, ListenerConfig, ListenerKind, MQTT_PORT},
    },
    listen::{Place, is_public},
    log::{self, LevelSwitch},
    privileges,
    process::keep_new_files_private,
    reload::Way,
    server::{ListenerPlace, Server},
    storage::data_dir,
};

/// Runs until SIGTERM or SIGINT. The exit code is 0 after a graceful stop, 1 for whatever prevents one.
#[must_use]
pub fn serve(flags: &Flags) -> ExitCode {
    match run(flags) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dunlin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<ExitCode, Box<dyn std::error::Error>> {
    keep_new_files_private();
    let Loaded { config, files, .. } = load_with_origins(flags)?;
    let (log, level) = log::start(&config.log)?.unzip();
    let code = play(&config, flags, level, &files);
    if let Some(log) = log {
        log.flush();
    }
    code
}

fn play(
    config: &Config,
    flags: &Flags,
    level: Option<LevelSwitch>,
    files: &[PathBuf],
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let give_up = |config: &Config| {
        privileges::give_up(config)?;
        let named = config.files();
        privileges::tell_unreadable(files.iter().map(PathBuf::as_path).chain(named));
        Ok(())
    };
    let providers = Providers::open(config)?;
    let chains = providers.chains(config);
    let way = Way { flags: Some(flags.clone()), providers: Some(providers), level };
    let mut server = Server::launch(config, chains, way, give_up)?;
    // From here on a signal is heard.
    let mut signals = server.block_on(async { Signals::listen() })?;
    let mut hang_up = server.block_on(async { signal(SignalKind::hangup()) })?;
    let screen = Screen { config, listeners: server.listeners(), shards: server.shards() };
    if let Err(error) = screen.show(&mut io::stdout().lock()) {
        tracing::debug!(%error, "nobody reads the screen");
    }
    let code = server.block_on(async {
        loop {
            tokio::select! {
                name = signals.next() => {
                    tracing::info!("{name}: the Server stops; once more ends it at once");
                    return ExitCode::SUCCESS;
                }
                () = server.failed() => return ExitCode::FAILURE,
                _ = hang_up.recv() => {
                    tracing::info!("SIGHUP: the configuration and all files that it names are read again");
                    // The log is told of all that comes of it.
                    server.reload().map(drop).unwrap_or_default();
                }
            }
        }
    });
    server.spawn(async move {
        signals.next().await;
        std::process::exit(1);
    });
    server.stop();
    Ok(code)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What a person sees at the start.
struct Screen<'a> {
    config: &'a Config,
    listeners: &'a [ListenerPlace],
    shards: u8,
}

impl Screen<'_> {
    fn show(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Dunlin {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out)?;
        for (number, listener) in self.listeners.iter().enumerate() {
            let label = if number == 0 { "listens on" } else { "" };
            writeln!(out, "  {label:<12} {}", url(self.config, listener))?;
        }
        writeln!(out, "  {:<12} {}", "for", self.who_may_connect())?;
        writeln!(out, "  {:<12} {}", "shards", self.shards)?;
        for (number, line) in self.what_is_kept().iter().enumerate() {
            let label = if number == 0 { "keeps" } else { "" };
            writeln!(out, "  {label:<12} {line}")?;
        }
        writeln!(out)?;
        writeln!(out, "Try, in two other terminals:")?;
        writeln!(out, "  dunlin sub{} -t 'demo/#' -v", self.options())?;
        writeln!(out, "  dunlin pub{} -t demo/hello -m 'Hello'", self.options())?;
        out.flush()
    }

    fn what_is_kept(&self) -> Vec<String> {
        let storage = &self.config.storage;
        if storage.is_memory_only {
            let line = "nothing on the disk: Sessions and Retained Messages end with this program";
            return vec![line.to_owned()];
        }
        let folder = format!("Sessions and messages in {}", data_dir(self.config).display());
        let promise = match storage.durability {
            Durability::Sync => "what is acknowledged is on the disk".to_owned(),
            Durability::Interval => format!(
                "UNSAFE: a loss of power takes what was acknowledged in the last {} ms (durability = \"interval\")",
                storage.interval_ms
            ),
            Durability::None => {
                "UNSAFE: a loss of power takes what was acknowledged lately (durability = \"none\")"
                    .to_owned()
            }
        };
        vec![folder, promise]
    }

    fn who_may_connect(&self) -> String {
        let listeners = &self.config.listeners;
        let asks = |listener: &&ListenerConfig| listener.auth.as_ref().is_none_or(|names| !names.is_empty());
        let is_anonymous = |listener: &&ListenerConfig| listener.allow_anonymous == Some(true);
        if !self.config.auths.is_empty() && listeners.iter().all(|listener| asks(&listener)) {
            let names: Vec<_> = self.config.auths.iter().map(|provider| &*provider.name).collect();
            let others = if listeners.iter().any(|listener| is_anonymous(&listener)) {
                ", and Clients that do not say who they are"
            } else {
                ""
            };
            return format!("Clients that are known to {}{others}", names.join(", "));
        }
        let everybody = if self.listeners.iter().filter_map(address).any(|address| is_public(address.ip())) {
            "ANYBODY who can reach it, without a password"
        } else {
            "everybody on this machine, without a password"
        };
        everybody.to_owned()
    }

    /// What the tools must be told to find this Server: by plain TCP if there is a way.
    fn options(&self) -> String {
        let mut options = String::new();
        let is_plain = |kind| matches!(kind, ListenerKind::Tcp | ListenerKind::Any);
        let plain = || self.listeners.iter().filter(move |listener| is_plain(listener.kind));
        let near = plain().find(|listener| address(listener).is_some_and(|it| is_local(it.ip())));
        let Some(listener) = near.or(plain().next()).or(self.listeners.first()) else { return options };
        match &listener.place {
            Place::Tcp(address) => {
                if !is_local(address.ip()) {
                    options += &format!(" -h {}", address.ip());
                }
                if address.port() != MQTT_PORT || !is_plain(listener.kind) {
                    options += &format!(" -p {}", address.port());
                }
            }
            Place::Unix(path) => options += &format!(" --unix {}", path.display()),
        }
        options += match listener.kind {
            ListenerKind::Tls => " --cafile CA.pem",
            ListenerKind::Ws => " --ws",
            ListenerKind::Wss => " --ws --cafile CA.pem",
            ListenerKind::Tcp | ListenerKind::Any | ListenerKind::Unix => "",
        };
        if self.asks_everybody() {
            options += " -u USER -P PASSWORD";
        }
        options
    }

    /// Whether every listener asks who a Client is.
    fn asks_everybody(&self) -> bool {
        let asks = |listener: &ListenerConfig| {
            let names = listener.auth.as_ref();
            names.is_none_or(|names| !names.is_empty()) && listener.allow_anonymous != Some(true)
        };
        !self.config.auths.is_empty() && self.config.listeners.iter().all(asks)
    }
}

fn address(listener: &ListenerPlace) -> Option<SocketAddr> {
    match listener.place {
        Place::Tcp(address) => Some(address),
        Place::Unix(_) => None,
    }
}

/// A listener as clients name it.
fn url(config: &Config, listener: &ListenerPlace) -> String {
    let ListenerPlace { name, kind, place } = listener;
    let own = config.listeners.iter().find(|own| own.name == *name);
    let path = own.and_then(|own| own.websocket_paths.first()).map_or("", |path| path);
    match kind {
        ListenerKind::Tcp => format!("mqtt://{place}"),
        ListenerKind::Tls => format!("mqtts://{place}"),
        ListenerKind::Ws => format!("ws://{place}{path}"),
        ListenerKind::Wss => format!("wss://{place}{path}"),
        ListenerKind::Unix => format!("unix://{place}"),
        ListenerKind::Any if own.is_some_and(|own| !own.certificate_files.is_empty()) => {
            format!("mqtt://{place}, mqtts, ws and wss as well")
        }
        ListenerKind::Any => format!("mqtt://{place}, ws as well"),
    }
}

/// Whether the tools find it at `localhost`.
fn is_local(address: IpAddr) -> bool {
    address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(addresses: &[&str], config: &Config) -> String {
        let listener = |address: &&str| {
            let place = Place::Tcp(address.parse().unwrap());
            ListenerPlace { name: "tcp".to_owned(), kind: ListenerKind::Tcp, place }
        };
        let listeners: Vec<ListenerPlace> = addresses.iter().map(listener).collect();
        let mut out = Vec::new();
        Screen { config, listeners: &listeners, shards: 2 }.show(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_screen_says_where_and_what_to_try() {
        let screen = shown(&["127.0.0.1:1883", "[::1]:1883"], &Config::default());
        for line in [
            "  listens on   mqtt://127.0.0.1:1883\n               mqtt://[::1]:1883\n",
            "  for          everybody on this machine, without a password\n",
            "  shards       2\n",
            "  keeps        Sessions and messages in ",
            "               what is acknowledged is on the disk\n",
            "  dunlin sub -t 'demo/#' -v\n  dunlin pub -t demo/hello -m 'Hello'\n",
        ] {
            assert!(screen.contains(line), "{line}\nis not in\n{screen}");
        }
    }

    #[test]
    fn the_screen_knows_the_way_to_other_listeners() {
        let place = Place::Tcp("127.0.0.1:8883".parse().unwrap());
        let socket = Place::Unix("/run/mqtt.sock".into());
        for (kind, place, options) in [
            (ListenerKind::Tls, &place, " -p 8883 --cafile CA.pem -t"),
            (ListenerKind::Wss, &place, " -p 8883 --ws --cafile CA.pem -t"),
            (ListenerKind::Ws, &place, " -p 8883 --ws -t"),
            (ListenerKind::Any, &place, " -p 8883 -t"),
            (ListenerKind::Unix, &socket, " --unix /run/mqtt.sock -t"),
        ] {
            let listeners = [ListenerPlace { name: "one".to_owned(), kind, place: place.clone() }];
            let screen = Screen { config: &Config::default(), listeners: &listeners, shards: 1 };
            let mut out = Vec::new();
            screen.show(&mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(&format!("dunlin sub{options}")), "{options}: {out}");
        }
    }

    #[test]
    fn the_screen_adapts_to_port_and_address() {
        let mut config = Config::default();
        config.server.data_dir = Some("/var/lib/dunlin".into());
        let screen = shown(&["0.0.0.0:1884"], &config);
        for text in ["ANYBODY", "dunlin sub -p 1884 -t", "messages in /var/lib/dunlin\n"] {
            assert!(screen.contains(text), "{text} is not in\n{screen}");
        }
        config.storage.durability = Durability::None;
        assert!(shown(&["0.0.0.0:1884"], &config).contains("UNSAFE: a loss of power"));
        config.storage.is_memory_only = true;
        assert!(shown(&["0.0.0.0:1884"], &config).contains("nothing on the disk"));
        assert!(shown(&["192.0.2.1:1883"], &config).contains("dunlin pub -h 192.0.2.1 -t demo/hello"));
    }
}
