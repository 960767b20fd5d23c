//! What the tables of Topic Names and Topic Filters share: numbers, hashes, levels, texts and slots (4.7).

pub(crate) mod hashing;
pub(crate) mod id_table;
pub mod ids;
pub(crate) mod levels;
pub(crate) mod slab;
pub(crate) mod texts;
