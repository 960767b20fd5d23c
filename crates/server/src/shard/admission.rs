//! A Client on its way from the lobby to its home shard.

use std::net::TcpStream;

use dunlin_auth::chain::Exchange;
use dunlin_broker::input::ConnectRequest;

use crate::{lobby::half_open::Permit, seats::Seat};

/// All that the home shard needs of a Client that was let in.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The socket: not blocking, without delay.
    pub(crate) stream: TcpStream,
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
