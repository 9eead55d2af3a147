//! The acceptance list of the contract (requirements, section 7) against the running binary, by its numbers.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::Client;
use support::eventually;
use support::frame::Frame;
use support::http::{HttpClient, Response};
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};

/// How far a channel's end may be from its timeout.
const TOLERANCE: Duration = Duration::from_millis(25);

#[test]
fn t1_1_1_server_starts() {
    let mut relay = Relay::start();
    assert!(relay.is_running());
    assert_ne!(relay.address().port(), 0, "the port that the system chose is the one it says");
}

#[test]
fn t1_1_2_http_answers() {
    let relay = Relay::start();
    assert_eq!(relay.request("GET", "/healthz", None).status, 200);
}

fn assert_page(response: &Response, words: &str) {
    assert_eq!(response.status, 200);
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{response:?}");
    let html = String::from_utf8_lossy(&response.body);
    assert!(html.to_lowercase().starts_with("<!doctype html>") && html.contains(words), "{html}");
}

#[test]
fn t1_2_1_get_root_is_html() {
    let relay = Relay::start();
    assert_page(&relay.request("GET", "/", None), "ringrelay");
}

#[test]
fn t1_2_2_get_readme_is_html() {
    let relay = Relay::start();
    // Rendered, not quoted.
    assert_page(&relay.request("GET", "/readme", None), ">The guide to ringrelay</h1>");
    let guide = std::env::temp_dir().join(format!("ringrelay-guide-{}.md", std::process::id()));
    std::fs::write(&guide, "# Our own *guide*\n<script>alert(1)</script>\n").expect("a file can be written");
    let relay = Relay::start_in(&[("WRS_README_PATH", guide.to_str().expect("UTF-8"))], &[]);
    let response = relay.request("GET", "/readme", None);
    let _ = std::fs::remove_file(&guide);
    assert_page(&response, ">Our own <em>guide</em></h1>");
    assert!(!String::from_utf8_lossy(&response.body).contains("<script>alert"), "what it says is text");
}

#[test]
fn t1_2_3_get_cluster_is_json() {
    let relay = Relay::start();
    let response = relay.request("GET", "/cluster", None);
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let data = &response.json()["data"];
    assert_eq!((&data["role"], data["nodes"].as_array().map(Vec::len)), (&json!("single"), Some(1)), "{data}");
}

#[test]
fn t1_2_4_get_channels_is_json() {
    let relay = Relay::start();
    let channels = [relay.echo(), relay.pub_sub(), relay.echo()];
    let response = relay.request("GET", "/channels", None);
    assert_eq!(response.status, 200);
    let listed = ids(&response.json());
    assert_eq!(listed.len(), channels.len());
    for channel in &channels {
        assert!(listed.contains(&channel.id), "{} is missing in {listed:?}", channel.id);
        assert!(!String::from_utf8_lossy(&response.body).contains(&channel.token), "a list shows a token");
    }
}

#[test]
fn t1_2_5_post_channels_creates() {
    let relay = Relay::start();
    let spec =
        json!({"pattern": "pub-sub", "clientLimit": 7, "timeout": 60_000, "excludeSender": true, "id": "Room_1-a"});
    let response = relay.request("POST", "/channels", Some(&spec));
    assert_eq!(response.status, 201);
    assert!(response.header("location").is_some_and(|to| to.ends_with("/channels/Room_1-a")), "{response:?}");

    let body = response.json();
    assert!(body["message"].as_str().is_some_and(|message| message.starts_with("Success")), "{body}");
    // 128 bits of entropy take 22 characters at least, whatever the alphabet.
    assert!(body["token"].as_str().is_some_and(|token| token.len() >= 22), "{body}");
    let data = &body["data"];
    for (field, value) in spec.as_object().expect("an object") {
        assert_eq!(&data[field], value, "{field} in {data}");
    }
    assert_eq!(data["port"], relay.address().port());
    assert_eq!(data["clients"], 0);
    assert!(data["countdown"].as_u64().is_some_and(|left| left <= 60_000), "{data}");
}

