//! Tokens that are right, and all the ways in which they are not.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    secret::Secret,
    testing::{Service, login, question},
    web::WebConfig,
};

const SECRET: &str = "a secret of the tests";

fn config(keys: KeySource) -> JwtConfig {
    JwtConfig {
        keys,
        algorithms: Vec::new(),
        issuers: vec!["issuer".to_owned()],
        audiences: Vec::new(),
        leeway_s: 5,
        needs_expiry: true,
        user_name_claim: "sub".to_owned(),
        client_id_claim: "client_id".to_owned(),
        groups_claim: "groups".to_owned(),
        rights_claim: "rights".to_owned(),
    }
}

fn with_secret() -> Jwt {
    Jwt::open("tokens", config(KeySource::Secret(Secret::new(SECRET)))).unwrap()
}

/// Seconds since 1970, so many from now.
fn at(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + seconds
}

fn claims() -> Value {
    json!({"iss": "issuer", "sub": "ann", "exp": at(60)})
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
}

fn by_secret(secret: &str, claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    })
}

async fn granted(jwt: &Jwt, token: &str) -> Result<Grant, ReasonCode> {
    match jwt.judge(&login("whatever", token.as_bytes())).await {
        Verdict::Grant { grant, .. } => Ok(grant),
        Verdict::Deny(code) => Err(code),
        _ => panic!("neither granted nor denied"),
    }
}

#[tokio::test]
async fn a_token_says_who_the_client_is_and_for_how_long() {
    let mut all = claims();
    let exp = at(60);
    all["exp"] = exp.into();
    all["client_id"] = "hers".into();
    all["groups"] = json!(["readers", "writers"]);
    all["rights"] = json!({"publish": ["a"]});
    let grant = granted(&with_secret(), &by_secret(SECRET, &all)).await.unwrap();
    assert_eq!((grant.user_name.as_deref(), grant.client_id.as_deref()), (Some("ann"), Some("hers")));
    assert_eq!(grant.expires, Some(UNIX_EPOCH + Duration::from_secs(exp as u64)));
    assert_eq!((grant.groups.len(), grant.rules.is_some()), (2, true));
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let jwt = with_secret();
    let change = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    for claims in [
        change("exp", at(-10).into()),
        change("exp", Value::Null),
        change("nbf", at(20).into()),
        change("iss", "another".into()),
        change("iss", Value::Null),
        change("sub", Value::Null),
        change("sub", "".into()),
        change("groups", 7.into()),
        change("rights", json!({"publish": ["#/a"]})),
    ] {
        let refused = granted(&jwt, &by_secret(SECRET, &claims)).await.unwrap_err();
        assert_eq!(refused, ReasonCode::NotAuthorized, "{claims}");
    }
    // Clocks may differ a little.
    assert!(granted(&jwt, &by_secret(SECRET, &change("nbf", at(3).into()))).await.is_ok());
    let good = by_secret(SECRET, &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    for token in [
        by_secret("another secret, as long", &claims()),
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        signed(&json!({"alg": "HS512"}), &claims(), |_| vec![0; 32]),
        signed(&json!({"alg": "RS256"}), &claims(), |_| vec![0; 256]),
    ] {
        assert_eq!(granted(&jwt, &token).await.unwrap_err(), ReasonCode::NotAuthorized, "{token}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_the_next_providers() {
    let jwt = with_secret();
    let none = signed(&json!({"alg": "none"}), &claims(), |_| Vec::new());
    for password in ["", "secret", "a.b", "a.b.c", &none] {
        assert!(
            matches!(jwt.judge(&login("ann", password.as_bytes())).await, Verdict::NotMine),
            "{password}"
        );
    }
    assert!(matches!(jwt.judge(&question()).await, Verdict::NotMine));
    let mut with_method = login("ann", by_secret(SECRET, &claims()).as_bytes());
    with_method.credentials.method = Some("other".into());
    assert!(matches!(jwt.judge(&with_method).await, Verdict::NotMine)); // [MQTT-4.12.0-1]
}

#[tokio::test]
async fn audiences_and_algorithms_can_be_demanded() {
    let keys = || KeySource::Secret(Secret::new(SECRET));
    let jwt = Jwt::open("t", JwtConfig { audiences: vec!["mqtt".into()], ..config(keys()) }).unwrap();
    assert!(granted(&jwt, &by_secret(SECRET, &claims())).await.is_err());
    let mut named = claims();
    named["aud"] = json!(["other", "mqtt"]);
    assert!(granted(&jwt, &by_secret(SECRET, &named)).await.is_ok());
    let jwt = Jwt::open("t", JwtConfig { algorithms: vec!["HS512".into()], ..config(keys()) }).unwrap();
    assert!(granted(&jwt, &by_secret(SECRET, &claims())).await.is_err());
    let unknown = Jwt::open("t", JwtConfig { algorithms: vec!["none".into()], ..config(keys()) });
    assert!(unknown.unwrap_err().to_string().contains("expected such as \"RS256\""));
    let lasting = Jwt::open("t", JwtConfig { needs_expiry: false, ..config(keys()) }).unwrap();
    let mut lasts = claims();
    lasts.as_object_mut().unwrap().remove("exp");
    assert_eq!(granted(&lasting, &by_secret(SECRET, &lasts)).await.unwrap().expires, None);
}

/// A key of P-256: what signs, and its public half as a JSON Web Key.
fn elliptic(id: &str) -> (EcdsaKeyPair, Value) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let (x, y) = point[1..].split_at(32);
    let [x, y] = [x, y].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y});
    (pair, jwk)
}

