//! The relay as a service: what its manager is told, and the sockets that it passes on. The tests play systemd's part.

mod support;

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use support::client::Client;
use support::eventually;
use support::http::HttpClient;
use support::relay::{Relay, complaint, ringrelay};
use support::stalled::Stalled;
use support::systemd::{Manager, inheriting, listener, start_with_inherited};

// What is told

#[test]
fn readiness_is_told_once_all_fronts_listen() {
    for manager in [Manager::new(), Manager::abstract_socket()] {
        let relay = manager.start(&[], &[]);
        let ready = manager.await_line("READY=1");
        let status = format!("STATUS=http://{}; clients: 0, channels: 0, messages/s: 0", relay.address());
        assert!(ready.lines().any(|line| line == status), "{ready}");
        assert_eq!(relay.request("GET", "/readyz", None).status, 200);
    }
}

#[test]
fn status_has_live_counts() {
    let manager = Manager::new();
    let relay = manager.start(&[], &[]);
    let channel = relay.pub_sub();
    let mut clients = [Client::connect(&relay, &channel), Client::connect(&relay, &channel)];
    for _ in 0..200 {
        clients[0].send("one of many".to_owned());
        clients.iter_mut().for_each(|client| client.expect("one of many".to_owned()));
    }
    let status = manager.await_message("clients, channels and a rate", |said| {
        said.contains("clients: 2, channels: 1,") && !said.contains("messages/s: 0")
    });
    let (_, rate) = status.trim_end().rsplit_once("messages/s: ").expect("a rate");
    assert!((1..=100).contains(&rate.parse().expect("a number")), "{status}");
}

#[test]
fn reload_is_told_and_nobody_is_dropped() {
    let manager = Manager::new();
    let relay = manager.start(&[], &[]);
    let channel = relay.echo();
    let mut client = Client::connect(&relay, &channel);
    manager.await_line("READY=1");
    for _ in 0..2 {
        relay.signal(Signal::HUP);
        let reloading = manager.await_line("RELOADING=1");
        let time = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("the time");
        assert!(time.parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
        manager.await_line("READY=1");
        client.send("still here".to_owned());
        client.expect("still here".to_owned());
    }
}

#[test]
fn stopping_is_told_with_the_time_that_it_may_take() {
    let manager = Manager::new();
    let relay = manager.start(&[], &["--drain", "70"]);
    manager.await_line("READY=1");
    relay.end(Signal::TERM).assert_clean();
    let stopping = manager.await_line("STOPPING=1");
    let time = stopping.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).expect("a time");
    assert!(time.parse::<u64>().is_ok_and(|micros| micros > 75_000_000), "{stopping}");
}

#[test]
fn manager_that_cannot_be_understood_is_an_error() {
    let output =
        ringrelay().args(["serve", "--port", "0"]).env("NOTIFY_SOCKET", "vsock:2:1").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(complaint(&output).contains("NOTIFY_SOCKET is 'vsock:2:1'"), "{output:?}");
}

#[test]
fn manager_that_is_gone_does_not_disturb() {
    let manager = Manager::new();
    let relay = manager.start(&[("WATCHDOG_USEC", "20000")], &[]);
    manager.await_line("WATCHDOG=1");
    drop(manager);
    let channel = relay.echo();
    let mut client = Client::connect(&relay, &channel);
    for round in 0..50 {
        client.send(format!("round {round}"));
        client.expect(format!("round {round}"));
    }
}

// The watchdog

/// Far more than a thread needs for an answer, on busy cores too.
const INTERVAL: Duration = Duration::from_secs(2);

#[test]
fn idle_relay_is_alive() {
    let manager = Manager::new();
    let relay = manager.start(&[("WATCHDOG_USEC", "300000")], &[]);
    for _ in 0..5 {
        manager.await_line("WATCHDOG=1");
    }
    drop(relay);
}

