//! The socket of a stranger: the runtime watches it only if there is something to wait for.

use std::{
    io::{self, ErrorKind, Read},
    net::TcpStream,
};

use tokio::{io::AsyncWriteExt, net};

/// A socket that does not block.
pub(super) struct Line {
    /// There as long as nothing was waited for: many a Client has sent CONNECT before it is accepted.
    fresh: Option<TcpStream>,
    watched: Option<net::TcpStream>,
}

impl Line {
    /// Takes a socket that does not block.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { fresh: Some(stream), watched: None }
    }

    /// Waits for bytes and hands them to `take`; `None` at the end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn read<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            match self.read_now(&mut take) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.watched()?.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// The buffer is on the stack of this thread, not in the memory of the waiting task.
    fn read_now<T>(&mut self, take: &mut impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        let mut bytes = [0; READ_BYTES];
        let count = match (&mut self.fresh, &self.watched) {
            (Some(stream), _) => stream.read(&mut bytes)?,
            (None, Some(stream)) => stream.try_read(&mut bytes)?,
            (None, None) => return Err(ErrorKind::NotConnected.into()),
        };
        Ok((count > 0).then(|| take(&bytes[..count])))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.watched()?.write_all(bytes).await
    }

    /// Ends the sending direction.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn half_close(&mut self) -> io::Result<()> {
        self.watched()?.shutdown().await
    }

    /// Gives the socket back.
    ///
    /// # Errors
    /// If the operating system cannot forget to watch it.
    pub(super) fn into_stream(self) -> io::Result<TcpStream> {
        match (self.fresh, self.watched) {
            (Some(stream), _) => Ok(stream),
            (None, Some(stream)) => stream.into_std(),
            (None, None) => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn watched(&mut self) -> io::Result<&mut net::TcpStream> {
        if let Some(stream) = self.fresh.take() {
            self.watched = Some(net::TcpStream::from_std(stream)?);
        }
        self.watched.as_mut().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

/// Bytes read at once.
const READ_BYTES: usize = 4_096;
