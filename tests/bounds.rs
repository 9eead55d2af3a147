//! The bounds on how many channels and connections the relay has, over all of its shards.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;
use support::http::{HttpClient, Response};
use support::raw::RawClient;
use support::relay::{Channel, Relay, ringrelay, serve_arguments, serve_variables};
use support::{PATIENCE, eventually};

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
            let response = http.response_or_end()?;
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
    // A silent connection counts as well, until somebody wants its place: those who are refused have it given up, on their
    // front. (If it came too late it was told so, and has ended too.)
    drop(clients.pop());
    let mut silent = TcpStream::connect(relay.address()).expect("the relay accepts");
    let mut last = RawClient::over(connect());
    silent.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
    silent.read_to_end(&mut Vec::new()).expect("the end of who is silent");
    last.expect_open();
    late.expect_open();
}

/// A relay that may open so many files.
fn with_files(files: usize, flags: &[&str]) -> Relay {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]).arg(ringrelay().get_program());
    command.args(serve_arguments(flags)).envs(serve_variables());
    Relay::spawn(command)
}

/// What the log says of how many connections there may be.
fn connections_max(relay: &Relay) -> usize {
    let started = eventually("the log says that it has started", || {
        let log = relay.stdout_so_far();
        log.lines().find(|line| line.contains("\"started\"")).map(str::to_owned)
    });
    let event: serde_json::Value = serde_json::from_str(&started).expect("an object");
    event["max_connections"].as_u64().expect("a number") as usize
}

/// What a new connection is answered. Those that are told at once that they are refused are few, and who comes on their heels is
/// just closed.
fn answered(relay: &Relay, request: &str) -> (HttpClient, Response) {
    eventually("an answer", || {
        let mut http = HttpClient::connect(relay.address());
        http.try_send(request);
        let response = http.response_or_end()?;
        Some((http, response))
    })
}

/// Connects until nobody else is let in; gives those who are, and what the first who is not was told.
fn fill(relay: &Relay, channel: &Channel) -> (Vec<RawClient>, Response) {
    let mut clients = Vec::new();
    loop {
        let (http, response) = answered(relay, &support::raw::upgrade(&channel.target()));
        match response.status {
            101 => clients.push(RawClient::over(http)),
            _ => return (clients, response),
        }
    }
}

#[test]
fn clients_leave_files_for_those_who_are_told_that_there_are_no_more() {
    const FILES: usize = 128;
    let relay = with_files(FILES, &[]);
    let most = connections_max(&relay);
    assert!((1..FILES).contains(&most), "{most}");
    let channel = relay.echo();
    let mut clients = Vec::new();
    let told = eventually("all places are clients' (connections of HTTP that are closing take some)", || {
        let (more, told) = fill(&relay, &channel);
        clients.extend(more);
        (clients.len() == most).then_some(told)
    });
    told.assert_refusal(503);
    assert_eq!((code(&told).as_str(), told.header("retry-after")), ("too_many_connections", Some("1")));
    assert_eq!(told.json()["error"]["message"], "the server has too many connections: try again later");
    assert!(relay.open_files() < FILES, "{} of {FILES}", relay.open_files());

    // Those who are in go on, and who leaves makes room: for one.
    clients.iter_mut().for_each(RawClient::expect_open);
    drop(clients.pop());
    let mut late = eventually("there is room for one", || fill(&relay, &channel).0.pop());
    late.expect_open();
    fill(&relay, &channel).1.assert_refusal(503);

    drop((clients, late));
    let metrics = eventually("there is room for a question", || {
        let (_, response) = answered(&relay, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (response.status == 200).then_some(response)
    });
    let text = String::from_utf8(metrics.body).expect("text");
    assert!(text.lines().any(|line| line == "ringrelay_accept_pauses_total 0"), "accepting never stopped:\n{text}");
}

#[test]
fn more_connections_than_files_are_not_promised() {
    let relay = with_files(128, &["--max-connections", "1000"]);
    assert_eq!(connections_max(&relay), connections_max(&with_files(128, &[])));
    let log = relay.stdout_so_far();
    assert!(log.contains("less room than max-connections asks for") && log.contains("\"wanted\":1000"), "{log}");
    assert_eq!(connections_max(&with_files(128, &["--max-connections", "7"])), 7);
}
