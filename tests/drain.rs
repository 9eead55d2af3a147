//! How the relay ends on SIGTERM: who is closed when, what HTTP says meanwhile, what a second signal does, and that nobody and
//! nothing keeps it from ending.

mod support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::client::Client;
use support::eventually;
use support::http::HttpClient;
use support::raw::RawClient;
use support::relay::{Ended, Relay};
use support::stalled::Stalled;

#[test]
fn clients_are_closed_one_after_the_other() {
    const DRAIN: Duration = Duration::from_secs(3);
    let relay = Relay::start_with(&["--drain", "3"]);
    let channels = relay.channels_on_both_shards(&serde_json::json!({"pattern": "pub-sub"}));
    let clients: Vec<Client> =
        channels.iter().cycle().take(60).map(|channel| Client::connect(&relay, channel)).collect();
    let begun = Instant::now();
    let closings: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                client.expect_close(1012);
                begun.elapsed()
            })
        })
        .collect();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    let mut times: Vec<Duration> = closings.into_iter().map(|closing| closing.join().expect("closed")).collect();
    times.sort();
    // The relay is never early; how late it is depends on who else needs the cores.
    for part in 0..6_u32 {
        let until = DRAIN * part / 6;
        let count = times.iter().filter(|time| **time < until).count();
        assert!(count <= (10 * part + 4) as usize, "{count} of 60 within {until:?}");
    }
    assert!(times[0] < DRAIN / 2 && times[59] > DRAIN * 5 / 6, "{times:?}");
    assert!(ended.after >= DRAIN * 5 / 6, "{:?}", ended.after);
}

#[test]
fn http_says_that_the_relay_closes() {
    let relay = Relay::start_with(&["--drain", "20"]);
    let channel = relay.echo();
    // The first is closed at once, and the second after a while.
    let clients: Vec<RawClient> = (0..20).map(|_| RawClient::connect(&relay, &channel)).collect();
    let mut probes: Vec<HttpClient> = (0..3).map(|_| HttpClient::connect(relay.address())).collect();
    for probe in &mut probes {
        assert_eq!(probe.request("GET", "/readyz", None).status, 200);
    }
    relay.signal(Signal::TERM);
    eventually("nobody is let in any more", || match TcpStream::connect(relay.address()) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(()),
        _ => None,
    });
    for (target, status) in [("/readyz", 503), ("/healthz", 200), ("/metrics", 200)] {
        let mut probe = probes.pop().expect("one for each");
        let response = probe.request("GET", target, None);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{target}");
        probe.assert_closed();
    }
    drop(clients);
    relay.await_end().assert_clean();
}

#[test]
fn idle_http_connections_do_not_hold_up_the_end() {
    let relay = Relay::start_with(&["--drain", "60"]);
    let mut idle = HttpClient::connect(relay.address());
    assert_eq!(idle.request("GET", "/healthz", None).status, 200);
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.after < Duration::from_secs(10), "{:?}", ended.after);
    idle.assert_closed();
}

#[test]
fn those_who_wait_to_be_accepted_are_answered() {
    let relay = Relay::start_with(&["--shards", "1"]);
    // They are many for a front that is told to stop in their midst.
    let address = relay.address();
    let mut waiting: Vec<HttpClient> = (0..200).map(|_| HttpClient::connect(address)).collect();
    waiting.iter_mut().for_each(|client| client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    relay.end(Signal::TERM).assert_clean();
    for mut client in waiting {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn until_their_time_comes_clients_are_served() {
    let relay = Relay::start_with(&["--drain", "6"]);
    let channel = relay.pub_sub();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    relay.signal(Signal::TERM);
    // In the order in which they came: the second at two seconds or later.
    clients.remove(0).expect_close(1012);
    clients[1].send("not yet".to_owned());
    clients.iter_mut().for_each(|client| client.expect("not yet".to_owned()));
    let [mut second, mut third] = <[Client; 2]>::try_from(clients).ok().expect("two are left");
    second.expect_close(1012);
    third.send("the last word".to_owned());
    third.expect("the last word".to_owned());
    third.expect_close(1012);
    relay.await_end().assert_clean();
}

#[test]
fn second_signal_ends_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let relay = Relay::start_with(&["--drain", "60"]);
        let channel = relay.echo();
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
        relay.signal(Signal::TERM);
        clients[0].expect_close(1012);
        let ended = relay.end(second);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.after < Duration::from_secs(10), "{:?}", ended.after);
    }
}

