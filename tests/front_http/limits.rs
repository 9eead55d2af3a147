//! What one address may, whose address counts, and how long the parts of a request may be.

use std::num::NonZeroU64;
use std::time::Duration;

use ringrelay::front::FrontSettings;
use ringrelay::peer::{AddressLimits, Addresses, TrustedProxies};

use crate::rig::{Client, PATIENCE, Response, Rig, get, post, request, settings, upgrade};

/// Slow enough that nothing flows into a bucket while a test runs: it holds five.
const SLOW: u64 = 1;

fn limited(limits: AddressLimits) -> FrontSettings {
    FrontSettings { addresses: Addresses::new(limits), ..settings() }
}

fn behind_proxy(limits: AddressLimits) -> FrontSettings {
    let trusted_proxies = TrustedProxies::new(&["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
    FrontSettings { trusted_proxies, ..limited(limits) }
}

fn behind_proxy_protocol(limits: AddressLimits) -> FrontSettings {
    FrontSettings { proxy_protocol: true, ..behind_proxy(limits) }
}

fn assert_refused(response: &Response, code: &str) {
    assert_eq!((response.status, response.error_code().as_str()), (429, code));
    let seconds: u64 = response.header("retry-after").expect("a time to wait").parse().unwrap();
    assert!((1..=5).contains(&seconds), "{response:?}");
}

/// A PROXY header of version 2 over IPv4.
fn proxy_header(source: [u8; 4]) -> Vec<u8> {
    let addresses = ppp::v2::IPv4::new(source, [127, 0, 0, 1], 4711, 80);
    let command = ppp::v2::Version::Two | ppp::v2::Command::Proxy;
    ppp::v2::Builder::with_addresses(command, ppp::v2::Protocol::Stream, addresses).build().unwrap()
}

/// Asks until it is refused for its rate: one a second may flow in meanwhile.
fn ask_until_refused(rig: &Rig, asked: &str) {
    let refused = (0..20).map(|_| rig.ask(asked)).find(|answer| answer.status == 429);
    assert_refused(&refused.expect("one of them is refused"), "rate_limit_exceeded");
}

/// The same on one connection.
fn ask_until_refused_on(client: &mut Client, asked: &str) {
    let refused = (0..20).find_map(|_| {
        client.send(asked);
        Some(client.response()).filter(|answer| answer.status == 429)
    });
    assert_refused(&refused.expect("one of them is refused"), "rate_limit_exceeded");
}

#[test]
fn requests_over_the_rate_are_told_when_to_come_again_and_watchers_are_not() {
    let rig = Rig::with(limited(AddressLimits { request_rate: NonZeroU64::new(SLOW), ..Default::default() }));
    let mut client = rig.client();
    for _ in 0..5 {
        client.send(get("/channels/none"));
        assert_eq!(client.response().status, 404);
    }
    for asked in [get("/channels/none"), get("/nothing"), request("OPTIONS *", &[], ""), post(r#"{"pattern":"echo"}"#)]
    {
        ask_until_refused(&rig, &asked);
    }
    for path in ["/healthz", "/readyz"] {
        for _ in 0..20 {
            client.send(get(path));
            assert_eq!(client.response().status, 200, "{path}");
        }
    }
    // The first WebSocket asked for is what a connection is for; to try out tokens on it is to make requests.
    let connect = get("/channels/none/connect?token=x");
    assert_eq!(rig.ask(&connect).status, 404);
    client.send(&connect);
    assert_eq!(client.response().status, 404);
    ask_until_refused_on(&mut client, &connect);
    let waited = std::time::Instant::now();
    while rig.ask(&get("/channels/none")).status == 429 {
        assert!(waited.elapsed() < PATIENCE, "it never recovers");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn connections_over_the_rate_are_refused_as_they_come() {
    let rig = Rig::with(limited(AddressLimits { connection_rate: NonZeroU64::new(SLOW), ..Default::default() }));
    for _ in 0..5 {
        assert_eq!(rig.ask(&get("/healthz")).status, 200);
    }
    ask_until_refused(&rig, &get("/healthz"));
}

#[test]
fn a_connection_pays_for_one_websocket_and_further_attempts_count() {
    let rig = Rig::with(limited(AddressLimits { connection_rate: NonZeroU64::new(SLOW), ..Default::default() }));
    let mut client = rig.client();
    // One for the connection and the first attempt, and one for each of the others.
    let statuses: Vec<u16> = (0..20)
        .map(|_| {
            client.send(get("/channels/none/connect?token=guess"));
            client.response().status
        })
        .collect();
    assert_eq!(statuses[..5], [404; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn connections_of_an_address_are_bounded_until_they_end() {
    let rig = Rig::with(limited(AddressLimits { connections_max: NonZeroU64::new(2), ..Default::default() }));
    let mut held = [rig.client(), rig.client()];
    for client in &mut held {
        client.send(get("/healthz"));
        assert_eq!(client.response().status, 200);
    }
    let mut refused = rig.client();
    assert_refused(&refused.response(), "too_many_connections_from_address");
    refused.assert_closed();
    drop(held);
    let waited = std::time::Instant::now();
    while rig.ask(&get("/healthz")).status != 200 {
        assert!(waited.elapsed() < PATIENCE, "the places are not given back");
    }
}

#[test]
fn the_place_of_a_websocket_goes_to_the_shard_and_comes_back_with_it() {
    for settings in [
        limited(AddressLimits { connections_max: NonZeroU64::new(2), ..Default::default() }),
        behind_proxy(AddressLimits { connections_max: NonZeroU64::new(1), ..Default::default() }),
    ] {
        let rig = Rig::with(settings);
        let mut client = rig.client();
        client.send(post(r#"{"pattern":"echo","id":"x"}"#));
        let token = client.response().json()["token"].as_str().unwrap().to_owned();
        let connect = upgrade(&format!("/channels/x/connect?token={token}"));
        client.send(&connect);
        let join = rig.joined.recv_timeout(PATIENCE).unwrap();
        let held: Vec<_> = (0..2).map(|_| rig.client()).collect();
        let mut last = rig.client();
        last.send(&connect);
        assert_refused(&last.response(), "too_many_connections_from_address");
        drop((held, join, last));
        let waited = std::time::Instant::now();
        loop {
            let mut again = rig.client();
            // Who is refused as it comes may be closed before all is sent.
            let _ = std::io::Write::write_all(&mut again.stream, connect.as_bytes());
            if rig.joined.recv_timeout(Duration::from_millis(50)).is_ok() {
                break;
            }
            assert!(waited.elapsed() < PATIENCE, "the place is not given back");
        }
    }
}

#[test]
fn channels_of_an_address_are_bounded_until_they_are_deleted() {
    let rig = Rig::with(limited(AddressLimits { channels_max: NonZeroU64::new(2), ..Default::default() }));
    let create = |id: &str| rig.ask(&post(&format!(r#"{{"pattern":"echo","id":"{id}"}}"#)));
    assert_eq!([create("a").status, create("a").status, create("b").status], [201, 409, 201]);
    assert_refused(&create("c"), "too_many_channels_from_address");
    assert_eq!(rig.ask(&request("DELETE /channels/a", &[], "")).status, 200);
    assert_eq!(create("c").status, 201);
}

#[test]
fn behind_a_trusted_proxy_the_forwarded_address_counts() {
    let rig = Rig::with(behind_proxy(AddressLimits { channels_max: NonZeroU64::new(1), ..Default::default() }));
    // One connection, as a proxy would keep it, for clients of several addresses.
    let mut proxy = rig.client();
    let mut create = |line: &str| {
        proxy.send(request("POST /channels", &[line], r#"{"pattern":"echo"}"#));
        proxy.response().status
    };
    for line in
        ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.2", "X-Forwarded-For: 192.0.2.1, 192.0.2.3, 10.0.0.1"]
    {
        assert_eq!([create(line), create(line)], [201, 429], "{line}");
    }
    assert_eq!(create("Forwarded: for=\"192.0.2.1:80\""), 429, "the same address in another form");
    assert_eq!([create("Forwarded: for=unknown"), create("X: y")], [201, 429], "the proxy's own");
}

#[test]
fn the_api_token_cannot_be_guessed_any_faster_where_nothing_else_is_counted() {
    let rules = ringrelay::auth::Rules::default();
    let auth = Some(std::sync::Arc::new(ringrelay::auth::Auth::new("right".to_owned(), rules)));
    let limits = AddressLimits { request_rate: NonZeroU64::new(SLOW), ..Default::default() };
    let rig = Rig::with(FrontSettings { auth, ..limited(limits) });
    for path in ["/healthz?auth=guess", "/metrics?auth=guess", "/channels/x/connect?auth=guess"] {
        ask_until_refused(&rig, &get(path));
    }
}

#[test]
fn behind_a_proxy_a_websocket_is_a_request_of_its_client() {
    let rig = Rig::with(behind_proxy(AddressLimits { request_rate: NonZeroU64::new(SLOW), ..Default::default() }));
    let connect = |client: &str| {
        rig.ask(&request("GET /channels/none/connect?token=guess", &[&format!("X-Forwarded-For: {client}")], ""))
    };
    let refused = (0..20).map(|_| connect("192.0.2.1")).find(|answer| answer.status == 429);
    assert_refused(&refused.expect("one of them is refused"), "rate_limit_exceeded");
    assert_eq!(connect("192.0.2.2").status, 404, "another client");
}

#[test]
fn nobody_else_is_believed() {
    let rig = Rig::with(limited(AddressLimits { channels_max: NonZeroU64::new(1), ..Default::default() }));
    let create = |line: &str| rig.ask(&request("POST /channels", &[line], r#"{"pattern":"echo"}"#)).status;
    assert_eq!([create("X-Forwarded-For: 192.0.2.1"), create("Forwarded: for=192.0.2.2")], [201, 429]);
}

#[test]
fn the_address_of_a_proxy_header_counts_from_the_first_byte_on() {
    let limits = AddressLimits { connections_max: NonZeroU64::new(1), ..Default::default() };
    let rig = Rig::with(behind_proxy_protocol(limits));
    let ask = |source: [u8; 4]| {
        let mut client = rig.client();
        client.send([proxy_header(source).as_slice(), get("/healthz").as_bytes()].concat());
        let response = client.response();
        (client, response)
    };
    let (first, answer) = ask([192, 0, 2, 1]);
    assert_eq!(answer.status, 200);
    assert_eq!(ask([192, 0, 2, 2]).1.status, 200, "another address");
    let (mut refused, answer) = ask([192, 0, 2, 1]);
    assert_refused(&answer, "too_many_connections_from_address");
    refused.assert_closed();
    drop(first);
    let waited = std::time::Instant::now();
    while ask([192, 0, 2, 1]).1.status != 200 {
        assert!(waited.elapsed() < PATIENCE, "the place is not given back");
    }
}

#[test]
fn a_proxy_header_may_come_byte_by_byte_and_its_proxies_are_asked_further() {
    let limits = AddressLimits { channels_max: NonZeroU64::new(1), ..Default::default() };
    let rig = Rig::with(behind_proxy_protocol(limits));
    let create = |source: [u8; 4], line: &str| {
        let mut client = rig.client();
        for byte in proxy_header(source) {
            client.send([byte]);
        }
        client.send(request("POST /channels", &[line], r#"{"pattern":"echo"}"#));
        client.response().status
    };
    assert_eq!(create([192, 0, 2, 1], "X-Forwarded-For: 192.0.2.9"), 201);
    assert_eq!(create([192, 0, 2, 1], "X-Forwarded-For: 192.0.2.8"), 429, "it is no trusted proxy");
    assert_eq!(create([10, 0, 0, 1], "X-Forwarded-For: 192.0.2.9"), 201, "this one is");
    assert_eq!(create([10, 0, 0, 2], "X-Forwarded-For: 192.0.2.9"), 429);
}

#[test]
fn without_a_proxy_header_there_is_no_connection() {
    let settings = || FrontSettings {
        head_timeout: Duration::from_millis(150),
        ..behind_proxy_protocol(AddressLimits::default())
    };
    let rig = Rig::with(settings());
    for begin in
        ["", "\r\n\r\n\0", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n"]
    {
        let mut client = rig.client();
        let _ = std::io::Write::write_all(&mut client.stream, begin.as_bytes());
        client.assert_closed_or_reset();
    }
    // From anyone else it is not even looked at.
    let rig = Rig::with(FrontSettings { trusted_proxies: TrustedProxies::default(), ..settings() });
    let mut client = rig.client();
    let _ = std::io::Write::write_all(&mut client.stream, &proxy_header([192, 0, 2, 1]));
    client.assert_closed_or_reset();
}

#[test]
fn a_target_has_a_longest_length() {
    let rig = Rig::with(FrontSettings { uri_len_max: 100, head_len_max: 1024, ..settings() });
    let path = |len: usize| get(&format!("/{}", "x".repeat(len - 1)));
    assert_eq!(rig.ask(&path(100)).status, 404);
    for len in [101, 900, 5000] {
        let mut client = rig.client();
        client.send(path(len));
        let refused = client.response();
        assert_eq!((refused.status, refused.error_code().as_str()), (414, "uri_too_long"), "{len}");
        client.assert_closed();
    }
}

/// Each of them could be a guess.
#[test]
fn few_of_many_tokens_in_a_request_are_looked_at() {
    use std::sync::Arc;

    let rules = ringrelay::auth::Rules::default();
    let auth = Some(Arc::new(ringrelay::auth::Auth::new("right".to_owned(), rules)));
    let rig = Rig::with(FrontSettings { auth, ..settings() });
    let post = |wrong: usize| {
        let wrong = r#","auth":"wrong""#.repeat(wrong);
        rig.ask(&post(&format!(r#"{{"pattern":"echo"{wrong},"auth":"right"}}"#))).status
    };
    assert_eq!([post(0), post(3), post(4), post(1000)], [201, 201, 401, 401]);
    let get = |wrong: usize| rig.ask(&get(&format!("/channels?{}auth=right", "auth=wrong&".repeat(wrong)))).status;
    assert_eq!([get(3), get(4), get(500)], [200, 401, 401]);
}
