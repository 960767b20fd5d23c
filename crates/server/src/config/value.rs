//! The kinds of values that settings have, and how a TOML value becomes one.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf};

use dunlin_auth::{
    providers::{certificate::NameSource, http::OnFailure},
    secret::Secret,
};
use dunlin_broker::limits::{Overflow, excess::Excess};
use dunlin_net::{ip_network::IpNetwork, tls::server::ClientCertificates};
use dunlin_packet::{qos::QoS, topic::filter::TopicFilter};
use toml::{
    Spanned,
    de::{DeArray, DeValue},
};
use tracing::Level;

use super::{authentication::AuthKind, durability::Durability, model::ListenerKind};

/// What may stand behind the `=`.
pub(super) enum Kind {
    /// A whole number within bounds.
    Integer(RangeInclusive<u64>),
    /// `true` or `false`.
    Boolean,
    /// A string with a length in bytes within bounds.
    Text(RangeInclusive<usize>),
    /// The same, and it is never shown.
    Secret(RangeInclusive<usize>),
    /// One of some strings.
    Choice(&'static [&'static str]),
    /// A string with an IP address.
    Address,
    /// A string with a Topic Filter.
    Filter,
    /// A string, or a list of strings, none of them empty.
    Texts,
    /// A list of strings with ranges of IP addresses.
    Networks,
    /// A string with the mode of a file, in octal digits.
    Mode,
}

/// A value that fits its [`Kind`].
pub(super) enum Value {
    Integer(u64),
    Boolean(bool),
    Text(String),
    Address(IpAddr),
    Texts(Vec<String>),
    Networks(Vec<IpNetwork>),
}

