//! permessage-deflate (RFC 7692) at the running binary: what is agreed on, and what becomes of messages.

mod support;

use std::time::Instant;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};
use support::PATIENCE;
use support::frame::{CONTINUATION, Frame, RSV1, TEXT};
use support::http::{HttpClient, Response};
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};

/// The answer to each offer that is taken; a bound to the window follows.
const TAKEN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const SMALL_OFFER: &str = "permessage-deflate; server_max_window_bits=9";

fn start() -> Relay {
    Relay::start_with(&["--deflate", "true"])
}

/// Asks to be upgraded with these extensions.
fn offer(relay: &Relay, channel: &Channel, extensions: &str) -> (HttpClient, Response) {
    let mut http = HttpClient::connect(relay.address());
    let request = upgrade(&channel.target());
    let head = request.strip_suffix("\r\n").expect("a head ends with an empty line");
    http.send(format!("{head}Sec-WebSocket-Extensions: {extensions}\r\n\r\n"));
    let response = http.response();
    (http, response)
}

/// A client that agrees on what it offers.
fn connect(relay: &Relay, channel: &Channel, extensions: &str) -> RawClient {
    let (http, response) = offer(relay, channel, extensions);
    assert_eq!(response.status, 101, "{response:?}");
    assert!(response.header("sec-websocket-extensions").is_some_and(|value| value.starts_with(TAKEN)), "{response:?}");
    RawClient::over(http).with_deflate()
}

fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::default(), false);
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 4 + 64);
    deflate.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    assert_eq!(deflate.total_in(), payload.len() as u64);
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "a flush ends so");
    out.truncate(out.len() - 4);
    out
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let (mut inflate, mut out) = (Decompress::new(false), Vec::with_capacity(1 << 20));
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    inflate.decompress_vec(&whole, &mut out, FlushDecompress::Sync).expect("the relay compresses well");
    assert_eq!(inflate.total_in(), whole.len() as u64);
    out
}

fn compressed(text: &str) -> Frame {
    Frame::text(deflate(text.as_bytes())).reserved(RSV1)
}

/// A text that is worth compressing, and is not the same as another.
fn long(name: &str) -> String {
    (0..20).map(|index| format!("{{\"name\":\"{name}\",\"index\":{index}}}")).collect()
}

/// Waits for a text, which has to come compressed.
fn expect_compressed(client: &mut RawClient, text: &str) {
    let frame = client.frame();
    assert_eq!((frame.opcode, frame.reserved, frame.fin), (TEXT, RSV1, true), "{frame:?}");
    assert!(frame.payload.len() < text.len());
    assert_eq!(String::from_utf8(inflate(&frame.payload)).expect("text is UTF-8"), text);
}

/// Waits for a text, which has to come as it is.
fn expect_plain(client: &mut RawClient, text: &str) {
    let frame = client.frame();
    assert_eq!((frame.opcode, frame.reserved, frame.fin), (TEXT, 0, true), "{frame:?}");
    assert_eq!(String::from_utf8(frame.payload).expect("text is UTF-8"), text);
}

// What is agreed on

#[test]
fn offers_are_taken_or_declined() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "echo"}));
    for (extensions, bound) in [
        ("permessage-deflate", Some("")),
        (OFFER, Some("")),
        ("permessage-deflate; client_max_window_bits=8", Some("")),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", Some("")),
        (SMALL_OFFER, Some("; server_max_window_bits=9")),
        ("permessage-deflate; server_max_window_bits=12", Some("; server_max_window_bits=9")),
        ("permessage-deflate; server_max_window_bits=\"10\"", Some("; server_max_window_bits=9")),
        ("permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
        ("x-webkit-deflate-frame", None),
        ("x-webkit-deflate-frame, permessage-deflate", Some("")),
    ] {
        let (http, response) = offer(&relay, &channel, extensions);
        assert_eq!(response.status, 101, "{extensions}: {response:?}");
        let expected = bound.map(|bound| format!("{TAKEN}{bound}"));
        assert_eq!(response.header("sec-websocket-extensions"), expected.as_deref(), "{extensions}");
        RawClient::over(http).expect_open();
    }
}

