//! The Properties of one packet (2.2.2): checked once, then read in place.

use core::{fmt, slice};

pub use crate::property::value::Property;
use crate::{
    error::{DecodeError, EncodeError},
    packet_type::PacketType,
    property::identifier::{PropertyId, PropertyPlace, ValueType},
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        variable_byte_integer,
        writer::{self, Buffer},
    },
};

/// The Properties of one place: a slice of values, and after them bytes as they stand on the wire.
///
/// A decoded list has only bytes, which were checked as a whole. Before version 5.0 lists are empty and never written.
/// Two lists are equal if they hold equal Properties in the same order.
#[derive(Clone, Copy, Default)]
pub struct PropertyList<'a> {
    items: &'a [Property<'a>],
    encoded: &'a [u8],
    /// A bit for each Property that may be there; a clear bit spares the search.
    present: u64,
}

impl<'a> PropertyList<'a> {
    /// No Properties.
    pub const EMPTY: Self = Self { items: &[], encoded: &[], present: 0 };

    /// Makes a list of values; they are checked when a packet is encoded.
    #[inline]
    #[must_use]
    pub const fn from_items(items: &'a [Property<'a>]) -> Self {
        Self::with_encoded(items, &[])
    }

    /// Makes a list of values followed by Properties in wire form (without Property Length), which must come from a
    /// decoded list: they are written as they are. Reading stops at the first byte that is not sound.
    #[inline]
    #[must_use]
    pub const fn with_encoded(items: &'a [Property<'a>], encoded: &'a [u8]) -> Self {
        let present = if items.is_empty() && encoded.is_empty() { 0 } else { u64::MAX };
        Self { items, encoded, present }
    }

    /// Reads Property Length and Properties and checks them for `place`; before version 5.0 there is nothing to read.
    ///
    /// # Errors
    /// Unknown, misplaced, doubled or cut Properties and values that are not allowed, each with its [`DecodeError`].
    #[inline]
    pub(crate) fn decode(
        version: ProtocolVersion,
        place: PropertyPlace,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        if !version.has_properties() {
            return Ok(Self::EMPTY);
        }
        let len = reader.variable_byte_integer()?; // [MQTT-2.2.2-1]
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let encoded = reader.take(len as usize)?;
        Ok(Self { items: &[], encoded, present: validate(encoded, place)? })
    }

    /// Returns the part in wire form, without Property Length; all of it for a decoded list.
    #[inline]
    #[must_use]
    pub const fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// Returns the part that is values.
    #[inline]
    #[must_use]
    pub const fn items(&self) -> &'a [Property<'a>] {
        self.items
    }

    /// Tells whether there are no Properties.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty() && self.encoded.is_empty()
    }

    /// Returns the number of bytes on the wire, without Property Length.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.items.iter().fold(self.encoded.len(), |sum, item| sum.saturating_add(item.encoded_len()))
    }

    /// Returns all Properties in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter { items: self.items.iter(), encoded: EncodedProperties::new(self.encoded) }
    }

    /// Returns the Properties of [`encoded`](Self::encoded) as they stand on the wire, for a sender that copies some.
    #[inline]
    #[must_use]
    pub const fn encoded_properties(&self) -> EncodedProperties<'a> {
        EncodedProperties::new(self.encoded)
    }

    /// Returns all Subscription Identifiers, each 1 to 268,435,455. [MQTT-3.3.4-4]
    #[inline]
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.iter_if_present(PropertyId::SubscriptionIdentifier).filter_map(|property| match property {
            Property::SubscriptionIdentifier(value) => Some(value),
            _ => None,
        })
    }

    /// Returns name and value of all User Properties, in order. [MQTT-3.3.2-18]
    #[inline]
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter_if_present(PropertyId::UserProperty).filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Returns the first Property of this kind.
    #[inline]
    #[must_use]
    pub fn find(&self, id: PropertyId) -> Option<Property<'a>> {
        if self.present & id.bit() == 0 {
            return None;
        }
        self.find_present(id)
    }

    fn find_present(&self, id: PropertyId) -> Option<Property<'a>> {
        let in_items = self.items.iter().copied().find(|item| item.id() == id);
        in_items.or_else(|| {
            let (_, encoded) = self.encoded_properties().find(|(found, _)| *found == id)?;
            decode_one(id, encoded)
        })
    }

    fn iter_if_present(&self, id: PropertyId) -> PropertyIter<'a> {
        if self.present & id.bit() == 0 { Self::EMPTY.iter() } else { self.iter() }
    }

    /// Checks the values for `place` and returns the bytes that [`put`](Self::put) writes; 0 before version 5.0.
    ///
    /// # Errors
    /// [`EncodeError::InvalidProperty`], [`EncodeError::TooLong`], [`EncodeError::NullCharacter`],
    /// [`EncodeError::TooLarge`].
    #[inline]
    pub(crate) fn put_len(
        &self,
        version: ProtocolVersion,
        place: PropertyPlace,
    ) -> Result<usize, EncodeError> {
        if !version.has_properties() {
            return Ok(0);
        }
        if self.is_empty() {
            return Ok(1);
        }
        let mut seen = 0;
        for item in self.items {
            let id = item.id();
            let is_doubled = seen & id.bit() != 0 && !id.may_repeat_in(place);
            if is_doubled || !id.is_allowed_in(place) {
                return Err(EncodeError::InvalidProperty);
            }
            item.check()?;
            seen |= id.bit();
        }
        let has_data = seen & PropertyId::AuthenticationData.bit() != 0;
        if has_data && self.authentication_method().is_none() {
            return Err(EncodeError::InvalidProperty); // 3.1.2.11.10
        }
        let len = self.encoded_len();
        match u32::try_from(len) {
            Ok(value) if value <= variable_byte_integer::MAX => {
                Ok(len + variable_byte_integer::encoded_len(value))
            }
            _ => Err(EncodeError::TooLarge),
        }
    }

    /// Writes Property Length and Properties; nothing before version 5.0.
    #[inline]
    pub(crate) fn put(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        if !version.has_properties() {
            return Ok(());
        }
        if self.is_empty() {
            return out.put(&[0]); // [MQTT-2.2.2-1]
        }
        writer::put_variable_byte_integer(out, self.encoded_len() as u32)?;
        for item in self.items {
            item.encode(out)?;
        }
        out.put(self.encoded)
    }
}

