//! Sockets that listen for Clients: bound early, opened late.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    config::model::{ListenerConfig, ListenerKind},
    process::accept_with_first_bytes,
    socket_file,
};

/// A socket that has its address but does not listen yet.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    socket: Socket,
    place: Place,
    backlog: i32,
    /// Which listener it is for: its place in the configuration.
    number: usize,
}

/// Where a socket listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// At an address and a port.
    Tcp(SocketAddr),
    /// At a file.
    Unix(PathBuf),
}

/// A socket that listens.
pub(crate) enum Listening {
    /// At an address and a port.
    Tcp(TcpListener),
    /// At a file.
    Unix(UnixListener, PathBuf),
}

/// Why the Server cannot listen; its text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {}", advice(.source, .place))]
pub struct ListenError {
    /// Where.
    pub place: Place,
    /// What the operating system said.
    pub source: io::Error,
}

/// Binds one socket for each listener. Those of one kind with port 0 all get the same free port.
///
/// # Errors
/// [`ListenError`] for the first that cannot be bound and is not optional.
pub(crate) fn bind(listeners: &[ListenerConfig]) -> Result<Vec<BoundSocket>, ListenError> {
    let wants_free_port = listeners.iter().any(|listener| listener.port == 0);
    let mut attempts = if wants_free_port { FREE_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(listeners) {
            // The port that was free at the first address is not free at another one.
            Err(ListenError { place: Place::Tcp(_), source })
                if source.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            result => return result,
        }
    }
}

fn bind_once(listeners: &[ListenerConfig]) -> Result<Vec<BoundSocket>, ListenError> {
    let mut bound: Vec<BoundSocket> = Vec::new();
    for (number, listener) in listeners.iter().enumerate() {
        let backlog = i32::try_from(listener.backlog).unwrap_or(i32::MAX);
        if let Some(path) = listener.path.as_ref().filter(|_| listener.kind == ListenerKind::Unix) {
            let place = Place::Unix(path.clone());
            match socket_file::bind(path, listener) {
                Ok(socket) => bound.push(BoundSocket { socket, place, backlog, number }),
                Err(source) => return Err(ListenError { place, source }),
            }
            continue;
        }
        let port = if listener.port == 0 { free_port(listener, listeners, &bound) } else { listener.port };
        let address = SocketAddr::new(listener.bind, port);
        match bind_socket(address, is_v6_only(listener, listeners)) {
            Ok((socket, address)) => {
                bound.push(BoundSocket { socket, place: Place::Tcp(address), backlog, number });
            }
            Err(source) if listener.is_optional && has_no_such_address(&source) => {}
            Err(source) => return Err(ListenError { place: Place::Tcp(address), source }),
        }
    }
    Ok(bound)
}

/// The port of another listener of the same kind that wanted any free one at another address; 0 if there is none.
fn free_port(listener: &ListenerConfig, all: &[ListenerConfig], bound: &[BoundSocket]) -> u16 {
    let is_same = |other: &ListenerConfig| other.kind == listener.kind && other.port == 0;
    let same: Vec<&BoundSocket> = bound.iter().filter(|socket| is_same(&all[socket.number])).collect();
    if same.iter().any(|socket| all[socket.number].bind == listener.bind) {
        return 0;
    }
    same.iter().find_map(|socket| socket.address()).map_or(0, |address| address.port())
}

fn bind_socket(address: SocketAddr, is_v6_only: bool) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted Server takes its port back although old connections are still being forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Small packets leave at once; accepted sockets inherit this.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(is_v6_only)?;
    }
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket().expect("a socket of the Internet has such an address");
    Ok((socket, address))
}

/// `::` takes IPv4 as well, unless that port has a listener of its own for IPv4.
fn is_v6_only(listener: &ListenerConfig, all: &[ListenerConfig]) -> bool {
    !listener.bind.is_unspecified()
        || all.iter().any(|other| other.bind.is_ipv4() && other.port == listener.port)
}