#[test]
fn malformed_offers_are_refused() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "echo", "clientLimit": 1}));
    for extensions in [
        "permessage-deflate;",
        "permessage-deflate; =9",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate, ;",
        "permessage deflate",
    ] {
        let (_, response) = offer(&relay, &channel, extensions);
        response.assert_refusal(400);
        assert_eq!(response.json()["error"]["code"], "bad_upgrade", "{extensions}");
    }
    // None of them has kept the one place.
    connect(&relay, &channel, OFFER).expect_open();
}

#[test]
fn a_relay_that_does_not_compress_agrees_on_nothing() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "echo"}));
    let (http, response) = offer(&relay, &channel, OFFER);
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, None));
    let mut client = RawClient::over(http);
    client.send(&Frame::text(long("plain")));
    expect_plain(&mut client, &long("plain"));
    client.send(&compressed("hello"));
    client.expect_close(1002);
}

#[test]
fn without_an_offer_a_compressed_message_is_1002() {
    let relay = start();
    let mut client = RawClient::connect(&relay, &relay.create(json!({"pattern": "echo"})));
    client.send(&compressed("hello"));
    client.expect_close(1002);
}

#[test]
fn rsv1_anywhere_but_at_the_begin_of_a_message_is_1002() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "echo"}));
    let begin = Frame::text("he").unfinished();
    for frames in [vec![Frame::ping("x").reserved(RSV1)], vec![begin, Frame::continuation("llo").reserved(RSV1)]] {
        let mut client = connect(&relay, &channel, OFFER);
        client.send_all(&frames);
        client.expect_close(1002);
    }
}

// What becomes of messages

#[test]
fn messages_come_back_compressed_where_it_is_worth_it() {
    let relay = start();
    for offer in [OFFER, SMALL_OFFER] {
        let mut client = connect(&relay, &relay.create(json!({"pattern": "echo"})), offer);
        for text in [long("one"), long("two"), "{\"an\":\"element\"}".repeat(5000)] {
            client.send(&compressed(&text));
            expect_compressed(&mut client, &text);
            client.send(&Frame::text(text.clone()));
            expect_compressed(&mut client, &text);
        }
        for text in ["", "short", &"x".repeat(127)] {
            client.send(&compressed(text));
            expect_plain(&mut client, text);
        }
        let noise = support::noise(4096);
        client.send(&Frame::binary(deflate(&noise)).reserved(RSV1));
        client.expect_binary(&noise);
    }
}

#[test]
fn a_compressed_message_may_come_in_fragments() {
    let relay = start();
    let mut client = connect(&relay, &relay.create(json!({"pattern": "echo"})), OFFER);
    let text = long("fragments");
    let payload = deflate(text.as_bytes());
    let mut frames: Vec<Frame> = payload.chunks(7).map(|part| Frame::continuation(part).unfinished()).collect();
    frames[0] = Frame { opcode: TEXT, ..frames[0].clone() }.reserved(RSV1);
    frames.push(Frame::new(CONTINUATION, ""));
    let middle = frames.len() / 2;
    client.send_all(&frames[..middle]);
    client.expect_open();
    client.send_all(&frames[middle..]);
    expect_compressed(&mut client, &text);
}

#[test]
fn clients_that_agreed_on_different_things_hear_each_other() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "pub-sub"}));
    let mut full = connect(&relay, &channel, OFFER);
    let mut small = connect(&relay, &channel, SMALL_OFFER);
    let mut plain = RawClient::connect(&relay, &channel);
    let hear = |text: &str, full: &mut RawClient, small: &mut RawClient, plain: &mut RawClient| {
        expect_compressed(full, text);
        expect_compressed(small, text);
        expect_plain(plain, text);
    };
    for round in 0..10 {
        let text = long(&format!("full {round}"));
        full.send(&compressed(&text));
        hear(&text, &mut full, &mut small, &mut plain);
        let text = long(&format!("small {round}"));
        small.send(&compressed(&text));
        hear(&text, &mut full, &mut small, &mut plain);
        let text = long(&format!("plain {round}"));
        plain.send(&Frame::text(text.clone()));
        hear(&text, &mut full, &mut small, &mut plain);
    }
    small.send(&compressed("short"));
    for client in [&mut full, &mut small, &mut plain] {
        expect_plain(client, "short");
    }
}

