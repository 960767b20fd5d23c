//! The words that an operator's tools and a running Server exchange, over a Unix socket.
//!
//! A question is one line, a JSON object: `{"ask":"status"}`. What comes back is one line or several, each a JSON object with
//! `"last"`, which is true for the last one. Then the next question may be asked. Words are added as the Server learns; a
//! reader passes over fields that it does not know.
#![forbid(unsafe_code)]

pub mod answer;
pub mod explain;
pub mod place;
pub mod question;
pub mod session;
pub mod status;
