//! An Application Message while it is being published (3.3.4).

use dunlin_packet::publish::PublishLayout;
use dunlin_protocol::time::Instant;

use crate::{
    message::{Message, View},
    permissions::identity::Identity,
};

/// A message that is being published: borrowed as it came, kept only if somebody needs it for longer.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    pub(crate) view: View<'a>,
    /// The body of the PUBLISH, if it can be kept as it is.
    body: Option<(&'a [u8], PublishLayout)>,
    kept: Option<Message>,
    /// Its number in the records of this shard; 0 as long as it has none.
    pub(crate) number: u64,
    /// Who has published it, for a message with RETAIN.
    pub(crate) publisher: Option<Identity>,
    /// Whether several Sessions share one record of it.
    pub(crate) is_body_shared: bool,
}

impl<'a> Publication<'a> {
    pub(crate) fn of_body(view: View<'a>, body: &'a [u8], layout: PublishLayout) -> Self {
        Self { body: Some((body, layout)), ..Self::of_parts(view) }
    }

    pub(crate) fn of_parts(view: View<'a>) -> Self {
        Self { view, body: None, kept: None, number: 0, publisher: None, is_body_shared: false }
    }

    pub(crate) fn of_message(message: &'a Message) -> Self {
        Self { kept: Some(message.clone()), ..Self::of_parts(message.view()) }
    }

    /// Whether it has expired: then nobody gets it any more. [MQTT-3.3.2-5]
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.view.facts.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// A handle to the message; the payload is copied at the first call only.
    pub(crate) fn keep(&mut self) -> Message {
        let (view, body) = (&self.view, &self.body);
        let kept = self.kept.get_or_insert_with(|| match body {
            Some((body, layout)) => Message::from_body(body, layout, view.facts),
            None => Message::from_parts(view.topic_name, view.properties, view.payload, view.facts),
        });
        kept.clone()
    }
}
