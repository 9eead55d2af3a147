//! What the relay refuses over HTTP, and that a refusal in doubt about where a message ends also ends the connection:
//! nothing behind it may be taken for a request (request smuggling).

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::PATIENCE;
use support::http::{HttpClient, Response};
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};

const HEAD_MAX: usize = 16 * 1024;
const BODY_MAX: usize = 64 * 1024;

/// Sends `request` with a good one behind it, in one segment; one answer has to come, with one of `statuses`, and then
/// the end of the connection.
#[track_caller]
fn refuses_and_closes(request: &str, statuses: &[u16]) {
    let relay = Relay::start();
    refused(&relay, request, statuses);
    // Nobody else is touched by it.
    assert_eq!(relay.request("GET", "/channels", None).json(), json!({"data": []}), "after {request:?}");
}

#[track_caller]
fn refused(relay: &Relay, request: &str, statuses: &[u16]) {
    let mut http = HttpClient::connect(relay.address());
    let smuggled = r#"POST /channels HTTP/1.1
Host: localhost
Content-Type: application/json
Content-Length: 18

{"pattern":"echo"}"#;
    http.send(format!("{request}{}", smuggled.replace('\n', "\r\n")));
    let response = http.response();
    assert!(statuses.contains(&response.status), "{request:?} was answered {response:?}");
    response.assert_refusal(response.status);
    http.assert_closed();
}

/// A request to create a channel with these header lines and this body.
fn post(header_lines: &str, body: &str) -> String {
    format!("POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header_lines}\r\n{body}")
}

const BODY: &str = r#"{"pattern":"echo"}"#;

// Where a body ends

#[test]
fn two_lengths_that_differ() {
    refuses_and_closes(&post("Content-Length: 18\r\nContent-Length: 5\r\n", BODY), &[400]);
}

#[test]
fn two_lengths_that_agree() {
    refuses_and_closes(&post("Content-Length: 18\r\nContent-Length: 18\r\n", BODY), &[400]);
}

#[test]
fn list_of_lengths() {
    refuses_and_closes(&post("Content-Length: 18, 18\r\n", BODY), &[400]);
}

#[test]
fn length_with_chunked() {
    let body = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    refuses_and_closes(&post("Content-Length: 18\r\nTransfer-Encoding: chunked\r\n", &body), &[400]);
}

#[test]
fn chunked_with_length() {
    let body = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    refuses_and_closes(&post("Transfer-Encoding: chunked\r\nContent-Length: 18\r\n", &body), &[400]);
}

#[test]
fn length_with_plus_sign() {
    refuses_and_closes(&post("Content-Length: +3\r\n", "{} "), &[400]);
}

#[test]
fn length_that_is_no_decimal_number() {
    for length in ["-1", "0x12", "1e1", "18 18", "18;", "", "\u{661}8", "18\u{b}"] {
        refuses_and_closes(&post(&format!("Content-Length: {length}\r\n"), BODY), &[400]);
    }
}

#[test]
fn length_that_does_not_fit_in_64_bits() {
    // 2^64 + 18: who lets it wrap around reads 18.
    refuses_and_closes(&post("Content-Length: 18446744073709551634\r\n", BODY), &[400, 413]);
}

#[test]
fn unknown_transfer_coding() {
    refuses_and_closes(&post("Transfer-Encoding: gzip\r\n", BODY), &[501]);
}

#[test]
fn unknown_transfer_coding_before_chunked() {
    let body = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    refuses_and_closes(&post("Transfer-Encoding: gzip, chunked\r\n", &body), &[501]);
}

#[test]
fn transfer_codings_that_look_like_chunked() {
    let body = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    for coding in ["xchunked", "chunked, gzip", "chunked, chunked", "chunked;q=1", "\"chunked\"", "identity", "", ","] {
        refuses_and_closes(&post(&format!("Transfer-Encoding: {coding}\r\n"), &body), &[400, 501]);
    }
}

#[test]
fn two_transfer_encodings() {
    let body = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    for second in ["chunked", "identity", "gzip"] {
        let lines = format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {second}\r\n");
        refuses_and_closes(&post(&lines, &body), &[400, 501]);
    }
}

