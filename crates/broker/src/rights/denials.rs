//! What Clients were denied: counted for each, and told to the log, but not without end.

use dunlin_protocol::time::Instant;

use crate::permissions::{ruling::Ground, subject::Subject};

/// What one Session was denied since it began, or since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenialCounts {
    /// PUBLISH packets.
    pub publish: u64,
    /// Topic Filters of SUBSCRIBE, and Subscriptions that were taken away.
    pub subscribe: u64,
    /// Messages that a Subscription matched.
    pub receive: u64,
    /// Wills.
    pub will: u64,
}

/// What was denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    Publish,
    Subscribe,
    Receive,
    Will,
}

/// The counts of a Session, and what the log knows.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    pub(crate) counts: DenialCounts,
    /// When the first of the last lines was written.
    began: Option<Instant>,
    lines: u32,
    untold: u64,
}

/// Lines of the log about one Session within [`MS_OF_LINES`].
const LINES_MAX: u32 = 5;

/// Milliseconds after which there may be lines again.
const MS_OF_LINES: u128 = 60_000;

impl Denials {
    /// Counts one; if there may be a line about it, returns how many there was none about.
    fn note(&mut self, now: Instant, denied: Denied) -> Option<u64> {
        let count = match denied {
            Denied::Publish => &mut self.counts.publish,
            Denied::Subscribe => &mut self.counts.subscribe,
            Denied::Receive => &mut self.counts.receive,
            Denied::Will => &mut self.counts.will,
        };
        *count += 1;
        let is_over = self.began.is_none_or(|at| now.saturating_since(at).as_millis() >= MS_OF_LINES);
        if is_over {
            (self.began, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_MAX {
            self.untold += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Counts a denial and tells the log of it, if it has not had many lines about this Session lately.
pub(crate) fn note(
    denials: &mut Option<Box<Denials>>,
    now: Instant,
    denied: Denied,
    subject: &Subject,
    topic: &str,
    ground: Ground<'_>,
) {
    if let Some(untold) = denials.get_or_insert_default().note(now, denied) {
        tell(denied, subject, topic, ground, untold);
    }
}

/// The line of the log.
pub(crate) fn tell(denied: Denied, subject: &Subject, topic: &str, ground: Ground<'_>, untold: u64) {
    tracing::info!(
        client_id = &*subject.client_id,
        user = subject.user_name.as_deref(),
        address = %subject.address,
        topic,
        rule = %ground,
        denied_without_a_line = (untold > 0).then_some(untold),
        "denied: {}",
        match denied {
            Denied::Publish => "publish",
            Denied::Subscribe => "subscribe",
            Denied::Receive => "receive",
            Denied::Will => "Will",
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_a_bound_and_the_counts_have_none() {
        let mut denials = Denials::default();
        let start = Instant::from_ms(1_000);
        let told = (0..100).filter_map(|_| denials.note(start, Denied::Publish)).count();
        assert_eq!(told, LINES_MAX as usize);
        let later = Instant::from_ms(61_000);
        assert_eq!(denials.note(later, Denied::Receive), Some(95));
        assert_eq!(denials.note(later, Denied::Receive), Some(0));
        assert_eq!(denials.counts, DenialCounts { publish: 100, receive: 2, ..DenialCounts::default() });
    }
}
