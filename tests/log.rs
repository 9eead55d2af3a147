//! What the running binary says in its log, and what it never says.

mod support;

use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::client::Client;
use support::http::HttpClient;
use support::issuer::Issuer;
use support::raw::RawClient;
use support::relay::{Relay, complaint, ringrelay};
use support::{eventually, frame::Frame};

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}"))).collect()
}

#[test]
fn what_is_no_terminal_gets_an_object_a_line_from_start_to_end() {
    let ended = Relay::start().end(Signal::TERM);
    let events = events(&ended.stdout);
    let said = |text: &str| events.iter().filter(|event| event["message"].as_str().unwrap().contains(text)).count();
    for text in ["ringrelay listens on http://127.0.0.1:", "started", "closing all connections", "ended"] {
        assert_eq!(said(text), 1, "{text} in {}", ended.stdout);
    }
    assert!(events.iter().all(|event| event["timestamp"].is_string() && event["level"].is_string()));
}

#[test]
fn the_journal_is_told_priorities_and_no_time() {
    let ended = Relay::start_with(&["--log-format", "journald"]).end(Signal::TERM);
    for line in ended.stdout.lines() {
        assert!(line.starts_with("<6>ringrelay"), "{line}");
    }
    assert!(ended.stdout.contains("<6>ringrelay::server: started"), "{}", ended.stdout);
}

/// A start that fails, because nobody here has this address.
fn cannot_listen(flags: &[&str]) -> Command {
    let mut command = ringrelay();
    command.args(["serve", "--host", "192.0.2.1", "--port", "0", "--shards", "1"]).args(flags);
    command
}

fn output(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    output
}

#[test]
fn a_start_that_fails_is_an_error_in_the_form_of_the_log() {
    for flags in [&["--log-format", "json"][..], &[], &["--log-level", "off"]] {
        assert!(complaint(&output(cannot_listen(flags))).contains("cannot listen on 192.0.2.1:0"));
    }
    for (form, begins, has) in
        [("journald", "<3>ringrelay: cannot listen", ""), ("text", "20", "Z ERROR ringrelay: cannot listen")]
    {
        let output = output(cannot_listen(&["--log-format", form]));
        let log = String::from_utf8_lossy(&output.stdout);
        let line = log.lines().last().expect("a line");
        assert!(line.starts_with(begins) && line.contains(has) && line.contains("192.0.2.1"), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_start_that_fails_is_told_once_where_it_is_read() {
    let relay = cannot_listen(&[]);
    let words = std::iter::once(relay.get_program()).chain(relay.get_args()).map(|word| word.to_str().expect("UTF-8"));
    let words = words.collect::<Vec<_>>().join(" ");
    // A terminal for standard output, and none for standard error, so that these can be told apart.
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.stderr", std::process::id()));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &format!("{words} 2>'{}'", file.display()), "/dev/null"]);
    let shown = output(terminal);
    let said = std::fs::read_to_string(&file).expect("what was said");
    std::fs::remove_file(&file).expect("the file");
    assert!(said.starts_with("ringrelay: cannot listen on 192.0.2.1:0") && said.lines().count() == 1, "{said}");
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("192.0.2.1"), "{shown:?}");

    // A log that takes nothing.
    let mut full = Command::new("sh");
    full.args(["-c", &format!("exec {words} >/dev/full")]);
    let said = String::from_utf8_lossy(&output(full).stderr).into_owned();
    assert!(said.starts_with("ringrelay: cannot listen on 192.0.2.1:0") && said.lines().count() == 1, "{said}");
}

#[test]
fn refusals_are_told_together_by_reason() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "echo", "clientLimit": 0}));
    for _ in 0..20 {
        assert_eq!(relay.request("GET", &channel.target(), None).status, 403);
    }
    let other = relay.echo();
    let mut client = RawClient::connect(&relay, &other);
    client.send(&Frame::text("unmasked").unmasked());
    client.expect_close(1002);
    drop(client);
    let ended = relay.end(Signal::TERM);
    let events = events(&ended.stdout);
    let refused: Vec<&Value> = events.iter().filter(|event| event["reason"] == "channel_full").collect();
    let count: u64 = refused.iter().map(|event| event["count"].as_u64().expect("a count")).sum();
    assert_eq!(count, 20, "{}", ended.stdout);
    assert!(refused.len() <= 2, "one line per interval: {}", ended.stdout);
    assert!(refused[0]["message"].as_str().unwrap().contains(": channel_full in the last"), "{refused:?}");
    assert_eq!(events.iter().filter(|event| event["code"] == "1002").count(), 1, "{}", ended.stdout);
}