impl Kind {
    /// Reads `value`.
    ///
    /// # Errors
    /// What is wrong with it, in a few words, if it is of another type or out of bounds.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<Value, &'static str> {
        match (self, value) {
            (Kind::Integer(bounds), DeValue::Integer(digits)) => {
                match u64::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) if bounds.contains(&number) => Ok(Value::Integer(number)),
                    _ => Err("out of bounds"),
                }
            }
            (Kind::Boolean, DeValue::Boolean(value)) => Ok(Value::Boolean(*value)),
            (Kind::Text(bounds) | Kind::Secret(bounds), DeValue::String(text))
                if bounds.contains(&text.len()) =>
            {
                if text.contains('\0') {
                    Err("not a text without NUL")
                } else {
                    Ok(Value::Text(text.to_string()))
                }
            }
            (Kind::Text(_) | Kind::Secret(_), DeValue::String(text)) if text.is_empty() => Err("empty"),
            (Kind::Secret(bounds), DeValue::String(text)) if text.len() < *bounds.start() => Err("too short"),
            (Kind::Text(_) | Kind::Secret(_), DeValue::String(_)) => Err("too long"),
            (Kind::Choice(words), DeValue::String(text)) if words.contains(&&**text) => {
                Ok(Value::Text(text.to_string()))
            }
            (Kind::Choice(_), DeValue::String(_)) => Err("not one of the words known here"),
            (Kind::Filter, DeValue::String(text)) => match TopicFilter::parse(text) {
                Ok(filter) if filter.share().is_none() => Ok(Value::Text(text.to_string())),
                _ => Err("not a Topic Filter"),
            },
            (Kind::Address, DeValue::String(text)) => {
                text.parse().map(Value::Address).map_err(|_| "not an IP address")
            }
            (Kind::Texts, _) => Ok(Value::Texts(texts(value)?)),
            (Kind::Networks, _) => {
                let networks = texts(value)?.iter().map(|text| text.parse()).collect::<Result<_, _>>();
                networks.map(Value::Networks).map_err(|_| "not made of ranges of IP addresses")
            }
            (Kind::Mode, DeValue::String(text)) => match u64::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o777 => Ok(Value::Integer(mode)),
                _ => Err("not the mode of a file"),
            },
            _ => Err("of another type"),
        }
    }

    /// Reads what stands in a variable of the environment: as in a file, but texts stand without quotes, and lists have commas
    /// between their texts or are written as in a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn read_text(&self, text: &str) -> Result<Value, &'static str> {
        match self {
            Kind::Integer(_) | Kind::Boolean => self.read_toml(text.trim()),
            Kind::Texts | Kind::Networks if text.trim_start().starts_with('[') => self.read_toml(text.trim()),
            Kind::Texts | Kind::Networks => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                let mut list = DeArray::new();
                texts.for_each(|text| list.push(Spanned::new(0..0, DeValue::String(text.into()))));
                self.read(&DeValue::Array(list))
            }
            Kind::Text(_) | Kind::Secret(_) | Kind::Choice(_) | Kind::Address | Kind::Filter | Kind::Mode => {
                self.read(&DeValue::String(text.into()))
            }
        }
    }

    fn read_toml(&self, text: &str) -> Result<Value, &'static str> {
        DeValue::parse(text).map_err(|_| "of another type").and_then(|value| self.read(value.get_ref()))
    }

    /// What is expected of a variable of the environment.
    pub(super) fn expected_text(&self) -> String {
        match self {
            Kind::Texts => "texts with commas between them, or a list such as [\"a\", \"b\"]".to_owned(),
            Kind::Networks => {
                "addresses and ranges of them, with commas between them, such as 10.0.0.0/8,192.0.2.1"
                    .to_owned()
            }
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Text(bounds) | Kind::Secret(bounds) => {
                format!("a text, {} to {} bytes long", bounds.start(), bounds.end())
            }
            Kind::Address => "an IP address, such as 127.0.0.1 or ::".to_owned(),
            Kind::Filter => "a Topic Filter, such as sensor/+/alarm, not a shared one".to_owned(),
            Kind::Mode => "three octal digits, such as 660".to_owned(),
            Kind::Integer(_) | Kind::Boolean => self.expected(),
        }
    }

    /// What is expected, for messages: `a whole number from 1 to 65535`.
    pub(super) fn expected(&self) -> String {
        match self {
            Kind::Integer(bounds) => format!("a whole number from {} to {}", bounds.start(), bounds.end()),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Text(bounds) | Kind::Secret(bounds) => {
                format!("a string in quotes, {} to {} bytes long", bounds.start(), bounds.end())
            }
            Kind::Choice(words) => {
                format!(
                    "one of {}",
                    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
                )
            }
            Kind::Address => "an IP address in quotes, such as \"127.0.0.1\" or \"::\"".to_owned(),
            Kind::Filter => {
                "a Topic Filter in quotes, such as \"sensor/+/alarm\", not a shared one".to_owned()
            }
            Kind::Texts => "a string in quotes, or a list of them, such as [\"a\", \"b\"]".to_owned(),
            Kind::Networks => {
                "a list of addresses and ranges of them, such as [\"10.0.0.0/8\", \"192.0.2.1\"]".to_owned()
            }
            Kind::Mode => "three octal digits in quotes, such as \"660\"".to_owned(),
        }
    }

    /// The bounds, for the handbook: `1 to 65535`.
    #[cfg(test)]
    pub(super) fn bounds(&self) -> String {
        match self {
            Kind::Integer(bounds) => format!("{} to {}", bounds.start(), bounds.end()),
            Kind::Boolean => "`true`, `false`".to_owned(),
            Kind::Text(bounds) | Kind::Secret(bounds) => {
                format!("{} to {} bytes", bounds.start(), bounds.end())
            }
            Kind::Choice(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            Kind::Address => "an IP address".to_owned(),
            Kind::Filter => "a Topic Filter".to_owned(),
            Kind::Texts => "a string or a list of strings".to_owned(),
            Kind::Networks => "a list of IP addresses and ranges".to_owned(),
            Kind::Mode => "octal digits".to_owned(),
        }
    }
}

