//! The log of those who did not get in: a few lines a second, however many they are.

use std::{
    fmt::{self, Display},
    sync::Mutex,
    time::{Duration, Instant},
};

use dunlin_broker::handshake::Refusal;

/// Writes refusals to the log, limited in number.
#[derive(Debug)]
pub(crate) struct Refusals {
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    shown: u32,
    hidden: u64,
}

/// Text of a stranger, safe and short for a log: escaped and cut.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Refusals {
    /// Nobody was refused yet.
    pub(crate) fn new() -> Self {
        Self { window: Mutex::new(Window { began: Instant::now(), shown: 0, hidden: 0 }) }
    }

    /// Somebody was refused.
    pub(super) fn note(&self, peer: &dyn Display, client_id: Option<&str>, reason: &dyn Display) {
        let mut window = self.window.lock().expect("nobody panics while holding the lock of the log");
        let (is_shown, hidden) = window.count(Instant::now());
        drop(window);
        if hidden > 0 {
            tracing::info!(hidden, "more connections were refused than are shown");
        }
        match client_id {
            _ if !is_shown => {}
            Some(client_id) => {
                tracing::info!(%peer, client_id = %Escaped(client_id), "connection refused: {reason}");
            }
            None => tracing::info!(%peer, "connection refused: {reason}"),
        }
    }
}

impl Window {
    /// Whether this one is shown, and how many before it were hidden and can be told of now.
    fn count(&mut self, now: Instant) -> (bool, u64) {
        let mut hidden = 0;
        if now.saturating_duration_since(self.began) >= WINDOW {
            hidden = self.hidden;
            *self = Window { began: now, shown: 0, hidden: 0 };
        }
        let is_shown = self.shown < SHOWN_MAX;
        if is_shown {
            self.shown += 1;
        } else {
            self.hidden += 1;
        }
        (is_shown, hidden)
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(CHARACTERS_MAX) {
            write!(f, "{}", character.escape_debug())?;
        }
        if characters.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

/// Why, in words for the log.
pub(super) fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotConnect => "the first packet is not CONNECT".to_owned(),
        Refusal::Malformed(error) => error.to_string(),
        Refusal::Code { code, reason } if *reason == code.name() => {
            format!("{reason} (0x{:02X})", code.value())
        }
        Refusal::Code { code, reason } => format!("{} (0x{:02X}): {reason}", code.name(), code.value()),
        Refusal::WillDenied { topic, rule } => {
            format!(
                "Not authorized (0x87): it may not publish to its Will Topic \"{}\": {rule}",
                Escaped(topic)
            )
        }
        Refusal::GaveUp => "the Client gave up".to_owned(),
    }
}

/// Refusals are counted over this time,
const WINDOW: Duration = Duration::from_secs(1);
/// and so many of them are shown.
const SHOWN_MAX: u32 = 10;
/// Characters of a stranger's text that are shown.
const CHARACTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_shown_and_the_others_are_counted() {
        let start = Instant::now();
        let mut window = Window { began: start, shown: 0, hidden: 0 };
        let shown = (0..1_000).filter(|_| window.count(start).0).count();
        assert_eq!(shown, 10);
        assert_eq!(window.count(start + WINDOW), (true, 990));
        assert_eq!(window.count(start + WINDOW), (true, 0));
    }

    #[test]
    fn the_text_of_strangers_is_escaped_and_cut() {
        assert_eq!(Escaped("a\n\u{1b}[2Jb\"").to_string(), "a\\n\\u{1b}[2Jb\\\"");
        assert_eq!(Escaped(&"x".repeat(70)).to_string(), format!("{}...", "x".repeat(64)));
    }
}
