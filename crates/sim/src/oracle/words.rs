//! The oracle's words: when something happened, and what it means that a promise is broken.

/// Counts everything that happens at the broker's face, packet by packet; it only grows.
pub type Tick = u64;

/// A point of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment {
    /// Its place in the order of all that happened.
    pub tick: Tick,
    /// The virtual time in milliseconds.
    pub now_ms: u64,
}

/// A promise of MQTT that the broker has not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// What was promised and what happened, in words.
    pub promise: String,
    /// Where the promise stands.
    pub clause: &'static str,
    /// Clients, connections and messages that it is about, as they are named in the trace.
    pub about: Vec<String>,
}

/// A result that is an error if a promise is broken.
pub type Check<T = ()> = Result<T, Box<Broken>>;

/// Makes the error: `promise` in words, `about` whom or what.
///
/// # Errors
/// Always.
pub fn broken<T>(clause: &'static str, promise: String, about: &[&str]) -> Check<T> {
    Err(Box::new(Broken { promise, clause, about: about.iter().map(ToString::to_string).collect() }))
}
