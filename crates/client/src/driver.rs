//! The task that owns the Network Connection: it moves bytes and time between the socket and the machine.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dunlin_net::connect::{ConnectError, ConnectOptions, Connector};
use dunlin_net::outgoing::Failure;
use dunlin_net::stream::{Moved, Stream, StreamError};
use dunlin_net::tls::failure::TlsFailure;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::Client as Machine;
use dunlin_protocol::client::config::Config;
use dunlin_protocol::client::event::{Connected, Event};
use dunlin_protocol::error::RequestError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::authentication::AuthenticationError;
use crate::clock::Clock;
use crate::command::{Command, Disconnect};
use crate::error::{ConnectionError, Error};
use crate::exchange::{Asker, Exchanges, auth_properties};
use crate::messages::ReceivedMessage;
use crate::options::{Observation, Options};
use crate::reconnect::{Backoff, chance};
use crate::requests::Requests;

/// Told once how the first connection went.
type Start = oneshot::Sender<Result<Connected, ConnectionError>>;

pub(crate) struct Driver {
    options: Options,
    /// Nothing until the first connection.
    connector: Option<Connector>,
    machine: Machine,
    clock: Clock,
    requests: Requests,
    exchanges: Exchanges,
    inboxes: Inboxes,
    messages: mpsc::Sender<ReceivedMessage>,
    /// A message there was no room for; nothing is read until there is.
    undelivered: Option<ReceivedMessage>,
    /// Still there until the first CONNACK.
    start: Option<Start>,
    end: Arc<OnceLock<ConnectionError>>,
    is_accepted: bool,
}

/// What the handles send.
pub(crate) struct Inboxes {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) disconnects: mpsc::Receiver<Disconnect>,
    pub(crate) reauthentications: mpsc::Receiver<Asker>,
}

