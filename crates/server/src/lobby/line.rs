//! The socket of a stranger, and what lies between it and MQTT: the runtime watches it only if there is something to wait for.

use std::{
    io::{self, ErrorKind, Read},
    net::TcpStream,
};

use dunlin_net::{
    layer::{End, Layer, Scratch},
    tls::session::TlsSession,
    websocket::stream::WebSocket,
};
use tokio::{
    io::AsyncWriteExt,
    net,
    time::{Duration, timeout},
};

/// A socket that does not block.
pub(super) struct Line {
    /// There as long as nothing was waited for: many a Client has sent CONNECT before it is accepted.
    fresh: Option<TcpStream>,
    watched: Option<net::TcpStream>,
    /// Nothing for plain MQTT.
    layer: Option<Box<Layer>>,
    /// What was read, out of all layers, and not used yet.
    ahead: Vec<u8>,
}

impl Line {
    /// Takes a socket that does not block.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { fresh: Some(stream), watched: None, layer: None, ahead: Vec::new() }
    }

    /// What was read and is not [used](Self::use_up) yet.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// The first `count` bytes of what was read are done with.
    pub(super) fn use_up(&mut self, count: usize) {
        self.ahead.drain(..count);
    }

    /// Waits for bytes and puts them behind those that were read; `false` at the end.
    ///
    /// # Errors
    /// If the connection is broken, or the other side breaks a rule of a layer.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.fill_now() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.watched()?.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Ok(false),
                Ok(_) => return self.answer().await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the other side has closed and has left nothing to read.
    pub(super) async fn is_gone(&mut self) -> bool {
        if !self.ahead.is_empty() {
            return false;
        }
        let mut byte = [0];
        match (&self.fresh, &self.watched) {
            (Some(stream), _) => matches!(stream.peek(&mut byte), Ok(0)),
            // What is not there at once is no end.
            (None, Some(stream)) => {
                matches!(timeout(Duration::ZERO, stream.peek(&mut byte)).await, Ok(Ok(0)))
            }
            (None, None) => true,
        }
    }

    /// Waits for bytes of MQTT and hands them to `take`; `None` at the end.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub(super) async fn read<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            if !self.ahead.is_empty() {
                return Ok(Some(take(&std::mem::take(&mut self.ahead))));
            }
            if self.layer.is_some() {
                if !self.fill().await? {
                    return Ok(None);
                }
                continue;
            }
            match self.read_plain(&mut take) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.watched()?.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    // The buffers of the next three are on the stack of this thread, not in the memory of the waiting task.

    fn read_plain<T>(&mut self, take: &mut impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        let mut bytes = [0; READ_BYTES];
        let count = self.read_now(&mut bytes)?;
        Ok((count > 0).then(|| take(&bytes[..count])))
    }

    /// Reads once, puts it behind what was read before, and returns how many bytes came.
    fn fill_now(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let count = self.read_now(&mut bytes)?;
        self.take_in(&bytes[..count]);
        Ok(count)
    }

    fn skip_now(&mut self) -> io::Result<usize> {
        self.read_now(&mut [0; READ_BYTES])
    }

    fn read_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match (&mut self.fresh, &self.watched) {
            (Some(stream), _) => stream.read(bytes),
            (None, Some(stream)) => stream.try_read(bytes),
            (None, None) => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Puts what came from the socket through the layers.
    fn take_in(&mut self, bytes: &[u8]) {
        let Some(layer) = &mut self.layer else { return self.ahead.extend_from_slice(bytes) };
        let mut buffer = vec![0; layer.kept_len() + bytes.len()];
        let kept = layer.begin(&mut buffer);
        buffer[kept..].copy_from_slice(bytes);
        let len = layer.receive(&mut buffer, &mut Scratch::default());
        self.ahead.extend_from_slice(&buffer[..len]);
    }

    /// Writes what the layers have to say to what came; `false` if there is nothing more to come, and nothing there.
    async fn answer(&mut self) -> io::Result<bool> {
        self.flush().await?;
        match self.layer.as_ref().and_then(|layer| layer.end()) {
            None => Ok(true),
            Some(End::Closed) => Ok(!self.ahead.is_empty()),
            Some(End::Failed(error)) => Err(io::Error::other(error.clone())),
        }
    }

    /// Begins TLS with what was read, and waits until its handshake is done; `false` if the other side has gone.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub(super) async fn start_tls(&mut self, session: TlsSession) -> io::Result<bool> {
        let layer = self.layer.get_or_insert_default();
        layer.start_tls(session);
        let ahead = std::mem::take(&mut self.ahead);
        self.take_in(&ahead);
        let mut is_open = self.answer().await?;
        while is_open && self.layer.as_ref().is_some_and(|layer| layer.is_handshaking()) {
            is_open = self.fill().await?;
        }
        Ok(is_open)
    }

    /// Goes on with WebSocket, after `response` to its request, over TLS or over nothing.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub(super) async fn start_websocket(&mut self, response: &[u8], websocket: WebSocket) -> io::Result<()> {
        let layer = self.layer.get_or_insert_default();
        layer.queue_plain(response);
        let mut ahead = std::mem::take(&mut self.ahead);
        let len = layer.start_websocket(websocket, &mut ahead);
        ahead.truncate(len);
        self.ahead = ahead;
        // Whether anything more comes, the next reading tells.
        self.answer().await.map(|_| ())
    }

    /// Writes all of `bytes`, through all layers.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush().await?;
        let Some(layer) = &mut self.layer else { return self.watched()?.write_all(bytes).await };
        if bytes.is_empty() {
            return Ok(());
        }
        let mut scratch = Scratch::default();
        layer.send(bytes, &mut scratch).map_err(io::Error::other)?;
        self.watched()?.write_all(&scratch.out).await
    }

    /// Says farewell in all layers and ends the sending direction.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        if let Some(layer) = &mut self.layer {
            layer.finish();
        }
        self.flush().await?;
        self.watched()?.shutdown().await
    }

    /// Waits until something is there and throws it away; `false` at the end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn skip(&mut self) -> io::Result<bool> {
        loop {
            match self.skip_now() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.watched()?.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Ok(result? > 0),
            }
        }
    }

    /// What lies between the socket and MQTT, if anything does.
    pub(super) fn layer(&self) -> Option<&Layer> {
        self.layer.as_deref()
    }

    /// Gives the socket back, and what lies over it.
    ///
    /// # Errors
    /// If the operating system cannot forget to watch it.
    pub(super) fn into_parts(self) -> io::Result<(TcpStream, Option<Box<Layer>>)> {
        match (self.fresh, self.watched) {
            (Some(stream), _) => Ok((stream, self.layer)),
            (None, Some(stream)) => Ok((stream.into_std()?, self.layer)),
            (None, None) => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Writes what the layers themselves have to say.
    async fn flush(&mut self) -> io::Result<()> {
        let Some(layer) = &mut self.layer else { return Ok(()) };
        let unsent = layer.unsent().to_vec();
        if !unsent.is_empty() {
            layer.sent(unsent.len());
            self.watched()?.write_all(&unsent).await?;
        }
        Ok(())
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
