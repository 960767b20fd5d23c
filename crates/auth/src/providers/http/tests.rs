//! A service, its answers, and its silence.

use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::{
    secret::Secret,
    testing::{Service, login, question},
};

fn config(address: SocketAddr) -> HttpConfig {
    HttpConfig {
        web: WebConfig {
            url: format!("http://{address}/mqtt/auth?x=1"),
            authorization: Some(Secret::new("Bearer hush")),
            time_limit: Duration::from_secs(20),
            concurrent_max: 4,
            ca_file: None,
        },
        on_failure: OnFailure::Deny,
        cache_time: Duration::from_secs(60),
        cache_entries_max: 100,
    }
}

async fn http(service: &Service, change: impl Fn(&mut HttpConfig)) -> Http {
    let mut config = config(service.address);
    change(&mut config);
    Http::open("service", &config).unwrap()
}

async fn answered(status: u16, body: &str) -> Verdict {
    let body = body.to_owned();
    let service = Service::start(move |_| Some((status, body.clone()))).await;
    http(&service, |_| {}).await.judge(&login("ann", b"pw")).await
}

#[tokio::test]
async fn the_service_is_told_all_and_says_who_the_client_is() {
    let service = Service::start(|request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /mqtt/auth?x=1 HTTP/1.1\r\n"), "{head}");
        let has = |line: &str| head.lines().any(|other| other.eq_ignore_ascii_case(line));
        assert!(has("authorization: Bearer hush") && has("content-type: application/json"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        let expected = json!({"client_id": "client", "user_name": "ann", "password": "pw", "address": "192.0.2.1", "listener": "main"});
        assert_eq!(body, expected);
        let answer = json!({"result": "allow", "groups": ["g"], "client_id": "c", "expires_at": 4e9, "rights": {}});
        Some((200, answer.to_string()))
    })
    .await;
    let http = http(&service, |_| {}).await;
    let Verdict::Grant { grant, .. } = http.judge(&login("ann", b"pw")).await else { panic!("not granted") };
    assert_eq!((grant.user_name.as_deref(), grant.client_id.as_deref()), (Some("ann"), Some("c")));
    assert!(grant.expires.is_some() && grant.rules.is_some() && grant.groups.len() == 1);
    assert!(!format!("{http:?}").contains("hush"));
}

#[tokio::test]
async fn passwords_that_are_no_text_are_sent_in_base64() {
    let service = Service::start(|request| {
        assert!(request.ends_with("}") && request.contains("\"password_base64\":\"AP8=\""), "{request}");
        Some((200, r#"{"result": "allow", "user_name": "other"}"#.to_owned()))
    })
    .await;
    let verdict = http(&service, |_| {}).await.judge(&login("ann", b"\0\xff")).await;
    let Verdict::Grant { grant, .. } = verdict else { panic!("not granted") };
    assert_eq!(grant.user_name.as_deref(), Some("other"));
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let denied = ReasonCode::BadUserNameOrPassword;
    for (status, body, expected) in [
        (200, r#"{"result": "deny"}"#, Some(denied)),
        (200, r#"{"result": "ignore"}"#, None),
        (401, "", Some(denied)),
        (404, "anything", Some(denied)),
        (500, r#"{"result": "allow"}"#, Some(ReasonCode::ServerUnavailable)),
        (302, r#"{"result": "allow"}"#, Some(ReasonCode::ServerUnavailable)),
        (200, "", Some(ReasonCode::ServerUnavailable)),
        (200, "[]", Some(ReasonCode::ServerUnavailable)),
        (200, "{}", Some(ReasonCode::ServerUnavailable)),
        (200, r#"{"result": true}"#, Some(ReasonCode::ServerUnavailable)),
        (
            200,
            r#"{"result": "allow", "rights": {"publish": ["a/#/b"]}}"#,
            Some(ReasonCode::ServerUnavailable),
        ),
        (200, r#"{"result": "allow", "expires_at": "soon"}"#, Some(ReasonCode::ServerUnavailable)),
    ] {
        match (answered(status, body).await, expected) {
            (Verdict::Deny(code), Some(expected)) => assert_eq!(code, expected, "{status} {body}"),
            (Verdict::NotMine, None) => {}
            _ => panic!("{status} {body}"),
        }
    }
    let long = format!(r#"{{"result": "allow", "x": "{}"}}"#, "x".repeat(70_000));
    assert!(matches!(answered(200, &long).await, Verdict::Deny(ReasonCode::ServerUnavailable)));
}

#[tokio::test]
async fn silence_is_a_refusal_or_nothing_as_it_is_set() {
    let service = Service::start(|_| None).await;
    let slow = |on_failure| {
        http(&service, move |config| {
            (config.on_failure, config.web.time_limit) = (on_failure, Duration::from_millis(50));
        })
    };
    let denied = slow(OnFailure::Deny).await.judge(&login("ann", b"pw")).await;
    assert!(matches!(denied, Verdict::Deny(ReasonCode::ServerUnavailable)));
    assert!(matches!(slow(OnFailure::Ignore).await.judge(&login("ann", b"pw")).await, Verdict::NotMine));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let gone = Http::open("service", &config(nobody)).unwrap().judge(&login("ann", b"pw")).await;
    assert!(matches!(gone, Verdict::Deny(ReasonCode::ServerUnavailable)));
}

#[tokio::test]
async fn who_was_let_in_is_remembered_and_nobody_else() {
    let service = Service::start(|request| {
        let result = if request.contains("\"right\"") { "allow" } else { "deny" };
        Some((200, json!({"result": result}).to_string()))
    })
    .await;
    let http = Arc::new(http(&service, |_| {}).await);
    for _ in 0..5 {
        assert!(matches!(http.judge(&login("ann", b"right")).await, Verdict::Grant { .. }));
    }
    assert_eq!(service.asked(), 1);
    assert!(matches!(http.judge(&login("bob", b"right")).await, Verdict::Grant { .. }));
    assert_eq!(service.asked(), 2, "another user is another question");
    for _ in 0..3 {
        assert!(matches!(http.judge(&login("ann", b"wrong")).await, Verdict::Deny(_)));
    }
    assert_eq!(service.asked(), 5);
    let mut with_method = question();
    with_method.credentials.method = Some("other".into());
    assert!(matches!(http.judge(&with_method).await, Verdict::NotMine)); // [MQTT-4.12.0-1]
    assert_eq!(service.asked(), 5);
}

#[test]
fn a_url_that_is_none_is_told_and_a_secret_is_not() {
    for (url, what) in [
        ("auth.example", "no http:// or https:// and host"),
        ("auth.example/mqtt", "expected one such as"),
        ("ftp://auth.example", "no http:// or https:// and host"),
        ("http://", "expected one such as"),
        ("http://a b", "expected one such as"),
        ("http://user:hush@auth.example", "the url has a user in it"),
    ] {
        let mut config = config(SocketAddr::from(([127, 0, 0, 1], 1)));
        config.web.url = url.to_owned();
        let error = Http::open("service", &config).unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains("hush"), "{url}: {error}");
    }
    let mut config = config(SocketAddr::from(([127, 0, 0, 1], 1)));
    config.web.authorization = Some(Secret::new("hush\n"));
    let error = Http::open("service", &config).unwrap_err().to_string();
    assert!(error.starts_with("`authorization` is no header") && !error.contains("hush"), "{error}");
}