#[test]
fn a_refusal_is_told_while_the_relay_runs() {
    let mut relay = Relay::start();
    relay.request("GET", "/channels", None);
    let mut client = HttpClient::connect(relay.address());
    client.send("GET / HTTP/1.1\r\nHost : x\r\n\r\n");
    assert_eq!(client.response().status, 400);
    eventually("the interval is over", || relay.stdout_so_far().contains("malformed in the last").then_some(()));
    assert!(relay.is_running());
}

#[test]
fn signals_change_how_much_is_said() {
    let relay = Relay::start_with(&["--log-level", "warn"]);
    let refuse = || relay.request("GET", "/nothing", None).assert_refusal(404);
    let debug = || relay.stdout_so_far().matches("\"DEBUG\"").count();
    refuse();
    assert_eq!(debug(), 0);
    relay.signal(Signal::USR1);
    eventually("refusals are said one by one", || {
        refuse();
        (debug() > 0).then_some(())
    });
    relay.signal(Signal::USR2);
    eventually("they are not any more", || {
        let before = debug();
        refuse();
        (debug() == before).then_some(())
    });
}

#[test]
fn no_token_is_ever_in_the_log() {
    const API_TOKEN: &str = "api-token-7f3a91";
    let relay = Relay::start_with(&[
        "--log-level",
        "trace",
        "--auth",
        "--token",
        API_TOKEN,
        "--auth-resources",
        "POST:/channels *:/admin",
        "--jwt-key-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa-public.pem"),
    ]);
    let channel = {
        let target = format!("/channels?auth={API_TOKEN}");
        let response = relay.request("POST", &target, Some(&json!({"pattern": "echo", "id": "room"})));
        assert_eq!(response.status, 201, "{response:?}");
        let token = response.json()["token"].as_str().expect("a token").to_owned();
        support::relay::Channel { id: "room".to_owned(), token }
    };
    let jwt = Issuer::rs256().token(&json!({"channel": "room", "can": ["pub", "sub"], "exp": 4_102_444_800_u64}));
    let mut client = Client::connect(&relay, &channel);
    client.send("secret-payload-5c1d");
    client.expect("secret-payload-5c1d");
    client.leave();
    let target = |token: &str| format!("/channels/room/connect?token={token}");
    let mut by_jwt = Client::connect(&relay, &support::relay::Channel { token: jwt.clone(), ..channel.clone() });
    by_jwt.send("secret-payload-5c1d");
    by_jwt.expect("secret-payload-5c1d");
    by_jwt.leave();
    relay.request("GET", &target("wrong-token-18ab"), None).assert_refusal(401);
    relay.request("GET", &target(&format!("{jwt}x")), None).assert_refusal(401);
    relay.request("GET", "/admin/top?auth=wrong-token-18ab", None).assert_refusal(401);
    let body = json!({"pattern": "echo", "auth": "wrong-token-18ab"});
    relay.request("POST", "/channels", Some(&body)).assert_refusal(401);
    assert_eq!(relay.request("GET", &format!("/admin/top?auth={API_TOKEN}"), None).status, 200);
    let ended = relay.end(Signal::TERM);
    assert!(ended.stdout.contains("\"DEBUG\""), "much is said: {}", ended.stdout);
    let secrets = [API_TOKEN, &channel.token, &jwt, "wrong-token-18ab", "secret-payload-5c1d"];
    for secret in secrets {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret} in {ended:?}");
    }
    ended.assert_clean();
}
