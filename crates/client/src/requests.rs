//! Requests from the handle to their answer, over reconnects.

use std::collections::{HashMap, VecDeque};

use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::Client as Machine;
use dunlin_protocol::client::event::{Event, Message, NotPublished, RequestAnswer};
use dunlin_protocol::client::properties::Properties;
use dunlin_protocol::error::RequestError;
use dunlin_protocol::time::Instant;

use crate::command::{Command, Reply, Subscribe, Unsubscribe};
use crate::error::{ConnectionError, Error};
use crate::options::{Observation, Options, Subscription};

/// What has been asked and not answered, and what to ask again.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// To be sent before anything new.
    backlog: VecDeque<Command>,
    /// PUBLISH packets that the machine keeps.
    publishes: HashMap<PacketId, Reply<ReasonCode>>,
    /// SUBSCRIBE and UNSUBSCRIBE packets of this connection, in order.
    unanswered: Vec<(PacketId, Command)>,
    /// Subscriptions the Server has granted, each with the properties of its SUBSCRIBE.
    granted: Vec<(Subscription, Properties)>,
}

impl Requests {
    /// Whether nothing waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Sends what waits, as far as the machine takes it.
    pub(crate) fn send_backlog(&mut self, machine: &mut Machine, now: Instant, options: &Options) {
        while machine.is_connected()
            && let Some(command) = self.backlog.pop_front()
        {
            if let Some(refused) = self.try_send(machine, now, command, options) {
                self.backlog.push_front(refused);
                return;
            }
        }
    }

    /// Sends `command`, or lets it wait in front of all that comes later.
    pub(crate) fn send(&mut self, machine: &mut Machine, now: Instant, command: Command, options: &Options) {
        if let Some(refused) = self.try_send(machine, now, command, options) {
            self.backlog.push_back(refused);
        }
    }

    /// Takes an event that answers a request.
    pub(crate) fn take(&mut self, event: Event, options: &Options) {
        match event {
            Event::Published { packet_id, reason_code, .. } => self.reply(packet_id, Ok(reason_code)),
            Event::NotPublished { packet_id, message, reason } => {
                self.not_published(packet_id, message, reason)
            }
            Event::Subscribed(answer) | Event::Unsubscribed(answer) => self.answered(answer, options),
            _ => {}
        }
    }

    /// What was not answered is asked again on the next connection.
    pub(crate) fn connection_lost(&mut self) {
        for (_, command) in self.unanswered.drain(..).rev() {
            self.backlog.push_front(command);
        }
    }

    /// The Server has lost the Session: its Subscriptions have to be made again, before anything else.
    pub(crate) fn session_lost(&mut self) {
        let mut again: Vec<Subscribe> = Vec::new();
        for (subscription, properties) in self.granted.drain(..) {
            match again.last_mut() {
                Some(last) if last.properties == properties && last.subscriptions.len() < FILTERS_AT_ONCE => {
                    last.subscriptions.push(subscription);
                }
                _ => again.push(Subscribe { subscriptions: vec![subscription], properties, reply: None }),
            }
        }
        for subscribe in again.into_iter().rev() {
            self.backlog.push_front(Command::Subscribe(subscribe));
        }
    }

    /// Tells everybody who waits that nothing more will come.
    pub(crate) fn end(&mut self, error: &ConnectionError) {
        self.connection_lost();
        for (_, reply) in self.publishes.drain() {
            answer(reply, Err(Error::Ended(error.clone())));
        }
        for command in self.backlog.drain(..) {
            fail(command, Error::Ended(error.clone()));
        }
    }

