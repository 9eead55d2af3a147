//! A shard that has more to do than it can: the other one is not held up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::live::Live;
use crate::relay;
use crate::support::frame::Frame;
use crate::support::raw::RawClient;

#[test]
fn a_shard_in_trouble_leaves_the_other_one_alone() {
    /// The shards share the cores with the clients here, and with other tests.
    const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
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
            let asked = Instant::now();
            assert_eq!(relay.clients(&quiet), 5);
            assert!(asked.elapsed() < ANSWER_TIME_MAX, "an answer took {:?}", asked.elapsed());
        }
        is_over.store(true, Ordering::Relaxed);
        // Ends those who still read.
        assert_eq!(relay.delete(&busy).status, 200);
    });
    live.finish();
}
