//! What Clients were denied: counted for each, and told to the log, but not without end.

use dunlin_protocol::time::Instant;

use crate::{
    pace::{FOR_A_CLIENT, Pace},
    permissions::{ruling::Ground, subject::Subject},
};

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
    pace: Pace,
    /// For what was refused because of a limit, not of a right.
    pub(crate) refusals: Pace,
}

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
        self.pace.may_tell(now, FOR_A_CLIENT)
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
    let Some(untold) = denials.get_or_insert_default().note(now, denied) else { return };
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
        assert_eq!(told, 5);
        let later = Instant::from_ms(61_000);
        assert_eq!(denials.note(later, Denied::Receive), Some(95));
        assert_eq!(denials.note(later, Denied::Receive), Some(0));
        assert_eq!(denials.counts, DenialCounts { publish: 100, receive: 2, ..DenialCounts::default() });
    }
}