impl PartialEq for PropertyList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for PropertyList<'_> {}

impl fmt::Debug for PropertyList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for PropertyList<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

/// All Properties of a list in order; made by [`PropertyList::iter`].
#[derive(Clone, Debug)]
pub struct PropertyIter<'a> {
    items: slice::Iter<'a, Property<'a>>,
    encoded: EncodedProperties<'a>,
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    #[inline]
    fn next(&mut self) -> Option<Property<'a>> {
        match self.items.next() {
            Some(item) => Some(*item),
            None => self.encoded.next().and_then(|(id, encoded)| decode_one(id, encoded)),
        }
    }
}

/// Properties in wire form, each with its identifier; made by [`PropertyList::encoded_properties`].
#[derive(Clone, Copy, Debug)]
pub struct EncodedProperties<'a> {
    rest: &'a [u8],
}

impl<'a> EncodedProperties<'a> {
    const fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }
}

impl<'a> Iterator for EncodedProperties<'a> {
    type Item = (PropertyId, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(PropertyId, &'a [u8])> {
        let (&first, value) = self.rest.split_first()?;
        let id = PropertyId::from_value(u32::from(first))?;
        let (property, rest) = self.rest.split_at_checked(1 + value_len(id, value)?)?;
        self.rest = rest;
        Some((id, property))
    }
}

/// Returns the length of the value that `bytes` start with, `None` if they end before its length is known.
fn value_len(id: PropertyId, bytes: &[u8]) -> Option<usize> {
    let text_len = |bytes: &[u8]| bytes.first_chunk().map(|len| 2 + usize::from(u16::from_be_bytes(*len)));
    match id.value_type() {
        ValueType::Flag => Some(1),
        ValueType::TwoByteInteger => Some(2),
        ValueType::FourByteInteger => Some(4),
        ValueType::VariableByteInteger => bytes.iter().position(|byte| *byte < 0x80).map(|last| last + 1),
        ValueType::BinaryData | ValueType::Text => text_len(bytes),
        ValueType::TextPair => {
            let name_len = text_len(bytes)?;
            Some(name_len + text_len(bytes.get(name_len..)?)?)
        }
    }
}

/// Decodes one Property of a list that was checked before; the place, which only errors name, does not matter.
fn decode_one<'a>(id: PropertyId, encoded: &'a [u8]) -> Option<Property<'a>> {
    let place = PropertyPlace::Packet(PacketType::Publish);
    let mut reader = Reader::new(PacketType::Publish, encoded.get(1..)?);
    Property::decode(id, place, &mut reader).ok()
}

/// Checks the Properties of `place` one after the other and returns a bit for each that is there. One pass: doubled ones
/// show in the bits, and nothing is looked up again.
fn validate(encoded: &[u8], place: PropertyPlace) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(place.packet_type(), encoded);
    let mut present = 0;
    while !reader.is_empty() {
        let value = reader.variable_byte_integer()?;
        let Some(property) = PropertyId::from_value(value) else {
            return Err(DecodeError::UnknownProperty { value, place });
        };
        if !property.is_allowed_in(place) {
            return Err(DecodeError::PropertyNotAllowed { property, place });
        }
        if present & property.bit() != 0 && !property.may_repeat_in(place) {
            return Err(DecodeError::DuplicateProperty { property, place });
        }
        present |= property.bit();
        Property::decode(property, place, &mut reader)?;
    }
    let has = |property: PropertyId| present & property.bit() != 0;
    if has(PropertyId::AuthenticationData) && !has(PropertyId::AuthenticationMethod) {
        return Err(DecodeError::AuthenticationDataWithoutMethod { packet_type: place.packet_type() });
    }
    Ok(present)
}
