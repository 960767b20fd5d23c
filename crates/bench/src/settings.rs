//! The options of a run, checked and made definite.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use dunlin_net::address::{Address, Scheme};
use dunlin_net::arguments::Way;
use dunlin_net::tls::client::ClientTls;
use dunlin_packet::qos::QoS;
use dunlin_packet::version::ProtocolVersion;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::{MessageArgs, ServerArgs, TimeArgs};
use crate::clock::from_seconds;
use crate::failure::Failure;
use crate::stream::Transport;

/// The Server and the Clients that go there.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// As the user named it.
    pub(crate) server_name: String,
    pub(crate) server: SocketAddr,
    pub(crate) transport: Option<Arc<Transport>>,
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) version: ProtocolVersion,
    pub(crate) id_prefix: String,
    pub(crate) keep_alive_s: u16,
    pub(crate) keeps_sessions: bool,
    pub(crate) session_expiry_s: u32,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    /// 0 for as fast as it goes.
    pub(crate) connect_rate: f64,
    pub(crate) parallel: usize,
    pub(crate) threads: usize,
    pub(crate) stall_ns: u64,
    /// Tells this run's messages from those of others.
    pub(crate) tag: u32,
}

/// The messages of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) size: usize,
    pub(crate) window: usize,
}

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Messages a second, 0 for a closed loop.
    pub(crate) rate: f64,
    pub(crate) ramp_ns: u64,
    pub(crate) duration_ns: u64,
    pub(crate) warm_up_ns: u64,
    pub(crate) messages: Option<u64>,
}

impl Settings {
    /// Looks up the Server and checks what the options say together.
    ///
    /// # Errors
    /// A URL that is none, a name without an address, a password that cannot be sent.
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let way = args.transport.way(args.host.as_deref(), args.port, args.url.as_deref());
        let Way { address, tls, warnings } = way.map_err(Failure::new)?;
        if address.scheme == Scheme::Unix {
            return Err(Failure::new("socket files are not measured; give host and port"));
        }
        warnings.iter().for_each(|warning| eprintln!("Warning: {warning}"));
        let version = args.protocol_version;
        let password = args.pw.clone().map(String::into_bytes).or_else(|| address.password.clone());
        let user_name = args.username.clone().or_else(|| address.user_name.clone());
        if password.is_some() && user_name.is_none() && !version.has_properties() {
            return Err(Failure::new("-P needs -u before MQTT 5; give a user name, or use -V mqttv5"));
        }
        let pid = std::process::id();
        Ok(Self {
            server_name: address.to_string(),
            server: look_up(&address, &args.bind)?,
            transport: transport(&address, tls)?,
            sources: args.bind.clone(),
            version,
            id_prefix: args.id.clone().unwrap_or_else(|| format!("bench-{pid:x}-")),
            keep_alive_s: args.keepalive,
            keeps_sessions: args.keeps_sessions,
            session_expiry_s: args.session_expiry_interval,
            user_name,
            password,
            connect_rate: args.connect_rate,
            parallel: args.parallel as usize,
            threads: usize::from(args.threads),
            stall_ns: from_seconds(args.stall.max(0.1)),
            // A prime, so that processes that follow each other differ in all bits.
            tag: pid.wrapping_mul(2_654_435_761) >> 20,
        })
    }

    /// The name of the version as the standard writes it.
    pub(crate) fn version_name(&self) -> &'static str {
        match self.version {
            ProtocolVersion::V3_1 => "3.1",
            ProtocolVersion::V3_1_1 => "3.1.1",
            ProtocolVersion::V5_0 => "5.0",
        }
    }
}

impl Messages {
    pub(crate) fn new(args: &MessageArgs) -> Self {
        Self { qos: args.qos, retain: false, size: args.size as usize, window: args.window as usize }
    }
}