impl BoundSocket {
    /// Where it will listen, with the port that was chosen.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Which listener it is for: its place in the configuration.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The address, with the port that was chosen; nothing for a socket file.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        }
    }

    /// Opens the door.
    ///
    /// # Errors
    /// [`ListenError`] if another program was faster.
    pub(crate) fn listen(self) -> Result<Listening, ListenError> {
        let Self { socket, place, backlog, .. } = self;
        if matches!(place, Place::Tcp(_)) {
            accept_with_first_bytes(&socket); // docs/decisions/0029
        }
        if let Err(source) = socket.listen(backlog) {
            return Err(ListenError { place, source });
        }
        let descriptor = OwnedFd::from(socket);
        Ok(match place {
            Place::Tcp(_) => Listening::Tcp(TcpListener::from(descriptor)),
            Place::Unix(path) => Listening::Unix(UnixListener::from(descriptor), path),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Whether other machines can reach `listener`.
pub(crate) fn is_reachable(listener: &ListenerConfig) -> bool {
    listener.kind != ListenerKind::Unix && is_public(listener.bind)
}

/// Whether other machines can reach `address`.
pub(crate) fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

fn has_no_such_address(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn advice(error: &io::Error, place: &Place) -> String {
    let Place::Tcp(address) = place else { return error.to_string() };
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is in use; stop the other program, or choose another port with --port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("no permission for port {port}; choose one from 1024 on with --port")
        }
        _ if has_no_such_address(error) => {
            "this machine has no such address; give one of its own, 127.0.0.1 or 0.0.0.0".to_owned()
        }
        _ => format!("{error}; check the address and the port"),
    }
}

/// How often a port is looked for that is free at all addresses.
const FREE_PORT_ATTEMPTS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::loopback_listeners;

    fn listener(bind: &str, port: u16) -> ListenerConfig {
        ListenerConfig { bind: bind.parse().unwrap(), port, ..ListenerConfig::default() }
    }

    fn port(socket: &BoundSocket) -> u16 {
        socket.address().unwrap().port()
    }

    #[test]
    fn listeners_with_port_0_share_one_free_port() {
        let bound = bind(&loopback_listeners(0)).unwrap();
        assert_ne!(port(&bound[0]), 0);
        assert!(bound.iter().all(|socket| port(socket) == port(&bound[0])));
    }

    #[test]
    fn listeners_of_several_kinds_with_port_0_have_their_own() {
        let tls = ListenerConfig { kind: ListenerKind::Tls, ..listener("127.0.0.1", 0) };
        let all = [listener("127.0.0.1", 0), tls, listener("127.0.0.1", 0), listener("127.0.0.2", 0)];
        let bound = bind(&all).unwrap();
        let ports: Vec<u16> = bound.iter().map(port).collect();
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[2] != ports[0], "{ports:?}");
        assert_eq!(ports[3], ports[0]);
    }

    #[test]
    fn a_port_in_use_is_told_with_advice() {
        let first = bind(&[listener("127.0.0.1", 0)]).unwrap().remove(0);
        let port = port(&first);
        let _listening = first.listen().unwrap();
        let error = bind(&[listener("127.0.0.1", port)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on 127.0.0.1:{port}: port {port} is in use; stop the other program, \
                 or choose another port with --port"
            )
        );
    }

    #[test]
    fn accepted_sockets_are_without_delay() {
        let listening = bind(&[listener("127.0.0.1", 0)]).unwrap().remove(0).listen().unwrap();
        let Listening::Tcp(listening) = listening else { panic!("it is no file") };
        let _client = std::net::TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        listening.set_nonblocking(false).unwrap();
        assert!(listening.accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn an_address_of_another_machine_is_told_and_skipped_if_optional() {
        let foreign = listener("192.0.2.1", 0);
        let error = bind(std::slice::from_ref(&foreign)).unwrap_err();
        assert!(error.to_string().contains("no such address"), "{error}");
        let optional = ListenerConfig { is_optional: true, ..foreign };
        assert_eq!(bind(&[optional, listener("127.0.0.1", 0)]).unwrap().len(), 1);
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let all = [listener("0.0.0.0", 1), listener("::", 1), listener("::", 2), listener("::1", 2)];
        let v6_only: Vec<bool> = all.iter().map(|listener| is_v6_only(listener, &all)).collect();
        assert_eq!(v6_only[1..], [true, false, true]);
        assert!(is_public("0.0.0.0".parse().unwrap()) && !is_public("::ffff:127.0.0.1".parse().unwrap()));
    }
}