#[test]
fn t1_2_5_post_channels_fills_in_the_defaults() {
    let relay = Relay::start();
    let body = relay.request("POST", "/channels", Some(&json!({"pattern": "echo"}))).json();
    let data = &body["data"];
    assert_eq!(data["pattern"], "echo");
    assert_eq!(data["clientLimit"], -1);
    assert_eq!(data["timeout"], 86_400_000);
    assert!(data["countdown"].as_u64().is_some_and(|left| (86_300_000..=86_400_000).contains(&left)), "{data}");

    // XXXX-XXXX in upper-case hex.
    let id = data["id"].as_str().expect("an id");
    let (left, right) = id.split_once('-').expect("two halves");
    let is_hex = |half: &str| half.len() == 4 && half.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    assert!(is_hex(left) && is_hex(right), "{id}");
}

#[test]
fn t1_2_5_post_channels_takes_the_least_and_the_greatest_values() {
    let relay = Relay::start();
    let greatest = 1_u64 << 53;
    let id = "x".repeat(64);
    for (spec, field, value) in [
        (json!({"pattern": "echo", "timeout": -1}), "timeout", json!(-1)),
        (json!({"pattern": "echo", "timeout": -1}), "countdown", json!(-1)),
        (json!({"pattern": "echo", "timeout": greatest}), "timeout", json!(greatest)),
        (json!({"pattern": "echo", "clientLimit": greatest}), "clientLimit", json!(greatest)),
        (json!({"pattern": "echo", "clientLimit": 0}), "clientLimit", json!(0)),
        (json!({"pattern": "echo", "id": id}), "id", json!(id)),
        (json!({"pattern": "echo", "id": "0"}), "id", json!("0")),
    ] {
        let response = relay.request("POST", "/channels", Some(&spec));
        assert_eq!(response.status, 201, "{spec}: {response:?}");
        assert_eq!(response.json()["data"][field], value, "{spec}");
    }
}

#[test]
fn t1_2_6_get_channel() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "timeout": 50_000}));
    let _clients = [RawClient::connect(&relay, &channel), RawClient::connect(&relay, &channel)];
    relay.await_clients(&channel, 2);

    let response = relay.request("GET", &format!("/channels/{}", channel.id), None);
    assert_eq!(response.status, 200);
    assert!(!String::from_utf8_lossy(&response.body).contains(&channel.token), "the token is shown once only");
    let data = &response.json()["data"];
    assert_eq!(data["id"], channel.id.as_str());
    assert_eq!(data["pattern"], "pub-sub");
    assert_eq!(data["timeout"], 50_000);
    assert!(data["countdown"].as_u64().is_some_and(|left| left <= 50_000), "{data}");

    relay.request("GET", "/channels/nobody-made-this", None).assert_refusal(404);
}

#[test]
fn t1_2_7_delete_channel() {
    let relay = Relay::start();
    let (kept, deleted) = (relay.echo(), relay.echo());
    let response = relay.delete(&deleted);
    assert_eq!(response.status, 200);
    assert!(response.json()["message"].is_string());
    assert_eq!(relay.look_up(&deleted), None, "it is gone afterwards");
    relay.delete(&deleted).assert_refusal(404);
    assert!(relay.look_up(&kept).is_some(), "and no other one is");
    assert_eq!(ids(&relay.request("GET", "/channels", None).json()), [kept.id]);
}

#[test]
fn t1_2_8_get_channels_is_empty() {
    let relay = Relay::start();
    let empty = json!({"data": []});
    assert_eq!(relay.request("GET", "/channels", None).json(), empty, "before the first channel");
    let channels: Vec<Channel> = (0..5).map(|_| relay.echo()).collect();
    for channel in &channels {
        relay.delete(channel);
    }
    assert_eq!(relay.request("GET", "/channels", None).json(), empty, "after the last one");
}

#[test]
fn t1_3_1_echo_over_websocket() {
    let relay = Relay::start();
    let channel = relay.echo();
    let (mut alice, mut bob) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    alice.send("to myself");
    bob.send(vec![0, 1, 2]);
    alice.expect("to myself");
    bob.expect(vec![0, 1, 2]);
    // Nothing of the other's came in between: the next thing each gets is its own again.
    alice.send("once more");
    alice.expect("once more");
    bob.send("and me");
    bob.expect("and me");
    alice.leave();
    bob.leave();
}

