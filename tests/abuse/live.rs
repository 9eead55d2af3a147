//! A pub-sub channel in use: one publisher at an easy pace, and subscribers that check every message and its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::support::eventually;
use crate::support::frame::{Frame, PING, TEXT};
use crate::support::raw::RawClient;
use crate::support::relay::{Channel, Relay};

/// Traffic that has to be delivered whole and in order, whatever happens beside it.
pub struct Live {
    pub channel: Channel,
    is_over: Arc<AtomicBool>,
    /// How many messages the subscriber that has the fewest has.
    delivered: Arc<[AtomicU64]>,
    publisher: JoinHandle<u64>,
    subscribers: Vec<JoinHandle<u64>>,
}

impl Live {
    /// On a channel of its own.
    pub fn start(relay: &Relay) -> Live {
        Live::on(relay, relay.create(json!({"pattern": "pub-sub", "excludeSender": true})))
    }

    /// On this channel, which has to leave out the sender.
    pub fn on(relay: &Relay, channel: Channel) -> Live {
        let delivered: Arc<[AtomicU64]> = (0..SUBSCRIBERS).map(|_| AtomicU64::new(0)).collect();
        let subscribers = (0..SUBSCRIBERS)
            .map(|index| {
                let (client, delivered) = (RawClient::connect(relay, &channel), delivered.clone());
                thread::spawn(move || subscribe(client, &delivered[index]))
            })
            .collect();
        let (client, is_over) = (RawClient::connect(relay, &channel), Arc::new(AtomicBool::new(false)));
        let publisher = thread::spawn({
            let is_over = is_over.clone();
            move || publish(client, &is_over)
        });
        Live { channel, is_over, delivered, publisher, subscribers }
    }

    /// Waits until each subscriber has got `count` messages more.
    #[track_caller]
    pub fn assert_goes_on(&self, count: u64) {
        let least = || self.delivered.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or_default();
        let wanted = least() + count;
        eventually("the live channel goes on", || (least() >= wanted).then_some(()));
    }

    /// Ends it, and checks that every subscriber got every message.
    #[track_caller]
    pub fn finish(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("the publisher was never cut off");
        for subscriber in self.subscribers {
            assert_eq!(subscriber.join().expect("the subscriber was never cut off"), sent, "messages were lost");
        }
        assert!(sent > 0);
    }
}

const SUBSCRIBERS: usize = 4;

/// Far below what the relay can do on a busy core.
const PACE: Duration = Duration::from_millis(2);

const LAST: &str = "that was all";

fn publish(mut client: RawClient, is_over: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        client.send(&Frame::text(sent.to_string()));
        sent += 1;
        thread::sleep(PACE);
    }
    client.send(&Frame::text(LAST));
    sent
}

/// Reads to the last message; gives how many there were before it.
fn subscribe(mut client: RawClient, delivered: &AtomicU64) -> u64 {
    let mut expected = 0;
    loop {
        let frame = client.frame();
        match frame.opcode {
            PING => client.send(&Frame::pong(frame.payload)),
            TEXT if frame.payload == LAST.as_bytes() => return expected,
            _ => {
                let number = String::from_utf8_lossy(&frame.payload).into_owned();
                assert_eq!((frame.opcode, number), (TEXT, expected.to_string()), "lost or out of order");
                expected += 1;
                delivered.store(expected, Ordering::Relaxed);
            }
        }
    }
}
