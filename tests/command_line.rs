//! The command line and the environment: what is taken, and how what is wrong is refused.

mod support;

use std::process::Output;

use serde_json::json;
use support::relay::{Relay, ringrelay};

fn run(arguments: &[&str]) -> Output {
    ringrelay().args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_lists_the_commands() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for command in ["serve", "bench"] {
        assert!(text(&output.stdout).contains(command), "{output:?}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    let output = run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).trim(), concat!("ringrelay ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn readme_lists_every_setting() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let help = text(&run(&["serve", "--help"]).stdout);
    let flags: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() >= 7, "{help}");
    for flag in flags.into_iter().filter(|flag| !["--help", "--version"].contains(flag)) {
        assert!(readme.contains(&format!("`{flag} ")), "{flag} is not in README.md");
    }
}

#[test]
fn wrong_value_is_refused_with_its_setting() {
    for (flag, value) in [
        ("--host", "nowhere"),
        ("--port", "65536"),
        ("--port", "http"),
        ("--shards", "0"),
        ("--shards", "1025"),
        ("--max-message-size", "0"),
        ("--max-lag", "-1"),
        ("--head-timeout", "soon"),
        ("--drain", "3601"),
        ("--spin", "1001"),
    ] {
        let output = run(&["serve", &format!("{flag}={value}")]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {said}");
        assert!(said.contains(flag) && said.contains(&format!("'{value}'")), "{flag} {value}: {said}");
        assert!(output.stdout.is_empty(), "it did not start");
    }
}

#[test]
fn unknown_flag_is_refused() {
    let output = run(&["serve", "--prot", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--prot"), "{output:?}");
}

#[test]
fn address_that_cannot_be_listened_on_is_an_error() {
    let output = run(&["serve", "--host", "192.0.2.1", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("192.0.2.1"), "{output:?}");
    assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
}

#[test]
fn port_that_another_program_has_is_an_error() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("bound").port().to_string();
    let output = run(&["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&port), "{output:?}");
}

#[test]
fn port_that_another_relay_has_is_an_error() {
    let relay = Relay::start();
    let port = relay.address().port().to_string();
    let output = run(&["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&port), "{output:?}");
}

#[test]
fn relay_that_cannot_open_enough_files_does_not_say_that_it_listens() {
    let binary = ringrelay().get_program().to_os_string();
    for files in 4..24 {
        let script = format!("ulimit -n {files}; exec timeout 2 \"$0\" serve --port 0 --shards 1");
        let output = std::process::Command::new("bash").args(["-c", &script]).arg(&binary).output().expect("bash runs");
        // Status 124: with this many it starts, and was ended by the time limit.
        if output.status.code() == Some(124) || output.status.code() == Some(0) {
            assert!(text(&output.stdout).contains("listens on"), "{files} files: {output:?}");
            return;
        }
        assert!(!text(&output.stdout).contains("listens on"), "{files} files: {output:?}");
        assert!(!text(&output.stderr).is_empty(), "{files} files: it says why");
    }
    panic!("24 files are enough for one shard");
}

#[test]
fn environment_sets_what_no_flag_does() {
    let relay = Relay::start_in(&[("RINGRELAY_MAX_MESSAGE_SIZE", "10"), ("RINGRELAY_SHARDS", "0")], &["--shards", "1"]);
    let channel = relay.create(json!({"pattern": "echo"}));
    let mut client = support::raw::RawClient::connect(&relay, &channel);
    client.send(&support::frame::Frame::text("eleven byte"));
    client.expect_close(1009);
}