#[test]
fn t1_3_2_pub_sub_between_two_clients() {
    let relay = Relay::start();
    let channel = relay.pub_sub();
    let (mut alice, mut bob) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    alice.send("hello");
    for client in [&mut alice, &mut bob] {
        client.expect("hello");
    }
    bob.send(vec![9, 8, 7]);
    for client in [&mut alice, &mut bob] {
        client.expect(vec![9, 8, 7]);
    }
    alice.leave();
    bob.leave();
}

#[test]
fn t1_3_3_push_pull_over_three_clients_evenly() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "push-pull"}));
    let mut sender = Client::connect(&relay, &channel);
    relay.await_clients(&channel, 1);
    let mut receivers = Vec::new();
    for joined in 2..=4 {
        receivers.push(Client::connect(&relay, &channel));
        relay.await_clients(&channel, joined);
    }
    for number in 0..30 {
        sender.send(format!("job {number}"));
    }
    // In turn, in the order in which they came; the sender gets none.
    for number in 0..30 {
        receivers[number % 3].expect(format!("job {number}"));
    }
    receivers[0].send("a job of a receiver's");
    sender.expect("a job of a receiver's");
}

#[test]
fn t1_3_4_req_repl_the_reply_reaches_the_requester() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "req-repl"}));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    relay.await_clients(&channel, 3);
    let json_of = |client: &mut Client| -> Value {
        serde_json::from_str(client.message().to_text().expect("text")).expect("JSON")
    };
    clients[0].send(r#"{"type":"request","question":"how many?"}"#);
    let requests = [1, 2].map(|index| json_of(&mut clients[index]));
    for request in &requests {
        assert_eq!((&request["type"], &request["question"]), (&json!("request"), &json!("how many?")));
        assert!(request["origin"].is_string(), "{request}");
    }
    assert_eq!(requests[0], requests[1], "both get the same");
    let reply = json!({"type": "reply", "origin": requests[0]["origin"], "answer": 42});
    clients[2].send(reply.to_string());
    assert_eq!(json_of(&mut clients[0]), reply);
    // Nobody else got it: the next thing that the third sees is a request of the requester's.
    clients[0].send(r#"{"type":"request","question":"sure?"}"#);
    for index in [1, 2] {
        assert_eq!(json_of(&mut clients[index])["question"], "sure?");
    }
}

#[test]
fn t1_3_5_wrong_token_is_refused() {
    let relay = Relay::start();
    let channel = relay.echo();
    let longer = format!("{}0", channel.token);
    let shorter = &channel.token[1..];
    let other = relay.echo().token;
    for token in ["", "wrong", longer.as_str(), shorter, other.as_str()] {
        let mut http = HttpClient::connect(relay.address());
        http.send(upgrade(&format!("/channels/{}/connect?token={token}", channel.id)));
        http.response().assert_refusal(401);
    }
    assert_eq!(relay.clients(&channel), 0);
    RawClient::connect(&relay, &channel);
}

/// The end may be seen late when the cores are busy, so the best of a few tries counts for that side; it may never come
/// too early, and busy cores do not excuse that.
#[test]
fn t1_4_1_channel_is_gone_after_its_timeout() {
    // Long enough to connect within it, whoever else needs the cores.
    const TIMEOUT: Duration = Duration::from_millis(1500);
    const TRIES: usize = 8;
    let relay = Relay::start();
    let mut lateness = Vec::new();
    while lateness.len() < TRIES && lateness.iter().all(|late| *late > TOLERANCE) {
        let channel = relay.create(json!({"pattern": "echo", "timeout": TIMEOUT.as_millis() as u64}));
        let mut client = RawClient::connect(&relay, &channel);
        let sent = Instant::now();
        client.send(&Frame::text("the last activity"));
        client.expect_text("the last activity");
        // The relay took the message after `sent` and before `answered`.
        let answered = Instant::now();
        let reason = client.expect_close(4410);
        let closed = Instant::now();
        assert_eq!(reason, "channel expired");
        assert!(closed - sent >= TIMEOUT - TOLERANCE, "closed {:?} after the last activity", closed - sent);
        lateness.push((closed - answered).saturating_sub(TIMEOUT));

        assert_eq!(relay.look_up(&channel), None, "the channel is gone with its connections");
        client.send(&Frame::close(4410, ""));
        client.expect_end();
    }
    assert!(lateness.iter().any(|late| *late <= TOLERANCE), "late by {lateness:?}");
}

#[test]
fn t1_4_1_channel_without_clients_is_gone_after_its_timeout() {
    let relay = Relay::start();
    let created = Instant::now();
    let channel = relay.create(json!({"pattern": "pub-sub", "timeout": 300}));
    eventually("the channel is gone", || relay.look_up(&channel).is_none().then_some(()));
    assert!(created.elapsed() >= Duration::from_millis(300) - TOLERANCE);
    assert_eq!(relay.request("GET", "/channels", None).json(), json!({"data": []}));
}

#[test]
fn t1_4_1_channel_without_timeout_stays() {
    let relay = Relay::start();
    let short = relay.create(json!({"pattern": "echo", "timeout": 100}));
    let endless = relay.create(json!({"pattern": "echo", "timeout": -1}));
    let mut client = Client::connect(&relay, &endless);
    eventually("the other channel is gone", || relay.look_up(&short).is_none().then_some(()));
    client.send("still here");
    client.expect("still here");
}

#[test]
fn t1_4_2_message_renews_the_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(1500);
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "timeout": TIMEOUT.as_millis() as u64}));
    let mut talker = RawClient::connect(&relay, &channel);
    let mut listener = RawClient::connect(&relay, &channel);
    let created = Instant::now();
    let mut sent = created;
    // Three timeouts long, with pauses that are no near miss even when a sleep takes twice as long.
    while created.elapsed() < 3 * TIMEOUT {
        std::thread::sleep(TIMEOUT / 4);
        sent = Instant::now();
        talker.send(&Frame::text("tick"));
        listener.expect_text("tick");
        talker.expect_text("tick");
    }
    let left = relay.look_up(&channel).expect("the channel lives")["countdown"].as_u64().expect("a number");
    assert!(left <= TIMEOUT.as_millis() as u64);
    for client in [&mut talker, &mut listener] {
        assert_eq!(client.expect_close(4410), "channel expired");
    }
    assert!(sent.elapsed() >= TIMEOUT - TOLERANCE, "the last message did not renew the timeout whole");
}

