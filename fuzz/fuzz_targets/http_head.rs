//! Any bytes as the head of an HTTP request, and as a request for a WebSocket: no panic, and a part of a head is never one.
#![no_main]

use std::hint::black_box;

use dunlin_net::{
    first_bytes,
    http_head::{HEAD_BYTES_MAX, RequestHead},
    websocket::upgrade::{UpgradeRules, accept},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    black_box(first_bytes::tell(input));
    match RequestHead::parse(input) {
        Ok(Some((head, len))) => {
            assert!(len <= input.len() && len <= HEAD_BYTES_MAX);
            let again = RequestHead::parse(&input[..len]).expect("it was a head").expect("it was whole");
            assert_eq!(again, (head.clone(), len));
            let rules = UpgradeRules { paths: vec!["/mqtt".into()], origins: vec!["https://a".into()] };
            let response = accept(&head, &rules).unwrap_or_else(|error| error.response());
            assert!(response.starts_with(b"HTTP/1.1 ") && response.windows(4).any(|end| end == b"\r\n\r\n"));
            black_box(head.forwarded_for(&["10.0.0.0/8".parse().expect("a network")]));
        }
        Ok(None) => assert!(input.len() < HEAD_BYTES_MAX),
        Err(error) => {
            black_box(error.to_string());
        }
    }
});
