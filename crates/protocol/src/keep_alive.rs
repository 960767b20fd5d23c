//! Keep Alive: when silence ends a connection and when a Client has to ping (3.1.2.10).

use core::time::Duration;

use crate::time::Instant;

/// The Keep Alive both ends agreed on. [MQTT-3.1.2-21] [MQTT-3.2.2-22]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeepAlive {
    /// Seconds; 0 turns it off.
    pub interval_s: u16,
}

/// What a Client has to do for its Keep Alive now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepAliveAction {
    /// Nothing before [`ClientKeepAlive::next_timeout`].
    Wait,
    /// Send PINGREQ, and say so with [`ClientKeepAlive::ping_sent`].
    SendPingreq,
    /// The Server left PINGREQ without answer: close the Network Connection.
    Close,
}

/// The Client's side: pings when nothing else was sent, and notices a Server that does not answer.
#[derive(Clone, Copy, Debug)]
pub struct ClientKeepAlive {
    keep_alive: KeepAlive,
    last_sent: Instant,
    /// When the PINGREQ without answer was sent.
    pinged: Option<Instant>,
}

impl KeepAlive {
    /// When a Server closes the connection of a Client whose last packet came at `last_received`: after one and a
    /// half times the interval. Nothing if Keep Alive is off. [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
    #[must_use]
    #[inline]
    pub fn server_deadline(self, last_received: Instant) -> Option<Instant> {
        (self.interval_s > 0)
            .then(|| last_received + Duration::from_millis(u64::from(self.interval_s) * 1_500))
    }

    /// When a Client that last sent a packet at `last_sent` has to send another. [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
    #[must_use]
    #[inline]
    pub fn client_deadline(self, last_sent: Instant) -> Option<Instant> {
        (self.interval_s > 0).then(|| last_sent + self.interval())
    }

    fn interval(self) -> Duration {
        Duration::from_secs(u64::from(self.interval_s))
    }
}

impl ClientKeepAlive {
    /// Starts at `now`, when a packet was just sent.
    #[must_use]
    pub fn new(keep_alive: KeepAlive, now: Instant) -> Self {
        Self { keep_alive, last_sent: now, pinged: None }
    }

    /// Sets the interval that CONNACK has settled; it runs since the last packet sent.
    pub fn agree(&mut self, keep_alive: KeepAlive) {
        self.keep_alive = keep_alive;
    }

    /// Says that a packet was sent.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Says that PINGREQ was sent.
    pub fn ping_sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.pinged.get_or_insert(now);
    }

    /// Says that PINGRESP came.
    pub fn pingresp_received(&mut self) {
        self.pinged = None;
    }

    /// Says that bytes of the Server wait unread, so that PINGRESP may be among them: it has another interval to come.
    pub fn not_reading(&mut self, now: Instant) {
        if self.pinged.is_some() {
            self.pinged = Some(now);
        }
    }

    /// What to do at `now`. PINGRESP has one interval to come.
    #[must_use]
    pub fn action(&self, now: Instant) -> KeepAliveAction {
        if self.pingresp_deadline().is_some_and(|deadline| deadline <= now) {
            return KeepAliveAction::Close;
        }
        match self.keep_alive.client_deadline(self.last_sent) {
            Some(deadline) if deadline <= now => KeepAliveAction::SendPingreq,
            _ => KeepAliveAction::Wait,
        }
    }

    /// When [`ClientKeepAlive::action`] next has something to say; nothing if Keep Alive is off.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let ping = self.keep_alive.client_deadline(self.last_sent)?;
        Some(self.pingresp_deadline().map_or(ping, |deadline| deadline.min(ping)))
    }

    fn pingresp_deadline(&self) -> Option<Instant> {
        self.pinged.and_then(|pinged| self.keep_alive.client_deadline(pinged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(s: u64) -> Instant {
        Instant::from_ms(s * 1_000)
    }

    /// [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
    #[test]
    fn server_waits_one_and_a_half_intervals_and_forever_with_zero() {
        assert_eq!(KeepAlive { interval_s: 10 }.server_deadline(at_s(100)), Some(at_s(115)));
        assert_eq!(KeepAlive { interval_s: 1 }.server_deadline(at_s(1)), Some(Instant::from_ms(2_500)));
        assert_eq!(
            KeepAlive { interval_s: u16::MAX }.server_deadline(at_s(0)),
            Some(Instant::from_ms(98_302_500))
        );
        assert_eq!(KeepAlive { interval_s: 0 }.server_deadline(at_s(100)), None);
    }

    /// [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
    #[test]
    fn client_pings_after_an_interval_without_a_packet() {
        let mut client = ClientKeepAlive::new(KeepAlive { interval_s: 10 }, at_s(0));
        assert_eq!(client.next_timeout(), Some(at_s(10)));
        client.sent(at_s(4));
        assert_eq!(client.action(at_s(10)), KeepAliveAction::Wait);
        assert_eq!(client.next_timeout(), Some(at_s(14)));
        assert_eq!(client.action(at_s(14)), KeepAliveAction::SendPingreq);
        client.ping_sent(at_s(14));
        assert_eq!(client.action(at_s(14)), KeepAliveAction::Wait);
    }

    #[test]
    fn client_gives_up_when_no_pingresp_comes_although_it_sends() {
        let mut client = ClientKeepAlive::new(KeepAlive { interval_s: 10 }, at_s(0));
        client.ping_sent(at_s(10));
        client.sent(at_s(19));
        assert_eq!(client.next_timeout(), Some(at_s(20)));
        assert_eq!(client.action(at_s(20)), KeepAliveAction::Close);
        let mut busy = client;
        busy.not_reading(at_s(20));
        assert_eq!(busy.action(at_s(28)), KeepAliveAction::Wait);
        assert_eq!(busy.action(at_s(30)), KeepAliveAction::Close);
        client.pingresp_received();
        client.not_reading(at_s(20));
        assert_eq!(client.action(at_s(20)), KeepAliveAction::Wait);
        assert_eq!(client.next_timeout(), Some(at_s(29)));
    }

    #[test]
    fn zero_turns_pings_off() {
        let client = ClientKeepAlive::new(KeepAlive { interval_s: 0 }, at_s(0));
        assert_eq!(client.next_timeout(), None);
        assert_eq!(client.action(at_s(1_000_000)), KeepAliveAction::Wait);
    }
}