/// One string or several, none of them empty.
fn texts(value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) if text.is_empty() => Err("empty"),
        DeValue::String(text) if text.contains('\0') => Err("not a text without NUL"),
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err("of another type"),
    };
    match value {
        DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// Each takes the value out as the type of a setting; the setting's [`Kind`] has made sure that it fits.
impl Value {
    pub(super) fn integer<T: TryFrom<u64>>(self) -> T {
        match self {
            Value::Integer(number) => {
                T::try_from(number).ok().expect("the bounds of a setting lie within its type")
            }
            _ => unreachable!("a setting of kind Integer"),
        }
    }

    pub(super) fn boolean(self) -> bool {
        match self {
            Value::Boolean(value) => value,
            _ => unreachable!("a setting of kind Boolean"),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            _ => unreachable!("a setting of kind Text or Choice"),
        }
    }

    pub(super) fn some_text(self) -> Option<String> {
        Some(self.text())
    }

    pub(super) fn address(self) -> IpAddr {
        match self {
            Value::Address(address) => address,
            _ => unreachable!("a setting of kind Address"),
        }
    }

    pub(super) fn path(self) -> Option<PathBuf> {
        Some(PathBuf::from(self.text()))
    }

    pub(super) fn some_integer<T: TryFrom<u64>>(self) -> Option<T> {
        Some(self.integer())
    }

    pub(super) fn some_boolean(self) -> Option<bool> {
        Some(self.boolean())
    }

    pub(super) fn some_texts(self) -> Option<Vec<String>> {
        Some(self.texts())
    }

    pub(super) fn auth_kind(self) -> Option<AuthKind> {
        let word = self.text();
        AuthKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub(super) fn some_secret(self) -> Option<Secret> {
        Some(Secret::new(&self.text()))
    }

    pub(super) fn on_failure(self) -> OnFailure {
        let word = self.text();
        OnFailure::ALL.into_iter().find(|choice| choice.word() == word).unwrap_or_default()
    }

    pub(super) fn name_source(self) -> NameSource {
        let word = self.text();
        NameSource::ALL.into_iter().find(|source| source.word() == word).unwrap_or_default()
    }

    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Value::Texts(texts) => texts,
            _ => unreachable!("a setting of kind Texts"),
        }
    }

    pub(super) fn paths(self) -> Vec<PathBuf> {
        self.texts().into_iter().map(PathBuf::from).collect()
    }

    pub(super) fn networks(self) -> Vec<IpNetwork> {
        match self {
            Value::Networks(networks) => networks,
            _ => unreachable!("a setting of kind Networks"),
        }
    }

    pub(super) fn listener_kind(self) -> ListenerKind {
        let word = self.text();
        ListenerKind::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
            .expect("the words of the setting are kinds")
    }

    pub(super) fn client_certificates(self) -> ClientCertificates {
        match self.text().as_str() {
            "optional" => ClientCertificates::Optional,
            "required" => ClientCertificates::Required,
            _ => ClientCertificates::Off,
        }
    }

    pub(super) fn tls_1_3_chosen(self) -> bool {
        self.text() == "1.3"
    }

    pub(super) fn qos(self) -> QoS {
        QoS::from_value(self.integer()).expect("the bounds of the setting are 0 and 2")
    }

    pub(super) fn level(self) -> Level {
        self.text().parse().expect("the words of the setting are levels")
    }

    pub(super) fn durability(self) -> Durability {
        match self.text().as_str() {
            "interval" => Durability::Interval,
            "none" => Durability::None,
            _ => Durability::Sync,
        }
    }

    pub(super) fn overflow(self) -> Overflow {
        match self.text().as_str() {
            "drop-newest" => Overflow::DropNewest,
            "reject" => Overflow::Reject,
            "disconnect" => Overflow::Disconnect,
            _ => Overflow::DropOldest,
        }
    }

    pub(super) fn excess(self) -> Excess {
        match self.text().as_str() {
            "disconnect" => Excess::Disconnect,
            _ => Excess::Delay,
        }
    }

    pub(super) fn some_excess(self) -> Option<Excess> {
        Some(self.excess())
    }

    pub(super) fn json_chosen(self) -> bool {
        self.text() == "json"
    }
}

/// In the order of [`Overflow`].
pub(super) const OVERFLOWS: [&str; 4] = ["drop-oldest", "drop-newest", "reject", "disconnect"];

/// In the order of [`Excess`].
pub(super) const EXCESSES: [&str; 2] = ["delay", "disconnect"];