#[test]
fn without_a_spread_all_are_closed_at_once() {
    let relay = Relay::start_with(&["--drain", "0"]);
    let channel = relay.echo();
    let clients: Vec<Client> = (0..20).map(|_| Client::connect(&relay, &channel)).collect();
    let closings: Vec<_> =
        clients.into_iter().map(|mut client| thread::spawn(move || client.expect_close(1012))).collect();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    closings.into_iter().for_each(|closing| drop(closing.join().expect("closed")));
}

// What cannot keep it

#[test]
fn who_comes_again_and_again_does_not_keep_the_relay() {
    let relay = Relay::start_with(&["--shards", "1", "--drain", "0"]);
    let address = relay.address();
    // Many, so that the backlog is not empty for long, for as long as anybody listens.
    let coming: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                while TcpStream::connect(address).is_ok() {
                    thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.after < Duration::from_secs(8), "{:?}", ended.after);
    coming.into_iter().for_each(|coming| coming.join().expect("it is refused in the end"));
}

/// What a relay without a drain has for the answers to its closes and for its own threads.
const TIME_MAX: Duration = Duration::from_secs(10);

#[test]
fn stuck_shard_does_not_keep_the_relay() {
    let relay = Relay::start_with(&["--drain", "0"]);
    let [_, well] = relay.channels_on_both_shards(&serde_json::json!({"pattern": "pub-sub"}));
    let mut client = Client::connect(&relay, &well);
    let stalled = Stalled::thread(&relay, "shard-0");
    let (began, ended) = end_with(relay, stalled, |_| drop(client.expect_close(1012)));
    assert_given_up(&ended, "shard-0");
    assert!(began.elapsed() >= TIME_MAX, "{:?}", began.elapsed());
}

#[test]
fn stuck_front_does_not_keep_the_relay() {
    let relay = Relay::start_with(&["--drain", "0"]);
    let stalled = Stalled::thread(&relay, "front-1");
    let (began, ended) = end_with(relay, stalled, |_| {});
    assert_given_up(&ended, "front-1");
    assert!(began.elapsed() >= TIME_MAX, "{:?}", began.elapsed());
}

#[test]
fn second_signal_ends_at_once_where_a_shard_is_stuck() {
    let relay = Relay::start_with(&["--drain", "0"]);
    let [_, well] = relay.channels_on_both_shards(&serde_json::json!({"pattern": "pub-sub"}));
    let mut client = Client::connect(&relay, &well);
    let stalled = Stalled::thread(&relay, "shard-0");
    let (began, ended) = end_with(relay, stalled, |relay| {
        client.expect_close(1012);
        relay.signal(Signal::TERM);
    });
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(!ended.stdout.contains("not waited for"), "{}", ended.stdout);
}

/// Signals a relay of which a thread does nothing, does what there is to do meanwhile, and waits for the end; with the time
/// of the signal.
fn end_with(relay: Relay, stalled: Stalled, meanwhile: impl FnOnce(&Relay)) -> (Instant, Ended) {
    let began = Instant::now();
    relay.signal(Signal::TERM);
    meanwhile(&relay);
    stalled.await_end();
    (began, relay.await_end())
}

/// Checks that the relay has given up, and said for whom.
#[track_caller]
fn assert_given_up(ended: &Ended, thread: &str) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("not ended within 10 s")).collect();
    assert_eq!(said.len(), 1, "{}", ended.stdout);
    assert!(said[0].contains(&format!("\"threads\":\"{thread}\"")), "{said:?}");
}
