//! Opening a stream to a Server (4.2): the socket, and what lies between it and MQTT.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::address::{Address, Scheme};
use crate::outgoing::{Failure, Outgoing};
use crate::stream::{Socket, Stream, StreamError};
use crate::tls::client::{ClientTls, ClientTlsError, LoadedClientTls};

/// How to open the stream.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For looking up the name, trying all its addresses, and TLS and WebSocket, all together; 10 seconds by default.
    pub time_limit: Duration,
    /// The local address to connect from; any by default.
    pub bind: Option<IpAddr>,
}

/// The way to one Server, for one connection after the other. Those after the first go on with the secrets of TLS that were agreed
/// on before, if the Server allows it.
#[derive(Debug)]
pub struct Connector {
    address: Address,
    options: ConnectOptions,
    tls: Option<Tls>,
}

/// Files are read again for a new connection if one has changed: a certificate may have been renewed.
#[derive(Debug)]
struct Tls {
    settings: ClientTls,
    loaded: LoadedClientTls,
    stamp: Stamp,
}

/// When the files were changed last, as far as that is known.
type Stamp = Vec<Option<std::time::SystemTime>>;

/// Why no stream could be opened.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot find the host `{host}`: {source}; check the name or give an IP address")]
    LookUp {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens.
    #[error("{server} refuses the connection; check that the Server runs and that {} right", where_it_is(.server))]
    Refused {
        /// Where.
        server: String,
    },
    /// Nobody answered in time.
    #[error("{server} did not answer within {} s; check host, port and firewalls", .time_limit.as_secs_f32())]
    TimedOut {
        /// Where.
        server: String,
        /// How long was waited.
        time_limit: Duration,
    },
    /// TLS or WebSocket did not come up in time.
    #[error("{server} did not finish {what} within {} s; does that port speak it?", .time_limit.as_secs_f32())]
    Silent {
        /// Where.
        server: String,
        /// What was begun.
        what: &'static str,
        /// How long was waited.
        time_limit: Duration,
    },
    /// Anything else the operating system said about the last address tried.
    #[error("cannot connect to {server}: {source}; check host, port and network")]
    Failed {
        /// Where.
        server: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Certificates cannot be used.
    #[error(transparent)]
    Files(#[from] ClientTlsError),
    /// TLS or WebSocket did not come up.
    #[error("{server}: {failure}")]
    Below {
        /// Where.
        server: String,
        /// Why.
        failure: Failure,
    },
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { time_limit: Duration::from_secs(10), bind: None }
    }
}

impl Connector {
    /// The way to `address`; where that asks for TLS, the files of `tls` are read.
    ///
    /// # Errors
    /// Those of [`ClientTls::load`].
    pub fn new(address: Address, tls: &ClientTls, options: ConnectOptions) -> Result<Self, ClientTlsError> {
        let tls = match address.scheme.has_tls() {
            true => Some(Tls::load(tls.clone(), address.scheme.protocol())?),
            false => None,
        };
        Ok(Self { address, options, tls })
    }

    /// Opens a stream, trying one address after the other, each with its share of the time that is left. Small packets leave
    /// at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Each [`ConnectError`]; with several addresses it tells of the last one.
    pub async fn connect(&mut self) -> Result<Stream, ConnectError> {
        if let Some(tls) = &mut self.tls {
            tls.refresh(self.address.scheme.protocol())?;
        }
        let (address, options) = (&self.address, &self.options);
        let deadline = Instant::now() + options.time_limit;
        let server = || address.to_string();
        let socket = match address.scheme {
            Scheme::Unix => Socket::Unix(open_unix(address).await?),
            _ => Socket::Tcp(open_tcp(address, options, deadline).await?),
        };
        let tls = self.tls.as_ref().map(|tls| &tls.loaded);
        let below = |failure: Failure| ConnectError::Below { server: server(), failure };
        let outgoing = Outgoing::new(address, tls).map_err(|failure| below(failure.into()))?;
        let mut stream = Stream::new(socket, outgoing);
        match timeout_at(deadline, stream.come_up()).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(StreamError::Below(failure))) => Err(below(failure)),
            Ok(Err(StreamError::Io(source))) => Err(ConnectError::Failed { server: server(), source }),
            Err(_) => {
                let what = if address.scheme.has_tls() { "the TLS handshake" } else { "the HTTP request" };
                Err(ConnectError::Silent { server: server(), what, time_limit: options.time_limit })
            }
        }
    }
}

impl Tls {
    fn load(settings: ClientTls, protocol: &str) -> Result<Self, ClientTlsError> {
        let stamp = stamp(&settings);
        let loaded = settings.load(protocol)?;
        Ok(Self { settings, loaded, stamp })
    }

