//! Lines for people, and values for programs.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

/// A line of an answer, behind a mark.
pub(super) fn line(out: &mut impl Write, mark: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{mark:<4} {text}")
}

/// Any word of the API as JSON.
pub(super) fn value_of(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("the words of the API are JSON")
}

/// A number of things.
pub(super) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