#[test]
fn watchdog_of_another_process_is_not_fed() {
    let manager = Manager::new();
    let relay = manager.start(&[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")], &[]);
    manager.await_message("a status, later than 100 pings", |said| {
        assert!(!said.contains("WATCHDOG"), "{said}");
        let _ = relay.request("POST", "/channels", Some(&json!({"pattern": "echo"})));
        said.starts_with("STATUS=")
    });
}

#[test]
fn stalled_shard_stops_the_pings() {
    stall_stops_the_pings("shard-1");
}

#[test]
fn stalled_front_stops_the_pings() {
    stall_stops_the_pings("front-0");
}

fn stall_stops_the_pings(thread: &str) {
    let manager = Manager::new();
    let micros = INTERVAL.as_micros().to_string();
    let relay = manager.start(&[("WATCHDOG_USEC", &micros)], &[]);
    manager.await_line("WATCHDOG=1");
    let stalled = Stalled::thread(&relay, thread);
    let begun = Instant::now();
    // What was sent before the stall, and then nothing: the manager's patience ends within the interval.
    let mut last = begun;
    while let Some(message) = manager.message_within((begun + INTERVAL * 2).saturating_duration_since(Instant::now())) {
        if message.contains("WATCHDOG=1") {
            last = Instant::now();
        }
    }
    assert!(last - begun < INTERVAL, "the last ping came {:?} after the stall", last - begun);
    stalled.go_on();
    manager.await_line("WATCHDOG=1");
    manager.await_line("WATCHDOG=1");
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.stdout.contains(&format!("\"threads\":\"{thread}\"")), "{}", ended.stdout);
}

// Inherited sockets

#[test]
fn inherited_socket_takes_the_place_of_host_and_port() {
    let socket = listener("127.0.0.1:0");
    let address = socket.local_addr().expect("bound");
    let relay = start_with_inherited(vec![OwnedFd::from(socket)], &["--port", "1", "--shards", "3"]);
    assert_eq!(relay.address(), address);
    let channel = relay.pub_sub();
    assert_eq!(relay.look_up(&channel).expect("it is there")["port"], address.port());
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(&relay, &channel)).collect();
    clients[0].send("to all".to_owned());
    clients.iter_mut().for_each(|client| client.expect("to all".to_owned()));
    drop(clients);
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.stdout.contains("port 1 are not used"), "{}", ended.stdout);
}

#[test]
fn all_inherited_sockets_are_served() {
    let sockets = [listener("127.0.0.1:0"), listener("127.0.0.1:0")];
    let addresses = sockets.each_ref().map(|socket| socket.local_addr().expect("bound"));
    let relay = start_with_inherited(sockets.map(OwnedFd::from).into(), &[]);
    assert_eq!(relay.address(), addresses[0]);
    for address in addresses {
        for _ in 0..10 {
            assert_eq!(HttpClient::connect(address).request("GET", "/healthz", None).status, 200);
        }
    }
}

#[test]
fn who_comes_between_two_relays_waits_for_the_next() {
    let socket = listener("127.0.0.1:0");
    let address = socket.local_addr().expect("bound");
    let inherit = || vec![OwnedFd::from(socket.try_clone().expect("a socket"))];
    start_with_inherited(inherit(), &[]).end(Signal::TERM).assert_clean();
    let mut early = HttpClient::connect(address);
    early.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _next = start_with_inherited(inherit(), &[]);
    assert_eq!(early.response().status, 200);
}

#[test]
fn what_is_no_tcp_listener_is_refused() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.listener", std::process::id()));
    let unix = UnixListener::bind(&path).expect("the target folder can be written to");
    let (tcp, file) = (listener("127.0.0.1:0"), std::fs::File::open("/dev/null").expect("/dev/null"));
    let connected = TcpStream::connect(tcp.local_addr().expect("bound")).expect("somebody listens");
    for (wrong, says) in [
        (OwnedFd::from(unix), "not a valid tcp socket"),
        (OwnedFd::from(connected), "nobody listens on it"),
        (OwnedFd::from(file), "not a socket"),
    ] {
        let output = inheriting(vec![wrong], &[]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = complaint(&output);
        assert!(said.contains("inherited socket 0") && said.contains(says) && said.contains("ListenStream="), "{said}");
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let relay = Relay::start_in(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")], &[]);
    eventually("it answers", || (relay.request("GET", "/healthz", None).status == 200).then_some(()));
}
