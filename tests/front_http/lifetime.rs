//! How long connections last, and how many there may be.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use ringrelay::budget::Budget;
use ringrelay::front::FrontSettings;

use crate::rig::{Client, PATIENCE, Rig, get, request, settings};

const SHORT: Duration = Duration::from_millis(150);

#[test]
fn a_head_that_stays_unfinished_is_answered_408_and_closed() {
    let rig = Rig::with(FrontSettings { head_timeout: SHORT, ..settings() });
    let mut client = rig.client();
    let began = Instant::now();
    client.send("GET /healthz HTT");
    let response = client.response();
    assert_eq!((response.status, response.error_code().as_str()), (408, "request_timeout"));
    assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
    client.assert_closed();
}

#[test]
fn bytes_that_trickle_in_do_not_prolong_a_head() {
    let rig = Rig::with(FrontSettings { head_timeout: SHORT, ..settings() });
    let mut client = rig.client();
    let mut trickle = client.another();
    let began = Instant::now();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        // Until the front has closed, which resets the connection at some point.
        while began.elapsed() < PATIENCE && trickle.stream.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(client.response().status, 408);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    drop(client);
    sender.join().unwrap();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    // Not so short that a request comes too late, whoever else needs the cores.
    let rig = Rig::with(FrontSettings { idle_timeout: 10 * SHORT, ..settings() });
    rig.client().assert_closed();
    let mut client = rig.client();
    client.send(get("/healthz"));
    assert_eq!(client.response().status, 200);
    client.assert_closed();
}

#[test]
fn the_time_for_a_head_begins_with_its_first_byte() {
    let rig = Rig::with(FrontSettings { idle_timeout: PATIENCE, head_timeout: SHORT, ..settings() });
    let mut client = rig.client();
    // Longer than a head may take: nothing else can tell that waiting is free.
    std::thread::sleep(2 * SHORT);
    client.send(get("/healthz"));
    assert_eq!(client.response().status, 200);
    client.send("G");
    assert_eq!(client.response().status, 408);
}

#[test]
fn a_body_that_stays_unfinished_is_answered_408_and_closed() {
    let rig = Rig::with(FrontSettings { body_timeout: SHORT, ..settings() });
    for lines in ["Content-Length: 20", "Transfer-Encoding: chunked"] {
        let mut client = rig.client();
        client.send(request("POST /channels", &[lines], "") + "5\r\n{");
        assert_eq!(client.response().status, 408, "{lines}");
        client.assert_closed();
    }
}

#[test]
fn connections_above_the_bound_are_turned_away_with_503() {
    let rig = Rig::with(FrontSettings { connections_max: 2, ..settings() });
    // Both with a request under way.
    let mut kept = [rig.client(), rig.client()];
    for client in &mut kept {
        client.send(get("/healthz") + &get("/channels/slow"));
        assert_eq!(client.response().status, 200);
    }
    let mut one_more = rig.client();
    one_more.send(get("/healthz"));
    let refused = one_more.response();
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "too_many_connections"));
    one_more.assert_closed();
}

#[test]
fn at_the_relays_own_bound_who_has_been_idle_longest_makes_room_for_the_next() {
    let rig = Rig::with(FrontSettings { connections: Budget::new(2), ..settings() });
    let (mut silent, mut used) = (rig.client(), rig.client());
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200);
    let mut refused = rig.client();
    refused.send(get("/healthz"));
    assert_eq!(refused.response().status, 503);
    silent.assert_closed();
    let mut next = rig.client();
    next.send(get("/healthz"));
    assert_eq!(next.response().status, 200);
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200);
}

#[test]
fn who_comes_takes_the_place_of_who_has_been_idle_longest() {
    let rig = Rig::with(FrontSettings { connections_max: 3, ..settings() });
    let mut silent = rig.client();
    let (mut used, mut begun) = (rig.client(), rig.client());
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200);
    begun.send("POST /channels HTTP/1.1\r\nHost: relay.example\r\nExpect: 100-continue\r\nContent-Length: 18\r\n\r\n");
    assert_eq!(begun.head().status, 100);
    // The one that came first and has said nothing gives way, and then the one whose body does not come.
    let mut new = rig.client();
    new.send(get("/healthz"));
    assert_eq!(new.response().status, 200);
    silent.assert_closed();
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200, "it has been idle for less long");
    let mut other = rig.client();
    other.send(get("/healthz"));
    assert_eq!(other.response().status, 200);
    begun.assert_closed();
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200);
    new.send(get("/healthz"));
    assert_eq!(new.response().status, 200);
    other.send(get("/metrics"));
    let text = other.response().body;
    assert!(text.contains(r#"ringrelay_refused_total{reason="gave_way"} 2"#), "{text}");
}

#[test]
fn a_front_that_stops_closes_idle_connections_and_its_listener() {
    let mut rig = Rig::with(FrontSettings { stop_grace: PATIENCE, ..settings() });
    let mut idle = rig.client();
    let mut used = rig.client();
    used.send(get("/healthz"));
    assert_eq!(used.response().status, 200);
    let began = Instant::now();
    rig.stop();
    assert!(began.elapsed() < PATIENCE / 2, "nobody is waited for: {:?}", began.elapsed());
    idle.assert_closed();
    used.assert_closed();
    assert!(TcpStream::connect(rig.address).is_err(), "the listener is closed");
}

#[test]
fn a_front_that_stops_answers_the_request_under_way() {
    let rig = Rig::with(FrontSettings { stop_grace: PATIENCE, ..settings() });
    let mut client = rig.client();
    let mut late = client.another();
    client.send(request("POST /channels", &["Expect: 100-continue", "Content-Length: 18"], ""));
    assert_eq!(client.head().status, 100, "the front waits for the body");
    let stopping = rig.stop_in_background();
    late.send(r#"{"pattern":"echo"}"#);
    let answer = client.response();
    assert_eq!((answer.status, answer.header("connection")), (201, Some("close")));
    client.assert_closed();
    stopping.join().unwrap();
}

#[test]
fn a_front_that_stops_cuts_what_does_not_end() {
    let mut rig = Rig::start();
    let mut client = rig.client();
    client.send(request("POST /channels", &["Expect: 100-continue", "Content-Length: 18"], ""));
    assert_eq!(client.head().status, 100);
    rig.stop();
    client.assert_closed();
}

#[test]
fn many_connections_come_and_go() {
    let rig = Rig::with(FrontSettings { connections_max: 2000, ..settings() });
    for _ in 0..20 {
        let mut clients: Vec<Client> = (0..50).map(|_| rig.client()).collect();
        for client in &mut clients {
            client.send(get("/healthz"));
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
    }
}
