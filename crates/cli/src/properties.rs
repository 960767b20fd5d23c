//! `-D <command> <property> <value>`: properties for the packets of MQTT 5 (2.2.2).

use clap::{Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, FromArgMatches};
use dunlin_client::options::Properties;
use dunlin_packet::packet::PacketType;
use dunlin_packet::property::identifier::{PropertyId, PropertyPlace, ValueType};
use dunlin_packet::property::list::Property;

use crate::exit::Failure;

/// All `-D` of a command line, checked one by one.
#[derive(Clone, Debug, Default)]
pub struct PropertyArgs {
    given: Vec<Given>,
}

#[derive(Clone, Debug)]
struct Given {
    command: Command,
    id: PropertyId,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Flag(bool),
    Number(u32),
    Text(String),
    Pair(String, String),
}

/// The packets that `-D` can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Will,
}

impl PropertyArgs {
    pub(crate) fn is_given(&self) -> bool {
        !self.given.is_empty()
    }

    /// The properties for one packet.
    pub(crate) fn of(&self, command: Command) -> Result<Properties, Failure> {
        self.with(command, None)
    }

    /// The properties of CONNECT, with a Session Expiry Interval unless `-D` gave one.
    pub(crate) fn connect(&self, session_expiry_interval_s: Option<u32>) -> Result<Properties, Failure> {
        let is_given = |given: &Given| {
            given.command == Command::Connect && given.id == PropertyId::SessionExpiryInterval
        };
        let more = match self.given.iter().any(is_given) {
            true => None,
            false => session_expiry_interval_s.map(Property::SessionExpiryInterval),
        };
        self.with(Command::Connect, more)
    }

    /// The Authentication Method of CONNECT that is to be played: one without Authentication Data. It is left out of
    /// [`connect`](Self::connect).
    pub(crate) fn authentication_method(&self) -> Option<&str> {
        let of = |id: PropertyId| {
            let given =
                self.given.iter().find(|given| given.command == Command::Connect && given.id == id)?;
            if let Value::Text(text) = &given.value { Some(text.as_str()) } else { None }
        };
        of(PropertyId::AuthenticationMethod).filter(|_| of(PropertyId::AuthenticationData).is_none())
    }

    /// `-D publish topic-alias N` lets the Client use up to `N` aliases; which topic gets which is its own matter.
    pub(crate) fn topic_aliases(&self) -> u16 {
        let numbers = self.given.iter().filter_map(|given| match (given.id, &given.value) {
            (PropertyId::TopicAlias, Value::Number(number)) => u16::try_from(*number).ok(),
            _ => None,
        });
        numbers.max().unwrap_or(0)
    }

    fn with(&self, command: Command, more: Option<Property<'_>>) -> Result<Properties, Failure> {
        let is_played = self.authentication_method().is_some();
        let is_sent = |given: &&Given| !(is_played && given.id == PropertyId::AuthenticationMethod);
        let given = self.given.iter().filter(|given| given.command == command).filter(is_sent);
        let mut items: Vec<_> = given.filter_map(Given::property).collect();
        items.extend(more);
        Properties::new(command.place(), &items)
            .map_err(|error| Failure::usage(format!("-D {}: {error}", command.name())))
    }
}

impl Given {
    fn parse(words: &[String]) -> Result<Self, String> {
        let [command, name, value @ ..] = words else {
            return Err("give a command, a property and a value".into());
        };
        let command = Command::parse(command)?;
        let id = PropertyId::ALL.into_iter().find(|id| spelled(*id) == *name);
        let id = id.ok_or_else(|| format!("there is no property `{name}`"))?;
        if !id.is_allowed_in(command.place()) {
            return Err(format!("{} has no property {name}", command.name()));
        }
        let number = |max: u32| match value {
            [text] => text.parse().ok().filter(|number| *number <= max).map(Value::Number),
            _ => None,
        };
        let value = match (id.value_type(), value) {
            (ValueType::Flag, [text]) => match text.as_str() {
                "0" => Some(Value::Flag(false)),
                "1" => Some(Value::Flag(true)),
                _ => None,
            },
            (ValueType::TwoByteInteger, _) => number(u32::from(u16::MAX)),
            (ValueType::FourByteInteger, _) => number(u32::MAX),
            (ValueType::VariableByteInteger, _) => number(268_435_455),
            (ValueType::Text | ValueType::BinaryData, [text]) => Some(Value::Text(text.clone())),
            (ValueType::TextPair, [name, value]) => Some(Value::Pair(name.clone(), value.clone())),
            _ => None,
        };
        let value = value.ok_or_else(|| format!("{name} takes {}", wanted(id.value_type())))?;
        Ok(Self { command, id, value })
    }

