//! What can still be read of a damaged record, to tell what is lost.

use crate::{
    records::{
        content::{self, BodyContent, MessageContent, SessionContent, TransitContent, Version, WillContent},
        key::Key,
        reader::Reader,
    },
    slot::slot_of,
};

/// What a damaged record seems to be about. Nothing of it is sure.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Traces {
    /// The Client Identifier, of a Session only.
    pub client_id: Option<String>,
    /// The Topic Name of the message in it.
    pub topic_name: Option<String>,
}

/// Reads what there is, whatever version and checksum say.
#[must_use]
pub fn traces(key: &[u8], value: &[u8]) -> Traces {
    let mut traces = Traces::default();
    let (Some(key), Some((head, content))) = (Key::decode(key), value.split_at_checked(HEAD)) else {
        return traces;
    };
    let version = Version::from_value(head[0]).unwrap_or(Version::One);
    let reader = &mut Reader(content);
    let message = match key {
        Key::Session(owner) => {
            // The Client Identifier is before what only version 2 has.
            let client_id = SessionContent::decode(Version::One, reader).map(|session| session.client_id);
            // With the wrong slot it is another one.
            traces.client_id = client_id.filter(|id| slot_of(id) == owner.slot).map(str::to_owned);
            None
        }
        Key::Will(_) => WillContent::decode(reader).map(|will| will.message),
        Key::Message(..) => match MessageContent::decode(reader).map(|message| message.body) {
            Some(BodyContent::Inside(message)) => Some(message),
            _ => None,
        },
        Key::Retained(..) => content::decode_retained(version, reader).map(|(message, _)| message),
        Key::Body(..) => content::decode_body(reader),
        Key::Transit { .. } => TransitContent::decode(version, reader).map(|transit| match transit {
            TransitContent::Publish(message)
            | TransitContent::Retain(message, _)
            | TransitContent::Share(_, message) => message,
        }),
        _ => None,
    };
    traces.topic_name = message.map(|message| message.topic_name().as_str().to_owned());
    if let Key::Retained(_, topic) = key {
        traces.topic_name = Some(topic.to_owned());
    }
    traces
}

/// Bytes before the content: version and checksum.
const HEAD: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{
        batch::{Batch, Change},
        key::Owner,
    };

    #[test]
    fn a_session_with_a_changed_bit_still_tells_its_client_identifier() {
        let mut batch = Batch::new();
        let content = SessionContent { client_id: "pump-7", expiry_s: 60, left_at: None, owner: None };
        batch.put_session(Owner { slot: slot_of("pump-7"), uid: 1 }, &content);
        let Some(Change::Put { key, value }) = batch.changes().next() else { panic!("it was put") };
        let mut value = value.to_vec();
        value[7] ^= 1;
        assert_eq!(traces(key, &value).client_id.as_deref(), Some("pump-7"));
        let last = value.len() - 1;
        value[last] ^= 1;
        assert_eq!(traces(key, &value), Traces::default());
        assert_eq!(traces(key, b""), Traces::default());
    }
}
