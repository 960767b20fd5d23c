//! Providers in their order, and what they say together (3.1.4, 4.12).

use std::fmt;

use dunlin_broker::{handshake::Credentials, input::Decision, permissions::Permissions};
use dunlin_packet::reason_code::ReasonCode;

use crate::authenticator::{Authenticator, NextStep, Question, Verdict};

/// Providers, asked one after the other until one knows the Client. Without any, everybody is welcome.
#[derive(Default)]
pub struct Chain {
    providers: Vec<Box<dyn Authenticator>>,
}

/// What is remembered of one Client's exchange between its steps; a new one for each CONNECT and
/// re-authentication.
#[derive(Default)]
pub struct Exchange {
    next: Option<Box<dyn NextStep>>,
}

impl Chain {
    /// A chain of `providers`.
    #[must_use]
    pub fn new(providers: Vec<Box<dyn Authenticator>>) -> Self {
        Self { providers }
    }

    /// Whether nobody is asked, so that every Client is welcome.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Decides one step of the exchange.
    pub async fn authenticate(&self, question: &Question, exchange: &mut Exchange) -> Decision {
        let verdict = if question.credentials.is_continued {
            match exchange.next.take() {
                Some(next) => next.judge(question).await,
                // An answer without a challenge.
                None => Verdict::Deny(ReasonCode::ProtocolError),
            }
        } else {
            *exchange = Exchange::default();
            self.first_step(question).await
        };
        decision(verdict, exchange, &question.credentials)
    }

    async fn first_step(&self, question: &Question) -> Verdict {
        if self.is_empty() && question.credentials.method.is_none() {
            return Verdict::Grant { permissions: Permissions::default(), data: Vec::new() };
        }
        for provider in &self.providers {
            match provider.judge(question).await {
                Verdict::NotMine => {}
                verdict => return verdict,
            }
        }
        Verdict::NotMine
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers.iter().map(|provider| provider.name())).finish()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("is_open", &self.next.is_some()).finish()
    }
}

fn decision(verdict: Verdict, exchange: &mut Exchange, credentials: &Credentials) -> Decision {
    match verdict {
        Verdict::Grant { permissions, data } => Decision::Grant { permissions, data },
        Verdict::Challenge { data, next } => {
            exchange.next = Some(next);
            Decision::Challenge(data)
        }
        Verdict::Deny(code) if code.is_error() => Decision::Deny(code),
        // A provider that refuses with a code of success must not let anybody in.
        Verdict::Deny(_) => Decision::Deny(ReasonCode::NotAuthorized),
        Verdict::NotMine => Decision::Deny(nobody_knows(credentials)),
    }
}