#[test]
fn who_joins_late_gets_the_history_and_then_what_comes() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "pub-sub", "history": 3}));
    let mut first = connect(&relay, &channel, OFFER);
    let mut texts: Vec<String> = (0..4).map(|index| long(&format!("old {index}"))).collect();
    for text in &texts {
        first.send(&compressed(text));
        expect_compressed(&mut first, text);
    }
    for offer in [OFFER, SMALL_OFFER] {
        let mut late = connect(&relay, &channel, offer);
        // The history is kept as it is.
        texts[texts.len() - 3..].iter().for_each(|text| expect_plain(&mut late, text));
        let text = long(offer);
        first.send(&compressed(&text));
        expect_compressed(&mut late, &text);
        expect_compressed(&mut first, &text);
        texts.push(text);
    }
}

#[test]
fn the_sender_can_be_excluded() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let (mut one, mut other) = (connect(&relay, &channel, OFFER), connect(&relay, &channel, OFFER));
    for round in 0..10 {
        let (from_one, from_other) = (long(&format!("one {round}")), long(&format!("other {round}")));
        one.send(&compressed(&from_one));
        expect_compressed(&mut other, &from_one);
        other.send(&compressed(&from_other));
        expect_compressed(&mut one, &from_other);
    }
    one.expect_open();
    other.expect_open();
}

#[test]
fn push_pull_compresses_for_whose_turn_it_is() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "push-pull"}));
    let mut sender = connect(&relay, &channel, OFFER);
    let mut compressing = connect(&relay, &channel, SMALL_OFFER);
    let mut plain = RawClient::connect(&relay, &channel);
    for round in 0..6 {
        let text = long(&format!("task {round}"));
        sender.send(&compressed(&text));
        match round % 2 {
            0 => expect_compressed(&mut compressing, &text),
            _ => expect_plain(&mut plain, &text),
        }
    }
}

#[test]
fn requests_and_replies_pass_between_compressed_and_plain_clients() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "req-repl"}));
    let mut asker = connect(&relay, &channel, OFFER);
    let mut worker = connect(&relay, &channel, SMALL_OFFER);
    let mut plain = RawClient::connect(&relay, &channel);
    let request = json!({"type": "request", "question": long("question")}).to_string();
    asker.send(&compressed(&request));
    let origins = [&mut worker, &mut plain].map(|client| {
        let frame = client.frame();
        assert_eq!(frame.reserved, 0, "what has an origin in it is sent as it is");
        let request: Value = serde_json::from_slice(&frame.payload).expect("a request is JSON");
        assert_eq!(request["question"], long("question"));
        request["origin"].clone()
    });
    assert_eq!(origins[0], origins[1]);
    for (client, name) in [(&mut worker, "worker"), (&mut plain, "plain")] {
        let reply = json!({"type": "reply", "origin": origins[0], "answer": long(name)}).to_string();
        client.send(&Frame::text(reply.clone()));
        expect_compressed(&mut asker, &reply);
    }
}

// What breaks

#[test]
fn a_bomb_is_1009_at_once_and_nobody_else_feels_it() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "echo"}));
    let mut neighbour = connect(&relay, &channel, OFFER);
    // 256 MiB of zeros in a quarter of a megabyte.
    let bomb = deflate(&vec![0; 256 << 20]);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let mut client = connect(&relay, &channel, OFFER);
    let began = Instant::now();
    client.send(&Frame::binary(bomb).reserved(RSV1));
    client.expect_close(1009);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    neighbour.send(&compressed(&long("after")));
    expect_compressed(&mut neighbour, &long("after"));
}

#[test]
fn broken_data_is_1007() {
    let relay = start();
    let channel = relay.create(json!({"pattern": "echo"}));
    let cut = deflate(long("cut").as_bytes());
    for payload in [b"\xff\xff\xff\xff".to_vec(), cut[..cut.len() / 2].to_vec(), deflate(b"no \xff text")] {
        let mut client = connect(&relay, &channel, OFFER);
        client.send(&Frame::text(payload).reserved(RSV1));
        client.expect_close(1007);
    }
    connect(&relay, &channel, OFFER).expect_open();
}