fn by_pair(pair: &EcdsaKeyPair, id: &str) -> String {
    let header = json!({"alg": "ES256", "kid": id});
    signed(&header, &claims(), |message| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
}

#[tokio::test]
async fn keys_are_read_from_a_file_and_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let ((one, one_public), (two, two_public)) = (elliptic("1"), elliptic("2"));
    fs::write(&path, json!({"keys": [one_public]}).to_string()).unwrap();
    let jwt = Jwt::open("tokens", config(KeySource::JwksFile(path.as_path().into()))).unwrap();
    assert!(granted(&jwt, &by_pair(&one, "1")).await.is_ok());
    assert!(
        granted(&jwt, &by_pair(&two, "1")).await.is_err()
            && granted(&jwt, &by_pair(&one, "2")).await.is_err()
    );
    // The public key is no secret that a token could be signed with.
    let public = BASE64_URL_SAFE_NO_PAD.encode(one.public_key().as_ref());
    assert!(granted(&jwt, &by_secret(&public, &claims())).await.is_err());
    fs::write(folder.path().join("new"), json!({"keys": [two_public]}).to_string()).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(jwt.refresh(), Ok(true));
    assert!(
        granted(&jwt, &by_pair(&two, "2")).await.is_ok() && granted(&jwt, &by_pair(&one, "1")).await.is_err()
    );
    fs::write(&path, "{").unwrap();
    assert!(jwt.refresh().unwrap_err().to_string().contains("expected a JSON Web Key Set"));
    assert!(granted(&jwt, &by_pair(&two, "2")).await.is_ok());
}

#[tokio::test]
async fn keys_are_fetched_once_and_not_for_each_unknown_one() {
    let (pair, public) = elliptic("1");
    let set = json!({"keys": [public]}).to_string();
    let service = Service::start(move |request| {
        assert!(request.starts_with("GET /keys HTTP/1.1"), "{request}");
        Some((200, set.clone()))
    })
    .await;
    let web = WebConfig {
        url: format!("http://{}/keys", service.address),
        authorization: None,
        time_limit: Duration::from_secs(20),
        concurrent_max: 1,
        ca_file: None,
    };
    let jwt = Jwt::open("tokens", config(KeySource::JwksUrl(web, Duration::from_secs(300)))).unwrap();
    let jwt = Arc::new(jwt);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (jwt, token) = (Arc::clone(&jwt), by_pair(&pair, "1"));
        all.spawn(async move { granted(&jwt, &token).await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|is_in| is_in));
    for number in 0..20 {
        assert!(granted(&jwt, &by_pair(&pair, &format!("unknown {number}"))).await.is_err());
    }
    assert_eq!(service.asked(), 1);
}

#[tokio::test]
async fn without_keys_nobody_can_say_whether_a_token_is_right() {
    let service = Service::start(|_| Some((500, String::new()))).await;
    let web = WebConfig {
        url: format!("http://{}/keys", service.address),
        authorization: None,
        time_limit: Duration::from_secs(20),
        concurrent_max: 1,
        ca_file: None,
    };
    let jwt = Jwt::open("tokens", config(KeySource::JwksUrl(web, Duration::from_secs(300)))).unwrap();
    let refused = granted(&jwt, &by_secret(SECRET, &claims())).await.unwrap_err();
    assert_eq!(refused, ReasonCode::ServerUnavailable);
}

/// The example of RFC 7515, A.2.
#[test]
fn rsa_is_checked_as_the_standard_says() {
    use jsonwebtoken::{DecodingKey, crypto};
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-\
        pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665x\
        smtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const MESSAGE: &[u8] = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1\
        dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwus\
        C-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    verifier::install();
    let key = DecodingKey::from_rsa_components(N, "AQAB").unwrap();
    assert!(crypto::verify(SIGNATURE, MESSAGE, &key, Algorithm::RS256).unwrap());
    assert!(!crypto::verify(SIGNATURE, &MESSAGE[1..], &key, Algorithm::RS256).unwrap());
    assert!(!crypto::verify(SIGNATURE, MESSAGE, &key, Algorithm::PS256).unwrap());
    assert!(crypto::verify(SIGNATURE, MESSAGE, &key, Algorithm::HS256).is_err());
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", with_secret());
    assert!(shown.contains("Secret(..)") && !shown.contains(SECRET), "{shown}");
}
