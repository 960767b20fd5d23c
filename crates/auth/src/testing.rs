//! Questions, and services, for tests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dunlin_broker::handshake::Credentials;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

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

/// A service of HTTP that answers each request, head and body, as it is told.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Service {
    /// `answer` gives the status and the body; nothing for no answer at all.
    pub(crate) async fn start(
        answer: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (asked, answer) = (Arc::clone(&counted), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    loop {
                        let Some(length) = whole(&request) else {
                            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                                return;
                            }
                            continue;
                        };
                        asked.fetch_add(1, Ordering::SeqCst);
                        let text = String::from_utf8(request.drain(..length).collect()).unwrap();
                        let Some((status, body)) = answer(&text) else { return std::future::pending().await };
                        let answer =
                            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The length of the first request in `bytes`, once it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = str::from_utf8(&bytes[..head]).unwrap().to_lowercase();
    let length =
        lines.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}
