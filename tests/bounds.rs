//! The bounds on how many channels and connections the relay has, over all of its shards.

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::eventually;
use support::http::{HttpClient, Response};
use support::raw::RawClient;
use support::relay::Relay;

fn create(relay: &Relay, id: &str, timeout_ms: i64) -> Response {
    relay.request("POST", "/channels", Some(&json!({"pattern": "echo", "id": id, "timeout": timeout_ms})))
}

fn code(response: &Response) -> String {
    response.json()["error"]["code"].as_str().expect("a code").to_owned()
}

#[test]
fn channels_are_bounded_and_each_that_goes_makes_room() {
    let relay = Relay::start_with(&["--max-channels", "3"]);
    for id in ["a", "b", "c"] {
        assert_eq!(create(&relay, id, -1).status, 201);
    }
    let refused = create(&relay, "d", -1);
    refused.assert_refusal(503);
    assert_eq!((code(&refused).as_str(), refused.header("retry-after")), ("too_many_channels", Some("1")));

    assert_eq!(relay.request("DELETE", "/channels/b", None).status, 200);
    // Who is refused for another reason takes no place.
    for _ in 0..5 {
        create(&relay, "a", -1).assert_refusal(409);
    }
    assert_eq!(create(&relay, "d", 50).status, 201);
    eventually("the place of a channel that expired is free", || (create(&relay, "e", -1).status == 201).then_some(()));
    create(&relay, "f", -1).assert_refusal(503);
    assert_eq!(relay.request("DELETE", "/reset", None).status, 200);
    for id in ["x", "y", "z"] {
        assert_eq!(create(&relay, id, -1).status, 201);
    }
}

#[test]
fn connections_are_bounded_and_each_that_goes_makes_room() {
    let relay = Relay::start_with(&["--max-connections", "4"]);
    let channel = relay.echo();
    // Connections of HTTP are some of them: those of the requests before are closing.
    let connect = || {
        eventually("a connection is taken", || {
            let mut http = HttpClient::connect(relay.address());
            http.send(support::raw::upgrade(&channel.target()));
            let response = http.response();
            if response.status == 101 { Some(http) } else { None }
        })
    };
    let mut clients: Vec<HttpClient> = (0..4).map(|_| connect()).collect();
    let mut refused = HttpClient::connect(relay.address());
    let response = refused.response();
    response.assert_refusal(503);
    assert_eq!((code(&response).as_str(), response.header("retry-after")), ("too_many_connections", Some("1")));

    // Those that are in go on, and who leaves makes room.
    drop(clients.pop());
    let mut late = RawClient::over(connect());
    late.expect_open();
    // A silent connection counts as well, until its time is up.
    drop(clients.pop());
    let silent = eventually("there is room for a silent one", || {
        let stream = TcpStream::connect(relay.address()).expect("the relay accepts");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a TCP socket");
        // Taken in it is told nothing, one too many is told so.
        stream.peek(&mut [0]).is_err().then_some(stream)
    });
    HttpClient::connect(relay.address()).response().assert_refusal(503);
    drop(silent);
    late.expect_open();
}