#[test]
fn transfer_coding_in_http_1_0() {
    let request = post("Transfer-Encoding: chunked\r\n", &format!("12\r\n{BODY}\r\n0\r\n\r\n"));
    refuses_and_closes(&request.replace("HTTP/1.1", "HTTP/1.0"), &[400, 501]);
}

#[test]
fn chunks_that_are_malformed() {
    for body in [
        // The size: a sign, a prefix, none, no hex digit, a space before, more than 64 bits.
        "+12\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "0x12\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "g\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        " 12\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "10000000000000012\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        // The line's end: a bare LF, a bare CR.
        "12\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "12\r{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        // Data longer than its size, and a bare LF behind it.
        "11\r\n{\"pattern\":\"echo\"}\r\n0\r\n\r\n",
        "12\r\n{\"pattern\":\"echo\"}\n0\r\n\r\n",
    ] {
        refuses_and_closes(&post("Transfer-Encoding: chunked\r\n", body), &[400, 413]);
    }
}

#[test]
fn body_over_64_kib_by_its_length() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    // Refused for what it says, before any of it comes.
    http.send(post(&format!("Content-Length: {}\r\n", BODY_MAX + 1), ""));
    http.response().assert_refusal(413);
    http.assert_closed();
}

#[test]
fn body_over_64_kib_that_is_sent_gets_its_answer() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    let body = " ".repeat(8 * BODY_MAX);
    http.try_send(post(&format!("Content-Length: {}\r\n", body.len()), &body));
    http.response().assert_refusal(413);
    http.assert_closed();
}

#[test]
fn body_over_64_kib_in_chunks() {
    let relay = Relay::start();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let mut http = HttpClient::connect(relay.address());
    http.try_send(post("Transfer-Encoding: chunked\r\n", &chunk.repeat(BODY_MAX / 0x1000 + 1)));
    http.response().assert_refusal(413);
    http.assert_closed();
}

#[test]
fn body_over_64_kib_in_one_chunk_by_its_size() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send(post("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n", BODY_MAX + 1)));
    http.response().assert_refusal(413);
    http.assert_closed();
}

#[test]
fn body_over_64_kib_is_not_asked_for() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send(post(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", BODY_MAX + 1), ""));
    http.response().assert_refusal(413);
}

// What a head looks like

#[test]
fn bare_line_feeds() {
    refuses_and_closes("GET /channels HTTP/1.1\nHost: localhost\n\n", &[400]);
}

#[test]
fn one_bare_line_feed() {
    refuses_and_closes("GET /channels HTTP/1.1\nHost: localhost\r\n\r\n", &[400]);
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\nX-More: yes\r\n\r\n", &[400]);
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\n\n", &[400]);
}

#[test]
fn bare_carriage_return() {
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\nX-A: 1\rX-B: 2\r\n\r\n", &[400]);
}

#[test]
fn space_before_colon() {
    refuses_and_closes(&post("Content-Length : 18\r\n", BODY), &[400]);
    refuses_and_closes(&post("Transfer-Encoding\t: chunked\r\n", &format!("12\r\n{BODY}\r\n0\r\n\r\n")), &[400]);
}

#[test]
fn folded_header() {
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n  2\r\n\r\n", &[400]);
}

#[test]
fn header_without_colon_or_name() {
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", &[400]);
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\n: value\r\n\r\n", &[400]);
}

#[test]
fn header_with_a_null_byte() {
    refuses_and_closes("GET /channels HTTP/1.1\r\nHost: localhost\r\nX-A: 1\0\r\n\r\n", &[400]);
}

#[test]
fn request_line_that_is_none() {
    refuses_and_closes("nonsense\r\n\r\n", &[400]);
    refuses_and_closes("GET  /channels HTTP/1.1\r\nHost: localhost\r\n\r\n", &[400]);
    refuses_and_closes("GET /channels\r\nHost: localhost\r\n\r\n", &[400]);
}

#[test]
fn version_that_is_not_spoken() {
    refuses_and_closes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]);
    refuses_and_closes("GET /channels HTTP/3.7\r\nHost: localhost\r\n\r\n", &[400, 505]);
}

