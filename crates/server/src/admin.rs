//! The operator's door into the running Server: a Unix socket, questions to the shards, answers in lines.

pub(crate) mod acts;
pub(crate) mod door;
pub(crate) mod explain_words;
pub(crate) mod explaining;
pub(crate) mod lines;
pub(crate) mod lists;
pub(crate) mod missing;
pub(crate) mod operator;
pub(crate) mod shards;
pub(crate) mod socket;
pub(crate) mod sums;
pub(crate) mod words;
