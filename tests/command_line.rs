//! The command line, and what keeps the relay from starting. The settings are the matter of `configuration.rs`.

mod support;

use std::process::Output;

use support::relay::{Relay, complaint, ringrelay};

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
    for command in ["serve", "config", "doctor", "health", "bench", "install", "uninstall"] {
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
fn unknown_flag_is_refused() {
    let output = run(&["serve", "--prot", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--prot"), "{output:?}");
}

#[test]
fn address_that_cannot_be_listened_on_is_an_error() {
    let output = run(&["serve", "--host", "192.0.2.1", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(complaint(&output).contains("192.0.2.1"), "{output:?}");
}

#[test]
fn port_that_another_program_has_is_an_error() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("bound").port().to_string();
    let output = run(&["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(complaint(&output).contains(&port), "{output:?}");
}

#[test]
fn port_that_another_relay_has_is_an_error() {
    let relay = Relay::start();
    let port = relay.address().port().to_string();
    let output = run(&["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(complaint(&output).contains(&port), "{output:?}");
}

#[test]
fn relay_that_cannot_open_enough_files_says_so_and_not_that_it_listens() {
    let binary = ringrelay().get_program().to_os_string();
    for files in 4..48 {
        let script = format!("ulimit -n {files}; exec timeout 5 \"$0\" serve --port 0 --shards 1");
        let output = std::process::Command::new("bash").args(["-c", &script]).arg(&binary).output().expect("bash runs");
        // Status 124: with this many it starts, and was ended by the time limit.
        if output.status.code() == Some(124) || output.status.code() == Some(0) {
            assert!(text(&output.stdout).contains("listens on"), "{files} files: {output:?}");
            assert!(text(&output.stdout).contains("\"max_connections\":1,"), "{files} files: {output:?}");
            return;
        }
        assert_eq!(output.status.code(), Some(2), "{files} files: {output:?}");
        assert!(!text(&output.stdout).contains("listens on"), "{files} files: {output:?}");
        let said = complaint(&output);
        assert!(said.contains(&format!("{files} files may be open")) && said.contains("LimitNOFILE"), "{said}");
    }
    panic!("48 files are enough for one shard");
}
