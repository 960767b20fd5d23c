//! The Will of a Client: given, kept back, owed.

use std::time::{Duration, Instant};

use super::{client::Stage, history::Deed, ledger::Fate};

/// Seconds after a restart in which Clients may come back before their Wills are sent.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// So much later it is sure to be on the disk what nobody waits for: the Will of a Client whose Session ends with its Network
/// Connection, for such a Client gets its CONNACK at once.
const SETTLED: Duration = Duration::from_millis(500);

/// How it stands with the Will a Client gave last.
#[derive(Clone, Copy, Debug)]
enum State {
    /// CONNECT was sent with it.
    Offered,
    /// CONNACK has come.
    Given,
    /// The connection ended at this moment; if the Client is back before `in_time`, nothing is sent.
    Pending { in_time: Instant },
    /// DISCONNECT was sent, and the Server closed: that is its acknowledgement.
    Discarded,
    /// It must be sent.
    Owed,
}

/// The Will of one Client.
#[derive(Debug, Default)]
pub(crate) struct Will {
    current: Option<(u64, State)>,
    /// When CONNACK came.
    given: Option<Instant>,
}

impl Will {
    /// The Will that the next CONNECT carries; what became of the one before is known now, or never.
    pub(crate) fn offer(&mut self, number: u64) -> Option<Will> {
        let before = self.current.replace((number, State::Offered));
        before.map(|before| Will { current: Some(before), given: None })
    }

    /// CONNACK has come.
    pub(crate) fn given(&mut self, stage: &mut Stage<'_>) {
        let Some((number, state)) = &mut self.current else { return };
        *state = State::Given;
        self.given = Some(stage.now);
        stage.ledger.decide(*number, Fate::Forbidden("its Client was connected"), Deed::WillGiven);
    }

    /// The Client is back, with another Will.
    pub(crate) fn replaced(self, stage: &mut Stage<'_>) {
        let Some((number, State::Pending { in_time })) = self.current else { return };
        if stage.now < in_time {
            stage.ledger.totals.wills_withheld += 1;
            let reason = "its Client was back in time";
            stage.ledger.decide(number, Fate::Forbidden(reason), Deed::WillForbidden(reason));
        }
    }

    /// The connection was cut, or the Server has ended: the Client will be back before `in_time`, or stays away.
    pub(crate) fn cut(&mut self, in_time: Option<Instant>, stage: &mut Stage<'_>) {
        let Some((number, state)) = &mut self.current else { return };
        match (&*state, in_time) {
            (State::Offered, _) => {}
            (State::Given | State::Pending { .. }, Some(in_time)) => {
                *state = State::Pending { in_time };
                stage.ledger.decide(*number, Fate::Open, Deed::WillOpen);
            }
            (State::Given | State::Pending { .. }, None) => {
                *state = State::Owed;
                stage.ledger.totals.wills_sent += 1;
                stage.ledger.taken(*number, Deed::WillOwed);
            }
            (State::Discarded | State::Owed, _) => {}
        }
    }

    /// The Server has closed after DISCONNECT.
    pub(crate) fn discarded(&mut self, stage: &mut Stage<'_>) {
        let Some((number, state)) = &mut self.current else { return };
        *state = State::Discarded;
        let reason = "its Client had said DISCONNECT";
        stage.ledger.decide(*number, Fate::Forbidden(reason), Deed::WillForbidden(reason));
    }

    /// The Server has ended. Returns whether the Client has a Will that waits for what it does now. `is_safe` says that the
    /// Will is on the disk since CONNACK.
    pub(crate) fn server_ended(&mut self, is_safe: bool, stage: &mut Stage<'_>) -> bool {
        let Some((number, state)) = &mut self.current else { return false };
        let is_young = self.given.is_some_and(|given| stage.now < given + SETTLED);
        let is_decided = matches!(state, State::Discarded) || stage.ledger.has_come(*number);
        if is_young && !is_safe && !is_decided {
            *state = State::Offered;
            stage.ledger.decide(*number, Fate::Open, Deed::WillOpen);
        }
        match *state {
            State::Given | State::Pending { .. } => true,
            State::Offered | State::Discarded | State::Owed => false,
        }
    }

    /// The Server was started again: who is back before `in_time` has no Will sent.
    pub(crate) fn grace_began(&mut self, in_time: Instant) {
        if let Some((_, State::Pending { in_time: until })) = &mut self.current {
            *until = (*until).min(in_time);
        }
    }

    /// Whether the Client must stay away, because its Will is still to come.
    pub(crate) fn is_awaited(&self, stage: &Stage<'_>) -> bool {
        matches!(self.current, Some((number, State::Owed)) if !stage.ledger.has_come(number))
    }
}
