//! What is neither HTTP nor WebSocket, or only almost: each case has its code. (The rules one by one are in
//! `http_refusals` and `websocket_rules`; here is what combines them, and that nobody else is touched.)

use fastrand::Rng;
use serde_json::json;

use crate::live::Live;
use crate::support::frame::{CLOSE, Frame, LengthField};
use crate::support::http::HttpClient;
use crate::support::raw::{RawClient, upgrade};
use crate::support::relay::{Channel, Relay};
use crate::{assert_healthy, relay};

const PATTERNS: [&str; 5] = ["echo", "pub-sub", "push-pull", "req-repl", "fan-in-out"];

#[test]
fn heads_that_are_almost_right_get_their_status() {
    let cases: &[(&str, &str, u16)] = &[
        ("nothing but line ends", "\r\n\r\n\r\n\r\nGET\r\n\r\n", 400),
        ("a method in lower case", "get /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        ("a method with a separator in it", "GE(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a target without its slash", "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a target with a fragment", "GET /healthz#top HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a target above ASCII", "GET /\u{e4} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a target of another scheme", "GET ftp://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("an absolute target without a host", "GET http:///healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("the server's target with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a tab for a space", "GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a space at the end of the line", "GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
        ("a version with more digits", "GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n", 400),
        ("a version in lower case", "GET /healthz http/1.1\r\nHost: x\r\n\r\n", 505),
        ("the version of long ago", "GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n", 505),
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("two hosts that agree", "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        ("a host with a path", "GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
        ("a host with a user", "GET /healthz HTTP/1.1\r\nHost: me@x\r\n\r\n", 400),
        ("a field name with a space", "GET /healthz HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n", 400),
        ("a field name above ASCII", "GET /healthz HTTP/1.1\r\nHost: x\r\n\u{fc}: z\r\n\r\n", 400),
        ("a field that rings", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: \u{7}\r\n\r\n", 400),
        ("an unknown expectation", "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417),
        ("a path in bad percent-encoding", "GET /channels/%g1 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("a path that climbs", "GET /channels/../healthz HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("an id with a null byte", "GET /channels/a%00 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("an id of another alphabet", "GET /channels/%D1%84 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ];
    let relay = relay(&[]);
    let live = Live::start(&relay);
    for (name, request, status) in cases {
        let mut http = HttpClient::connect(relay.address());
        http.send(request);
        let response = http.response();
        assert_eq!(response.status, *status, "{name}: {response:?}");
        response.assert_refusal(*status);
        // Where the next request begins is known where the head was one.
        if *status == 404 {
            assert_eq!(http.request("GET", "/healthz", None).status, 200, "{name}");
        } else if *status != 501 {
            http.assert_closed();
        }
    }
    live.finish();
}

#[test]
fn frames_that_break_a_rule_get_their_code_in_every_pattern() {
    let begun = || Frame::text("begun").unfinished();
    let cases: Vec<(&str, Vec<Frame>, u16)> = vec![
        ("unmasked behind a good one", vec![Frame::ping("good"), Frame::text("x").unmasked()], 1002),
        ("unmasked continuation", vec![begun(), Frame::continuation("x").unmasked()], 1002),
        ("reserved bits inside a message", vec![begun(), Frame::continuation("x").reserved(2)], 1002),
        ("a second message inside one", vec![begun(), Frame::ping(""), Frame::binary("x")], 1002),
        ("an unknown opcode inside a message", vec![begun(), Frame::new(0x3, "x")], 1002),
        ("an unknown control opcode", vec![begun(), Frame::new(0xF, "")], 1002),
        ("a ping in fragments", vec![begun(), Frame::ping("x").unfinished()], 1002),
        ("a pong that is too long", vec![begun(), Frame::pong(vec![0; 126])], 1002),
        ("a length in too many bytes", vec![begun(), Frame::continuation("x").length(LengthField::Bits64)], 1002),
        ("a close of one byte", vec![begun(), Frame::new(CLOSE, "\u{3}")], 1002),
        ("a close code of nobody's", vec![Frame::close(1005, "")], 1002),
        ("a close code that is reserved", vec![Frame::close(2999, "")], 1002),
        ("a close reason cut inside a character", vec![Frame::close(1000, b"\xe2\x82")], 1007),
        (
            "text cut by a new message's bytes",
            vec![Frame::text(b"\xe2\x82").unfinished(), Frame::continuation("x")],
            1007,
        ),
        ("an overlong character", vec![Frame::text(b"\xc0\xaf")], 1007),
        ("half a surrogate pair", vec![begun(), Frame::continuation(b"\xed\xa0\x80")], 1007),
        (
            "too much by what it says",
            vec![begun(), Frame::continuation("").length(LengthField::Claimed(1 << 40))],
            1009,
        ),
    ];
    let relay = relay(&[]);
    for pattern in PATTERNS {
        let channel = relay.create(json!({"pattern": pattern}));
        let mut witness = RawClient::connect(&relay, &channel);
        for (name, frames, code) in &cases {
            let mut client = RawClient::connect(&relay, &channel);
            client.send_all(frames);
            assert_eq!(first_close(&mut client), Some(*code), "{name} on {pattern}");
            relay.await_clients(&channel, 1);
        }
        // Nothing of it reached anybody else.
        witness.expect_open();
    }
}

#[test]
fn noise_is_closed_by_a_code_of_the_protocol() {
    const CLIENTS: usize = 300;
    for seed in [7, 0xbad_5eed] {
        println!("seed {seed:#x}");
        let mut random = Rng::with_seed(seed);
        let relay = relay(&[]);
        let live = Live::start(&relay);
        let channels: Vec<Channel> = PATTERNS.map(|pattern| relay.create(json!({"pattern": pattern}))).into();
        for number in 0..CLIENTS {
            let mut noise = vec![0; random.usize(1..3_000)];
            random.fill(&mut noise);
            if number % 3 == 0 {
                speaks_noise(&relay, &noise);
            } else {
                let mut client = RawClient::connect(&relay, &channels[number % channels.len()]);
                client.try_send_bytes(&noise);
                // Behind it comes what no frame can be, so that it ends even if all of the noise was half a frame.
                client.stream().shutdown(std::net::Shutdown::Write).expect("a TCP socket");
                let code = client.drain();
                assert!(matches!(code, None | Some(1000..=1003 | 1007 | 1009 | 3000..=4999)), "{code:?} by {noise:?}");
            }
        }
        for channel in &channels {
            relay.await_clients(channel, 0);
        }
        live.finish();
        assert_healthy(&relay);
    }
}

/// Sends it instead of a request.
fn speaks_noise(relay: &Relay, noise: &[u8]) {
    let mut http = HttpClient::connect(relay.address());
    http.try_send([noise, b"\r\n\r\n"].concat());
    if let Some(response) = http.response_or_end() {
        response.assert_refusal(response.status);
        assert!(matches!(response.status, 400 | 431 | 501 | 505), "{response:?}");
    }
}

/// The code of the first close frame; what comes before it are answers to what was right.
fn first_close(client: &mut RawClient) -> Option<u16> {
    while let Some(frame) = client.frame_or_end() {
        if frame.opcode == CLOSE {
            return frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        }
    }
    None
}

#[test]
fn a_second_handshake_on_a_websocket_is_a_broken_frame() {
    let relay = relay(&[]);
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    // `G` is a final-less frame with reserved bits: a request is no frame, on whichever side of the upgrade it comes.
    client.send_bytes(upgrade(&channel.target()).as_bytes());
    client.expect_close(1002);
    relay.await_clients(&channel, 0);
}