fn nobody_knows(credentials: &Credentials) -> ReasonCode {
    if credentials.method.is_some() {
        ReasonCode::BadAuthenticationMethod // [MQTT-4.12.0-1]
    } else if credentials.user_name.is_some() || credentials.password.is_some() {
        ReasonCode::BadUserNameOrPassword
    } else {
        ReasonCode::NotAuthorized
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::authenticator::VerdictFuture;

    /// Knows one user name and its password.
    struct OneUser(&'static str, &'static [u8]);

    impl Authenticator for OneUser {
        fn name(&self) -> &str {
            "one-user"
        }

        fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
            let credentials = &question.credentials;
            let verdict = if credentials.method.is_some() || credentials.user_name.as_deref() != Some(self.0)
            {
                Verdict::NotMine
            } else if credentials.password.as_deref() == Some(self.1) {
                granted(b"")
            } else {
                Verdict::Deny(ReasonCode::BadUserNameOrPassword)
            };
            Box::pin(async { verdict })
        }
    }

    /// The method `sums`: asks for sums until the Client has had `rounds` of them right.
    struct Sums {
        rounds: u8,
    }

    /// Remembers the sum that was asked.
    struct SumAsked {
        sum: u8,
        rounds_left: u8,
    }

    impl Authenticator for Sums {
        fn name(&self) -> &str {
            "sums"
        }

        fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
            let is_mine = question.credentials.method.as_deref() == Some("sums");
            Box::pin(async move { if is_mine { ask(self.rounds) } else { Verdict::NotMine } })
        }
    }

    impl NextStep for SumAsked {
        fn judge<'a>(self: Box<Self>, question: &'a Question) -> VerdictFuture<'a> {
            Box::pin(async move {
                match (question.credentials.data == [self.sum], self.rounds_left) {
                    (false, _) => Verdict::Deny(ReasonCode::NotAuthorized),
                    (true, 0) => granted(b"well done"),
                    (true, rounds) => ask(rounds),
                }
            })
        }
    }

    fn ask(rounds: u8) -> Verdict {
        let next = SumAsked { sum: rounds + 40, rounds_left: rounds - 1 };
        Verdict::Challenge { data: vec![rounds, 40], next: Box::new(next) }
    }

    fn granted(data: &[u8]) -> Verdict {
        Verdict::Grant { permissions: Permissions::default(), data: data.to_vec() }
    }

    fn question(user_name: Option<&str>, password: &[u8], method: Option<&str>) -> Question {
        Question {
            credentials: Credentials {
                client_id: "client".into(),
                user_name: user_name.map(Into::into),
                password: user_name.map(|_| password.to_vec()),
                method: method.map(Into::into),
                data: Vec::new(),
                is_continued: false,
            },
            peer: SocketAddr::from(([192, 0, 2, 1], 40_000)),
            listener: SocketAddr::from(([192, 0, 2, 2], 1_883)),
            is_reauthentication: false,
        }
    }

    fn chain() -> Chain {
        Chain::new(vec![Box::new(OneUser("ann", b"a\0b")), Box::new(Sums { rounds: 2 })])
    }

    /// The providers of these tests never wait.
    fn decide(chain: &Chain, question: &Question, exchange: &mut Exchange) -> Decision {
        let future = pin!(chain.authenticate(question, exchange));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decision) => decision,
            Poll::Pending => panic!("nobody waits here"),
        }
    }

    fn denied(chain: &Chain, question: &Question) -> ReasonCode {
        match decide(chain, question, &mut Exchange::default()) {
            Decision::Deny(code) => code,
            other => panic!("not denied: {other:?}"),
        }
    }

    #[test]
    fn without_providers_everybody_is_welcome_but_no_method_is_known() {
        let chain = Chain::default();
        for question in [question(None, b"", None), question(Some("ann"), b"anything", None)] {
            let decision = decide(&chain, &question, &mut Exchange::default());
            assert!(matches!(decision, Decision::Grant { .. }));
        }
        let with_method = question(None, b"", Some("sums"));
        assert_eq!(denied(&chain, &with_method), ReasonCode::BadAuthenticationMethod); // [MQTT-4.12.0-1]
    }

    #[test]
    fn the_first_provider_that_knows_the_client_decides() {
        let chain = chain();
        let right = decide(&chain, &question(Some("ann"), b"a\0b", None), &mut Exchange::default());
        assert!(matches!(right, Decision::Grant { .. }));
        for (question, code) in [
            (question(Some("ann"), b"a", None), ReasonCode::BadUserNameOrPassword),
            (question(Some("bob"), b"a\0b", None), ReasonCode::BadUserNameOrPassword),
            (question(None, b"", None), ReasonCode::NotAuthorized),
            (question(None, b"", Some("other")), ReasonCode::BadAuthenticationMethod), // [MQTT-4.12.0-1]
        ] {
            assert_eq!(denied(&chain, &question), code, "{:?}", question.credentials);
        }
    }

    #[test]
    fn a_method_with_several_steps_is_played_to_its_end() {
        let (chain, mut exchange) = (chain(), Exchange::default());
        let mut question = question(None, b"", Some("sums"));
        for answer in [42, 41] {
            let Decision::Challenge(data) = decide(&chain, &question, &mut exchange) else {
                panic!("no challenge")
            };
            assert_eq!(data.iter().sum::<u8>(), answer);
            question.credentials.is_continued = true;
            question.credentials.data = vec![answer];
        }
        match decide(&chain, &question, &mut exchange) {
            Decision::Grant { data, .. } => assert_eq!(data, b"well done"),
            other => panic!("{other:?}"),
        }
        // The exchange is over: another answer is out of place.
        assert!(matches!(
            decide(&chain, &question, &mut exchange),
            Decision::Deny(ReasonCode::ProtocolError)
        ));
    }

    #[test]
    fn a_wrong_answer_and_a_new_start_end_the_exchange() {
        let (chain, mut exchange) = (chain(), Exchange::default());
        let start = question(None, b"", Some("sums"));
        let mut answer = start.clone();
        answer.credentials.is_continued = true;
        answer.credentials.data = vec![7];
        assert!(matches!(decide(&chain, &start, &mut exchange), Decision::Challenge(_)));
        assert!(matches!(decide(&chain, &answer, &mut exchange), Decision::Deny(ReasonCode::NotAuthorized)));
        assert!(matches!(decide(&chain, &start, &mut exchange), Decision::Challenge(_)));
        let unknown = question(None, b"", Some("other"));
        assert!(matches!(decide(&chain, &unknown, &mut exchange), Decision::Deny(_)));
        answer.credentials.data = vec![42];
        assert!(matches!(decide(&chain, &answer, &mut exchange), Decision::Deny(ReasonCode::ProtocolError)));
    }

    /// Refuses with a Reason Code that says success.
    struct Confused;

    impl Authenticator for Confused {
        fn name(&self) -> &str {
            "confused"
        }

        fn judge<'a>(&'a self, _: &'a Question) -> VerdictFuture<'a> {
            Box::pin(async { Verdict::Deny(ReasonCode::Success) })
        }
    }

    #[test]
    fn a_refusal_is_never_taken_for_a_success() {
        let chain = Chain::new(vec![Box::new(Confused)]);
        assert_eq!(denied(&chain, &question(None, b"", None)), ReasonCode::NotAuthorized);
    }
}
