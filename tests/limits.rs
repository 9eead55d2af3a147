//! What one address may, against the running binary; and that long lists cost little memory.

mod support;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::{HttpClient, Response};
use support::raw::{RawClient, upgrade};
use support::relay::Relay;
use support::{PATIENCE, eventually};

const ONE: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

fn from(relay: &Relay, source: [u8; 4]) -> HttpClient {
    HttpClient::connect_from(source, relay.address())
}

fn ask(relay: &Relay, source: [u8; 4], method: &str, target: &str) -> Response {
    from(relay, source).request(method, target, None)
}

fn create(relay: &Relay, source: [u8; 4], spec: &Value) -> Response {
    from(relay, source).request("POST", "/channels", Some(spec))
}

#[track_caller]
fn assert_refused(response: &Response, code: &str) {
    response.assert_refusal(429);
    assert_eq!(response.json()["error"]["code"], code);
    let seconds: u64 = response.header("retry-after").expect("a time to wait").parse().expect("whole seconds");
    assert!((1..=5).contains(&seconds), "{response:?}");
}

#[test]
fn connections_of_one_address_are_bounded_and_those_of_another_are_its_own() {
    let relay = Relay::start_with(&["--max-connections-per-address", "3"]);
    // From an address of its own, so that it takes no place of the others.
    let channel = relay.echo();
    let connect = |source| {
        let mut http = from(&relay, source);
        http.send(upgrade(&channel.target()));
        http
    };
    let mut clients: Vec<RawClient> = (0..3).map(|_| RawClient::upgraded(connect(ONE))).collect();
    let mut refused = from(&relay, ONE);
    assert_refused(&refused.response(), "too_many_connections_from_address");
    refused.assert_closed();
    let mut others: Vec<RawClient> = (0..3).map(|_| RawClient::upgraded(connect(OTHER))).collect();
    assert_refused(&from(&relay, OTHER).response(), "too_many_connections_from_address");

    // A WebSocket that ends makes room, and so does one that goes with its channel.
    drop(clients.pop());
    let mut late = eventually("a place is given back", || {
        let mut http = from(&relay, ONE);
        http.try_send(upgrade(&channel.target())).then_some(())?;
        (http.response_or_end()?.status == 101).then(|| RawClient::over(http))
    });
    late.expect_open();
    others.iter_mut().for_each(RawClient::expect_open);
    relay.delete(&channel);
    drop((clients, others, late));
    eventually("all places are given back", || (ask(&relay, OTHER, "GET", "/healthz").status == 200).then_some(()));
}

