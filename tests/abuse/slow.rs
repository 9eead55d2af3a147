//! Clients that send as slowly as they can: understood, as long as they are in time, and cut when they are not.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::live::Live;
use crate::support::PATIENCE;
use crate::support::frame::Frame;
use crate::support::http::HttpClient;
use crate::support::raw::{RawClient, upgrade};
use crate::{assert_healthy, relay};

#[test]
fn senders_that_go_byte_by_byte_at_once_are_all_understood() {
    const EACH: usize = 10;
    // Of all of them, each has a turn for every byte.
    let relay = relay(&["--head-timeout", "60000"]);
    let live = Live::start(&relay);
    let channel = relay.echo();
    let body = json!({"pattern": "echo", "timeout": 60_000}).to_string();
    let post = |lines: &str, body: &str| {
        format!("POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}\r\n{body}")
            .into_bytes()
    };
    let length = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    let (first, rest) = body.split_at(7);
    let chunks = format!("7;ext=\"1\"\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\nTrailer: yes\r\n\r\n", rest.len());
    let chunked = post("Transfer-Encoding: chunked\r\n", &chunks);
    let frames = [Frame::text("\u{20ac}").unfinished(), Frame::ping("now"), Frame::continuation("!")];
    let upgraded = [upgrade(&channel.target()).into_bytes(), frames.iter().flat_map(Frame::encode).collect()].concat();

    // In turns, so that every one of them is in the middle of something most of the time.
    let mut senders: Vec<(HttpClient, &[u8])> = [&length, &chunked, &upgraded]
        .iter()
        .flat_map(|bytes| (0..EACH).map(|_| (HttpClient::connect(relay.address()), bytes.as_slice())))
        .collect();
    for at in 0..length.len().max(chunked.len()).max(upgraded.len()) {
        for (http, bytes) in &mut senders {
            http.send(bytes.get(at..at + 1).unwrap_or_default());
        }
    }
    for (index, (mut http, _)) in senders.into_iter().enumerate() {
        if index < 2 * EACH {
            assert_eq!(http.response().status, 201);
        } else {
            let mut client = RawClient::upgraded(http);
            client.expect_pong(b"now");
            client.expect_text("\u{20ac}!");
        }
    }
    live.finish();
}

#[test]
fn three_hundred_that_never_finish_are_told_408_and_harm_nobody() {
    const EACH: usize = 100;
    let relay = relay(&["--head-timeout", "1500"]);
    let live = Live::start(&relay);
    let unfinished = [
        "GET /channels HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
    ];
    let mut slow: Vec<HttpClient> = (0..3 * EACH).map(|_| HttpClient::connect(relay.address())).collect();
    for (index, http) in slow.iter_mut().enumerate() {
        http.send(unfinished[index % 3]);
    }
    // All of them are open, and others are served.
    assert_healthy(&relay);
    live.assert_goes_on(20);
    for http in &mut slow {
        http.response().assert_refusal(408);
        http.assert_closed();
    }
    live.finish();
}

#[test]
fn a_body_that_trickles_does_not_get_more_time() {
    let relay = relay(&["--head-timeout", "300"]);
    for lines in ["Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"] {
        let mut http = HttpClient::connect(relay.address());
        http.send(format!("POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}"));
        let started = Instant::now();
        while http.try_send(" ") {
            assert!(started.elapsed() < PATIENCE, "a trickle keeps the connection open");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_healthy(&relay);
}