    fn refresh(&mut self, protocol: &str) -> Result<(), ClientTlsError> {
        if stamp(&self.settings) != self.stamp {
            *self = Self::load(self.settings.clone(), protocol)?;
        }
        Ok(())
    }
}

fn stamp(settings: &ClientTls) -> Stamp {
    let modified = |file| std::fs::metadata(file).and_then(|facts| facts.modified()).ok();
    settings.files().map(modified).collect()
}

fn where_it_is(server: &str) -> &'static str {
    if server.starts_with("unix://") { "the path is" } else { "host and port are" }
}

async fn open_unix(address: &Address) -> Result<UnixStream, ConnectError> {
    UnixStream::connect(&address.host).await.map_err(|error| failed(address, error))
}

async fn open_tcp(
    address: &Address,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<TcpStream, ConnectError> {
    let found = look_up(address, options, deadline).await?;
    let mut last = timed_out(address, options);
    for (tried, one) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, open(*one, options.bind)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = failed(address, error),
            Err(_) => last = timed_out(address, options),
        }
    }
    Err(last)
}

async fn look_up(
    address: &Address,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = address.host.as_str();
    let found = match timeout_at(deadline, lookup_host((host, address.port))).await {
        Ok(Ok(found)) => found,
        Ok(Err(source)) => return Err(ConnectError::LookUp { host: host.into(), source }),
        Err(_) => return Err(timed_out(address, options)),
    };
    let is_usable =
        |address: &SocketAddr| options.bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4());
    let addresses: Vec<_> = found.filter(is_usable).collect();
    if addresses.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "the name has no usable address");
        return Err(ConnectError::LookUp { host: host.into(), source });
    }
    Ok(addresses)
}

async fn open(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bind) = bind {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn timed_out(address: &Address, options: &ConnectOptions) -> ConnectError {
    ConnectError::TimedOut { server: address.to_string(), time_limit: options.time_limit }
}

fn failed(address: &Address, source: io::Error) -> ConnectError {
    let server = address.to_string();
    match source.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { server },
        _ => ConnectError::Failed { server, source },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    async fn connect(host: &str, port: u16, options: &ConnectOptions) -> Result<Stream, ConnectError> {
        let address = Address::new(host, port);
        Connector::new(address, &ClientTls::default(), options.clone())?.connect().await
    }

    #[tokio::test]
    async fn a_listener_is_reached_by_name_and_by_address() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bind = Some("127.0.0.1".parse().unwrap());
        for host in ["127.0.0.1", "localhost"] {
            let options = ConnectOptions { bind, ..ConnectOptions::default() };
            let address = Address::new(host, port);
            let found = look_up(&address, &options, Instant::now() + options.time_limit).await.unwrap();
            assert!(open(found[0], bind).await.unwrap().nodelay().unwrap());
            connect(host, port, &options).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_socket_file_is_reached_by_its_path() {
        let path = std::env::temp_dir().join(format!("dunlin-net-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let address = Address::with_scheme(Scheme::Unix, path.to_str().unwrap(), 0);
        let mut connector =
            Connector::new(address, &ClientTls::default(), ConnectOptions::default()).unwrap();
        connector.connect().await.unwrap();
        drop(listener);
        let refused = connector.connect().await.unwrap_err().to_string();
        assert!(refused.contains("unix://") && refused.contains("the path is right"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        let missing = connector.connect().await.unwrap_err().to_string();
        assert!(missing.contains("No such file"), "{missing}");
    }

    #[tokio::test]
    async fn errors_tell_what_the_other_side_did() {
        let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let refused = connect("127.0.0.1", free, &ConnectOptions::default()).await.unwrap_err();
        assert!(matches!(&refused, ConnectError::Refused { .. }), "{refused}");
        assert!(refused.to_string().contains("check that the Server runs and that host and port are right"));

        let options = ConnectOptions { bind: Some("::1".parse().unwrap()), ..ConnectOptions::default() };
        let no_address = connect("127.0.0.1", free, &options).await.unwrap_err();
        assert!(matches!(no_address, ConnectError::LookUp { .. }));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // It never accepts, so that its queue is soon full.
        let listener = socket.listen(1).unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = ConnectOptions { time_limit: Duration::from_millis(50), ..ConnectOptions::default() };
        let mut queued = Vec::new();
        let late = loop {
            match connect("127.0.0.1", port, &options).await {
                Ok(stream) if queued.len() < 1_000 => queued.push(stream),
                Ok(_) => panic!("the queue of the listener has no end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(late, ConnectError::TimedOut { .. }), "{late}");
    }
}
