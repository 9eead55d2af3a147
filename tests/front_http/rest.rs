//! The REST interface through the front.

use std::time::Duration;

use ringrelay::front::FrontSettings;
use serde_json::json;

use crate::rig::{Rig, get, post, request, settings};

#[test]
fn a_channel_is_created_read_listed_and_deleted() {
    let rig = Rig::start();
    let mut client = rig.client();

    client.send(post(r#"{"id":"room","pattern":"pub-sub","clientLimit":3,"timeout":200,"history":7}"#));
    let created = client.response();
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), Some("/channels/room"));
    let body = created.json();
    assert!(body["message"].as_str().unwrap().starts_with("Success "), "{body}");
    let token = body["token"].as_str().unwrap();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{body}");
    let data = json!({
        "id": "room", "port": 8080, "pattern": "pub-sub", "timeout": 200, "countdown": 200, "clientLimit": 3,
        "clients": 0, "excludeSender": false, "history": 7, "slowConsumers": "disconnect"
    });
    assert_eq!(body["data"], data);

    client.send(get("/channel/room"));
    let read = client.response();
    assert_eq!((read.status, read.json()), (200, json!({ "data": data })));

    client.send(post(r#"{"id":"a","pattern":"echo","timeout":-1}"#));
    assert_eq!(client.response().status, 201);
    client.send(get("/channels"));
    let listed = client.response().json();
    assert_eq!((&listed["data"][0]["id"], &listed["data"][1]["id"]), (&json!("a"), &json!("room")), "sorted by id");
    let unlimited = &listed["data"][0];
    assert_eq!(
        (&unlimited["timeout"], &unlimited["countdown"], &unlimited["clientLimit"]),
        (&json!(-1), &json!(-1), &json!(-1))
    );

    client.send(request("DELETE /channels/room", &[], ""));
    let deleted = client.response();
    assert_eq!(deleted.status, 200);
    assert!(deleted.json()["message"].is_string());
    client.send(get("/channels/room"));
    let gone = client.response();
    assert_eq!((gone.status, gone.error_code().as_str()), (404, "no_such_channel"));
    client.send(request("DELETE /channels/room", &[], ""));
    assert_eq!(client.response().status, 404);
}

#[test]
fn ids_are_generated_and_taken_ones_refused() {
    let rig = Rig::start();
    let created = rig.ask(&post(r#"{"pattern":"echo"}"#)).json();
    let id = created["data"]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.as_bytes()[4] == b'-', "{id}");
    let taken = rig.ask(&post(&format!(r#"{{"pattern":"echo","id":"{id}"}}"#)));
    assert_eq!((taken.status, taken.error_code().as_str()), (409, "id_taken"));
}

#[test]
fn a_body_that_asks_for_the_impossible_is_refused_by_name() {
    let rig = Rig::start();
    let mut client = rig.client();
    for (body, status, code, named) in [
        ("{", 400, "not_json", "line 1"),
        ("[]", 400, "not_an_object", "object"),
        ("{}", 422, "missing_field", "pattern"),
        (r#"{"pattern":"push"}"#, 422, "invalid_field", r#""echo", "pub-sub""#),
        (r#"{"pattern":"echo","clientLimit":-2}"#, 422, "invalid_field", "clientLimit was -2"),
        (r#"{"pattern":"echo","timeout":"1"}"#, 422, "invalid_field", "timeout was \"1\""),
        (r#"{"pattern":"echo","history":70000}"#, 422, "invalid_field", "65536"),
        (r#"{"pattern":"echo","excludeSender":true}"#, 422, "invalid_field", "pub-sub"),
        (r#"{"pattern":"echo","id":"a/b"}"#, 422, "invalid_field", "id was"),
        (r#"{"pattern":"echo","colour":1}"#, 422, "unknown_field", "colour"),
        (r#"{"pattern":"echo","pattern":"echo"}"#, 422, "repeated_field", "pattern"),
    ] {
        client.send(post(body));
        let refused = client.response();
        assert_eq!((refused.status, refused.error_code().as_str()), (status, code), "{body}");
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(named), "{refused:?}");
    }
    client.send(request("POST /channels", &["Content-Type: text/plain"], "{}"));
    assert_eq!(client.response().status, 415);
    client.send(request("POST /channels", &[], r#"{"pattern":"echo"}"#));
    assert_eq!(client.response().status, 201, "without a Content-Type it is taken for JSON");
    client.send(request("POST /channels", &[], ""));
    assert_eq!(client.response().status, 411);
}

#[test]
fn methods_and_paths_that_there_are_not() {
    let rig = Rig::start();
    let mut client = rig.client();
    for (line, status, allow) in [
        ("GET /nothing", 404, None),
        ("GET /channels/a.b", 404, None),
        ("PUT /channels", 405, Some("GET, HEAD, POST, OPTIONS")),
        ("POST /channels/x", 405, Some("GET, HEAD, DELETE, OPTIONS")),
        ("DELETE /channels/x/connect", 405, Some("GET, HEAD, OPTIONS")),
        ("POST /healthz", 405, Some("GET, HEAD, OPTIONS")),
        ("BREW /channels", 501, None),
    ] {
        client.send(request(line, &[], ""));
        let refused = client.response();
        assert_eq!((refused.status, refused.header("allow")), (status, allow), "{line}");
        refused.error_code();
    }
    for (line, allow) in [
        ("OPTIONS /channels", "GET, HEAD, POST, OPTIONS"),
        ("OPTIONS /channels/x", "GET, HEAD, DELETE, OPTIONS"),
        ("OPTIONS *", "GET, HEAD, POST, DELETE, OPTIONS"),
    ] {
        client.send(request(line, &[], ""));
        let options = client.response();
        assert_eq!((options.status, options.header("allow")), (204, Some(allow)), "{line}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let rig = Rig::start();
    let mut client = rig.client();
    for path in ["/healthz", "/channels", "/channels/none", "/nothing"] {
        client.send(get(path));
        let to_get = client.response();
        client.send(request(&format!("HEAD {path}"), &[], ""));
        let to_head = client.head();
        assert_eq!(to_head.status, to_get.status, "{path}");
        assert_eq!(to_head.header("content-length"), Some(to_get.body.len().to_string().as_str()), "{path}");
    }
    client.send(get("/healthz"));
    assert_eq!(client.response().body, r#"{"status":"ok"}"#);
}

#[test]
fn a_shard_that_takes_too_long_is_503() {
    let rig = Rig::with(FrontSettings { answer_timeout: Duration::from_millis(100), ..settings() });
    let mut client = rig.client();
    client.send(get("/channels/slow") + &get("/healthz"));
    assert_eq!(client.response().status, 503);
    assert_eq!(client.response().status, 200);
}

#[test]
fn without_an_answer_from_the_shard_it_is_503() {
    let mut rig = Rig::start();
    let mut client = rig.client();
    client.send(get("/channels/mute"));
    let unanswered = client.response();
    assert_eq!((unanswered.status, unanswered.error_code().as_str()), (503, "unavailable"));
    rig.end_shards();
    client.send(get("/channels"));
    assert_eq!(client.response().status, 503);
    client.send(post(r#"{"pattern":"echo"}"#));
    assert_eq!(client.response().status, 503);
    client.send(get("/healthz"));
    assert_eq!(client.response().status, 200);
}
