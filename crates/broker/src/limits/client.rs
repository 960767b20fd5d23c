//! What one Client may use, once it is known which exceptions there are for it.

use std::sync::Arc;

use dunlin_packet::version::ProtocolVersion;
use foldhash::HashMap;

use crate::permissions::subject::Subject;

use super::{
    Settings,
    exceptions::{Exceptional, Fitting},
    excess::Excess,
};

/// What one Client may use. All Clients with the same exceptions share one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// The exceptions that it comes from.
    fitting: Fitting,
    pub(crate) maximum_packet_size: u32,
    pub(crate) receive_maximum: u16,
    pub(crate) in_flight_max: u16,
    pub(crate) queue_messages_max: u32,
    pub(crate) queue_bytes_max: u64,
    pub(crate) subscriptions_max: u32,
    pub(crate) topic_levels_max: u32,
    pub(crate) keep_alive_min_s: u16,
    pub(crate) keep_alive_max_s: u16,
    pub(crate) session_expiry_max_s: u32,
    pub(crate) messages: Allowance,
    pub(crate) bytes: Allowance,
    pub(crate) on_excess: Excess,
}

/// How much may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Allowance {
    /// In a second; 0 for no bound.
    pub(crate) per_s: u32,
    /// At once.
    pub(crate) burst: u32,
}

/// The limits of all Clients of a shard: one for each set of exceptions that has been seen.
#[derive(Debug)]
pub(crate) struct LimitsInUse {
    general: Arc<ClientLimits>,
    known: HashMap<Fitting, Arc<ClientLimits>>,
}

impl LimitsInUse {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { general: Arc::new(ClientLimits::new(settings, Fitting::default())), known: HashMap::default() }
    }

    /// Without any exception.
    pub(crate) fn general(&self) -> Arc<ClientLimits> {
        Arc::clone(&self.general)
    }

    /// Of a Client that came to `listener`.
    pub(crate) fn of(
        &mut self,
        settings: &Settings,
        subject: &Subject,
        listener: Option<&str>,
    ) -> Arc<ClientLimits> {
        if settings.exceptions.is_empty() {
            return self.general();
        }
        self.fitting(settings, settings.exceptions_for(subject, listener))
    }

    /// The same limits by other settings with the same exceptions.
    pub(crate) fn renewed(&mut self, settings: &Settings, limits: &ClientLimits) -> Arc<ClientLimits> {
        self.fitting(settings, limits.fitting)
    }

    fn fitting(&mut self, settings: &Settings, fitting: Fitting) -> Arc<ClientLimits> {
        if fitting.is_empty() {
            return self.general();
        }
        if let Some(known) = self.known.get(&fitting) {
            return Arc::clone(known);
        }
        let limits = Arc::new(ClientLimits::new(settings, fitting));
        // With so many sets few Clients share one in any case.
        if self.known.len() < SETS_MAX {
            self.known.insert(fitting, Arc::clone(&limits));
        }
        limits
    }

    /// Of a Client that has not come again since the start: what is for its listener is not known.
    pub(crate) fn of_restored(&mut self, settings: &Settings, subject: &Subject) -> Arc<ClientLimits> {
        let limits = self.of(settings, subject, None);
        let (messages, bytes) = settings.greatest_queue(subject);
        if messages <= limits.queue_messages_max && bytes <= limits.queue_bytes_max {
            return limits;
        }
        let mut generous = ClientLimits::new(settings, settings.exceptions_for(subject, None));
        generous.queue_messages_max = generous.queue_messages_max.max(messages);
        generous.queue_bytes_max = generous.queue_bytes_max.max(bytes);
        Arc::new(generous)
    }
}

impl ClientLimits {
    fn new(settings: &Settings, fitting: Fitting) -> Self {
        fn or<T: Copy>(
            settings: &Settings,
            fitting: Fitting,
            of: impl Fn(&Exceptional) -> Option<T>,
            general: T,
        ) -> T {
            settings.exceptional(fitting, of).unwrap_or(general)
        }
        macro_rules! chosen {
            ($name:ident) => {
                or(settings, fitting, |it| it.$name, settings.$name)
            };
        }
        Self {
            fitting,
            maximum_packet_size: chosen!(maximum_packet_size),
            receive_maximum: chosen!(receive_maximum),
            in_flight_max: chosen!(in_flight_max),
            queue_messages_max: chosen!(queue_messages_max),
            queue_bytes_max: chosen!(queue_bytes_max),
            subscriptions_max: chosen!(subscriptions_max),
            topic_levels_max: chosen!(topic_levels_max),
            keep_alive_min_s: chosen!(keep_alive_min_s),
            keep_alive_max_s: chosen!(keep_alive_max_s),
            session_expiry_max_s: chosen!(session_expiry_max_s),
            messages: Allowance::new(chosen!(messages_per_s), chosen!(messages_burst)),
            bytes: Allowance::new(chosen!(bytes_per_s), chosen!(bytes_burst)),
            on_excess: chosen!(on_excess),
        }
    }

