//! Reads the fields of one packet, one after the other (1.5).

use crate::{
    error::DecodeError,
    packet_identifier::PacketId,
    packet_type::PacketType,
    wire::{
        text::{self, TextFault},
        variable_byte_integer::{self, Decoded},
    },
};

/// Walks over the bytes of a packet; each method takes one field.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    packet_type: PacketType,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`; errors will name `packet_type`.
    #[inline]
    #[must_use]
    pub const fn new(packet_type: PacketType, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, packet_type }
    }

    /// Returns the packet type that errors name.
    #[inline]
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Tells whether all bytes are read.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the bytes that are not read yet.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::CutShort`] if the packet ends before.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else { return Err(self.cut_short()) };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`DecodeError::CutShort`] if the packet ends before.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.chunk().map(u8::from_be_bytes)
    }

    /// Reads a Two Byte Integer (1.5.2).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`] if the packet ends before.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// Reads a Four Byte Integer (1.5.3).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`] if the packet ends before.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// Reads a Variable Byte Integer (1.5.5).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`], and those of [`variable_byte_integer::decode`].
    #[inline]
    pub fn variable_byte_integer(&mut self) -> Result<u32, DecodeError> {
        match variable_byte_integer::decode(self.rest)? {
            Decoded::Value { value, len } => {
                self.take(len)?;
                Ok(value)
            }
            Decoded::MoreBytes => Err(self.cut_short()),
        }
    }

    /// Reads Binary Data (1.5.6).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`] if the packet ends before.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Reads a UTF-8 Encoded String (1.5.4).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`], [`DecodeError::InvalidUtf8`], [`DecodeError::NullCharacter`].
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        text::parse(bytes).map_err(|fault| text_error(self.packet_type, fault))
    }

    /// Reads a Packet Identifier (2.2.1).
    ///
    /// # Errors
    /// [`DecodeError::CutShort`], [`DecodeError::ZeroPacketId`].
    #[inline]
    pub fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::ZeroPacketId { packet_type: self.packet_type })
    }

    /// Ends the packet.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] if bytes are left.
    #[inline]
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes { packet_type: self.packet_type })
        }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((chunk, rest)) = self.rest.split_first_chunk() else { return Err(self.cut_short()) };
        self.rest = rest;
        Ok(*chunk)
    }

    const fn cut_short(&self) -> DecodeError {
        DecodeError::CutShort { packet_type: self.packet_type }
    }
}

/// Turns a fault of a string into the error that names the packet.
pub(crate) const fn text_error(packet_type: PacketType, fault: TextFault) -> DecodeError {
    match fault {
        TextFault::NotUtf8 => DecodeError::InvalidUtf8 { packet_type },
        TextFault::NullCharacter => DecodeError::NullCharacter { packet_type },
    }
}
