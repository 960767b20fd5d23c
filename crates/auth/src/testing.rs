//! Questions for tests.

use std::net::SocketAddr;

use dunlin_broker::handshake::Credentials;

use crate::authenticator::Question;

/// A Client that says nothing about itself.
pub(crate) fn question() -> Question {
    Question {
        credentials: Credentials {
            client_id: "client".into(),
            user_name: None,
            password: None,
            method: None,
            data: Vec::new(),
            is_continued: false,
        },
        peer: SocketAddr::from(([192, 0, 2, 1], 40_000)),
        listener: SocketAddr::from(([192, 0, 2, 2], 1_883)),
        listener_name: "main".into(),
        certificate: None,
        is_reauthentication: false,
    }
}

/// A Client with user name and password.
pub(crate) fn login(user_name: &str, password: &[u8]) -> Question {
    let mut question = question();
    question.credentials.user_name = Some(user_name.into());
    question.credentials.password = Some(password.to_vec());
    question
}
