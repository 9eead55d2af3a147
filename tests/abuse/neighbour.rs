//! A shard that has more to do than it can, or does nothing at all: the other one is not held up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::live::Live;
use crate::support::frame::Frame;
use crate::support::http::HttpClient;
use crate::support::raw::{RawClient, upgrade};
use crate::support::relay::{Channel, Relay};
use crate::support::stalled::Stalled;
use crate::{assert_healthy, relay};

#[test]
fn a_shard_in_trouble_leaves_the_other_one_alone() {
    let relay = relay(&[]);
    let [busy, quiet] = relay.channels_on_both_shards(&json!({"pattern": "pub-sub", "excludeSender": true}));
    let live = Live::on(&relay, quiet.clone());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut reader = RawClient::connect(&relay, &busy);
            let mut sender = RawClient::connect(&relay, &busy);
            let is_over = &is_over;
            // Who cannot keep up is cut, and that is right: the shard has to deal with it.
            scope.spawn(move || reader.drain());
            scope.spawn(move || {
                let messages = Frame::binary(vec![1; 100]).encode().repeat(2_000);
                while !is_over.load(Ordering::Relaxed) && sender.try_send_bytes(&messages) {}
            });
        }
        for _ in 0..20 {
            live.assert_goes_on(20);
            assert_answers(&relay, &quiet);
        }
        is_over.store(true, Ordering::Relaxed);
        // Ends those who still read.
        assert_eq!(relay.delete(&busy).status, 200);
    });
    live.finish();
}

#[test]
fn a_stalled_shard_leaves_the_other_one_alone() {
    /// A shard has ten seconds to answer; the rest is for the machine.
    const REFUSAL_TIME_MAX: Duration = Duration::from_secs(15);
    let relay = relay(&[]);
    let [turning, stalled] = relay.channels_on_both_shards(&json!({"pattern": "pub-sub", "excludeSender": true}));
    let (live, held) = (Live::on(&relay, turning.clone()), Live::on(&relay, stalled.clone()));
    held.assert_goes_on(20);

    let shard = Stalled::thread(&relay, "shard-1");
    thread::scope(|scope| {
        let askers =
            [get(&format!("/channels/{}", stalled.id)), get("/channels"), upgrade(&stalled.target())].map(|question| {
                let mut http = HttpClient::connect(relay.address());
                scope.spawn(move || {
                    let asked = Instant::now();
                    http.send(&question);
                    (http.response(), asked.elapsed(), question)
                })
            });
        // The fronts have more than one that waits.
        while !askers.iter().all(|asker| asker.is_finished()) {
            live.assert_goes_on(20);
            assert_answers(&relay, &turning);
            assert_healthy(&relay);
        }
        for asker in askers {
            let (answer, after, question) = asker.join().expect("an answer");
            answer.assert_refusal(503);
            assert_eq!(answer.json()["error"]["code"], "unavailable", "{question}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            assert!(after < REFUSAL_TIME_MAX, "{question} was refused after {after:?}");
        }
    });
    // Who comes now is let in, and gets what is said.
    assert!(RawClient::connect(&relay, &turning).frame().fin);

    shard.go_on();
    held.assert_goes_on(20);
    // Who was refused has no place there.
    relay.await_clients(&stalled, 5);
    assert_eq!(relay.request("GET", "/channels", None).status, 200);
    held.finish();
    live.finish();
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Checks that the shard of a live channel answers for it, soon.
fn assert_answers(relay: &Relay, live: &Channel) {
    /// The shards share the cores with the clients here, and with other tests.
    const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
    let asked = Instant::now();
    assert_eq!(relay.clients(live), 5);
    assert!(asked.elapsed() < ANSWER_TIME_MAX, "an answer took {:?}", asked.elapsed());
}
