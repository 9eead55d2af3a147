//! Which pages may open WebSockets and change what there is.

use ringrelay::front::FrontSettings;
use ringrelay::http::Origins;

use crate::rig::{PATIENCE, Rig, get, post, request, settings, upgrade};

fn rig(origins: &str) -> Rig {
    Rig::with(FrontSettings { cors: Origins::parse(origins).unwrap(), browser_only: true, ..settings() })
}

fn from(origin: &str, request: &str) -> String {
    request.replacen("Host: relay", &format!("Host: relay\r\nOrigin: {origin}"), 1)
}

/// Creates a channel and returns the path to connect to it.
fn create(rig: &Rig) -> String {
    let created = rig.ask(&post(r#"{"pattern":"echo","id":"x"}"#)).json();
    format!("/channels/x/connect?token={}", created["token"].as_str().unwrap())
}

#[test]
fn a_websocket_is_opened_for_pages_of_the_list_and_the_relays_own_alone() {
    let rig = rig("https://a.example");
    let path = create(&rig);
    for origin in ["https://b.example", "null", "http://relay:8080"] {
        let refused = rig.ask(&from(origin, &upgrade(&path)));
        assert_eq!((refused.status, refused.error_code().as_str()), (403, "origin_not_allowed"), "{origin}");
        assert_eq!(rig.ask(&from(origin, &get(&path))).status, 403, "nor is told what the relay would say to it");
    }
    assert!(rig.joined.try_recv().is_err());
    for asked in [
        upgrade(&path),
        from("https://a.example", &upgrade(&path)),
        from("http://relay", &upgrade(&path)),
        from("https://relay", &upgrade(&path)),
    ] {
        let mut client = rig.client();
        client.send(&asked);
        rig.joined.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("refused: {asked}"));
    }
}

#[test]
fn pages_of_other_origins_change_nothing() {
    for origins in ["https://a.example", "none"] {
        let rig = rig(origins);
        create(&rig);
        let body = r#"{"pattern":"echo","id":"y"}"#;
        for asked in [
            post(body),
            // No browser asks first before it sends this one.
            request("POST /channels", &[], body),
            get("/channels/create?pattern=echo&id=y"),
            get("/channels/x/delete"),
            request("DELETE /channels/x", &[], ""),
            request("DELETE /reset", &[], ""),
        ] {
            let refused = rig.ask(&from("https://b.example", &asked));
            assert_eq!((refused.status, refused.error_code().as_str()), (403, "origin_not_allowed"), "{asked}");
        }
        let left = rig.ask(&get("/channels")).json();
        assert_eq!(left["data"].as_array().unwrap().len(), 1, "{left}");
        assert_eq!(rig.ask(&from("https://b.example", &get("/channels/x"))).status, 200, "it may look");
        assert_eq!(rig.ask(&from("http://relay", &request("POST /channels", &[], body))).status, 201);
    }
}

#[test]
fn where_all_origins_are_allowed_all_may() {
    let rig = rig("*");
    let path = create(&rig);
    let created = rig.ask(&from("https://b.example", &request("POST /channels", &[], r#"{"pattern":"echo"}"#)));
    assert_eq!(created.status, 201);
    let mut client = rig.client();
    client.send(from("https://b.example", &upgrade(&path)));
    rig.joined.recv_timeout(PATIENCE).expect("a WebSocket");
}
