//! What is to be run: what all threads go by, and what each of them does.

use hdrhistogram::Histogram;

use crate::bring_up::Up;
use crate::clock::Clock;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::reactor::{Handler, Reactor};
use crate::settings::{Settings, Times};
use crate::shared::Totals;

/// What one thread does with its connections.
pub(crate) trait Work: Handler + Send {
    /// The connections are up.
    fn connected(&mut self, up: &Up);
    /// Messages may be sent from `start` on.
    fn begin(&mut self, start: u64);
    /// Latencies are recorded, or no more.
    fn measure(&mut self, is_measuring: bool);
    /// Sends what may be sent, and gives the time at which to come again at the latest.
    fn produce(&mut self, reactor: &mut Reactor) -> u64;
    /// A round is over.
    fn after_round(&mut self) {}
    /// Nothing is to be sent that is not due at `now`.
    fn end(&mut self, now: u64);
    /// Whether all is sent that was to be sent, if there is such a number.
    fn has_enough(&mut self) -> bool;
    /// Whether the connections end with DISCONNECT, and not as if the cable was cut.
    fn says_goodbye(&self) -> bool {
        true
    }
    /// Whether nothing is under way.
    fn is_done(&mut self) -> bool;
    /// What was counted so far.
    fn totals(&self) -> Totals;
    /// Latencies that were recorded.
    fn latency(&mut self) -> &mut Histogram<u64>;
}

/// What all threads go by.
pub(crate) struct Job<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) times: Times,
    pub(crate) server_pid: Option<u32>,
    pub(crate) clock: Clock,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) progress: &'a Progress,
    /// What the run is called while it goes on.
    pub(crate) what: &'static str,
}