    /// Returns `command` if it has to wait.
    fn try_send(
        &mut self,
        machine: &mut Machine,
        now: Instant,
        command: Command,
        options: &Options,
    ) -> Option<Command> {
        let sent = match command {
            Command::Publish { message, reply } => return self.publish(machine, now, message, reply),
            Command::Subscribe(ref subscribe) => {
                let requests: Vec<_> = subscribe.subscriptions.iter().map(Subscription::request).collect();
                machine.subscribe(now, &requests, &subscribe.properties.list())
            }
            Command::Unsubscribe(ref unsubscribe) => {
                let filters: Vec<_> = unsubscribe.topic_filters.iter().map(String::as_str).collect();
                machine.unsubscribe(now, &filters, &unsubscribe.properties.list())
            }
        };
        match sent {
            Ok(packet_id) => self.unanswered.push((packet_id, command)),
            Err(RequestError::TooManyRequests | RequestError::NotConnected) => return Some(command),
            Err(error) => {
                if let Command::Subscribe(Subscribe { subscriptions, reply: None, .. }) = &command {
                    for Subscription { topic_filter, .. } in subscriptions {
                        options.observe(Observation::NotResubscribed { topic_filter, reason: &error });
                    }
                }
                fail(command, error.into());
            }
        }
        None
    }

    fn publish(
        &mut self,
        machine: &mut Machine,
        now: Instant,
        message: Message,
        reply: Reply<ReasonCode>,
    ) -> Option<Command> {
        if !machine.can_publish(message.qos) {
            return Some(Command::Publish { message, reply });
        }
        match machine.publish(now, message) {
            Ok(None) => answer(reply, Ok(ReasonCode::Success)),
            Ok(Some(packet_id)) => {
                self.publishes.insert(packet_id, reply);
            }
            Err(error) => answer(reply, Err(error.into())),
        }
        None
    }

    fn not_published(&mut self, packet_id: PacketId, message: Message, reason: NotPublished) {
        match reason {
            // At least once: sending it as a new message is what the promise allows.
            NotPublished::SessionLost if message.qos == QoS::AtLeastOnce => {
                if let Some(reply) = self.publishes.remove(&packet_id) {
                    self.backlog.push_back(Command::Publish { message, reply });
                }
            }
            NotPublished::SessionLost => self.reply(packet_id, Err(Error::SessionLost)),
            NotPublished::Unsendable(error) => self.reply(packet_id, Err(error.into())),
        }
    }

    fn reply(&mut self, packet_id: PacketId, outcome: Result<ReasonCode, Error>) {
        if let Some(reply) = self.publishes.remove(&packet_id) {
            answer(reply, outcome);
        }
    }

    fn answered(&mut self, result: RequestAnswer, options: &Options) {
        let Some(index) = self.unanswered.iter().position(|(packet_id, _)| *packet_id == result.packet_id)
        else {
            return;
        };
        match self.unanswered.remove(index).1 {
            Command::Subscribe(subscribe) => self.subscribed(subscribe, result.reason_codes, options),
            Command::Unsubscribe(Unsubscribe { topic_filters, reply, .. }) => {
                self.granted.retain(|(granted, _)| !topic_filters.contains(&granted.topic_filter));
                answer(reply, Ok(result.reason_codes));
            }
            Command::Publish { .. } => {}
        }
    }

    fn subscribed(&mut self, subscribe: Subscribe, reason_codes: Vec<ReasonCode>, options: &Options) {
        let Subscribe { subscriptions, properties, reply } = subscribe;
        for (subscription, reason_code) in subscriptions.into_iter().zip(&reason_codes) {
            if !reason_code.is_error() {
                self.granted.retain(|(granted, _)| granted.topic_filter != subscription.topic_filter);
                self.granted.push((subscription, properties.clone()));
            } else if reply.is_none() {
                let topic_filter = &subscription.topic_filter;
                options.observe(Observation::NotResubscribed { topic_filter, reason: reason_code });
            }
        }
        if let Some(reply) = reply {
            answer(reply, Ok(reason_codes));
        }
    }
}

fn fail(command: Command, error: Error) {
    match command {
        Command::Publish { reply, .. } => answer(reply, Err(error)),
        Command::Subscribe(Subscribe { reply: Some(reply), .. }) => answer(reply, Err(error)),
        Command::Subscribe(Subscribe { reply: None, .. }) => {}
        Command::Unsubscribe(Unsubscribe { reply, .. }) => answer(reply, Err(error)),
    }
}

/// Who asked may have stopped waiting; then nobody needs the answer.
fn answer<T>(reply: Reply<T>, outcome: Result<T, Error>) {
    drop(reply.send(outcome));
}

/// Topic Filters of one SUBSCRIBE, when Subscriptions are made again.
const FILTERS_AT_ONCE: usize = 16;