#[test]
fn t1_4_2_only_messages_renew_the_timeout() {
    let relay = Relay::start();
    const TIMEOUT: Duration = Duration::from_millis(1500);
    let started = Instant::now();
    let channel = relay.create(json!({"pattern": "echo", "timeout": TIMEOUT.as_millis() as u64}));
    let mut client = RawClient::connect(&relay, &channel);
    // Pings and questions about the channel are no messages; they go on until it is gone.
    eventually("the channel is gone although there are pings", || {
        client.try_send_bytes(&Frame::ping("?").encode());
        std::thread::sleep(Duration::from_millis(20));
        relay.look_up(&channel).is_none().then_some(())
    });
    assert!(started.elapsed() >= TIMEOUT - TOLERANCE);
}

#[test]
fn t1_5_1_client_limit() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "clientLimit": 2}));
    let first = Client::connect(&relay, &channel);
    let mut second = Client::connect(&relay, &channel);
    let refused = || {
        let mut http = HttpClient::connect(relay.address());
        http.send(upgrade(&channel.target()));
        http.response()
    };
    refused().assert_refusal(403);
    assert_eq!(relay.clients(&channel), 2);

    // A place that becomes free can be taken again.
    first.leave();
    relay.await_clients(&channel, 1);
    let mut third = Client::connect(&relay, &channel);
    refused().assert_refusal(403);
    second.send("two of us");
    third.expect("two of us");
}

/// The ids in the answer to `GET /channels`.
fn ids(list: &Value) -> Vec<String> {
    let channels = list["data"].as_array().expect("a list");
    channels.iter().map(|channel| channel["id"].as_str().expect("an id").to_owned()).collect()
}
