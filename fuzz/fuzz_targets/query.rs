//! Queries and percent-encoding: each is decoded in one way or refused, and what was encoded is what is decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::http::query::{Malformed, decode_segment, parameter, parameters};
use ringrelay::rest::ChannelRequest;

fuzz_target!(|text: &str| {
    let mut first: Vec<(String, String)> = Vec::new();
    let mut is_whole = true;
    for found in parameters(text) {
        let Ok((name, value)) = found else {
            is_whole = false;
            break;
        };
        assert!(name.len() + value.len() <= text.len(), "decoding makes nothing longer");
        if !first.iter().any(|(known, _)| *known == name) {
            first.push((name.into_owned(), value.into_owned()));
        }
    }
    // Found by name too, whatever comes behind.
    for (name, value) in &first {
        assert_eq!(parameter(text, name).expect("decoded before").as_deref(), Some(value.as_str()));
    }
    let absent = "no parameter has this name".repeat(1 + text.len() / 26);
    assert_eq!(parameter(text, &absent), if is_whole { Ok(None) } else { Err(Malformed) });
    let _ = ChannelRequest::from_query(text);

    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(decode_segment(&encoded).as_deref(), Ok(text));
    let plain = text.bytes().all(|byte| !matches!(byte, b'%'));
    assert!(!plain || decode_segment(text).as_deref() == Ok(text), "only a percent sign says that there is more to it");
});
