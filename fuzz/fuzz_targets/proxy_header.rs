//! What proxies say of a client: the header of the PROXY protocol, and the lists of `Forwarded` and `X-Forwarded-For`.
//!
//! The first byte says what the rest is: the begin of a connection, or the value of one of these fields.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use ringrelay::http::{HeadLimits, HeadReader};
use ringrelay::peer::{HEADER_LEN_MAX, TrustedProxies, client_of, proxy_header};

const LIMITS: HeadLimits = HeadLimits { len_max: 4096, target_len_max: 4096 };

fuzz_target!(|data: &[u8]| {
    match data {
        [kind, input @ ..] if kind % 3 == 0 => header(input),
        [kind, input @ ..] if kind % 3 == 1 => forwarded("Forwarded", input),
        [_, input @ ..] => forwarded("X-Forwarded-For", input),
        [] => {}
    }
});

/// A header is found or not, wherever the connection's begin is cut, and nothing behind it counts.
fn header(input: &[u8]) {
    let whole = proxy_header(input);
    let Ok(Some(found)) = whole else { return };
    assert!(found.len <= input.len() && found.len <= HEADER_LEN_MAX);
    assert_eq!(proxy_header(&input[..found.len]), whole, "what follows it makes no difference");
    for cut in 0..found.len {
        assert_eq!(proxy_header(&input[..cut]), Ok(None), "cut at {cut}");
    }
}

/// Only what trusted proxies have added counts: what stands further left changes nothing once there is an address that is
/// not theirs.
fn forwarded(name: &str, value: &[u8]) {
    let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().expect("a network")]);
    let nobody = TrustedProxies::default();
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let client = |proxies: &TrustedProxies, source, value: &[u8]| {
        let request = [b"GET / HTTP/1.1\r\nHost: x\r\n", name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
        let head = HeadReader::default().read(&request, LIMITS).ok().flatten()?;
        Some(client_of(source, proxies, head.fields(&request)))
    };
    let Some(found) = client(&trusted, proxy, value) else { return };
    assert_eq!(client(&trusted, stranger, value), Some(stranger), "who is not trusted is not believed");
    assert_eq!(client(&nobody, proxy, value), Some(proxy));
    let said = if name == "Forwarded" { ", for=192.0.2.7" } else { ", 192.0.2.7" };
    let right = [value, said.as_bytes()].concat();
    let behind = client(&trusted, proxy, &right);
    // A line end in the value makes other fields of its rest.
    if !value.contains(&b'\r') && !value.contains(&b'\n') {
        assert_eq!(behind, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))), "whatever stands before it: {found}");
    }
}
