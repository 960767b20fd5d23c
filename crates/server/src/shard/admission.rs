//! A Client on its way from the lobby to its home shard.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use dunlin_auth::chain::Exchange;
use dunlin_broker::{input::ConnectRequest, permissions::subject::CertificateFacts};
use dunlin_net::layer::Layer;

use crate::{lobby::half_open::Permit, seats::Seat};

/// All that the home shard needs of a Client that was let in.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The socket: not blocking, without delay.
    pub(crate) stream: TcpStream,
    /// Which listener it came to: its place among them.
    pub(crate) door: u8,
    /// What a socket for plain MQTT does not have; nothing for most.
    pub(crate) passage: Option<Box<Passage>>,
    /// CONNECT, checked and authenticated.
    pub(crate) request: Box<ConnectRequest>,
    /// What came behind CONNECT.
    pub(crate) unread: Vec<u8>,
    /// Its right to be connected.
    pub(crate) seat: Seat,
    /// It counts as half open until its home has taken it; `None` for one that came by another way.
    pub(crate) permit: Option<Permit>,
    /// What its next authentication needs, if it came with a method (4.12.1).
    pub(crate) exchange: Option<Exchange>,
}

/// How a connection came in that is more than a TCP connection with MQTT in it.
#[derive(Debug)]
pub(crate) struct Passage {
    /// TLS, WebSocket, or both.
    pub(crate) layer: Option<Box<Layer>>,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The address of the Client; `127.0.0.1:0` for one that came by a socket file.
    pub(crate) peer: SocketAddr,
    /// The address it has connected to.
    pub(crate) listener: SocketAddr,
    /// Whether a proxy has said so.
    pub(crate) is_told_by_proxy: bool,
    /// The process that came by a socket file.
    pub(crate) process: Option<Process>,
    /// The certificate that the Client has shown, to us or to a proxy that is believed.
    pub(crate) certificate: Option<Arc<CertificateFacts>>,
}

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Its user.
    pub(crate) uid: u32,
    /// Its number, if it is known.
    pub(crate) pid: Option<i32>,
}

impl Origin {
    /// For the log.
    pub(crate) fn peer_text(&self) -> Box<str> {
        match self.process {
            _ if self.is_told_by_proxy => self.peer.to_string(),
            None => self.peer.to_string(),
            Some(Process { uid, pid: Some(pid) }) => format!("unix:uid={uid},pid={pid}"),
            Some(Process { uid, pid: None }) => format!("unix:uid={uid}"),
        }
        .into()
    }
}
