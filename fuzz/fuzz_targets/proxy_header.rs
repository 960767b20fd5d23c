//! Any bytes as a PROXY header: no panic, and what is a header with something behind it is one without.
#![no_main]

use std::hint::black_box;

use dunlin_net::proxy_header::{HEADER_BYTES_MAX, ProxyHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| match ProxyHeader::parse(input) {
    Ok(Some((header, len))) => {
        assert!(len <= input.len() && len <= HEADER_BYTES_MAX);
        assert_eq!(ProxyHeader::parse(&input[..len]), Ok(Some((header, len))));
        assert_eq!(ProxyHeader::parse(&input[..len - 1]), Ok(None));
    }
    Ok(None) => assert!(input.len() < HEADER_BYTES_MAX),
    Err(error) => {
        black_box(error.to_string());
    }
});
