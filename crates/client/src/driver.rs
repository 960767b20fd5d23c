//! The task that owns the Network Connection: it moves bytes and time between the socket and the machine.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dunlin_net::connect::{ConnectOptions, connect};
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::Client as Machine;
use dunlin_protocol::client::config::Config;
use dunlin_protocol::client::event::{Connected, Event};
use dunlin_protocol::error::RequestError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::command::{Command, Disconnect};
use crate::error::ConnectionError;
use crate::messages::ReceivedMessage;
use crate::options::{Observation, Options};
use crate::reconnect::{Backoff, chance};
use crate::requests::Requests;

/// Told once how the first connection went.
type Start = oneshot::Sender<Result<Connected, ConnectionError>>;

pub(crate) struct Driver {
    options: Options,
    machine: Machine,
    clock: Clock,
    requests: Requests,
    commands: mpsc::Receiver<Command>,
    disconnects: mpsc::Receiver<Disconnect>,
    messages: mpsc::Sender<ReceivedMessage>,
    /// A message there was no room for; nothing is read until there is.
    undelivered: Option<ReceivedMessage>,
    /// Still there until the first CONNACK.
    start: Option<Start>,
    end: Arc<OnceLock<ConnectionError>>,
    is_accepted: bool,
}

/// What the driver woke up for.
enum Step {
    Room,
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Timeout,
    Command(Option<Command>),
    Disconnect(Disconnect),
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        commands: mpsc::Receiver<Command>,
        disconnects: mpsc::Receiver<Disconnect>,
        messages: mpsc::Sender<ReceivedMessage>,
        end: Arc<OnceLock<ConnectionError>>,
    ) -> Self {
        let config = Config {
            topic_aliases_max: options.topic_aliases_max,
            connack_time_max: options.connect_time_max,
            has_session: !options.clean_start,
            ..Config::default()
        };
        Self {
            options,
            machine: Machine::new(config),
            clock: Clock::start(),
            requests: Requests::default(),
            commands,
            disconnects,
            messages,
            undelivered: None,
            start: None,
            end,
            is_accepted: false,
        }
    }

    /// Connects, and connects again, until there is a reason to end.
    pub(crate) async fn run(mut self, start: Start) {
        self.start = Some(start);
        let mut backoff = Backoff::of(&self.options.reconnect);
        let error = loop {
            let error = self.connection().await;
            if matches!(error, ConnectionError::ByClient) {
                break error;
            }
            let may_retry = self.start.is_none() && error.is_worth_retrying();
            let retry_in = backoff.as_mut().filter(|_| may_retry).map(|backoff| {
                if self.is_accepted {
                    backoff.succeeded();
                }
                backoff.next_delay(chance())
            });
            self.options.observe(Observation::Disconnected { error: &error, retry_in });
            let Some(delay) = retry_in else { break error };
            if timeout(delay, self.disconnects.recv()).await.is_ok() {
                break ConnectionError::ByClient;
            }
        };
        self.finish(error);
    }

    /// Says everywhere why it is over; the reason is there before the channels close.
    fn finish(mut self, error: ConnectionError) {
        self.end.get_or_init(|| error.clone());
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.requests.send(&mut self.machine, self.clock.now(), command, &self.options);
        }
        self.requests.end(&error);
        if let Some(start) = self.start.take() {
            drop(start.send(Err(error)));
        }
    }

    /// One Network Connection from its opening to its end.
    async fn connection(&mut self) -> ConnectionError {
        self.is_accepted = false;
        let opening = ConnectOptions { time_limit: self.options.connect_time_max, bind: self.options.bind };
        let address = &self.options.address;
        let stream = tokio::select! {
            result = connect(&address.host, address.port, &opening) => result,
            _ = self.disconnects.recv() => return ConnectionError::ByClient,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return ConnectionError::Network(Arc::new(error)),
        };
        let packet = self.options.connect_packet(self.start.is_none());
        let opened = packet.and_then(|packet| self.machine.connection_opened(self.clock.now(), &packet));
        if let Err(error) = opened {
            return ConnectionError::Options(error);
        }
        let error = self.converse(stream).await;
        self.machine.connection_lost();
        let is_ended = self.take_last_events(&error).await;
        self.requests.connection_lost();
        if is_ended { ConnectionError::ByClient } else { error }
    }

    async fn converse(&mut self, mut stream: TcpStream) -> ConnectionError {
        let (mut reader, mut writer) = stream.split();
        let mut buffer = vec![0; READ_BYTES];
        let mut broken = None;
        loop {
            if let Some(error) = self.take_events() {
                self.say_goodbye(&mut reader, &mut writer, &error).await;
                return error;
            }
            self.requests.send_backlog(&mut self.machine, self.clock.now(), &self.options);
            let takes_commands = self.takes_commands();
            let wants_bytes = self.undelivered.is_none() && (self.machine.wants_bytes() || broken.is_some());
            let next_timeout = self.machine.next_timeout().map(|instant| self.clock.at(instant));
            let has_owner = !self.disconnects.is_closed();
            let output = self.machine.poll_output();
            let can_write = !output.is_empty() && broken.is_none();
            let step = tokio::select! {
                _ = self.messages.reserve(), if self.undelivered.is_some() => Step::Room,
                read = reader.read(&mut buffer), if wants_bytes => Step::Read(read),
                written = writer.write(output), if can_write => Step::Written(written),
                () = wait_until(next_timeout) => Step::Timeout,
                command = self.commands.recv(), if takes_commands => Step::Command(command),
                Some(wish) = self.disconnects.recv(), if has_owner => Step::Disconnect(wish),
            };
            match step {
                Step::Room => self.deliver(),
                Step::Read(Ok(len)) if len > 0 => {
                    self.options.observe(Observation::Received(&buffer[..len]));
                    self.machine.handle(self.clock.now(), &buffer[..len]);
                }
                Step::Read(end) => return end.err().or(broken).map_or(ConnectionError::Lost, io_error),
                Step::Written(Ok(len)) => self.written(len),
                // The Server may have said why before it closed: that is still to be read.
                Step::Written(Err(error)) => broken = Some(error),
                Step::Timeout => self.handle_timeout(),
                Step::Command(Some(command)) => self.take_commands(command),
                Step::Command(None) => self.disconnect(Disconnect::normal()),
                Step::Disconnect(wish) => self.disconnect(wish),
            }
        }
    }

    /// Handles what the machine tells, up to a message there is no room for, and returns why the connection is over, if
    /// it is.
    fn take_events(&mut self) -> Option<ConnectionError> {
        while self.undelivered.is_none()
            && let Some(event) = self.machine.poll_event()
        {
            match event {
                Event::Connected(connected) => self.connected(connected),
                Event::Message(message) => {
                    self.undelivered = Some(message);
                    self.deliver();
                }
                Event::Auth { .. } => {
                    self.disconnect(Disconnect::with_reason(ReasonCode::BadAuthenticationMethod));
                    return Some(ConnectionError::AuthenticationAsked);
                }
                Event::Closed(cause) => return Some(cause.into()),
                answer => self.requests.take(answer, &self.options),
            }
        }
        None
    }

    fn connected(&mut self, connected: Connected) {
        self.is_accepted = true;
        if let Some(client_id) = connected.properties.list().assigned_client_identifier() {
            self.options.client_id = client_id.into();
        }
        self.options.observe(Observation::Connected { session_present: connected.session_present });
        if !connected.session_present {
            self.requests.session_lost();
        }
        if let Some(start) = self.start.take() {
            // Whoever started the Client may have given up; the handles are gone then, and that ends it.
            drop(start.send(Ok(connected)));
        }
    }

    /// Hands over the message that waits, if there is room. Without a receiver messages are thrown away.
    fn deliver(&mut self) {
        if let Some(message) = self.undelivered.take()
            && let Err(mpsc::error::TrySendError::Full(message)) = self.messages.try_send(message)
        {
            self.undelivered = Some(message);
        }
    }

    /// After the end of a connection: hands over what came before it. Returns whether the owner wished to disconnect
    /// meanwhile; it may be waiting for that instead of taking messages.
    async fn take_last_events(&mut self, error: &ConnectionError) -> bool {
        let is_ended = matches!(error, ConnectionError::ByClient);
        loop {
            let message =
                match self.undelivered.take().map(Event::Message).or_else(|| self.machine.poll_event()) {
                    None => return is_ended,
                    Some(Event::Message(message)) => message,
                    Some(event) => {
                        self.requests.take(event, &self.options);
                        continue;
                    }
                };
            if is_ended {
                self.undelivered = Some(message);
                self.deliver();
                self.undelivered = None;
                continue;
            }
            let has_owner = !self.disconnects.is_closed();
            tokio::select! {
                // Without a receiver messages are thrown away.
                _ = self.messages.send(message) => {}
                Some(_) = self.disconnects.recv(), if has_owner => return true,
            }
        }
    }

    fn takes_commands(&self) -> bool {
        self.machine.is_connected() && self.requests.is_idle() && self.machine.can_publish(QoS::ExactlyOnce)
    }

    /// Sends `first` and what else is asked already, so that it leaves in one write.
    fn take_commands(&mut self, first: Command) {
        let mut next = Some(first);
        while let Some(command) = next {
            self.requests.send(&mut self.machine, self.clock.now(), command, &self.options);
            next = if self.takes_commands() { self.commands.try_recv().ok() } else { None };
        }
    }

    fn disconnect(&mut self, wish: Disconnect) {
        let Disconnect { reason_code, properties, refused } = wish;
        match self.machine.disconnect(self.clock.now(), reason_code, &properties.list()) {
            Ok(()) => self.undelivered = None,
            // It is closed already, which the next event tells.
            Err(RequestError::NotConnected) => self.undelivered = None,
            Err(error) => {
                if let Some(refused) = refused {
                    refused.send(error).ok();
                }
            }
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        if self.undelivered.is_some() {
            self.machine.not_reading(now);
        }
        self.machine.handle_timeout(now);
    }

    fn written(&mut self, len: usize) {
        self.options.observe(Observation::Sent(&self.machine.poll_output()[..len]));
        self.machine.output_written(len);
    }

    /// Writes the last packet and waits for the Server to close: what is on its way to it would be lost otherwise.
    async fn say_goodbye(
        &mut self,
        reader: &mut ReadHalf<'_>,
        writer: &mut WriteHalf<'_>,
        error: &ConnectionError,
    ) {
        use ConnectionError::{AuthenticationAsked, ByClient, Server};
        if !matches!(error, ByClient | AuthenticationAsked | Server(_)) {
            return;
        }
        let farewell = async {
            while !self.machine.poll_output().is_empty() {
                let len = writer.write(self.machine.poll_output()).await?;
                self.written(len);
            }
            writer.shutdown().await?;
            let mut rest = [0; 1024];
            while reader.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // However it ends, the connection is over, and the reason is known.
        drop(timeout(GOODBYE_TIME_MAX, farewell).await);
    }
}

/// Waits for that point, or for ever if there is none.
async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn io_error(error: io::Error) -> ConnectionError {
    ConnectionError::Io(Arc::new(error))
}

/// Bytes read at a time.
const READ_BYTES: usize = 32 * 1024;
/// How long the last bytes may take to leave.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);
