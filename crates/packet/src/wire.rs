//! Data representation: integers, strings, Binary Data (1.5).

pub mod reader;
pub mod text;
pub mod variable_byte_integer;
pub mod writer;