impl Times {
    /// `rate` is for when the user gives none. With a number of messages nothing is left unmeasured.
    ///
    /// # Errors
    /// A ramp to no rate.
    pub(crate) fn new(args: &TimeArgs, rate: f64) -> Result<Self, Failure> {
        let rate = args.rate.unwrap_or(rate);
        if args.ramp > 0.0 && rate == 0.0 {
            return Err(Failure::new("--ramp rises to a rate; give that with -r, or leave --ramp out"));
        }
        Ok(Self {
            rate,
            ramp_ns: from_seconds(args.ramp),
            duration_ns: from_seconds(args.duration.max(0.01)),
            warm_up_ns: if args.messages.is_some() { 0 } else { from_seconds(args.warm_up) },
            messages: args.messages,
        })
    }
}

/// What lies between TCP and MQTT, made once for all connections. Each has a whole handshake of TLS, so that they cost alike.
fn transport(address: &Address, tls: ClientTls) -> Result<Option<Arc<Transport>>, Failure> {
    if address.scheme == Scheme::Mqtt {
        return Ok(None);
    }
    let tls = match address.scheme.has_tls() {
        true => {
            let tls = ClientTls { never_resumes: true, ..tls };
            Some(tls.load(address.scheme.protocol()).map_err(Failure::new)?)
        }
        false => None,
    };
    Ok(Some(Arc::new(Transport { address: address.clone(), tls })))
}

/// IPv4 first, as most Servers listen there on a machine where a name has both.
fn look_up(address: &Address, sources: &[IpAddr]) -> Result<SocketAddr, Failure> {
    let host = &address.host;
    let found = (host.as_str(), address.port).to_socket_addrs().map_err(|error| {
        Failure::new(format!("cannot find the host `{host}`: {error}; check the name or give an IP address"))
    })?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    let is_usable = |server: &&SocketAddr| sources.iter().all(|source| source.is_ipv4() == server.is_ipv4());
    found.iter().find(is_usable).copied().ok_or_else(|| {
        Failure::new(format!("`{host}` has no address of the kind that --bind names (IPv4 or IPv6)"))
    })
}

/// Makes room for `connections` open files.
///
/// # Errors
/// The hard limit is lower.
pub(crate) fn make_room_for(connections: usize) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let Some(needed) = room_for(connections, limit.current, limit.maximum)? else { return Ok(()) };
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })
        .map_err(|error| Failure::new(format!("cannot raise the limit of open files to {needed}: {error}")))
}

/// Makes room for as many open files as this user may have. Where that is not granted, what there is has to do.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

/// The soft limit that `connections` need, if it is to be raised. No limit is `None`.
fn room_for(connections: usize, soft: Option<u64>, hard: Option<u64>) -> Result<Option<u64>, Failure> {
    let needed = connections as u64 + FILES_BESIDE;
    if soft.is_none_or(|soft| soft >= needed) {
        return Ok(None);
    }
    match hard.filter(|hard| *hard < needed) {
        None => Ok(Some(needed)),
        Some(hard) => Err(Failure::new(format!(
            "{connections} connections need {needed} open files, and the hard limit is {hard}: raise it (`ulimit -Hn \
             {needed}` as root, or nofile in /etc/security/limits.conf), or open fewer connections with -n"
        ))),
    }
}

/// Pollers, timers, standard streams, files under /proc.
const FILES_BESIDE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_comes_first_unless_the_source_is_ipv6() {
        let address = Address::new("127.0.0.1", 1883);
        assert_eq!(look_up(&address, &[]).unwrap(), SocketAddr::from(([127, 0, 0, 1], 1883)));
        let error = look_up(&address, &["::1".parse().unwrap()]).unwrap_err();
        assert!(error.message.contains("--bind"), "{}", error.message);
    }

    #[test]
    fn the_limit_is_raised_if_it_can_be_and_else_told_with_what_is_missing() {
        assert_eq!(room_for(100, Some(1_024), Some(4_096)), Ok(None));
        assert_eq!(room_for(100, None, None), Ok(None));
        assert_eq!(room_for(2_000, Some(1_024), Some(4_096)), Ok(Some(2_064)));
        assert_eq!(room_for(2_000, Some(1_024), None), Ok(Some(2_064)));
        let error = room_for(5_000, Some(1_024), Some(4_096)).unwrap_err();
        assert!(
            error.message.contains("need 5064 open files, and the hard limit is 4096"),
            "{}",
            error.message
        );
    }
}
