//! Browser-only mode: a GET creates and deletes.

use ringrelay::front::FrontSettings;
use serde_json::json;

use crate::rig::{Rig, get, post, request, settings};

fn rig() -> Rig {
    Rig::with(FrontSettings { browser_only: true, ..settings() })
}

#[test]
fn a_get_creates_and_deletes() {
    let rig = rig();
    let mut client = rig.client();
    client.send(get("/channels/create?pattern=pub-sub&clientlimit=3&timeout=200&excludeSender=true&history=7&id=room"));
    let created = client.response();
    assert_eq!((created.status, created.header("location")), (201, Some("/channels/room")), "{created:?}");
    assert_eq!(created.header("cache-control"), Some("no-store"), "a cache would show the token again");
    let body = created.json();
    assert_eq!(body["token"].as_str().unwrap().len(), 32);
    let data = json!({
        "id": "room", "port": 8080, "pattern": "pub-sub", "timeout": 200, "countdown": 200, "clientLimit": 3,
        "clients": 0, "excludeSender": true, "history": 7, "slowConsumers": "disconnect"
    });
    assert_eq!(body["data"], data);
    client.send(get("/channel/create?pattern=echo&clientLimit=&timeout="));
    let created = client.response();
    assert_eq!((created.status, &created.json()["data"]["clientLimit"]), (201, &json!(-1)));

    client.send(get("/channel/room/delete"));
    let deleted = client.response();
    assert_eq!((deleted.status, deleted.json()["message"].is_string()), (200, true));
    assert_eq!(deleted.header("cache-control"), Some("no-store"), "a cache would answer the next one");
    client.send(get("/channels/room/delete"));
    assert_eq!(client.response().error_code(), "no_such_channel");
}

#[test]
fn a_query_that_asks_for_the_impossible_is_refused_by_name() {
    let rig = rig();
    let mut client = rig.client();
    for (query, status, code, named) in [
        ("", 422, "missing_field", "pattern is missing"),
        ("?pattern=push", 422, "invalid_field", "pattern was \"push\""),
        ("?pattern=echo&timeout=soon", 422, "invalid_field", "timeout was \"soon\""),
        ("?pattern=echo&limit=1", 422, "unknown_parameter", "\"limit\""),
        ("?pattern=echo&pattern=echo", 422, "repeated_field", "pattern"),
        ("?pattern=%f", 400, "bad_query", "%"),
    ] {
        client.send(get(&format!("/channels/create{query}")));
        let refused = client.response();
        assert_eq!((refused.status, refused.error_code().as_str()), (status, code), "{query}");
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(named), "{refused:?}");
    }
    for (line, allow) in
        [("HEAD /channels/create?pattern=echo", "GET, DELETE, OPTIONS"), ("HEAD /channels/x/delete", "GET, OPTIONS")]
    {
        client.send(request(line, &[], ""));
        let refused = client.head();
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allow)), "{line}");
    }
    client.send(get("/channels"));
    assert_eq!(client.response().json(), json!({ "data": [] }));
}

#[test]
fn without_the_mode_these_are_paths_as_any_other() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.send(post(r#"{"pattern":"echo","id":"x"}"#));
    assert_eq!(client.response().status, 201);
    client.send(get("/channels/create?pattern=echo"));
    assert_eq!(client.response().error_code(), "no_such_channel");
    client.send(get("/channels/x/delete"));
    assert_eq!(client.response().error_code(), "not_found");
    client.send(post(r#"{"pattern":"echo","id":"create"}"#));
    assert_eq!(client.response().status, 201);
    client.send(get("/channels/create"));
    assert_eq!(client.response().json()["data"]["id"], "create");
}
