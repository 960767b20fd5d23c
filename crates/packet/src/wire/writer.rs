//! Where encoded bytes go, and the fields that are written (1.5).

use crate::{error::EncodeError, packet_identifier::PacketId, wire::variable_byte_integer};

/// Takes encoded bytes.
pub trait Buffer {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// [`EncodeError::BufferFull`] if they do not fit; the buffer may then hold a part of the packet.
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError>;

    /// Announces that a packet of `additional` bytes follows, so that it can be refused whole or room be made at once.
    ///
    /// # Errors
    /// [`EncodeError::BufferFull`] if they will not fit.
    #[inline]
    fn reserve(&mut self, additional: usize) -> Result<(), EncodeError> {
        let _ = additional;
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl Buffer for alloc::vec::Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn reserve(&mut self, additional: usize) -> Result<(), EncodeError> {
        alloc::vec::Vec::reserve(self, additional);
        Ok(())
    }
}

/// A [`Buffer`] over bytes of the caller, for use without an allocator.
#[derive(Debug)]
pub struct SliceBuffer<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> SliceBuffer<'b> {
    /// Starts empty, at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Returns what has been written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the number of bytes that have been written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether nothing has been written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets what has been written.
    pub const fn clear(&mut self) {
        self.len = 0;
    }
}

impl Buffer for SliceBuffer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let place = room.get_mut(..bytes.len()).ok_or(EncodeError::BufferFull)?;
        place.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    #[inline]
    fn reserve(&mut self, additional: usize) -> Result<(), EncodeError> {
        if self.bytes.len() - self.len < additional { Err(EncodeError::BufferFull) } else { Ok(()) }
    }
}

/// Returns the length of a packet with `remaining_length` bytes after its fixed header.
///
/// # Errors
/// [`EncodeError::TooLarge`] above 268,435,455.
#[inline]
pub(crate) const fn packet_len(remaining_length: usize) -> Result<usize, EncodeError> {
    if remaining_length > variable_byte_integer::MAX as usize {
        return Err(EncodeError::TooLarge);
    }
    Ok(1 + variable_byte_integer::encoded_len(remaining_length as u32) + remaining_length)
}

/// Makes room for the packet and writes its fixed header (2.1).
#[inline]
pub(crate) fn put_fixed_header(
    out: &mut impl Buffer,
    first: u8,
    remaining_length: usize,
) -> Result<(), EncodeError> {
    out.reserve(packet_len(remaining_length)?)?;
    if remaining_length < 0x80 {
        return out.put(&[first, remaining_length as u8]);
    }
    out.put(&[first])?;
    put_variable_byte_integer(out, remaining_length as u32)
}

#[inline]
pub(crate) fn put_variable_byte_integer(out: &mut impl Buffer, value: u32) -> Result<(), EncodeError> {
    let (bytes, len) = variable_byte_integer::encode(value);
    out.put(bytes.get(..len).unwrap_or_default())
}

#[inline]
pub(crate) fn put_packet_id(out: &mut impl Buffer, packet_id: PacketId) -> Result<(), EncodeError> {
    out.put(&packet_id.value().to_be_bytes())
}

#[inline]
pub(crate) fn put_text(out: &mut impl Buffer, text: &str) -> Result<(), EncodeError> {
    put_binary(out, text.as_bytes())
}

/// Writes Binary Data (1.5.6); callers have checked the length.
#[inline]
pub(crate) fn put_binary(out: &mut impl Buffer, data: &[u8]) -> Result<(), EncodeError> {
    let len = u16::try_from(data.len()).map_err(|_| EncodeError::TooLong)?;
    out.put(&len.to_be_bytes())?;
    out.put(data)
}