/// What the driver woke up for.
enum Step {
    Room,
    Moved(Moved),
    Timeout,
    Command(Option<Command>),
    Disconnect(Disconnect),
    Answer(Result<Option<Vec<u8>>, AuthenticationError>),
    Reauthenticate(Asker),
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        inboxes: Inboxes,
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
            connector: None,
            machine: Machine::new(config),
            clock: Clock::start(),
            requests: Requests::default(),
            exchanges: Exchanges::default(),
            inboxes,
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
            if timeout(delay, self.inboxes.disconnects.recv()).await.is_ok() {
                break ConnectionError::ByClient;
            }
        };
        self.finish(error);
    }

    /// Says everywhere why it is over; the reason is there before the channels close.
    fn finish(mut self, error: ConnectionError) {
        self.end.get_or_init(|| error.clone());
        self.inboxes.commands.close();
        while let Ok(command) = self.inboxes.commands.try_recv() {
            self.requests.send(&mut self.machine, self.clock.now(), command, &self.options);
        }
        self.requests.end(&error);
        self.exchanges.tell(Err(Error::Ended(error.clone())));
        if let Some(start) = self.start.take() {
            drop(start.send(Err(error)));
        }
    }

    /// One Network Connection from its opening to its end.
    async fn connection(&mut self) -> ConnectionError {
        self.is_accepted = false;
        let opened = tokio::select! {
            opened = open(&mut self.connector, &self.options) => opened,
            _ = self.inboxes.disconnects.recv() => return ConnectionError::ByClient,
        };
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => return ConnectionError::Network(Arc::new(error)),
        };
        self.options.observe(Observation::Opened { tls: stream.tls() });
        let data = match self.exchanges.begin(self.options.authentication.as_ref()) {
            Ok(data) => data,
            Err(error) => return ConnectionError::Authentication(error),
        };
        let opened = self.options.connect_properties(data.as_deref()).and_then(|properties| {
            let packet = self.options.connect_packet(self.start.is_none(), &properties)?;
            self.machine.connection_opened(self.clock.now(), &packet)
        });
        if let Err(error) = opened {
            return ConnectionError::Options(error);
        }
        let error = self.converse(stream).await;
        self.machine.connection_lost();
        let is_ended = self.take_last_events(&error).await;
        self.requests.connection_lost();
        if is_ended { ConnectionError::ByClient } else { error }
    }

    async fn converse(&mut self, mut stream: Stream) -> ConnectionError {
        let mut buffer = vec![0; READ_BYTES];
        let mut broken = None;
        let mut has_heard = false;
        loop {
            if let Some(error) = self.take_events() {
                self.say_goodbye(&mut stream, &error).await;
                return error;
            }
            self.requests.send_backlog(&mut self.machine, self.clock.now(), &self.options);
            let takes_commands = self.takes_commands();
            let wants_bytes = self.undelivered.is_none() && (self.machine.wants_bytes() || broken.is_some());
            let next_timeout = self.machine.next_timeout().map(|instant| self.clock.at(instant));
            let has_owner = !self.inboxes.disconnects.is_closed();
            let may_begin = self.machine.is_connected() && self.exchanges.is_free();
            let output = if broken.is_none() { self.machine.poll_output() } else { &[] };
            let step = tokio::select! {
                _ = self.messages.reserve(), if self.undelivered.is_some() => Step::Room,
                moved = stream.exchange(wants_bytes.then_some(&mut buffer[..]), output) => Step::Moved(moved),
                () = wait_until(next_timeout) => Step::Timeout,
                command = self.inboxes.commands.recv(), if takes_commands => Step::Command(command),
                Some(wish) = self.inboxes.disconnects.recv(), if has_owner => Step::Disconnect(wish),
                answer = self.exchanges.answer() => Step::Answer(answer),
                Some(asker) = self.inboxes.reauthentications.recv(), if may_begin => Step::Reauthenticate(asker),
            };
            match step {
                Step::Room => self.deliver(),
                Step::Moved(Moved::Read(Ok(len))) if len > 0 => {
                    if !std::mem::replace(&mut has_heard, true)
                        && let Some(speech) = other_speech(&buffer[..len])
                    {
                        return ConnectionError::NotMqtt(speech);
                    }
                    self.options.observe(Observation::Received(&buffer[..len]));
                    self.machine.handle(self.clock.now(), &buffer[..len]);
                }
                Step::Moved(Moved::Read(end)) => {
                    return self.end_of(&stream, end.err().or(broken), has_heard);
                }
                Step::Moved(Moved::Written(Ok(len))) => self.written(len),
                // The Server may have said why before it closed: that is still to be read.
                Step::Moved(Moved::Written(Err(error))) => broken = Some(error),
                Step::Timeout => self.handle_timeout(),
                Step::Command(Some(command)) => self.take_commands(command),
                Step::Command(None) => self.disconnect(Disconnect::normal()),
                Step::Disconnect(wish) => self.disconnect(wish),
                Step::Answer(answer) => {
                    if let Err(error) = self.answer(answer) {
                        self.say_goodbye(&mut stream, &error).await;
                        return error;
                    }
                }
                Step::Reauthenticate(asker) => self.reauthenticate(asker),
            }
        }
    }

    /// Why a stream has ended, of which `error` is known. Before CONNACK that may be the Server's way to say no.
    fn end_of(&self, stream: &Stream, error: Option<StreamError>, has_heard: bool) -> ConnectionError {
        let io = match error {
            Some(StreamError::Below(failure)) => return ConnectionError::Below(failure),
            Some(StreamError::Io(error)) => Some(Arc::new(error)),
            None => None,
        };
        if !has_heard && stream.was_asked_in_vain() {
            return ConnectionError::Below(Failure::Tls(TlsFailure::CertificateWanted));
        }
        match io {
            Some(error) if has_heard => ConnectionError::Io(error),
            None if has_heard => ConnectionError::Lost,
            _ => ConnectionError::ClosedAtOnce(self.options.address.scheme),
        }
    }

    /// Handles what the machine tells, up to a message there is no room for, and returns why the connection is over, if
    /// it is.
    fn take_events(&mut self) -> Option<ConnectionError> {
        while self.undelivered.is_none()
            && let Some(event) = self.machine.poll_event()
        {
            match event {
                Event::Connected(connected) => {
                    if let Err(error) = self.connected(connected) {
                        return Some(self.not_authenticated(error));
                    }
                }
                Event::Message(message) => {
                    self.undelivered = Some(message);
                    self.deliver();
                }
                Event::Auth { reason_code: ReasonCode::ContinueAuthentication, properties } => {
                    if !self.exchanges.challenge(properties.list().authentication_data()) {
                        self.disconnect(Disconnect::with_reason(ReasonCode::BadAuthenticationMethod));
                        return Some(ConnectionError::AuthenticationAsked);
                    }
                }
                Event::Auth { properties, .. } => {
                    match self.exchanges.succeed(properties.list().authentication_data()) {
                        Ok(_) => self.exchanges.tell(Ok(())),
                        Err(error) => return Some(self.not_authenticated(error)),
                    }
                }
                Event::Closed(cause) => return Some(cause.into()),
                answer => self.requests.take(answer, &self.options),
            }
        }
        None
    }

    /// Answers the Server's challenge.
    fn answer(
        &mut self,
        answer: Result<Option<Vec<u8>>, AuthenticationError>,
    ) -> Result<(), ConnectionError> {
        let data = answer.map_err(|error| self.not_authenticated(error))?;
        let Some(authentication) = &self.options.authentication else { return Ok(()) };
        let sent = auth_properties(authentication, data.as_deref()).and_then(|properties| {
            self.machine.auth(self.clock.now(), ReasonCode::ContinueAuthentication, &properties.list())
        });
        match sent {
            // If it is closed meanwhile, the next event tells.
            Ok(()) | Err(RequestError::NotConnected) => Ok(()),
            Err(error) => Err(self.not_authenticated(AuthenticationError(error.to_string()))),
        }
    }

    /// Begins to authenticate anew. [MQTT-4.12.1-1]
    fn reauthenticate(&mut self, asker: Asker) {
        let begun = self.exchanges.begin(self.options.authentication.as_ref());
        self.exchanges.wait(asker);
        let sent = match (begun, &self.options.authentication) {
            (Err(error), _) => Err(Error::Authentication(error)),
            (Ok(_), None) => Err(RequestError::AuthenticationMethod.into()),
            (Ok(data), Some(authentication)) => auth_properties(authentication, data.as_deref())
                .and_then(|properties| {
                    let now = self.clock.now();
                    self.machine.auth(now, ReasonCode::ReAuthenticate, &properties.list())
                })
                .map_err(Error::from),
        };
        if let Err(error) = sent {
            self.exchanges.tell(Err(error));
        }
    }

    /// The Server is not to be believed, or cannot be answered: that is the end.
    fn not_authenticated(&mut self, error: AuthenticationError) -> ConnectionError {
        self.disconnect(Disconnect::with_reason(ReasonCode::UnspecifiedError));
        ConnectionError::Authentication(error)
    }

    fn connected(&mut self, connected: Connected) -> Result<(), AuthenticationError> {
        self.exchanges.succeed(connected.properties.list().authentication_data())?;
        // Whoever asked on the connection before has what was asked for.
        self.exchanges.tell(Ok(()));
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
        Ok(())
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
            let has_owner = !self.inboxes.disconnects.is_closed();
            tokio::select! {
                // Without a receiver messages are thrown away.
                _ = self.messages.send(message) => {}
                Some(_) = self.inboxes.disconnects.recv(), if has_owner => return true,
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
            next = if self.takes_commands() { self.inboxes.commands.try_recv().ok() } else { None };
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
    async fn say_goodbye(&mut self, stream: &mut Stream, error: &ConnectionError) {
        use ConnectionError::{Authentication, AuthenticationAsked, ByClient, Server};
        if !matches!(error, ByClient | Authentication(_) | AuthenticationAsked | Server(_)) {
            return;
        }
        let farewell = async {
            let output = self.machine.poll_output().to_vec();
            stream.finish(&output).await?;
            self.written(output.len());
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<(), StreamError>(())
        };
        // However it ends, the connection is over, and the reason is known.
        drop(timeout(GOODBYE_TIME_MAX, farewell).await);
    }
}

/// Opens a stream; the files of TLS are read before the first one.
async fn open(connector: &mut Option<Connector>, options: &Options) -> Result<Stream, ConnectError> {
    let connector = match connector {
        Some(connector) => connector,
        None => {
            let opening = ConnectOptions { time_limit: options.connect_time_max, bind: options.bind };
            connector.insert(Connector::new(options.address.clone(), &options.tls, opening)?)
        }
    };
    connector.connect().await
}

/// What a Server speaks that answers CONNECT with these bytes, if that is known and not MQTT.
fn other_speech(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // An alert, or the beginning of a handshake.
        [0x15 | 0x16, 3, ..] => Some("TLS"),
        _ if bytes.starts_with(b"HTTP/") => Some("HTTP"),
        _ => None,
    }
}

/// Waits for that point, or for ever if there is none.
async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Bytes read at a time.
const READ_BYTES: usize = 32 * 1024;
/// How long the last bytes may take to leave.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);
