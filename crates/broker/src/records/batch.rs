//! Changes to the records that become durable together: all of them, or none.

/// The changes of one turn, in order. It is filled by the broker and emptied by whoever makes it durable; its memory is
/// used again.
///
/// The first byte of a key says the kind of the record.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Vec<Entry>,
    /// Keys and values one after the other.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key_len: u32,
    value_len: u32,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    PutNew,
    Put,
    Delete,
}

/// One change of a [`Batch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A record under a key that was never used before: if it is deleted before it was made durable, neither change is
    /// needed.
    PutNew {
        /// Its key.
        key: &'a [u8],
        /// Its bytes.
        value: &'a [u8],
    },
    /// A record that may replace one with the same key.
    Put {
        /// Its key.
        key: &'a [u8],
        /// Its bytes.
        value: &'a [u8],
    },
    /// The record with this key, if there is one, goes.
    Delete {
        /// Its key.
        key: &'a [u8],
    },
}

impl Batch {
    /// An empty one; it allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { changes: Vec::new(), bytes: Vec::new() }
    }

    /// Adds a record under a key that was never used before.
    pub fn put_new(&mut self, key: &[u8], value: &[u8]) {
        self.add(What::PutNew, key, value);
    }

    /// Adds a record, or replaces the one with this key.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.add(What::Put, key, value);
    }

    /// Takes away the record with this key.
    pub fn delete(&mut self, key: &[u8]) {
        self.add(What::Delete, key, &[]);
    }

    fn add(&mut self, what: What, key: &[u8], value: &[u8]) {
        self.add_with(what, |out| out.extend_from_slice(key), |out, _| out.extend_from_slice(value));
    }

    /// Adds a change whose key and value are appended in place; `value` is told where the key begins.
    pub(super) fn add_with(
        &mut self,
        what: What,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>, usize),
    ) {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let value_at = self.bytes.len();
        value(&mut self.bytes, start);
        let key_len = u32::try_from(value_at - start).expect("a key is a little longer than a text of MQTT");
        let value_len = u32::try_from(self.bytes.len() - value_at).expect("a record is smaller than 4 GiB");
        self.changes.push(Entry { start, key_len, value_len, what });
    }

    /// The changes, in order.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = Change<'_>> {
        self.changes.iter().map(|entry| {
            let value_at = entry.start + entry.key_len as usize;
            let key = &self.bytes[entry.start..value_at];
            let value = &self.bytes[value_at..value_at + entry.value_len as usize];
            match entry.what {
                What::PutNew => Change::PutNew { key, value },
                What::Put => Change::Put { key, value },
                What::Delete => Change::Delete { key },
            }
        })
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all changes; keeps a moderate amount of memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.bytes.clear();
        if self.bytes.capacity() > BYTES_KEPT_MAX {
            *self = Self::new();
        }
    }
}

/// Bytes of memory that an empty batch keeps at most.
const BYTES_KEPT_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_in_order_and_the_batch_can_be_used_again() {
        let mut batch = Batch::new();
        batch.put_new(b"ma", b"one");
        batch.put(b"s", b"");
        batch.delete(b"ma");
        let expected = [
            Change::PutNew { key: b"ma", value: b"one" },
            Change::Put { key: b"s", value: b"" },
            Change::Delete { key: b"ma" },
        ];
        assert!(batch.changes().eq(expected));
        assert_eq!((batch.len(), batch.size(), batch.is_empty()), (3, 8, false));
        batch.clear();
        assert!(batch.is_empty() && batch.size() == 0 && batch.changes().next().is_none());
    }
}