#[test]
fn method_that_nobody_knows() {
    let relay = Relay::start();
    relay.request("BREW", "/channels", None).assert_refusal(501);
}

#[test]
fn bytes_of_another_protocol() {
    let relay = Relay::start_with(&["--head-timeout", "300"]);
    let mut http = HttpClient::connect(relay.address());
    // The beginning of a TLS handshake: refused as it is seen, or as a head that does not end.
    http.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let response = http.response();
    assert!(matches!(response.status, 400 | 408), "{response:?}");
    http.assert_closed();
}

#[test]
fn head_over_16_kib_in_one_header() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.try_send(format!("GET /channels HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(HEAD_MAX)));
    http.response().assert_refusal(431);
    http.assert_closed();
}

#[test]
fn head_over_16_kib_that_never_ends() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    let started = Instant::now();
    http.send("GET /channels HTTP/1.1\r\nHost: localhost\r\n");
    while http.try_send(format!("X-Another: {}\r\n", "x".repeat(1000))) {
        assert!(started.elapsed() < PATIENCE, "the relay reads a head without end");
        std::thread::sleep(Duration::from_millis(2));
    }
    // The client sent on after the answer, so the kernel may have thrown the answer away with the connection.
    assert_eq!(relay.request("GET", "/healthz", None).status, 200);
}

#[test]
fn target_over_8_kib() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.try_send(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(HEAD_MAX)));
    http.response().assert_refusal(414);
    http.assert_closed();
}

#[test]
fn head_with_too_many_headers() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.try_send(format!("GET /channels HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(2_000)));
    http.response().assert_refusal(431);
    http.assert_closed();
}

#[test]
fn head_of_almost_16_kib_is_taken() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ";
    http.send(format!("{head}{}\r\n\r\n", "x".repeat(HEAD_MAX - head.len() - 4)));
    assert_eq!(http.response().status, 200);
}

#[test]
fn head_that_is_slow() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let relay = Relay::start_with(&["--head-timeout", "300"]);
    let started = Instant::now();
    let mut http = HttpClient::connect(relay.address());
    http.send("GET /channels HTTP/1.1\r\nHost: loc");
    end_of_slow_head(&mut http);
    assert!(started.elapsed() >= TIMEOUT, "closed after {:?}", started.elapsed());
}

#[test]
fn head_that_is_slow_but_never_still() {
    let relay = Relay::start_with(&["--head-timeout", "300"]);
    let mut http = HttpClient::connect(relay.address());
    let started = Instant::now();
    http.send("GET /channels HTTP/1.1\r\nX-Long: ");
    // The time is for the whole head: bytes that trickle in do not renew it.
    while http.try_send("x") {
        assert!(started.elapsed() < PATIENCE, "a trickle keeps the connection open");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(relay.request("GET", "/healthz", None).status, 200);
}

#[test]
fn head_that_never_begins() {
    let relay = Relay::start_with(&["--idle-timeout", "300"]);
    let mut http = HttpClient::connect(relay.address());
    http.assert_closed();
}

/// The connection ends, with a 408 before it or without.
fn end_of_slow_head(http: &mut HttpClient) {
    if let Some(response) = http.response_or_end() {
        response.assert_refusal(408);
        http.assert_closed();
    }
}

// What a request asks for

#[test]
fn unknown_path() {
    let relay = Relay::start();
    for target in
        ["/nowhere", "/channels/a/b", "/channels/a/connect/b", "/channels//", "//channels", "/%2e%2e/etc/passwd"]
    {
        relay.request("GET", target, None).assert_refusal(404);
    }
}

#[test]
fn method_that_a_path_has_not() {
    let relay = Relay::start();
    for (method, target, allowed) in [
        ("PUT", "/channels", "POST"),
        ("DELETE", "/channels", "GET"),
        ("POST", "/channels/any", "DELETE"),
        ("POST", "/channels/any/connect", "GET"),
        ("DELETE", "/healthz", "GET"),
    ] {
        let response = relay.request(method, target, None);
        response.assert_refusal(405);
        let allow = response.header("allow").expect("405 comes with Allow");
        assert!(allow.split(',').any(|method| method.trim() == allowed), "{method} {target}: {allow}");
        assert!(!allow.split(',').any(|given| given.trim() == method), "{method} {target}: {allow}");
    }
}

#[test]
fn body_that_is_no_json() {
    let relay = Relay::start();
    for body in ["", "{", "pattern=echo", r#"{"pattern":"echo"}}"#, "\u{feff}{}", "nul", &"[".repeat(50_000)] {
        let mut http = HttpClient::connect(relay.address());
        http.send(post(&format!("Content-Length: {}\r\n", body.len()), body));
        http.response().assert_refusal(400);
    }
}

#[test]
fn media_type_that_is_not_json() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send(format!(
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    ));
    http.response().assert_refusal(415);
}

