//! The API token: where it is needed, and how it can be sent.

use std::sync::Arc;

use ringrelay::auth::{Auth, Rules};
use ringrelay::front::FrontSettings;

use crate::rig::{Client, Response, Rig, get, request, settings, upgrade};

const TOKEN: &str = "s3cret/token+x";
const IN_QUERY: &str = "auth=s3cret%2Ftoken%2Bx";

fn guarded(rules: &str, browser_only: bool) -> Rig {
    let auth = Auth::new(TOKEN.to_owned(), Rules::parse(rules).unwrap());
    Rig::with(FrontSettings { auth: Some(Arc::new(auth)), browser_only, ..settings() })
}

#[track_caller]
fn asked(client: &mut Client, line: &str, lines: &[&str], body: &str) -> Response {
    client.send(request(line, lines, body));
    let response = client.response();
    assert!(!response.head.contains(TOKEN) && !response.body.contains(TOKEN), "{response:?}");
    response
}

#[track_caller]
fn assert_refused(response: &Response, code: &str) {
    assert_eq!((response.status, response.error_code().as_str()), (401, code), "{response:?}");
    assert_eq!(response.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn the_token_is_taken_from_query_headers_and_body() {
    let rig = guarded("", false);
    let mut client = rig.client();
    for (line, lines, body) in [
        (format!("POST /channels?{IN_QUERY}"), vec![], r#"{"pattern":"echo"}"#.to_owned()),
        (format!("POST /channels?auth=wrong&{IN_QUERY}"), vec![], r#"{"pattern":"echo"}"#.to_owned()),
        (
            "POST /channels".to_owned(),
            vec![format!("Authorization: Bearer {TOKEN}")],
            r#"{"pattern":"echo"}"#.to_owned(),
        ),
        (
            "POST /channels".to_owned(),
            vec![format!("Authentification: bEARER  {TOKEN}")],
            r#"{"pattern":"echo"}"#.to_owned(),
        ),
        ("POST /channels".to_owned(), vec![], format!(r#"{{"auth":"{TOKEN}","pattern":"echo"}}"#)),
        (
            "POST /channels".to_owned(),
            vec!["Authorization: Bearer x".to_owned()],
            format!(r#"{{"pattern":"echo","auth":"{TOKEN}"}}"#),
        ),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let created = asked(&mut client, &line, &lines, &body);
        assert_eq!(created.status, 201, "{line} {lines:?} {body}: {created:?}");
        let id = created.json()["data"]["id"].as_str().unwrap().to_owned();
        let delete = format!("DELETE /channels/{id}");
        assert_refused(&asked(&mut client, &delete, &[], ""), "auth_missing");
        assert_eq!(asked(&mut client, &delete, &[], &format!(r#"{{"auth":"{TOKEN}"}}"#)).status, 200);
    }
}

#[test]
fn without_it_or_with_a_wrong_one_it_is_401() {
    let rig = guarded("", false);
    let mut client = rig.client();
    for (line, lines, body, code) in [
        ("GET /channels", vec![], "", "auth_missing"),
        ("GET /channels?auth=wrong", vec![], "", "auth_wrong"),
        ("GET /channels?auth=", vec![], "", "auth_wrong"),
        ("GET /channels?token=s3cret%2Ftoken%2Bx", vec![], "", "auth_missing"),
        ("GET /channels", vec!["Authorization: Bearer s3cret/token+"], "", "auth_wrong"),
        ("GET /channels", vec!["Authorization: Basic s3cret/token+x"], "", "auth_missing"),
        ("GET /channels", vec!["Authorization: s3cret/token+x"], "", "auth_missing"),
        ("POST /channels", vec!["Content-Type: text/plain"], r#"{"auth":"s3cret/token+x"}"#, "auth_missing"),
        ("POST /channels", vec![], r#"{"pattern":"echo"}"#, "auth_missing"),
        ("POST /channels", vec![], r#"{"pattern":"echo","auth":"x"}"#, "auth_wrong"),
        ("POST /channels", vec![], r#"{"pattern":"echo","auth":7}"#, "auth_missing"),
        ("POST /channels", vec![], "not JSON", "auth_missing"),
        ("PUT /channels", vec![], "", "auth_missing"),
        ("BREW /channels", vec![], "", "auth_missing"),
        ("GET /", vec![], "", "auth_missing"),
        ("GET /readme", vec![], "", "auth_missing"),
        ("GET /healthz", vec![], "", "auth_missing"),
        ("GET /nothing", vec![], "", "auth_missing"),
        ("GET http://relay/channels", vec![], "", "auth_missing"),
    ] {
        assert_refused(&asked(&mut client, line, &lines, body), code);
    }
    client.send(request("HEAD /channels", &[], ""));
    assert_eq!(client.head().status, 401);
    let too_long = format!("POST /channels HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1 << 20);
    assert_eq!(rig.ask(&too_long).status, 413);
}

#[test]
fn options_are_open_to_all() {
    let rig = guarded("", false);
    for line in ["OPTIONS /channels", "OPTIONS *"] {
        assert_eq!(rig.ask(&request(line, &[], "")).status, 204);
    }
}

#[test]
fn a_rule_guards_every_way_to_what_it_names() {
    let rig = guarded("GET:/channels/[^/]+$ DELETE:/channel/ *:/reset", false);
    let mut client = rig.client();
    let room = asked(&mut client, "POST /channels", &[], r#"{"pattern":"echo","id":"a-b"}"#);
    assert_eq!(room.status, 201, "{room:?}");
    for line in [
        "GET /channels/a-b",
        "GET /channel/a-b",
        "GET /channels/a-b/",
        "GET /channel/%61%2Db",
        "GET /channels/none",
        "GET /channels/a.b",
        "DELETE /channels/a-b",
        "DELETE /channel/a-b",
        "DELETE /channels/none",
        "DELETE /reset",
        "DELETE /reset/",
        "GET /reset",
        "DELETE /%72eset",
    ] {
        assert_refused(&asked(&mut client, line, &[], ""), "auth_missing");
        let slash_in_query = format!("{line}?x=/../");
        assert_refused(&asked(&mut client, &slash_in_query, &[], ""), "auth_missing");
    }
    client.send(request("HEAD /channel/a-b", &[], ""));
    assert_eq!(client.head().status, 401);
    for (line, status) in [("GET /channels", 200), ("GET /healthz", 200), ("GET /channels/a-b/connect", 426)] {
        assert_eq!(asked(&mut client, line, &[], "").status, status, "{line}");
    }
    assert_eq!(asked(&mut client, &format!("GET /channel/a-b?{IN_QUERY}"), &[], "").status, 200);
    let deleted = asked(&mut client, &format!("DELETE /reset?{IN_QUERY}"), &[], "");
    assert_eq!((deleted.status, deleted.json()["message"].as_str()), (200, Some("Success deleting 1 channel")));
}

#[test]
fn there_or_not_a_guarded_channel_is_refused_alike() {
    let rig = guarded("GET:/channels", false);
    let mut client = rig.client();
    assert_eq!(asked(&mut client, "POST /channels", &[], r#"{"pattern":"echo","id":"room"}"#).status, 201);
    let without_date = |response: Response| {
        let head: Vec<&str> = response.head.lines().filter(|line| !line.starts_with("Date:")).collect();
        (head.join("\n"), response.body)
    };
    let there = without_date(asked(&mut client, "GET /channels/room", &[], ""));
    for path in ["/channels/none", "/channels/not.an.id", "/channels/room/nothing"] {
        assert_eq!(without_date(asked(&mut client, &format!("GET {path}"), &[], "")), there, "{path}");
    }
}

#[test]
fn in_browser_only_mode_a_get_is_guarded_as_what_it_does() {
    let rig = guarded("POST:/channels DELETE:/channels", true);
    let mut client = rig.client();
    for line in ["GET /channels/create?pattern=echo", "GET /channel/create?pattern=echo", "GET /channels/x/delete"] {
        assert_refused(&asked(&mut client, line, &[], ""), "auth_missing");
    }
    let created = asked(&mut client, &format!("GET /channel/create?pattern=echo&id=x&{IN_QUERY}"), &[], "");
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(asked(&mut client, "GET /channels/x", &[], "").status, 200);
    assert_eq!(asked(&mut client, &format!("GET /channels/x/delete?{IN_QUERY}"), &[], "").status, 200);
}

#[test]
fn a_websocket_is_opened_with_the_token_in_the_query() {
    let rig = guarded("GET:/channels/[^/]+/connect", false);
    let mut client = rig.client();
    let created = asked(&mut client, "POST /channels", &[], r#"{"pattern":"echo","id":"x"}"#).json();
    let path = format!("/channels/x/connect?token={}", created["token"].as_str().unwrap());
    assert_refused(&rig.ask(&upgrade(&path)), "auth_missing");
    client.send(upgrade(&format!("{path}&{IN_QUERY}")));
    rig.joined.recv_timeout(crate::rig::PATIENCE).expect("the socket is handed over");
}

#[test]
fn where_no_token_is_needed_one_does_no_harm() {
    let rig = Rig::start();
    let mut client = rig.client();
    let body = r#"{"pattern":"echo","auth":"anything"}"#;
    assert_eq!(asked(&mut client, "POST /channels?auth=x", &["Authorization: Bearer y"], body).status, 201);
    client.send(get("/channels?auth=x"));
    assert_eq!(client.response().status, 200);
}
