//! What the relay says of itself, and the deletion of everything.

use ringrelay::front::FrontSettings;
use serde_json::json;

use crate::rig::{PATIENCE, Rig, get, post, request, settings};

#[test]
fn a_single_node_says_so() {
    let rig = Rig::start();
    let node = json!({ "name": "relay.example:8080", "role": "single", "url": "http://relay.example:8080" });
    let mut view = node.clone();
    view["nodes"] = json!([node]);
    assert_eq!(rig.ask(&get("/cluster")).json(), json!({ "data": view }));
}

#[test]
fn the_guide_is_a_page() {
    let rig = Rig::start();
    let guide = rig.ask(&get("/readme"));
    assert_eq!((guide.status, guide.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(guide.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(guide.body.contains("<h1 id=\"the-guide\">The guide</h1>"), "{guide:?}");
}

#[test]
fn the_openapi_document_is_of_this_relay() {
    for browser_only in [false, true] {
        let rig = Rig::with(FrontSettings { browser_only, ..settings() });
        let document = rig.ask(&get("/openapi.json")).json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        assert_eq!(document["servers"][0]["url"], "http://relay.example:8080");
        assert_eq!(document["paths"].get("/channels/create").is_some(), browser_only);
    }
}

#[test]
fn a_reset_deletes_the_channels_of_all_shards() {
    let rig = Rig::start();
    let mut client = rig.client();
    for _ in 0..8 {
        client.send(post(r#"{"pattern":"echo"}"#));
        assert_eq!(client.response().status, 201);
    }
    for message in ["Success deleting 8 channels", "Success deleting 0 channels"] {
        client.send(request("DELETE /reset", &[], ""));
        let reset = client.response();
        assert_eq!((reset.status, reset.json()), (200, json!({ "message": message })));
        client.send(get("/channels"));
        assert_eq!(client.response().json(), json!({ "data": [] }));
    }
    client.send(get("/reset"));
    let refused = client.response();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("DELETE, OPTIONS")));
}

#[test]
fn a_relay_that_closes_is_not_ready() {
    let rig = Rig::with(FrontSettings { stop_grace: PATIENCE, ..settings() });
    let mut client = rig.client();
    client.send(get("/readyz"));
    let ready = client.response();
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready" })));

    // A request under way is still answered when the front stops.
    let mut late = client.another();
    client.send(request("GET /readyz", &["Expect: 100-continue", "Content-Length: 1"], ""));
    assert_eq!(client.head().status, 100, "the front waits for the body");
    let stopping = rig.stop_in_background();
    late.send("x");
    let closing = client.response();
    assert_eq!((closing.status, closing.error_code().as_str()), (503, "unavailable"));
    assert_eq!(closing.json()["status"], "closing");
    stopping.join().unwrap();
}

#[test]
fn ids_and_tokens_are_as_long_as_set() {
    let rig = Rig::with(FrontSettings { token_len: 48, id_half_len: 6, ..settings() });
    let created = rig.ask(&post(r#"{"pattern":"echo"}"#)).json();
    assert_eq!(created["token"].as_str().unwrap().len(), 48);
    assert_eq!(created["data"]["id"].as_str().unwrap().len(), 13);
}