    /// The Keep Alive in seconds that counts for a Client that has asked for `asked_s`. A Client of 5.0 is told of it; with
    /// others the Server is more patient than they expect, or less if they wish for a longer silence than is allowed.
    pub(crate) fn keep_alive_s(&self, settings: &Settings, version: ProtocolVersion, asked_s: u16) -> u16 {
        if version == ProtocolVersion::V5_0 && settings.server_keep_alive_s > 0 {
            return settings.server_keep_alive_s;
        }
        match (asked_s, self.keep_alive_max_s) {
            (0, most) => most,
            (asked_s, 0) => asked_s.max(self.keep_alive_min_s),
            (asked_s, most) => asked_s.max(self.keep_alive_min_s).min(most),
        }
    }
}

impl Allowance {
    fn new(per_s: u32, burst: u32) -> Self {
        Self { per_s, burst: if burst == 0 { per_s } else { burst } }
    }
}

/// Sets of exceptions whose limits are remembered.
const SETS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::exceptions::Exception,
        permissions::who::{NamePattern, Who},
    };

    #[test]
    fn clients_with_the_same_exceptions_share_their_limits() {
        let mut settings = Settings::default();
        let who = Who { client_ids: [NamePattern::parse("meter-*")].into(), ..Who::default() };
        let limits = Exceptional { subscriptions_max: Some(3), ..Exceptional::default() };
        settings.add_exception(Exception { who, limits, ..Exception::default() });
        let mut in_use = LimitsInUse::new(&settings);
        let mut of = |id| in_use.of(&settings, &Subject::anonymous(id, [192, 0, 2, 1].into()), None);
        let (first, second, other) = (of("meter-1"), of("meter-2"), of("other"));
        assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&other, &in_use.general()));
        assert_eq!((first.subscriptions_max, other.subscriptions_max), (3, settings.subscriptions_max));
        assert_eq!(first.in_flight_max, settings.in_flight_max);
    }

    #[test]
    fn what_waits_for_a_restored_session_is_not_cut_because_its_listener_is_unknown() {
        let mut settings = Settings { queue_messages_max: 10, ..Settings::default() };
        let limits = Exceptional { queue_messages_max: Some(1_000), ..Exceptional::default() };
        let listeners = ["gateways".into()].into();
        settings.add_exception(Exception { listeners, limits, ..Exception::default() });
        let mut in_use = LimitsInUse::new(&settings);
        let subject = Subject::default();
        assert_eq!(in_use.of(&settings, &subject, Some("other")).queue_messages_max, 10);
        assert_eq!(in_use.of(&settings, &subject, Some("gateways")).queue_messages_max, 1_000);
        assert_eq!(in_use.of_restored(&settings, &subject).queue_messages_max, 1_000);
    }

    #[test]
    fn a_keep_alive_has_bounds() {
        let settings = Settings { keep_alive_min_s: 10, keep_alive_max_s: 100, ..Settings::default() };
        let limits = ClientLimits::new(&settings, Fitting::default());
        let agreed = |asked_s| limits.keep_alive_s(&settings, ProtocolVersion::V3_1_1, asked_s);
        assert_eq!([0, 5, 60, 65_535].map(agreed), [100, 10, 60, 100]);
        let laid_down = Settings { server_keep_alive_s: 33, ..settings.clone() };
        assert_eq!(limits.keep_alive_s(&laid_down, ProtocolVersion::V5_0, 60), 33);
        assert_eq!(limits.keep_alive_s(&laid_down, ProtocolVersion::V3_1_1, 60), 60);
        let free = ClientLimits::new(&Settings::default(), Fitting::default());
        assert_eq!(
            [0, 1, 65_535].map(|asked_s| free.keep_alive_s(&settings, ProtocolVersion::V5_0, asked_s)),
            [0, 1, 65_535]
        );
    }
}
