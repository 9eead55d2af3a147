//! Which pages of other origins may read the answers.

use ringrelay::front::FrontSettings;
use ringrelay::http::Origins;

use crate::rig::{Response, Rig, post, request, settings};

const ALLOW: &str = "access-control-allow-origin";

fn rig(origins: &str) -> Rig {
    Rig::with(FrontSettings { cors: Origins::parse(origins).unwrap(), body_len_max: 1024, ..settings() })
}

fn preflight(rig: &Rig, path: &str, origin: &str) -> Response {
    let origin = format!("Origin: {origin}");
    let lines =
        [origin.as_str(), "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"];
    rig.ask(&request(&format!("OPTIONS {path}"), &lines, ""))
}

#[test]
fn every_answer_can_be_read_by_all() {
    let rig = rig("*");
    for asked in [
        request("GET /channels", &["Origin: http://a.example"], ""),
        request("GET /nothing", &["Origin: null"], ""),
        request("PUT /channels", &["Origin: http://a.example"], ""),
        request("POST /channels", &["Origin: http://a.example"], "{"),
        request("POST /channels", &["Origin: http://a.example"], &"x".repeat(2000)),
        "GET / HTTP/1.1\nOrigin: http://a.example\n\n".to_owned(),
        request("GET /", &[], ""),
    ] {
        let answer = rig.ask(&asked);
        assert_eq!(answer.header(ALLOW), Some("*"), "{asked}: {answer:?}");
        assert_eq!(answer.header("vary"), None);
        assert_eq!(answer.header("access-control-expose-headers"), Some("Location, Retry-After"));
    }
}

#[test]
fn a_list_is_echoed_to_its_members_alone() {
    let rig = rig("https://a.example, http://127.0.0.1:3000");
    for (origin, allowed) in [
        ("https://a.example", true),
        ("http://127.0.0.1:3000", true),
        ("https://b.example", false),
        ("https://a.example.evil.example", false),
        ("http://a.example", false),
        ("null", false),
    ] {
        let line = format!("Origin: {origin}");
        let answers = [
            rig.ask(&request("GET /channels", &[&line], "")),
            rig.ask(&request("GET /nothing", &[&line], "")),
            rig.ask(&request("POST /channels", &[&line], &"x".repeat(2000))),
        ];
        for answer in &answers {
            assert_eq!(answer.header(ALLOW), allowed.then_some(origin), "{answer:?}");
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
        assert_eq!(answers.map(|answer| answer.status), [200, 404, 413]);
        let preflight = preflight(&rig, "/channels", origin);
        assert_eq!(preflight.header(ALLOW), allowed.then_some(origin));
        assert_eq!(preflight.header("access-control-allow-methods").is_some(), allowed);
    }
    let repeated = rig.ask(&request("GET /channels", &["Origin: https://a.example", "Origin: https://a.example"], ""));
    assert_eq!(repeated.header(ALLOW), None);
}

#[test]
fn what_one_request_is_granted_the_next_is_not() {
    let rig = rig("https://a.example");
    let mut client = rig.client();
    client.send(request("GET /channels", &["Origin: https://a.example"], ""));
    assert_eq!(client.response().header(ALLOW), Some("https://a.example"));
    client.send(request("GET /channels", &[], ""));
    assert_eq!(client.response().header(ALLOW), None);
    client.send(request("GET /channels", &["Origin: https://a.example"], ""));
    assert_eq!(client.response().header(ALLOW), Some("https://a.example"));
    client.send("broken\r\n\r\n");
    let refused = client.response();
    assert_eq!((refused.status, refused.header(ALLOW)), (400, None));
}

#[test]
fn none_is_none() {
    let rig = rig("none");
    let answer = rig.ask(&request("GET /channels", &["Origin: https://a.example"], ""));
    assert_eq!((answer.header(ALLOW), answer.header("vary")), (None, None));
    let preflight = preflight(&rig, "/channels", "https://a.example");
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, None));
}

#[test]
fn a_preflight_is_told_what_the_resource_knows() {
    let rig = rig("*");
    for (path, methods) in [
        ("/channels", "GET, HEAD, POST, OPTIONS"),
        ("/channel/x", "GET, HEAD, DELETE, OPTIONS"),
        ("/reset", "DELETE, OPTIONS"),
    ] {
        let answer = preflight(&rig, path, "https://a.example");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods), "{path}");
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers, Some("Content-Type, Authorization, Authentification"));
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        assert_eq!(answer.header("access-control-allow-private-network"), None);
    }
    let private = [
        "Origin: https://a.example",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Private-Network: true",
    ];
    let answer = rig.ask(&request("OPTIONS /channels", &private, ""));
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    let plain = rig.ask(&request("OPTIONS /channels", &["Origin: https://a.example"], ""));
    assert_eq!(plain.header("access-control-allow-methods"), None);
}

#[test]
fn a_created_channel_can_be_found_by_a_page() {
    let rig = rig("https://a.example");
    let created =
        post(r#"{"pattern":"echo","id":"x"}"#).replacen("Host: relay", "Host: relay\r\nOrigin: https://a.example", 1);
    let created = rig.ask(&created);
    assert_eq!((created.status, created.header("location")), (201, Some("/channels/x")));
    assert!(created.header("access-control-expose-headers").unwrap().contains("Location"));
}
