//! A stream of MQTT to a Server, whatever carries it.

use std::{
    future::poll_fn,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::{
    layer::Scratch,
    outgoing::{Failure, Outgoing},
};

/// An open stream to a Server. It is read and written by one owner, in one wait for both.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    layered: Option<Box<Layered>>,
    /// Who goes first when bytes are there and there is room for others: both in turn.
    writes_first: bool,
}

/// What has happened on a stream.
#[derive(Debug)]
pub enum Moved {
    /// So many bytes came; 0 at the end.
    Read(Result<usize, StreamError>),
    /// So many bytes are on their way.
    Written(Result<usize, StreamError>),
}

/// Why a stream ended.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The operating system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What lies below MQTT failed.
    #[error(transparent)]
    Below(#[from] Failure),
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
struct Layered {
    outgoing: Outgoing,
    scratch: Scratch,
    /// What was read; at its beginning MQTT that was not fetched yet.
    buffer: Vec<u8>,
    fetched: usize,
    len: usize,
}

impl Stream {
    /// A stream over `socket` and the layers of `outgoing`, if there are any; they may still have to come up.
    pub(crate) fn new(socket: Socket, outgoing: Option<Outgoing>) -> Self {
        let layered = |outgoing| {
            Box::new(Layered {
                outgoing,
                scratch: Scratch::default(),
                buffer: Vec::new(),
                fetched: 0,
                len: 0,
            })
        };
        Self { socket, layered: outgoing.map(layered), writes_first: false }
    }

    /// Waits until all layers are up and MQTT can be spoken.
    pub(crate) async fn come_up(&mut self) -> Result<(), StreamError> {
        let Self { socket, layered: Some(layered), .. } = self else { return Ok(()) };
        poll_fn(|context| {
            loop {
                // What is to be said goes first. If that fails, reading tells why.
                let is_flushed = matches!(layered.poll_flush(socket, context), Poll::Ready(Ok(())));
                if let Some(end) = layered.outgoing.end() {
                    return Poll::Ready(end.and(layered.outgoing.end_of_socket()).map_err(StreamError::from));
                }
                if layered.outgoing.is_ready() {
                    return if is_flushed { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                if !ready!(layered.poll_receive(socket, context))? {
                    return Poll::Ready(layered.outgoing.end_of_socket().map_err(StreamError::from));
                }
            }
        })
        .await
    }

    /// What was agreed on in TLS, if it is spoken: `TLSv1_3`, for instance, and whether secrets of an earlier connection were used.
    #[must_use]
    pub fn tls(&self) -> Option<(&'static str, bool)> {
        self.layered.as_ref()?.outgoing.tls()
    }

    /// Whether the Server has asked for a certificate, and there was none.
    #[must_use]
    pub fn was_asked_in_vain(&self) -> bool {
        self.layered.as_ref().is_some_and(|layered| layered.outgoing.was_asked_in_vain())
    }

    /// Waits until some bytes have come into `into`, or some of `out` are on their way. Nothing is read without `into`, nothing
    /// written if `out` is empty. Cancel it when you like; no byte is lost.
    pub async fn exchange(&mut self, mut into: Option<&mut [u8]>, out: &[u8]) -> Moved {
        poll_fn(|context| {
            if self.writes_first
                && let Poll::Ready(moved) = self.poll_out(context, out)
            {
                return Poll::Ready(moved);
            }
            if let Some(into) = &mut into
                && let Poll::Ready(read) = self.poll_read(context, into)
            {
                self.writes_first = true;
                return Poll::Ready(Moved::Read(read));
            }
            if self.writes_first {
                // It was asked already.
                return Poll::Pending;
            }
            self.poll_out(context, out)
        })
        .await
    }

    /// Waits until some bytes have come; 0 at the end.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    /// Writes all of `bytes`, and says that nothing more comes.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn finish(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = poll_fn(|context| self.poll_write(context, rest)).await?;
            rest = &rest[written..];
        }
        if let Some(layered) = &mut self.layered {
            layered.outgoing.finish();
        }
        poll_fn(|context| {
            if let Some(layered) = &mut self.layered {
                ready!(layered.poll_flush(&mut self.socket, context))?;
            }
            self.socket.poll_shutdown(context).map_err(StreamError::from)
        })
        .await
    }

    /// Writes some of `out`, or what is left of what was written.
    fn poll_out(&mut self, context: &mut Context<'_>, out: &[u8]) -> Poll<Moved> {
        if out.is_empty() {
            return match &mut self.layered {
                Some(layered) => match layered.poll_flush(&mut self.socket, context) {
                    Poll::Ready(Err(error)) => Poll::Ready(Moved::Written(Err(error.into()))),
                    _ => Poll::Pending,
                },
                None => Poll::Pending,
            };
        }
        let written = ready!(self.poll_write(context, out));
        self.writes_first = false;
        Poll::Ready(Moved::Written(written))
    }

    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, StreamError>> {
        let Some(layered) = &mut self.layered else {
            return self.socket.poll_read(context, into).map_err(StreamError::from);
        };
        loop {
            let fetched = layered.fetch(into);
            if fetched > 0 {
                return Poll::Ready(Ok(fetched));
            }
            if let Some(end) = layered.outgoing.end() {
                return Poll::Ready(end.map(|()| 0).map_err(StreamError::from));
            }
            // If that fails, reading tells why.
            drop(layered.poll_flush(&mut self.socket, context));
            if !ready!(layered.poll_receive(&mut self.socket, context))? {
                return Poll::Ready(Ok(0));
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, StreamError>> {
        match &mut self.layered {
            None => self.socket.poll_write(context, bytes).map_err(StreamError::from),
            Some(layered) => layered.poll_write(&mut self.socket, context, bytes),
        }
    }
}

impl Layered {
    /// Hands over MQTT that has come.
    fn fetch(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.len - self.fetched);
        into[..count].copy_from_slice(&self.buffer[self.fetched..self.fetched + count]);
        self.fetched += count;
        count
    }

    /// Reads from the socket; `false` at its end. All that came before must have been fetched.
    fn poll_receive(&mut self, socket: &mut Socket, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        debug_assert_eq!(self.fetched, self.len);
        (self.fetched, self.len) = (0, 0);
        let kept = self.outgoing.kept_len();
        self.buffer.resize(kept + READ_BYTES, 0);
        let count = ready!(socket.poll_read(context, &mut self.buffer[kept..]))?;
        if count == 0 {
            return Poll::Ready(Ok(false));
        }
        self.len = self.outgoing.receive(&mut self.buffer[..kept + count], &mut self.scratch);
        // The Server is told what is wrong, if it still listens.
        drop(self.poll_flush(socket, context));
        Poll::Ready(Ok(true))
    }

    fn poll_write(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        ready!(self.poll_flush(socket, context))?;
        let piece = &bytes[..bytes.len().min(WRITE_BYTES)];
        let mut scratch = mem::take(&mut self.scratch);
        scratch.out.clear();
        let sent = self.outgoing.send(piece, &mut scratch);
        let written = match (sent, socket.poll_write(context, &scratch.out)) {
            (Err(failure), _) => Err(failure.into()),
            (Ok(()), Poll::Ready(Err(error))) => Err(error.into()),
            (Ok(()), poll) => {
                let written = if let Poll::Ready(Ok(written)) = poll { written } else { 0 };
                self.outgoing.keep_unsent(&scratch.out[written..]);
                Ok(piece.len())
            }
        };
        self.scratch = scratch;
        Poll::Ready(written)
    }

    fn poll_flush(&mut self, socket: &mut Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.unsent().is_empty() {
            let written = ready!(socket.poll_write(context, self.outgoing.unsent()))?;
            self.outgoing.sent(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, &mut buffer),
        })?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Bytes read from the socket at a time.
const READ_BYTES: usize = 32 * 1024;
/// Bytes of MQTT that go through the layers at a time.
const WRITE_BYTES: usize = 64 * 1024;
