//! Topic Names and Topic Filters (4.7), Shared Subscriptions (4.8.2).

pub mod filter;
pub mod matching;
pub mod name;
