//! Channels that are deleted, or expire, while they are used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::live::Live;
use crate::support::eventually;
use crate::support::frame::{CLOSE, Frame};
use crate::support::raw::RawClient;
use crate::support::relay::{Channel, Relay};
use crate::{assert_healthy, relay};

const ROUNDS: usize = 20;
const SUBSCRIBERS: usize = 5;

#[test]
fn deletion_under_load_tells_everyone_once() {
    let relay = relay(&[]);
    let live = Live::start(&relay);
    let files = relay.open_files();
    for _ in 0..ROUNDS {
        let channel = relay.create(json!({"pattern": "pub-sub", "id": "short-lived"}));
        ends_for_everyone(&relay, &channel, 4404, || assert_eq!(relay.delete(&channel).status, 200));
    }
    finish(&relay, live, files);
}

#[test]
fn a_reset_under_load_tells_everyone_once() {
    let relay = relay(&[]);
    for _ in 0..ROUNDS {
        let channel = relay.pub_sub();
        ends_for_everyone(&relay, &channel, 4404, || {
            assert_eq!(relay.request("DELETE", "/reset", None).status, 200);
        });
    }
    assert_healthy(&relay);
}

#[test]
fn expiry_beside_load_tells_everyone_once() {
    const CHANNELS: usize = 40;
    const CLIENTS: usize = 3;
    let relay = relay(&[]);
    let live = Live::start(&relay);
    let files = relay.open_files();
    thread::scope(|scope| {
        for number in 0..CHANNELS {
            let relay = &relay;
            // They expire close together, and each at its own time; all can connect before that, on busy cores too.
            let timeout_ms = 5_000 + 10 * number as u64;
            scope.spawn(move || {
                let channel = relay.create(json!({"pattern": "pub-sub", "timeout": timeout_ms}));
                let mut clients: Vec<_> = (0..CLIENTS).map(|_| RawClient::connect(relay, &channel)).collect();
                for client in &mut clients {
                    client.send(&Frame::text("puts it off"));
                }
                clients.into_iter().for_each(|client| assert_eq!(closes_of(client), [4410]));
                eventually("it is gone", || relay.look_up(&channel).is_none().then_some(()));
            });
        }
    });
    finish(&relay, live, files);
}

/// Loads the channel, ends it, and checks that each of its clients is told `code` once.
fn ends_for_everyone(relay: &Relay, channel: &Channel, code: u16, end: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut publisher = RawClient::connect(relay, channel);
        let mut clients = vec![publisher.split()];
        clients.extend((0..SUBSCRIBERS).map(|_| RawClient::connect(relay, channel)));
        let mut watcher = RawClient::connect(relay, channel);
        let is_over = &is_over;
        scope.spawn(move || {
            // It stops before the relay closes the socket, lest what it says then resets the connection, and with it
            // throws away the close that it has not read.
            while !is_over.load(Ordering::Relaxed) {
                publisher.send_bytes(&Frame::binary(vec![7; 500]).encode().repeat(4));
                thread::sleep(Duration::from_micros(200));
            }
            publisher
        });
        let readers: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || closes_of(client))).collect();
        for _ in 0..50 {
            assert_eq!(watcher.message().1.len(), 500, "messages flow");
        }
        let watcher = scope.spawn(move || {
            let closes = closes_of(watcher);
            is_over.store(true, Ordering::Relaxed);
            closes
        });
        end();
        for reader in readers.into_iter().chain([watcher]) {
            assert_eq!(reader.join().expect("read to the end"), [code]);
        }
    });
    assert_eq!(relay.look_up(channel), None);
}

/// Reads to the end, answers the close, and gives the codes of all that came.
fn closes_of(mut client: RawClient) -> Vec<u16> {
    let mut codes = Vec::new();
    while let Some(frame) = client.frame_or_end() {
        if frame.opcode == CLOSE {
            let code = *frame.payload.first_chunk().expect("a close says why");
            codes.push(u16::from_be_bytes(code));
            // The end may be there before the answer to a second one.
            client.try_send_bytes(&Frame::close(u16::from_be_bytes(code), "").encode());
        }
    }
    codes
}

fn finish(relay: &Relay, live: Live, files: usize) {
    live.assert_goes_on(20);
    eventually("no connection is left open", || (relay.open_files() <= files).then_some(()));
    live.finish();
    assert_healthy(relay);
}