#[test]
fn requests_over_the_rate_are_refused_and_recover() {
    // Five seconds' worth at once.
    let relay = Relay::start_with(&["--request-rate", "2"]);
    let mut http = from(&relay, ONE);
    let mut passed = 0;
    let refused = loop {
        let answer = http.request("GET", "/channels", None);
        if answer.status != 200 {
            break answer;
        }
        passed += 1;
        assert!(passed < 1000, "nobody is refused");
    };
    assert!(passed >= 10, "{passed}");
    assert_refused(&refused, "rate_limit_exceeded");
    assert_eq!(http.request("GET", "/healthz", None).status, 200);
    assert_eq!(ask(&relay, OTHER, "GET", "/channels").status, 200, "another address is not held to it");
    let began = Instant::now();
    eventually("it recovers", || (http.request("GET", "/channels", None).status == 200).then_some(()));
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn without_a_setting_a_program_that_asks_in_turn_is_not_refused() {
    let relay = Relay::start_with(&["--request-rate", "200"]);
    let mut http = from(&relay, ONE);
    for _ in 0..1000 {
        assert_eq!(http.request("GET", "/channels/none", None).status, 404);
    }
}

#[test]
fn connections_over_the_rate_are_refused_and_recover() {
    let relay = Relay::start_with(&["--connection-rate", "2"]);
    let refused = (0..1000).map(|_| ask_or_refused(&relay, ONE)).find(|answer| answer.status != 200);
    assert_refused(&refused.expect("one of them is refused"), "rate_limit_exceeded");
    assert_eq!(ask_or_refused(&relay, OTHER).status, 200);
    eventually("it recovers", || (ask_or_refused(&relay, ONE).status == 200).then_some(()));
}

/// Who is refused as it comes is told so, whatever it asks.
fn ask_or_refused(relay: &Relay, source: [u8; 4]) -> Response {
    let mut http = from(relay, source);
    http.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http.response()
}

#[test]
fn channels_of_one_address_are_bounded_and_each_that_goes_makes_room() {
    let relay = Relay::start_with(&["--max-channels-per-address", "2"]);
    let lasting = |id: &str| json!({"pattern": "echo", "id": id, "timeout": -1});
    assert_eq!(create(&relay, ONE, &lasting("a")).status, 201);
    assert_eq!(create(&relay, ONE, &lasting("b")).status, 201);
    assert_refused(&create(&relay, ONE, &lasting("c")), "too_many_channels_from_address");
    assert_eq!(create(&relay, OTHER, &lasting("c")).status, 201);

    // By whomever it is deleted, its creator gets the place back.
    assert_eq!(ask(&relay, OTHER, "DELETE", "/channels/a").status, 200);
    assert_eq!(create(&relay, ONE, &json!({"pattern": "echo", "id": "d", "timeout": 30})).status, 201);
    eventually("one that expires makes room", || (create(&relay, ONE, &lasting("e")).status == 201).then_some(()));
    assert_refused(&create(&relay, ONE, &lasting("f")), "too_many_channels_from_address");
    assert_eq!(ask(&relay, ONE, "DELETE", "/reset").status, 200);
    assert_eq!(create(&relay, ONE, &lasting("f")).status, 201);
}

#[test]
fn behind_a_trusted_proxy_the_clients_own_address_counts() {
    let relay = Relay::start_with(&["--max-channels-per-address", "1", "--trusted-proxies", "127.0.0.2"]);
    let create = |source, line: &str| {
        let mut http = from(&relay, source);
        http.send(format!(
            "POST /channels HTTP/1.1\r\nHost: localhost\r\n{line}\r\nContent-Length: 18\r\n\r\n{{\"pattern\":\"echo\"}}"
        ));
        http.response().status
    };
    for line in ["Forwarded: for=192.0.2.1", "X-Forwarded-For: 198.51.100.1, 192.0.2.2"] {
        assert_eq!([create(ONE, line), create(ONE, line)], [201, 429], "{line}");
    }
    let line = "X-Forwarded-For: 192.0.2.3";
    assert_eq!(
        [create(OTHER, line), create(OTHER, "X: y"), create(ONE, line)],
        [201, 429, 201],
        "others are not believed"
    );
}

#[test]
fn a_trusted_proxy_announces_its_clients_by_the_proxy_protocol() {
    let flags = ["--max-connections-per-address", "1", "--trusted-proxies", "127.0.0.2", "--proxy-protocol"];
    let relay = Relay::start_with(&flags);
    let connect = |client: [u8; 4]| {
        let addresses = ppp::v2::IPv4::new(client, [127, 0, 0, 1], 4711, 80);
        let command = ppp::v2::Version::Two | ppp::v2::Command::Proxy;
        let header = ppp::v2::Builder::with_addresses(command, ppp::v2::Protocol::Stream, addresses).build().unwrap();
        let mut http = from(&relay, ONE);
        http.send(header);
        http
    };
    let mut http = connect([192, 0, 2, 1]);
    let created = http.request("POST", "/channels", Some(&json!({"pattern": "echo", "id": "x"}))).json();
    let target = format!("/channels/x/connect?token={}", created["token"].as_str().unwrap());
    http.send(upgrade(&target));
    let mut client = RawClient::upgraded(http);
    client.expect_open();
    let mut refused = connect([192, 0, 2, 1]);
    assert_refused(&refused.response(), "too_many_connections_from_address");
    assert_eq!(connect([192, 0, 2, 2]).request("GET", "/healthz", None).status, 200);
    drop(client);
    eventually("its place is given back", || {
        let mut http = connect([192, 0, 2, 1]);
        http.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (http.response().status == 200).then_some(())
    });

    // Nobody else may connect, and a proxy not without a header.
    for source in [ONE, OTHER] {
        let mut http = from(&relay, source);
        http.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        http.assert_closed();
    }
}

#[test]
fn the_parts_of_a_request_have_their_longest_lengths() {
    let relay = Relay::start_with(&["--max-uri-size", "200", "--max-head-size", "2000", "--max-body-size", "1024"]);
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n", "x".repeat(len - 1));
    for (request, status) in [
        (format!("{}\r\n", line(200)), 404),
        (format!("{}\r\n", line(201)), 414),
        (format!("{}X: {}\r\n\r\n", line(10), "y".repeat(1900)), 404),
        (format!("{}X: {}\r\n\r\n", line(10), "y".repeat(2000)), 431),
        (
            format!("POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024)),
            400,
        ),
        (
            format!("POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\n\r\n{}", "x".repeat(1025)),
            413,
        ),
    ] {
        let mut http = HttpClient::connect(relay.address());
        http.try_send(&request);
        http.response().assert_refusal(status);
    }
}

#[test]
fn who_asks_for_nothing_is_closed_in_time() {
    let relay = Relay::start_with(&["--idle-timeout", "1500"]);
    // The first wait is one for a request too.
    HttpClient::connect(relay.address()).assert_closed();
    let mut http = HttpClient::connect(relay.address());
    assert_eq!(http.request("GET", "/healthz", None).status, 200);
    http.assert_closed();
}

fn ids(list: &Response) -> Vec<String> {
    let list = list.json();
    let ids = list["data"].as_array().expect("a list").iter();
    ids.map(|channel| channel["id"].as_str().expect("an id").to_owned()).collect()
}

fn fill(relay: &Relay, count: usize) {
    let threads = 4;
    std::thread::scope(|scope| {
        for part in 0..threads {
            scope.spawn(move || {
                let mut http = HttpClient::connect(relay.address());
                for number in (part..count).step_by(threads) {
                    let spec = json!({"pattern": "echo", "id": format!("c{number:06}")});
                    assert_eq!(http.request("POST", "/channels", Some(&spec)).status, 201);
                }
            });
        }
    });
}

#[test]
fn what_stays_is_listed_once_while_others_come_and_go() {
    let relay = Relay::start();
    fill(&relay, 2000);
    let lasting: Vec<String> = (0..2000).map(|number| format!("c{number:06}")).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (relay, is_over) = (&relay, &is_over);
        for part in 0..2 {
            scope.spawn(move || {
                let mut http = HttpClient::connect(relay.address());
                // Between those that stay, all over the list.
                for number in (0..).map(|step: usize| step * 37 % 2000) {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("c{number:06}-{part}");
                    assert_eq!(
                        http.request("POST", "/channels", Some(&json!({"pattern": "echo", "id": id}))).status,
                        201
                    );
                    assert_eq!(http.request("DELETE", &format!("/channels/{id}"), None).status, 200);
                }
            });
        }
        let mut http = HttpClient::connect(relay.address());
        for _ in 0..20 {
            let listed = ids(&http.request("GET", "/channels", None));
            assert!(listed.is_sorted_by(|one, other| one < other), "each once, in order");
            let of_those: Vec<&String> = listed.iter().filter(|id| !id.contains('-')).collect();
            assert!(of_those.iter().copied().eq(&lasting), "{} of those that stay", of_those.len());
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A list of 100 000 channels is some 20 MB of text: as much as that for each client would be 800 MB.
#[test]
fn clients_that_do_not_read_their_lists_hold_little_memory() {
    const CLIENTS: usize = 40;
    // One page of each shard, its text, and what goes out of it, per client; and what the allocator keeps.
    const GROWTH_MAX: u64 = 24 << 20;
    let relay = Relay::start_with(&["--max-connections", "400"]);
    fill(&relay, 100_000);
    let before = relay.memory();
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut http = HttpClient::connect(relay.address());
            http.send("GET /channels HTTP/1.1\r\nHost: localhost\r\n\r\n");
            http.into_parts().0
        })
        .collect();
    // Each has begun to get its list, and then has time to get more of it than it reads.
    for client in &clients {
        let mut first = [0; 15];
        client.peek(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
    }
    let began = Instant::now();
    let mut grown = 0;
    while began.elapsed() < Duration::from_secs(2) {
        grown = grown.max(relay.memory().saturating_sub(before));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(grown < GROWTH_MAX, "{} KiB for {CLIENTS} clients", grown >> 10);
    println!("{} KiB for {CLIENTS} clients that do not read", grown >> 10);
    drop(clients);
    assert_eq!(ids(&relay.request("GET", "/channels", None)).len(), 100_000, "who reads gets all of it");
}