#[test]
fn channel_fields_out_of_range() {
    let relay = Relay::start();
    let too_great = (1_u64 << 53) + 1;
    for spec in [
        json!({}),
        json!([]),
        json!("echo"),
        json!({"pattern": 1}),
        json!({"pattern": "broadcast"}),
        json!({"pattern": "Echo"}),
        json!({"pattern": null}),
        json!({"pattern": "echo", "clientLimit": -2}),
        json!({"pattern": "echo", "clientLimit": 1.5}),
        json!({"pattern": "echo", "clientLimit": "7"}),
        json!({"pattern": "echo", "clientLimit": too_great}),
        json!({"pattern": "echo", "timeout": -2}),
        json!({"pattern": "echo", "timeout": too_great}),
        json!({"pattern": "echo", "timeout": true}),
        json!({"pattern": "echo", "history": -1}),
        json!({"pattern": "echo", "history": 65_537}),
        json!({"pattern": "pub-sub", "excludeSender": "yes"}),
        json!({"pattern": "echo", "excludeSender": true}),
        json!({"pattern": "echo", "id": ""}),
        json!({"pattern": "echo", "id": "a b"}),
        json!({"pattern": "echo", "id": "a/b"}),
        json!({"pattern": "echo", "id": "\u{e4}"}),
        json!({"pattern": "echo", "id": "x".repeat(65)}),
        json!({"pattern": "echo", "id": 5}),
    ] {
        let response = relay.request("POST", "/channels", Some(&spec));
        assert!(matches!(response.status, 400 | 422), "{spec}: {response:?}");
        response.assert_refusal(response.status);
    }
    assert_eq!(relay.request("GET", "/channels", None).json(), json!({"data": []}));
}

#[test]
fn id_that_is_taken() {
    let relay = Relay::start();
    let spec = json!({"pattern": "echo", "id": "mine"});
    let channel = relay.create(spec.clone());
    relay.request("POST", "/channels", Some(&spec)).assert_refusal(409);
    relay.request("POST", "/channels", Some(&json!({"pattern": "pub-sub", "id": "mine"}))).assert_refusal(409);
    assert_eq!(relay.look_up(&channel).expect("it is still there")["pattern"], "echo");
    RawClient::connect(&relay, &channel).expect_open();
    relay.delete(&channel);
    assert_eq!(relay.request("POST", "/channels", Some(&spec)).status, 201, "an id can be used again");
}

// Upgrades

/// The answer to a request to upgrade, after `change` was made to it.
fn upgrade_changed(relay: &Relay, channel: &Channel, change: impl Fn(String) -> String) -> Response {
    let mut http = HttpClient::connect(relay.address());
    http.send(change(upgrade(&channel.target())));
    let response = http.response();
    assert_eq!(relay.clients(channel), 0, "who was refused is no client");
    response
}

#[test]
fn upgrade_without_a_token() {
    let relay = Relay::start();
    let channel = relay.echo();
    let query = format!("?token={}", channel.token);
    upgrade_changed(&relay, &channel, |request| request.replace(&query, "")).assert_refusal(401);
    upgrade_changed(&relay, &channel, |request| request.replace(&query, "?")).assert_refusal(401);
    upgrade_changed(&relay, &channel, |request| request.replace("token=", "Token=")).assert_refusal(401);
}

