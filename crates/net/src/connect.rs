//! Opening a TCP stream to a Server (4.2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// How to open the stream.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For looking up the name and trying all its addresses together; 10 seconds by default.
    pub time_limit: Duration,
    /// The local address to connect from; any by default.
    pub bind: Option<IpAddr>,
}

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
    #[error(
        "{host}:{port} refuses the connection; check that the Server runs and that host and port are right"
    )]
    Refused {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Nobody answered in time.
    #[error("{host}:{port} did not answer within {} s; check host, port and firewalls", .time_limit.as_secs_f32())]
    TimedOut {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
        /// How long was waited.
        time_limit: Duration,
    },
    /// Anything else the operating system said about the last address tried.
    #[error("cannot connect to {host}:{port}: {source}; check host, port and network")]
    Failed {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { time_limit: Duration::from_secs(10), bind: None }
    }
}

/// Opens a stream to `host`, trying one address after the other, each with its share of the time that is left.
/// Small packets leave at once (`TCP_NODELAY`).
///
/// # Errors
/// Each [`ConnectError`]; with several addresses it tells of the last one.
pub async fn connect(host: &str, port: u16, options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + options.time_limit;
    let addresses = look_up(host, port, options, deadline).await?;
    let mut last = timed_out(host, port, options);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, open(*address, options.bind)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = failed(host, port, error),
            Err(_) => last = timed_out(host, port, options),
        }
    }
    Err(last)
}

async fn look_up(
    host: &str,
    port: u16,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = match timeout_at(deadline, lookup_host((host, port))).await {
        Ok(Ok(found)) => found,
        Ok(Err(source)) => return Err(ConnectError::LookUp { host: host.into(), source }),
        Err(_) => return Err(timed_out(host, port, options)),
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

fn timed_out(host: &str, port: u16, options: &ConnectOptions) -> ConnectError {
    ConnectError::TimedOut { host: host.into(), port, time_limit: options.time_limit }
}

fn failed(host: &str, port: u16, source: io::Error) -> ConnectError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { host: host.into(), port },
        _ => ConnectError::Failed { host: host.into(), port, source },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_reached_by_name_and_by_address() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bind = Some("127.0.0.1".parse().unwrap());
        for host in ["127.0.0.1", "localhost"] {
            let options = ConnectOptions { bind, ..ConnectOptions::default() };
            let stream = connect(host, port, &options).await.unwrap();
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn errors_tell_what_the_other_side_did() {
        let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let refused = connect("127.0.0.1", free, &ConnectOptions::default()).await.unwrap_err();
        assert!(matches!(&refused, ConnectError::Refused { .. }), "{refused}");
        assert!(refused.to_string().contains("check that the Server runs"));

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
