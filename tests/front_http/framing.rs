//! Where requests begin and end, and what is refused because that would be unclear.

use crate::rig::{Rig, get, post, request};

/// Sends `bytes`; the answer must have this status and be the last, and the connection closed in order behind it.
fn assert_refused(rig: &Rig, bytes: &[u8], status: u16) {
    let mut client = rig.client();
    client.send(bytes);
    let refused = client.response();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    assert_eq!(refused.status, status, "{shown:?}");
    assert_eq!(refused.header("connection"), Some("close"), "{shown:?}");
    refused.error_code();
    client.assert_closed();
}

#[test]
fn every_way_to_smuggle_is_refused_and_closed() {
    let rig = Rig::start();
    for (lines, status) in [
        ("Content-Length: 3\r\nContent-Length: 3", 400),
        ("Content-Length: 3\r\nContent-Length: 4", 400),
        ("Content-Length: 3, 3", 400),
        ("Content-Length: +3", 400),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding : chunked", 400),
        ("X: a\r\n Content-Length: 3", 400),
        ("X: a\nContent-Length: 3", 400),
        ("X: a\rContent-Length: 3", 400),
        ("X: a\0b", 400),
        ("Host: other", 400),
        ("Expect: miracles", 417),
    ] {
        let bytes = request("POST /channels", &[lines], "");
        // The request that a recipient of another mind would see behind it must never be answered.
        assert_refused(&rig, format!("{bytes}abcGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), status);
    }
    for (bytes, status) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\nHost: x\n\n", 400),
        ("GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\n", 400),
    ] {
        assert_refused(&rig, bytes.as_bytes(), status);
    }
}

#[test]
fn a_broken_chunked_body_is_refused_and_closed() {
    let rig = Rig::start();
    let head = request("POST /channels", &["Transfer-Encoding: chunked"], "");
    for body in ["5\nhello", "+5\r\nhello", "5\r\nhelloX", "g\r\n", "0\r\n folded\r\n", "5;\0\r\nhello"] {
        assert_refused(&rig, format!("{head}{body}\r\n0\r\n\r\n").as_bytes(), 400);
    }
}

#[test]
fn chunked_bodies_are_read_wherever_they_are_cut() {
    let rig = Rig::start();
    let mut client = rig.client();
    let head = request("POST /channels", &["Transfer-Encoding: chunked"], "");
    let bytes = format!("{head}1\r\n{{\r\n10;ext=1\r\n\"pattern\":\"echo\"\r\n1\r\n}}\r\n0\r\nX: y\r\n\r\n");
    for cut in (head.len() - 3..bytes.len()).step_by(3) {
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert_eq!(client.response().status, 201, "cut at {cut}");
    }
    client.send(bytes.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.response().status, 201);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::start();
    let mut client = rig.client();
    let requests = [
        post(r#"{"id":"one","pattern":"echo"}"#),
        get("/channels/one"),
        "\r\n".to_owned() + &request("HEAD /healthz", &[], ""),
        request("DELETE /channels/one", &[], ""),
        get("http://relay:8080/channels/one"),
        request("OPTIONS /channels", &[], ""),
        get("/healthz"),
    ];
    client.send(requests.concat());
    assert_eq!(client.response().status, 201);
    assert_eq!(client.response().status, 200);
    assert_eq!(client.head().status, 200);
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 404);
    assert_eq!(client.response().status, 204);
    assert_eq!(client.response().body, r#"{"status":"ok"}"#);

    // More than a head's buffer holds.
    let count = 1000;
    let mut writer = client.another();
    let sender = std::thread::spawn(move || writer.send(get("/healthz").repeat(count)));
    for _ in 0..count {
        assert_eq!(client.response().status, 200);
    }
    sender.join().unwrap();
}

#[test]
fn a_request_byte_by_byte_is_a_request() {
    let rig = Rig::start();
    let mut client = rig.client();
    for byte in post(r#"{"pattern":"echo"}"#).as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().status, 201);
}

#[test]
fn the_body_is_asked_for_when_the_client_waits_for_that() {
    let rig = Rig::start();
    let mut client = rig.client();
    let body = r#"{"pattern":"echo"}"#;
    let lines = ["Expect: 100-continue", &format!("Content-Length: {}", body.len())];
    client.send(request("POST /channels", &lines, ""));
    let interim = client.head();
    assert_eq!(interim.head, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body);
    assert_eq!(client.response().status, 201);

    client.send(request("POST /channels", &["Expect: 100-continue", "Transfer-Encoding: chunked"], ""));
    assert_eq!(client.head().status, 100);
    client.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    assert_eq!(client.response().status, 201);

    // Who sent it already need not be asked; who would send too much is not.
    client.send(request("POST /channels", &["Expect: 100-continue"], body));
    assert_eq!(client.response().status, 201);
    client.send(request("POST /channels", &["Expect: 100-continue", "Content-Length: 65537"], ""));
    assert_eq!(client.response().status, 413);
    client.assert_closed();
}

#[test]
fn heads_and_bodies_have_a_longest_length() {
    let rig = Rig::start();
    let head = |len: usize| {
        let fixed = request("GET /healthz", &["X: "], "").len();
        request("GET /healthz", &[&format!("X: {}", "y".repeat(len - fixed))], "")
    };
    assert_eq!(rig.ask(&head(16 << 10)).status, 200);
    assert_refused(&rig, head((16 << 10) + 1).as_bytes(), 431);
    assert_refused(&rig, "y".repeat(300_000).as_bytes(), 431);
    let fields = "a:\r\n".repeat(101);
    assert_refused(&rig, request("GET /healthz", &[fields.trim_end()], "").as_bytes(), 431);

    let body = |len: usize| format!(r#"{{"pattern":"echo"}}{}"#, " ".repeat(len - 18));
    assert_eq!(rig.ask(&post(&body(64 << 10))).status, 201);
    assert_refused(&rig, post(&body((64 << 10) + 1)).as_bytes(), 413);
    assert_refused(&rig, post(&body(500_000)).as_bytes(), 413);
    assert_refused(&rig, request("POST /channels", &["Content-Length: 99999999999999999999999"], "").as_bytes(), 413);

    let chunked = |len: usize| {
        let head = request("POST /channels", &["Transfer-Encoding: chunked"], "");
        let chunks: Vec<String> = body(len)
            .as_bytes()
            .chunks(1000)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()))
            .collect();
        format!("{head}{}0\r\n\r\n", chunks.concat())
    };
    assert_eq!(rig.ask(&chunked(64 << 10)).status, 201);
    assert_refused(&rig, chunked((64 << 10) + 1).as_bytes(), 413);
    assert_refused(&rig, chunked(500_000).as_bytes(), 413);
    let head = request("POST /channels", &["Transfer-Encoding: chunked"], "");
    assert_refused(&rig, format!("{head}1;{}", "x".repeat(20_000)).as_bytes(), 413);
}

#[test]
fn http_1_0_is_answered_once() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    client.assert_closed();
}

#[test]
fn connection_close_is_honoured() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.send(request("GET /healthz", &["Connection: close"], "") + &get("/healthz"));
    let response = client.response();
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    client.assert_closed();
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answers() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.send(get("/healthz").repeat(2));
    client.finish_sending();
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
    client.assert_closed();
}
