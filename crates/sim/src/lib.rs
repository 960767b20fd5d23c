//! The whole system from one seed: virtual clock, virtual network, an oracle

pub mod script;
