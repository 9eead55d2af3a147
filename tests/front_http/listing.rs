//! Lists that are longer than what is asked of a shard at once.

use serde_json::Value;

use crate::rig::{Client, Rig, get, post, request};

/// More than two pages of each of two shards.
const COUNT: usize = 700;

fn rig() -> Rig {
    let rig = Rig::start();
    let mut client = rig.client();
    for number in 0..COUNT {
        client.send(post(&format!(r#"{{"pattern":"echo","id":"c{number:04}"}}"#)));
        assert_eq!(client.response().status, 201);
    }
    rig
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|channel| channel["id"].as_str().unwrap().to_owned()).collect()
}

fn all() -> Vec<String> {
    (0..COUNT).map(|number| format!("c{number:04}")).collect()
}

#[test]
fn a_long_list_comes_in_chunks_in_order_and_the_connection_goes_on() {
    let rig = rig();
    let mut client = rig.client();
    for _ in 0..2 {
        client.send(get("/channels"));
        let list = client.chunked_response();
        assert_eq!((list.status, list.header("transfer-encoding")), (200, Some("chunked")));
        assert_eq!((list.header("content-length"), list.header("access-control-allow-origin")), (None, Some("*")));
        assert_eq!(ids(&list.json()), all());
    }
    client.send(request("HEAD /channels", &[], ""));
    let head = client.head();
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")));
    client.send(get("/healthz"));
    assert_eq!(client.response().body, r#"{"status":"ok"}"#, "no content follows a HEAD");
    client.send(request("GET /channels", &["Connection: close"], ""));
    assert_eq!(ids(&client.chunked_response().json()), all());
    client.assert_closed();
}

#[test]
fn http_1_0_gets_a_long_list_up_to_the_end_of_the_connection() {
    let rig = rig();
    let mut client = rig.client();
    client.send("GET /channels HTTP/1.0\r\n\r\n");
    let head = client.head();
    assert_eq!((head.header("transfer-encoding"), head.header("connection")), (None, Some("close")));
    let list: Value = serde_json::from_str(&client.rest()).unwrap();
    assert_eq!(ids(&list), all());
}

#[test]
fn a_list_is_cut_where_a_shard_ends() {
    let mut rig = rig();
    let mut client: Client = rig.client();
    client.send(get("/channels"));
    assert_eq!(client.chunked_response().status, 200);
    rig.end_shards();
    client.send(get("/channels"));
    let refused = client.response();
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "unavailable"));
}
