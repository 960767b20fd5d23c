//! Sockets that listen for Clients: bound early, opened late.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::model::ListenerConfig;

/// A socket that has its address but does not listen yet.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    socket: Socket,
    address: SocketAddr,
    backlog: i32,
    name: Arc<str>,
}

/// Why the Server cannot listen; its text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", advice(.source, .address))]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

/// Binds one socket for each listener. Those with port 0 all get the same free port.
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
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            result => return result,
        }
    }
}

fn bind_once(listeners: &[ListenerConfig]) -> Result<Vec<BoundSocket>, ListenError> {
    let mut bound = Vec::new();
    let mut free_port = None;
    for listener in listeners {
        let port = if listener.port == 0 { free_port.unwrap_or(0) } else { listener.port };
        let address = SocketAddr::new(listener.bind, port);
        match bind_socket(address, is_v6_only(listener, listeners)) {
            Ok((socket, address)) => {
                if listener.port == 0 {
                    free_port = Some(address.port());
                }
                let backlog = i32::try_from(listener.backlog).unwrap_or(i32::MAX);
                let name = listener.name.as_str().into();
                bound.push(BoundSocket { socket, address, backlog, name });
            }
            Err(source) if listener.is_optional && has_no_such_address(&source) => {}
            Err(source) => return Err(ListenError { address, source }),
        }
    }
    Ok(bound)
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
    /// The address, with the port that was chosen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As the configuration calls the listener.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Opens the door.
    ///
    /// # Errors
    /// [`ListenError`] if another program was faster.
    pub(crate) fn listen(self) -> Result<TcpListener, ListenError> {
        let error = |source| ListenError { address: self.address, source };
        self.socket.listen(self.backlog).map_err(error)?;
        Ok(self.socket.into())
    }
}

/// Whether other machines can reach `address`.
pub(crate) fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

fn has_no_such_address(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn advice(error: &io::Error, address: &SocketAddr) -> String {
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

    #[test]
    fn listeners_with_port_0_share_one_free_port() {
        let bound = bind(&loopback_listeners(0)).unwrap();
        assert_ne!(bound[0].address().port(), 0);
        assert!(bound.iter().all(|socket| socket.address().port() == bound[0].address().port()));
    }

    #[test]
    fn a_port_in_use_is_told_with_advice() {
        let first = bind(&[listener("127.0.0.1", 0)]).unwrap().remove(0);
        let port = first.address().port();
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
