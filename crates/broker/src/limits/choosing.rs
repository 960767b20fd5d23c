//! Which exceptions fit a Client, and which of them decides.

use crate::permissions::subject::Subject;

use super::{
    Settings,
    exceptions::{EXCEPTIONS_MAX, Exception, Exceptional, Fitting},
};

impl Settings {
    /// Files an exception: before those that are less particular, behind the others.
    pub fn add_exception(&mut self, exception: Exception) {
        debug_assert!(self.exceptions.len() < EXCEPTIONS_MAX);
        let place = self.exceptions.partition_point(|other| other.rank() <= exception.rank());
        self.exceptions.insert(place, exception);
    }

    /// The exceptions for a Client that came to `listener`; for one of which this is not known, those that ask for no
    /// listener.
    #[must_use]
    pub fn exceptions_for(&self, subject: &Subject, listener: Option<&str>) -> Fitting {
        self.fitting(|it| it.is_at(listener) && it.who.fits(subject))
    }

    /// The exceptions for all whose addresses alone are known, at `listener`.
    #[must_use]
    pub fn exceptions_for_strangers(&self, subject: &Subject, listener: &str) -> Fitting {
        self.fitting(|it| it.is_about_strangers() && it.is_at(Some(listener)) && it.who.fits(subject))
    }

    fn fitting(&self, fits: impl Fn(&Exception) -> bool) -> Fitting {
        let places = self.exceptions.iter().zip(0..64).filter(|(it, _)| fits(it));
        Fitting(places.fold(0, |bits, (_, place)| bits | 1 << place))
    }

    /// What the most particular of them that says something about it lays down.
    #[must_use]
    pub fn exceptional<T: Copy>(
        &self,
        fitting: Fitting,
        of: impl Fn(&Exceptional) -> Option<T>,
    ) -> Option<T> {
        fitting.places().find_map(|place| of(&self.exceptions[place].limits))
    }

    /// The greatest value that anybody has.
    pub(crate) fn greatest<T: Copy + Ord>(&self, general: T, of: impl Fn(&Exceptional) -> Option<T>) -> T {
        self.exceptions.iter().filter_map(|it| of(&it.limits)).fold(general, T::max)
    }

    /// The largest packet that any Client may send, in bytes.
    #[must_use]
    pub fn greatest_packet_size(&self) -> u32 {
        self.greatest(self.maximum_packet_size, |it| it.maximum_packet_size)
    }

    /// Of those that fit but for the listener, which is not known, the greatest values for the queue: so nothing is dropped that
    /// may wait.
    pub(crate) fn greatest_queue(&self, subject: &Subject) -> (u32, u64) {
        let may_fit = || self.exceptions.iter().filter(|it| !it.listeners.is_empty() && it.who.fits(subject));
        let messages = may_fit().filter_map(|it| it.limits.queue_messages_max).max();
        let bytes = may_fit().filter_map(|it| it.limits.queue_bytes_max).max();
        (messages.unwrap_or(0), bytes.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::who::{NamePattern, Who};

    fn subject() -> Subject {
        Subject {
            user_name: Some("ann".into()),
            groups: ["staff".into()].into(),
            ..Subject::anonymous("meter-7", "192.0.2.7".parse().unwrap())
        }
    }

    fn exception(who: Who, listeners: &[&str], subscriptions_max: u32) -> Exception {
        let limits = Exceptional { subscriptions_max: Some(subscriptions_max), ..Exceptional::default() };
        Exception { listeners: listeners.iter().map(|&it| it.into()).collect(), who, limits }
    }

    #[test]
    fn the_most_particular_exception_wins_and_of_equals_the_first() {
        let mut settings = Settings::default();
        let by_group = Who { groups: ["staff".into()].into(), ..Who::default() };
        let by_user = Who { users: [NamePattern::parse("ann")].into(), ..Who::default() };
        let by_client = Who { client_ids: [NamePattern::parse("meter-*")].into(), ..Who::default() };
        let by_address = Who { addresses: ["192.0.2.0/24".parse().unwrap()].into(), ..Who::default() };
        let mut expected = None;
        for (number, (who, listeners)) in [
            (Who::default(), &["public"][..]),
            (by_address, &[]),
            (by_group.clone(), &["public"]),
            (by_group, &[]),
            (by_user, &[]),
            (by_client.clone(), &[]),
            (by_client, &[]),
        ]
        .into_iter()
        .enumerate()
        {
            settings.add_exception(exception(who, listeners, number as u32));
            // The second of two equals changes nothing.
            expected = [Some(0), Some(1), Some(2), Some(2), Some(4), Some(5), Some(5)][number].or(expected);
            let fitting = settings.exceptions_for(&subject(), Some("public"));
            assert_eq!(settings.exceptional(fitting, |it| it.subscriptions_max), expected, "{number}");
            assert_eq!(fitting.places().count(), number + 1);
        }
        let elsewhere = settings.exceptions_for(&Subject::default(), Some("inner"));
        assert!(elsewhere.is_empty());
    }

    #[test]
    fn a_stranger_has_what_its_address_and_its_listener_have() {
        let mut settings = Settings::default();
        let by_user = Who { users: [NamePattern::parse("*")].into(), ..Who::default() };
        let by_address = Who { addresses: ["192.0.2.0/24".parse().unwrap()].into(), ..Who::default() };
        settings.add_exception(exception(by_user, &[], 1));
        settings.add_exception(exception(by_address, &[], 2));
        settings.add_exception(exception(Who::default(), &["public"], 3));
        let of = |address: &str, listener| {
            let stranger = Subject::anonymous("", address.parse().unwrap());
            settings.exceptional(settings.exceptions_for_strangers(&stranger, listener), |it| {
                it.subscriptions_max
            })
        };
        assert_eq!(of("192.0.2.1", "public"), Some(2));
        assert_eq!(of("192.0.3.1", "public"), Some(3));
        assert_eq!(of("192.0.3.1", "inner"), None);
    }
}
