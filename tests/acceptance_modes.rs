//! The acceptance list of the contract (requirements, section 7), by its numbers: what the API's authentication (3.x) and
//! the browser-only mode (4.x) change.

mod support;

use serde_json::json;
use support::client::Client;
use support::http::{HttpClient, Response};
use support::raw::upgrade;
use support::relay::{Channel, Relay};

const TOKEN: &str = "the-token-of-the-API";

fn guarded() -> Relay {
    // Not as a flag: those can be seen by others.
    Relay::start_in(&[("WRS_AUTH", "true"), ("WRS_AUTH_TOKEN", TOKEN)], &[])
}

/// One request with a header.
fn request_with(relay: &Relay, method: &str, target: &str, header: &str) -> Response {
    let mut http = HttpClient::connect(relay.address());
    http.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"));
    http.response()
}

fn assert_unauthorized(response: &Response, given: &str) {
    response.assert_refusal(401);
    assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    assert!(given.is_empty() || !String::from_utf8_lossy(&response.body).contains(given), "a token is never repeated");
}

#[test]
fn t3_1_1_right_token_in_the_header() {
    let relay = guarded();
    for name in ["Authorization", "authorization", "Authentification"] {
        for scheme in ["Bearer", "bearer"] {
            let response = request_with(&relay, "GET", "/channels", &format!("{name}: {scheme} {TOKEN}"));
            assert_eq!(response.status, 200, "{name}: {scheme}");
        }
    }
}

#[test]
fn t3_1_2_right_token_in_the_query() {
    let relay = guarded();
    assert_eq!(relay.request("GET", &format!("/channels?auth={TOKEN}"), None).status, 200);
    let created = relay.request("POST", &format!("/channels?auth={TOKEN}"), Some(&json!({"pattern": "echo"})));
    assert_eq!(created.status, 201);
}

#[test]
fn t3_1_3_right_token_in_the_body() {
    let relay = guarded();
    let created = relay.request("POST", "/channels", Some(&json!({"pattern": "echo", "auth": TOKEN})));
    assert_eq!(created.status, 201, "{created:?}");
    assert!(!String::from_utf8_lossy(&created.body).contains(TOKEN));
}

#[test]
fn t3_1_4_wrong_token_in_the_header() {
    let relay = guarded();
    for token in ["", "not-this-one", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        for header in [format!("Authorization: Bearer {token}"), format!("Authentification: Bearer {token}")] {
            assert_unauthorized(&request_with(&relay, "GET", "/channels", &header), token);
        }
    }
    // As no scheme, and as another one.
    for header in [format!("Authorization: {TOKEN}"), format!("Authorization: Basic {TOKEN}"), "X: y".to_owned()] {
        assert_unauthorized(&request_with(&relay, "GET", "/channels", &header), TOKEN);
    }
}

#[test]
fn t3_1_5_wrong_token_in_the_query() {
    let relay = guarded();
    for query in ["", "?auth=", "?auth=not-this-one", &format!("?Auth={TOKEN}"), &format!("?token={TOKEN}")] {
        assert_unauthorized(&relay.request("GET", &format!("/channels{query}"), None), "not-this-one");
    }
    // What there is, and what there is not, look the same.
    for target in ["/channels/none", "/channels/none/connect", "/nowhere", "/reset", "/", "/healthz"] {
        assert_unauthorized(&relay.request("GET", target, None), "");
    }
}

#[test]
fn t3_1_6_wrong_token_in_the_body() {
    let relay = guarded();
    for body in [
        json!({"pattern": "echo"}),
        json!({"pattern": "echo", "auth": "not-this-one"}),
        json!({"pattern": "echo", "data": {"auth": TOKEN}}),
        json!([TOKEN]),
    ] {
        assert_unauthorized(&relay.request("POST", "/channels", Some(&body)), "not-this-one");
    }
    let listed = relay.request("GET", &format!("/channels?auth={TOKEN}"), None);
    assert_eq!(listed.json(), json!({"data": []}), "nothing was created");
}