#[test]
fn upgrade_with_a_wrong_token() {
    let relay = Relay::start();
    let channel = relay.echo();
    upgrade_changed(&relay, &channel, |request| request.replace(&channel.token, "guess")).assert_refusal(401);
}

#[test]
fn upgrade_to_a_full_channel() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "echo", "clientLimit": 0}));
    upgrade_changed(&relay, &channel, |request| request).assert_refusal(403);
}

#[test]
fn upgrade_to_a_channel_that_is_none() {
    let relay = Relay::start();
    let channel = relay.echo();
    upgrade_changed(&relay, &channel, |request| request.replace(&channel.id, "none")).assert_refusal(404);
}

#[test]
fn connect_without_an_upgrade() {
    let relay = Relay::start();
    let channel = relay.echo();
    for line in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\n"] {
        let response = upgrade_changed(&relay, &channel, |request| request.replace(line, ""));
        response.assert_refusal(426);
        assert!(response.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")), "{response:?}");
    }
    upgrade_changed(&relay, &channel, |request| request.replace("Upgrade: websocket", "Upgrade: h2c"))
        .assert_refusal(426);
}

#[test]
fn upgrade_with_a_bad_key() {
    let relay = Relay::start();
    let channel = relay.echo();
    // Too short, too long, not in base64, none, and two.
    for key in ["dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZXM=AA==", "********************==", "dGVu", ""] {
        upgrade_changed(&relay, &channel, |request| request.replace(support::raw::KEY, key)).assert_refusal(400);
    }
    let line = format!("Sec-WebSocket-Key: {}\r\n", support::raw::KEY);
    upgrade_changed(&relay, &channel, |request| request.replace(&line, "")).assert_refusal(400);
    upgrade_changed(&relay, &channel, |request| request.replace(&line, &line.repeat(2))).assert_refusal(400);
}

#[test]
fn upgrade_with_a_wrong_version() {
    let relay = Relay::start();
    let channel = relay.echo();
    for version in ["Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 14\r\n", "Sec-WebSocket-Version: 1 3\r\n"] {
        let response =
            upgrade_changed(&relay, &channel, |request| request.replace("Sec-WebSocket-Version: 13\r\n", version));
        // RFC 6455, 4.4: the answer says which version would do.
        response.assert_refusal(426);
        assert_eq!(response.header("sec-websocket-version"), Some("13"), "{response:?}");
    }
}

#[test]
fn upgrade_by_http_1_0() {
    let relay = Relay::start();
    let channel = relay.echo();
    let response = upgrade_changed(&relay, &channel, |request| request.replace("HTTP/1.1", "HTTP/1.0"));
    assert!(matches!(response.status, 400 | 426), "{response:?}");
}

#[test]
fn upgrade_with_a_body() {
    let relay = Relay::start();
    let channel = relay.echo();
    // Its bytes would be taken for frames.
    let version = "Sec-WebSocket-Version: 13\r\n";
    let response = upgrade_changed(&relay, &channel, |request| {
        request.replace(version, &format!("{version}Content-Length: 4\r\n")) + "body"
    });
    response.assert_refusal(400);
}

#[test]
fn upgrade_that_is_refused_leaves_the_connection_in_order() {
    let relay = Relay::start();
    let channel = relay.echo();
    let mut http = HttpClient::connect(relay.address());
    http.send(upgrade(&channel.target()).replace(&channel.token, "guess"));
    http.response().assert_refusal(401);
    // The next request on the connection, if it is still open, is a request again.
    http.try_send(upgrade(&channel.target()));
    if let Some(response) = http.response_or_end() {
        assert_eq!(response.status, 101, "{response:?}");
    }
}

#[test]
fn upgrade_takes_header_values_in_any_case_and_in_lists() {
    let relay = Relay::start();
    let channel = relay.echo();
    let mut http = HttpClient::connect(relay.address());
    let request = upgrade(&channel.target())
        .replace("Upgrade: websocket", "upgrade: WebSocket")
        .replace("Connection: Upgrade", "CONNECTION: keep-alive, uPGRADE");
    http.send(request);
    RawClient::upgraded(http).expect_open();
}
