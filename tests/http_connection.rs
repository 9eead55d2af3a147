//! HTTP as the relay speaks it: what clients may rely on.

mod support;

use serde_json::json;
use support::http::HttpClient;
use support::raw::upgrade;
use support::relay::Relay;

const BODY_MAX: usize = 64 * 1024;

#[test]
fn connection_is_kept_alive() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    for number in 0..20 {
        let created = http.request("POST", "/channels", Some(&json!({"pattern": "echo", "id": format!("c{number}")})));
        assert_eq!(created.status, 201);
        assert_eq!(http.request("GET", &format!("/channels/c{number}"), None).status, 200);
        // An error of the application's is no error of the connection's.
        http.request("GET", "/channels/none", None).assert_refusal(404);
    }
    assert_eq!(http.request("GET", "/channels", None).json()["data"].as_array().map(Vec::len), Some(20));
}

#[test]
fn connection_close_is_honoured() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(http.response().status, 200);
    http.assert_closed();
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(http.response().status, 200);
    http.assert_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let relay = Relay::start();
    for id in ["one", "two", "three"] {
        relay.create(json!({"pattern": "echo", "id": id}));
    }
    let mut http = HttpClient::connect(relay.address());
    let ids = ["three", "none", "one", "two", "one", "none", "three"];
    http.send(ids.map(|id| format!("GET /channels/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n")).concat());
    for id in ids {
        let response = http.response();
        if id == "none" {
            response.assert_refusal(404);
        } else {
            assert_eq!(response.json()["data"]["id"], id);
        }
    }
}

#[test]
fn requests_may_come_byte_by_byte() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    let body = r#"{"pattern":"echo","id":"slowly"}"#;
    let request = format!(
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for byte in request.bytes() {
        http.send([byte]);
    }
    assert_eq!(http.response().json()["data"]["id"], "slowly");
}

#[test]
fn chunked_body_is_put_together() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    http.send(
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         A;note=\"an extension\"\r\n{\"pattern\"\r\n1\r\n:\r\n15\r\n\"echo\",\"id\":\"chunked\"\r\n1\r\n}\r\n0\r\nTrailer: yes\r\n\r\n\
         GET /channels/chunked HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert_eq!(http.response().status, 201);
    assert_eq!(http.response().json()["data"]["id"], "chunked", "the request behind the body is the next one");
}

#[test]
fn largest_body_is_taken() {
    let relay = Relay::start();
    let mut body = json!({"pattern": "echo", "id": "large"}).to_string();
    body.push_str(&" ".repeat(BODY_MAX - body.len()));
    let head = "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut http = HttpClient::connect(relay.address());
    http.send(format!("{head}Content-Length: {BODY_MAX}\r\n\r\n{body}"));
    assert_eq!(http.response().status, 201);
    http.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{BODY_MAX:x}\r\n{body}\r\n0\r\n\r\n"));
    http.response().assert_refusal(409);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    let body = r#"{"pattern":"echo"}"#;
    http.send(format!(
        "POST /channels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(http.response().status, 100);
    http.send(body);
    assert_eq!(http.response().status, 201);
}

#[test]
fn head_is_get_without_a_body() {
    let relay = Relay::start();
    relay.create(json!({"pattern": "echo", "id": "here"}));
    let mut http = HttpClient::connect(relay.address());
    for (target, status) in [("/healthz", 200), ("/channels", 200), ("/channels/here", 200), ("/channels/none", 404)] {
        let head = http.request("HEAD", target, None);
        let get = http.request("GET", target, None);
        assert_eq!((head.status, get.status), (status, status), "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{target}");
    }
}

#[test]
fn options_tells_the_methods() {
    let relay = Relay::start();
    let mut http = HttpClient::connect(relay.address());
    for (target, methods) in [("/channels", ["GET", "POST"]), ("/channels/any", ["GET", "DELETE"])] {
        let response = http.request("OPTIONS", target, None);
        assert!(matches!(response.status, 200 | 204), "{response:?}");
        let allow = response.header("allow").expect("Allow");
        for method in methods {
            assert!(allow.split(',').any(|allowed| allowed.trim() == method), "{method} in {allow:?} of {target}");
        }
    }
}

#[test]
fn channel_and_channels_are_the_same_path() {
    let relay = Relay::start();
    let created = relay.request("POST", "/channel", Some(&json!({"pattern": "echo", "id": "both"}))).json();
    assert_eq!(relay.request("GET", "/channel/both", None).json()["data"]["id"], "both");
    assert_eq!(relay.request("GET", "/channels/both", None).json()["data"]["id"], "both");
    assert_eq!(relay.request("GET", "/channel", None).json()["data"].as_array().map(Vec::len), Some(1));

    let mut http = HttpClient::connect(relay.address());
    http.send(upgrade(&format!("/channel/both/connect?token={}", created["token"].as_str().expect("a token"))));
    assert_eq!(http.response().status, 101);

    assert_eq!(relay.request("DELETE", "/channel/both", None).status, 200);
    relay.request("GET", "/channels/both", None).assert_refusal(404);
}