    /// Nothing for a Topic Alias, which the Client sets by itself.
    fn property(&self) -> Option<Property<'_>> {
        Some(match (&self.value, self.id) {
            (Value::Flag(value), PropertyId::PayloadFormatIndicator) => {
                Property::PayloadFormatIndicator(*value)
            }
            (Value::Flag(value), PropertyId::RequestProblemInformation) => {
                Property::RequestProblemInformation(*value)
            }
            (Value::Flag(value), _) => Property::RequestResponseInformation(*value),
            (Value::Number(_), PropertyId::TopicAlias) => return None,
            (Value::Number(value), PropertyId::ReceiveMaximum) => Property::ReceiveMaximum(*value as u16),
            (Value::Number(value), PropertyId::TopicAliasMaximum) => {
                Property::TopicAliasMaximum(*value as u16)
            }
            (Value::Number(value), PropertyId::MessageExpiryInterval) => {
                Property::MessageExpiryInterval(*value)
            }
            (Value::Number(value), PropertyId::SubscriptionIdentifier) => {
                Property::SubscriptionIdentifier(*value)
            }
            (Value::Number(value), PropertyId::SessionExpiryInterval) => {
                Property::SessionExpiryInterval(*value)
            }
            (Value::Number(value), PropertyId::WillDelayInterval) => Property::WillDelayInterval(*value),
            (Value::Number(value), _) => Property::MaximumPacketSize(*value),
            (Value::Text(value), PropertyId::ContentType) => Property::ContentType(value),
            (Value::Text(value), PropertyId::ResponseTopic) => Property::ResponseTopic(value),
            (Value::Text(value), PropertyId::CorrelationData) => Property::CorrelationData(value.as_bytes()),
            (Value::Text(value), PropertyId::AuthenticationMethod) => Property::AuthenticationMethod(value),
            (Value::Text(value), PropertyId::AuthenticationData) => {
                Property::AuthenticationData(value.as_bytes())
            }
            (Value::Text(value), PropertyId::ServerReference) => Property::ServerReference(value),
            (Value::Text(value), _) => Property::ReasonString(value),
            (Value::Pair(name, value), _) => Property::UserProperty(name, value),
        })
    }
}

impl Command {
    const ALL: [Self; 6] =
        [Self::Connect, Self::Publish, Self::Subscribe, Self::Unsubscribe, Self::Disconnect, Self::Will];

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|command| command.name() == text.to_ascii_lowercase()).ok_or_else(|| {
            format!("`{text}` is not one of connect, publish, subscribe, unsubscribe, disconnect, will")
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Disconnect => "disconnect",
            Self::Will => "will",
        }
    }

    fn place(self) -> PropertyPlace {
        match self {
            Self::Connect => PropertyPlace::Packet(PacketType::Connect),
            Self::Publish => PropertyPlace::Packet(PacketType::Publish),
            Self::Subscribe => PropertyPlace::Packet(PacketType::Subscribe),
            Self::Unsubscribe => PropertyPlace::Packet(PacketType::Unsubscribe),
            Self::Disconnect => PropertyPlace::Packet(PacketType::Disconnect),
            Self::Will => PropertyPlace::Will,
        }
    }
}

/// The name of a property as command lines spell it: `Content Type` is `content-type`.
pub(crate) fn spelled(id: PropertyId) -> String {
    id.name().to_ascii_lowercase().replace(' ', "-")
}

fn wanted(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Flag => "0 or 1",
        ValueType::TwoByteInteger => "a number from 0 to 65535",
        ValueType::FourByteInteger => "a number from 0 to 4294967295",
        ValueType::VariableByteInteger => "a number from 1 to 268435455",
        ValueType::Text | ValueType::BinaryData => "one text",
        ValueType::TextPair => "two texts, a name and a value",
    }
}

// Written by hand, because the derive macros do not keep the values of one `-D` together.
impl Args for PropertyArgs {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        command.arg(
            Arg::new("property")
                .short('D')
                .long("property")
                .num_args(3..=4)
                .action(ArgAction::Append)
                .value_names(["COMMAND", "PROPERTY", "VALUE"])
                .help("Property for connect, publish, subscribe, unsubscribe, disconnect or will (MQTT 5)"),
        )
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PropertyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for words in matches.get_occurrences::<String>("property").into_iter().flatten() {
            let words: Vec<_> = words.cloned().collect();
            let given = Given::parse(&words).map_err(|error| {
                clap::Error::raw(
                    clap::error::ErrorKind::InvalidValue,
                    format!("-D {}: {error}", words.join(" ")),
                )
            })?;
            self.given.push(given);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        properties: PropertyArgs,
        #[arg(short)]
        topic: Option<String>,
    }

    fn parse(line: &str) -> Result<PropertyArgs, String> {
        let all = ["x"].into_iter().chain(line.split(' '));
        Cli::try_parse_from(all).map(|cli| cli.properties).map_err(|error| error.to_string())
    }

    #[test]
    fn properties_find_their_packets() {
        let args = parse(
            "-D publish user-property k v -D publish content-type text -t a -D connect receive-maximum 7 \
             -D publish topic-alias 3 -D PUBLISH user-property k2 v2",
        )
        .unwrap();
        let publish = args.of(Command::Publish).unwrap();
        assert_eq!(publish.list().user_properties().collect::<Vec<_>>(), [("k", "v"), ("k2", "v2")]);
        assert_eq!(publish.list().content_type(), Some("text"));
        assert_eq!(args.topic_aliases(), 3);
        let connect = args.connect(Some(60)).unwrap();
        assert_eq!(connect.list().receive_maximum(), Some(7));
        assert_eq!(connect.list().session_expiry_interval_s(), Some(60));
        let args = parse("-D connect session-expiry-interval 5").unwrap();
        assert_eq!(args.connect(Some(60)).unwrap().list().session_expiry_interval_s(), Some(5));
    }

    #[test]
    fn errors_name_the_property_and_what_it_takes() {
        for (line, error) in [
            ("-D publish bogus 1", "there is no property `bogus`"),
            ("-D ping content-type 1", "is not one of connect"),
            ("-D connect content-type x", "connect has no property content-type"),
            ("-D publish payload-format-indicator 2", "payload-format-indicator takes 0 or 1"),
            ("-D connect receive-maximum 65536", "receive-maximum takes a number from 0 to 65535"),
            ("-D publish user-property k", "user-property takes two texts"),
        ] {
            let found = parse(line).map(|_| ()).unwrap_err();
            assert!(found.contains(error), "{line}: {found}");
        }
        let doubled = parse("-D publish content-type a -D publish content-type b").unwrap();
        assert!(doubled.of(Command::Publish).is_err());
        assert!(parse("-D connect receive-maximum 0").unwrap().connect(None).is_err());
    }
}
