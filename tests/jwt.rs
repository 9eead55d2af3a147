//! JSON Web Tokens at the running binary: who is let in, to do what, and until when.

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::client::Client;
use support::eventually;
use support::frame::{Frame, RSV1};
use support::http::{HttpClient, Response};
use support::issuer::Issuer;
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};

/// A file of keys that is there as long as this is.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(content: &[u8]) -> KeyFile {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringrelay-keys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("the temporary directory can be written to");
        KeyFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64()
}

/// Claims of an hour for `channel`.
fn claims(channel: &str, can: &[&str]) -> Value {
    json!({ "sub": "ada", "exp": seconds_now() + 3600.0, "channel": channel, "can": can })
}

fn start(issuer: &Issuer, flags: &[&str]) -> (Relay, KeyFile) {
    let file = KeyFile::new(&issuer.key_file());
    let flags = [&["--jwt-key-path", file.path()], flags].concat();
    (Relay::start_with(&flags), file)
}

#[test]
fn who_comes_with_a_token_may_compress() {
    let issuer = Issuer::hs256();
    let (relay, _keys) = start(&issuer, &["--deflate", "true"]);
    let channel = relay.create(json!({ "pattern": "echo" }));
    let token = issuer.token(&claims(&channel.id, &["pub", "sub"]));
    let request = upgrade(&with_token(&channel, token).target());
    let head = request.strip_suffix("\r\n").expect("a head ends with an empty line");
    let mut http = HttpClient::connect(relay.address());
    http.send(format!("{head}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
    let response = http.response();
    assert_eq!(response.status, 101, "{response:?}");
    assert!(response.header("sec-websocket-extensions").is_some(), "{response:?}");
    let mut client = RawClient::over(http).with_deflate();
    client.send(&Frame::text("x".repeat(1000)));
    let frame = client.frame();
    assert_eq!(frame.reserved, RSV1);
    assert!(frame.payload.len() < 100, "{} bytes", frame.payload.len());
}

/// The same channel for one who has another token.
fn with_token(channel: &Channel, token: String) -> Channel {
    Channel { id: channel.id.clone(), token }
}

/// Asks to connect without the upgrade: the refusal, or 426 when all would be well.
fn knock(relay: &Relay, channel: &Channel) -> Response {
    relay.request("GET", &channel.target(), None)
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str) {
    response.assert_refusal(status);
    assert_eq!(response.json()["error"]["code"], code);
}

#[test]
fn a_token_of_each_algorithm_opens_a_channel() {
    for issuer in [Issuer::hs256(), Issuer::rs256(), Issuer::ed_dsa()] {
        let (relay, _file) = start(&issuer, &[]);
        let room = relay.pub_sub();
        let mut by_jwt = Client::connect(&relay, &with_token(&room, issuer.token(&claims(&room.id, &["pub", "sub"]))));
        let mut by_token = Client::connect(&relay, &room);
        by_jwt.send("from one who is known");
        by_token.expect("from one who is known");
        by_jwt.expect("from one who is known");
    }
}

#[test]
fn a_set_of_keys_opens_as_well_and_kid_selects() {
    let (one, other) = (Issuer::ed_dsa(), Issuer::rs256());
    let file = KeyFile::new(json!({ "keys": [one.jwk("one"), other.jwk("other")] }).to_string().as_bytes());
    let relay = Relay::start_with(&["--jwt-jwks-path", file.path()]);
    let room = relay.echo();
    let by = |issuer: &Issuer, kid: &str| {
        let header = json!({ "alg": issuer.algorithm(), "kid": kid });
        with_token(&room, issuer.token_with(&header, &claims("*", &["sub"])))
    };
    assert_eq!(knock(&relay, &by(&one, "one")).status, 426);
    assert_eq!(knock(&relay, &by(&other, "other")).status, 426);
    assert_refused(&knock(&relay, &by(&one, "other")), 401, "token_invalid");
}

#[test]
fn who_may_only_subscribe_is_closed_when_it_sends() {
    let issuer = Issuer::ed_dsa();
    let (relay, _file) = start(&issuer, &[]);
    let room = relay.pub_sub();
    let mut reader = Client::connect(&relay, &with_token(&room, issuer.token(&claims(&room.id, &["sub"]))));
    let mut writer = Client::connect(&relay, &with_token(&room, issuer.token(&claims(&room.id, &["pub"]))));
    let mut both = Client::connect(&relay, &room);
    writer.send("news");
    reader.expect("news");
    both.expect("news");
    both.send("more");
    reader.expect("more");
    reader.send("may I?");
    reader.expect_close(1008);
    relay.await_clients(&room, 2);
    // What others say does not come to one who may only publish: the next thing it sees is the end of its channel.
    relay.delete(&room);
    writer.expect_close(4404);
}

#[test]
fn each_token_that_does_not_open_is_refused_with_its_code() {
    let (issuer, stranger) = (Issuer::hs256(), Issuer::Hs256(b"another secret of more than 32 bytes".to_vec()));
    let (relay, _file) = start(&issuer, &[]);
    let room = relay.echo();
    let knock = |token: String| knock(&relay, &with_token(&room, token));
    let good = claims(&room.id, &["pub", "sub"]);
    let mut late = good.clone();
    late["exp"] = json!(seconds_now() - 1.0);
    assert_refused(&knock(issuer.token(&late)), 401, "token_expired");
    assert_refused(&knock(stranger.token(&good)), 401, "token_invalid");
    assert_refused(&knock("a.b.c".to_owned()), 401, "token_invalid");
    assert_refused(&knock(issuer.token(&claims("elsewhere", &["pub"]))), 403, "token_not_for_channel");
    assert_refused(&knock(issuer.token(&claims(&room.id, &["create"]))), 403, "token_without_right");
    assert_refused(&knock("no token".replace(' ', "")), 401, "token_wrong");
    assert_eq!(knock(issuer.token(&good)).status, 426, "this one would");
    let gone = Channel { id: "gone".to_owned(), token: issuer.token(&claims("*", &["pub"])) };
    assert_refused(&relay.request("GET", &gone.target(), None), 404, "no_such_channel");

    let mut client = HttpClient::connect(relay.address());
    let header = |token: &str| {
        format!("GET /channels/{}/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n", room.id)
    };
    client.send(header(&issuer.token(&good)));
    assert_eq!(client.response().status, 426, "the header does as well");
    client.send(header(&issuer.token(&late)));
    assert_refused(&client.response(), 401, "token_expired");
    client.send(header("nothing"));
    assert_eq!(client.response().status, 426, "a header that is no JSON Web Token says nothing to a channel");
}

#[test]
fn a_client_is_closed_when_its_token_ends() {
    let issuer = Issuer::hs256();
    let (relay, _file) = start(&issuer, &[]);
    let room = relay.echo();
    let ends_at = Instant::now() + Duration::from_secs(3);
    let mut claims = claims(&room.id, &["pub", "sub"]);
    claims["exp"] = json!(seconds_now() + 3.0);
    let mut client = Client::connect(&relay, &with_token(&room, issuer.token(&claims)));
    client.send("still here");
    client.expect("still here");
    client.expect_close(4401);
    let now = Instant::now();
    assert!(now + Duration::from_millis(10) >= ends_at, "closed {:?} early", ends_at - now);
    let late = now.saturating_duration_since(ends_at);
    assert!(late < Duration::from_secs(5), "closed {late:?} late");
    relay.await_clients(&room, 0);
}

#[test]
fn a_guarded_relay_creates_for_who_may() {
    let issuer = Issuer::ed_dsa();
    let (by_jwt_alone, by_both) = (["--auth"].as_slice(), ["--auth", "--token", "a-token-of-the-api"].as_slice());
    for flags in [by_jwt_alone, by_both] {
        let (relay, _file) = start(&issuer, &[flags, ["--browser-only"].as_slice()].concat());
        let create = |token: &str, id: Option<&str>| {
            let mut body = json!({ "pattern": "echo", "auth": token });
            if let Some(id) = id {
                body["id"] = json!(id);
            }
            relay.request("POST", "/channels", Some(&body))
        };
        let for_games = issuer.token(&claims("game-*", &["create", "pub"]));
        assert_eq!(create(&for_games, Some("game-1")).status, 201);
        assert_refused(&create(&for_games, Some("lobby")), 403, "token_not_for_channel");
        assert_refused(&create(&for_games, None), 403, "token_not_for_channel");
        assert_eq!(create(&issuer.token(&claims("*", &["create"])), None).status, 201);
        assert_refused(&create(&issuer.token(&claims("*", &["pub"])), None), 403, "token_without_right");
        assert_refused(&create("wrong", None), 401, "auth_wrong");
        let by_query = format!("/channels/create?pattern=echo&id=game-2&auth={for_games}");
        assert_eq!(relay.request("GET", &by_query, None).status, 201);

        let missing = relay.request("POST", "/channels", Some(&json!({ "pattern": "echo" })));
        assert_refused(&missing, 401, "auth_missing");
        let message = missing.json()["error"]["message"].to_string();
        assert!(message.contains("API token") && message.contains("JSON Web Token"), "{message}");

        // Nothing else opens to it, but its own channels.
        assert_refused(&relay.request("GET", &format!("/channels?auth={for_games}"), None), 401, "auth_wrong");
        assert_refused(&relay.request("DELETE", &format!("/reset?auth={for_games}"), None), 401, "auth_wrong");
        let game = Channel { id: "game-1".to_owned(), token: for_games.clone() };
        let mut client = Client::connect(&relay, &game);
        client.send("play");
        client.expect("play");
        assert_refused(&relay.request("GET", "/channels/game-1/connect?token=x", None), 401, "auth_missing");
    }
}

#[test]
fn keys_are_read_anew_on_sighup() {
    let (old, new) = (Issuer::ed_dsa(), Issuer::ed_dsa());
    let (relay, file) = start(&old, &[]);
    let room = relay.echo();
    let status = |issuer: &Issuer| knock(&relay, &with_token(&room, issuer.token(&claims("*", &["pub"])))).status;
    let mut stays = Client::connect(&relay, &with_token(&room, old.token(&claims("*", &["pub", "sub"]))));
    let reloads = |outcome: &str| {
        let text = String::from_utf8(relay.request("GET", "/metrics", None).body).expect("the text is UTF-8");
        let series = format!("ringrelay_reloads_total{{file=\"jwt_keys\",outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned));
        line.expect("the series is there").parse::<u64>().expect("a count")
    };
    fs::write(&file.0, "no key").expect("the file can be written to");
    relay.signal(Signal::HUP);
    eventually("the bad file is refused", || (reloads("failed") == 1).then_some(()));
    assert_eq!((status(&old), status(&new)), (426, 401), "the old key stays");
    fs::write(&file.0, new.key_file()).expect("the file can be written to");
    relay.signal(Signal::HUP);
    eventually("the new key is read", || (reloads("ok") == 1).then_some(()));
    assert_eq!((status(&old), status(&new)), (401, 426));
    stays.send("as before");
    stays.expect("as before");
}

#[test]
fn a_relay_with_a_bad_key_does_not_start() {
    let file = KeyFile::new(b"short");
    let output = support::relay::ringrelay()
        .args(["serve", "--port", "0", "--jwt-key-path", file.path()])
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let said = support::relay::complaint(&output);
    assert!(said.contains("jwt-key-path is") && said.contains("HS256 needs 32 or more"), "{said}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("short"), "{output:?}");
}