#[test]
fn t3_2_1_websocket_with_the_token_in_the_query() {
    let relay = guarded();
    let created = relay.request("POST", "/channels", Some(&json!({"pattern": "echo", "auth": TOKEN, "id": "room"})));
    let token = created.json()["token"].as_str().expect("a token").to_owned();
    let connect = |query: &str| {
        let mut http = HttpClient::connect(relay.address());
        http.send(upgrade(&format!("/channels/room/connect?{query}")));
        http.response()
    };
    assert_unauthorized(&connect(&format!("token={token}")), TOKEN);
    assert_unauthorized(&connect(&format!("token={token}&auth=not-this-one")), "not-this-one");
    connect(&format!("token=not-this-one&auth={TOKEN}")).assert_refusal(401);
    let channel = Channel { id: "room".to_owned(), token: format!("{token}&auth={TOKEN}") };
    let mut client = Client::connect(&relay, &channel);
    client.send("let in");
    client.expect("let in");
    client.leave();
}

#[test]
fn t3_1_1_a_list_guards_what_it_names_and_nothing_else() {
    let resources = "POST:/channels DELETE:/channels *:/reset";
    let environment = [("WRS_AUTH", "true"), ("WRS_AUTH_TOKEN", TOKEN), ("WRS_AUTH_RESSOURCES", resources)];
    let relay = Relay::start_in(&environment, &["--browser-only"]);
    let spec = json!({"pattern": "echo", "id": "room"});
    assert_eq!(relay.request("POST", &format!("/channels?auth={TOKEN}"), Some(&spec)).status, 201);
    for open in ["/", "/channels", "/channel/room", "/healthz"] {
        assert_eq!(relay.request("GET", open, None).status, 200, "{open}");
    }
    // However it is spelt, and by the ways of the browser-only mode too.
    for (method, guarded) in [
        ("POST", "/channels"),
        ("POST", "/channel/"),
        ("DELETE", "/channels/room"),
        ("DELETE", "/channel/room/"),
        ("DELETE", "/channel/%72oom"),
        ("DELETE", "/reset"),
        ("DELETE", "/reset/"),
        ("GET", "/channels/create?pattern=echo"),
        ("GET", "/channel/create?pattern=echo"),
        ("GET", "/channels/room/delete"),
        ("GET", "/channel/room/delete/"),
    ] {
        assert_unauthorized(&relay.request(method, guarded, None), "");
    }
    assert_eq!(relay.request("DELETE", &format!("/channel/room?auth={TOKEN}"), None).status, 200);
}

#[test]
fn t4_1_1_get_channels_create() {
    let relay = Relay::start_in(&[("WRS_BROWSER_ONLY", "true")], &[]);
    let created = relay.request("GET", "/channels/create?pattern=pub-sub&clientlimit=3&timeout=60000", None);
    assert_eq!(created.status, 201, "{created:?}");
    let body = created.json();
    assert!(body["message"].as_str().is_some_and(|message| message.starts_with("Success")), "{body}");
    for (field, value) in [("pattern", json!("pub-sub")), ("clientLimit", json!(3)), ("timeout", json!(60_000))] {
        assert_eq!(body["data"][field], value, "{body}");
    }
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let channel = Channel { id: text(&body["data"]["id"]), token: text(&body["token"]) };
    let (mut alice, mut bob) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    alice.send("without a POST");
    bob.expect("without a POST");

    for (query, named) in [("", "pattern"), ("?pattern=push", "pattern"), ("?pattern=echo&timeout=soon", "timeout")] {
        let refused = relay.request("GET", &format!("/channels/create{query}"), None);
        refused.assert_refusal(422);
        assert!(String::from_utf8_lossy(&refused.body).contains(named), "{refused:?}");
    }
}

#[test]
fn t4_1_2_get_channels_id_delete() {
    let relay = Relay::start_with(&["--browser-only"]);
    let channel = relay.echo();
    let mut client = Client::connect(&relay, &channel);
    let deleted = relay.request("GET", &format!("/channels/{}/delete", channel.id), None);
    assert_eq!(deleted.status, 200);
    assert!(deleted.json()["message"].is_string());
    client.expect_close(4404);
    assert_eq!(relay.look_up(&channel), None);
    relay.request("GET", &format!("/channels/{}/delete", channel.id), None).assert_refusal(404);
}

#[test]
fn t4_1_both_are_off_unless_asked_for() {
    let relay = Relay::start();
    let channel = relay.echo();
    relay.request("GET", "/channels/create?pattern=echo", None).assert_refusal(404);
    relay.request("GET", &format!("/channels/{}/delete", channel.id), None).assert_refusal(404);
    assert!(relay.look_up(&channel).is_some());
}
