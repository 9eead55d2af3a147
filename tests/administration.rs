//! What an operator asks of a whole relay, of the running binary.

mod support;

use serde_json::json;
use support::client::Client;
use support::relay::Relay;

#[test]
fn reset_deletes_every_channel_and_closes_all_clients() {
    let relay = Relay::start();
    let channels: Vec<_> = (0..6).map(|_| relay.pub_sub()).collect();
    let mut clients: Vec<Client> = channels.iter().map(|channel| Client::connect(&relay, channel)).collect();
    let reset = relay.request("DELETE", "/reset", None);
    assert_eq!((reset.status, reset.json()), (200, json!({ "message": "Success deleting 6 channels" })));
    for client in &mut clients {
        client.expect_close(4404);
    }
    assert_eq!(relay.request("GET", "/channels", None).json(), json!({ "data": [] }));
    let mut client = Client::connect(&relay, &relay.echo());
    client.send("as good as new");
    client.expect("as good as new");
}

#[test]
fn the_relay_tells_where_it_is_reached() {
    let relay = Relay::start();
    let url = format!("http://{}", relay.address());
    let cluster = relay.request("GET", "/cluster", None).json();
    assert_eq!((&cluster["data"]["url"], &cluster["data"]["nodes"][0]["url"]), (&json!(url), &json!(url)));
    let document = relay.request("GET", "/openapi.json", None).json();
    assert_eq!(document["servers"], json!([{ "url": url }]));
    assert_eq!(relay.request("GET", "/readyz", None).json(), json!({ "status": "ready" }));
}

#[test]
fn the_built_in_guide_is_served() {
    let relay = Relay::start();
    let guide = relay.request("GET", "/readme", None);
    assert_eq!(guide.status, 200);
    let page = String::from_utf8(guide.body).expect("the page is UTF-8");
    for heading in ["push-pull", "req-repl", "authentication", "close-codes"] {
        assert!(page.contains(&format!(" id=\"{heading}\"")), "{heading}");
    }
}
