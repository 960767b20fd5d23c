//! What providers say together.

use std::{
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use dunlin_broker::permissions::rule_set::RuleSet;

use super::*;
use crate::{authenticator::VerdictFuture, throttle::ThrottleLimits};

/// Knows one user name and its password.
struct OneUser(&'static str, &'static [u8]);

impl Authenticator for OneUser {
    fn name(&self) -> &str {
        "one-user"
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let credentials = &question.credentials;
        let verdict = if credentials.method.is_some() || credentials.user_name.as_deref() != Some(self.0) {
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
    Verdict::Grant { grant: Grant::default(), data: data.to_vec() }
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
        listener_name: "main".into(),
        certificate: None,
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
    assert!(matches!(decide(&chain, &question, &mut exchange), Decision::Deny(ReasonCode::ProtocolError)));
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

#[test]
fn without_a_word_only_those_come_in_for_whom_it_is_allowed() {
    let closed = Chain::default().with_anonymous(false);
    assert_eq!(denied(&closed, &question(None, b"", None)), ReasonCode::NotAuthorized);
    assert_eq!(denied(&closed, &question(Some("ann"), b"", None)), ReasonCode::BadUserNameOrPassword);
    assert!(!closed.is_open() && Chain::default().is_open());
    let chain = chain().with_anonymous(true);
    let anonymous = decide(&chain, &question(None, b"", None), &mut Exchange::default());
    assert!(matches!(anonymous, Decision::Grant { .. }) && !chain.is_open());
    assert_eq!(denied(&chain, &question(Some("ann"), b"x", None)), ReasonCode::BadUserNameOrPassword);
    assert_eq!(denied(&chain, &question(Some("bob"), b"x", None)), ReasonCode::BadUserNameOrPassword);
}

/// Grants what it is told.
struct Generous(Grant);

impl Authenticator for Generous {
    fn name(&self) -> &str {
        "generous"
    }

    fn judge<'a>(&'a self, _: &'a Question) -> VerdictFuture<'a> {
        Box::pin(async { Verdict::Grant { grant: self.0.clone(), data: Vec::new() } })
    }
}

fn generous(grant: Grant) -> Decision {
    let chain = Chain::new(vec![Box::new(Generous(grant))]);
    decide(&chain, &question(Some("ann"), b"", None), &mut Exchange::default())
}

#[test]
fn a_grant_becomes_permissions_and_terms() {
    let rules = Arc::new(RuleSet::open("own"));
    let decision = generous(Grant {
        user_name: Some("ann".into()),
        groups: ["readers".into()].into(),
        rules: Some(Arc::clone(&rules)),
        expires: Some(SystemTime::now() + Duration::from_secs(60)),
        client_id: Some("hers".into()),
    });
    let Decision::Grant { permissions, terms, .. } = decision else { panic!("{decision:?}") };
    let subject = permissions.subject();
    assert_eq!((subject.user_name.as_deref(), &*subject.client_id), (Some("ann"), "hers"));
    assert_eq!((&*subject.groups[0], subject.address.to_string().as_str()), ("readers", "192.0.2.1"));
    assert!(Arc::ptr_eq(permissions.rules(), &rules));
    assert_eq!(terms.client_id.as_deref(), Some("hers"));
    let valid_for = terms.valid_for.unwrap();
    assert!((Duration::from_secs(59)..=Duration::from_secs(60)).contains(&valid_for));
    let expired = generous(Grant { expires: Some(SystemTime::now()), ..Grant::default() });
    assert!(matches!(expired, Decision::Deny(ReasonCode::NotAuthorized)));
}

#[test]
fn wrong_passwords_are_throttled_and_the_right_one_is_not() {
    let throttle = Arc::new(Throttle::new(ThrottleLimits { free: 2, ..ThrottleLimits::default() }));
    let chain = chain().with_throttle(throttle);
    let right = question(Some("ann"), b"a\0b", None);
    for _ in 0..100 {
        assert!(matches!(decide(&chain, &right, &mut Exchange::default()), Decision::Grant { .. }));
    }
    let wrong = question(Some("ann"), b"x", None);
    let codes: Vec<_> = (0..5).map(|_| denied(&chain, &wrong)).collect();
    assert_eq!(codes[..3], [ReasonCode::BadUserNameOrPassword; 3]);
    assert_eq!(codes[3..], [ReasonCode::ConnectionRateExceeded; 2]);
    assert_eq!(denied(&chain, &right), ReasonCode::ConnectionRateExceeded, "as long as the delay lasts");
    let mut elsewhere = right.clone();
    elsewhere.peer = SocketAddr::from(([192, 0, 2, 9], 1));
    assert!(matches!(decide(&chain, &elsewhere, &mut Exchange::default()), Decision::Grant { .. }));
    // Who says nothing guesses nothing.
    for _ in 0..10 {
        assert_eq!(denied(&chain, &question(None, b"", None)), ReasonCode::NotAuthorized);
    }
}

#[test]
fn a_reauthentication_comes_from_where_the_client_came_from() {
    let (chain, mut exchange) = (chain(), Exchange::default());
    let start = question(None, b"", Some("sums"));
    decide(&chain, &start, &mut exchange);
    let again = exchange.question_again(start.credentials.clone()).unwrap();
    assert!(again.is_reauthentication && again.peer == start.peer && &*again.listener_name == "main");
    assert!(Exchange::default().question_again(start.credentials).is_none());
}
