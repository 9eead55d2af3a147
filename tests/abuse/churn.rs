//! Clients that come and go, in every way there is, until a leak would show.

use std::thread;

use crate::support::eventually;
use crate::support::frame::Frame;
use crate::support::http::HttpClient;
use crate::support::raw::{RawClient, upgrade};
use crate::support::relay::{Channel, Relay};
use crate::{assert_healthy, relay, reset_at_the_end};

#[test]
fn twenty_thousand_clients_that_came_and_went_leave_nothing_behind() {
    const CYCLES: usize = 20_000;
    /// After these every receive buffer has been used once, and the allocator has what it needs for so many at once.
    const WARM_UP: usize = 4_000;
    /// 400 bytes a cycle: less than the least that a connection takes.
    const GROWTH_MAX: u64 = 8 << 20;

    let relay = relay(&[]);
    let channels = [relay.pub_sub(), relay.echo()];
    relay.await_clients(&channels[0], 0);
    let files = relay.open_files();
    come_and_go(&relay, &channels, WARM_UP);
    settle(&relay, &channels, files);
    let memory = relay.memory();
    come_and_go(&relay, &channels, CYCLES);
    settle(&relay, &channels, files);
    let grown = relay.memory().saturating_sub(memory);
    assert!(grown < GROWTH_MAX, "{CYCLES} clients that are gone left {} KiB behind", grown >> 10);
    assert_healthy(&relay);
}

const THREADS: usize = 4;

fn come_and_go(relay: &Relay, channels: &[Channel; 2], cycles: usize) {
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for number in (first..cycles).step_by(THREADS) {
                    cycle(relay, &channels[number / WAYS % 2], number);
                }
            });
        }
    });
}

/// How many ways out there are in [`cycle`].
const WAYS: usize = 6;

/// One client: in, and out in one of the ways.
fn cycle(relay: &Relay, channel: &Channel, number: usize) {
    match number % WAYS {
        // Before the request is whole.
        0 => {
            let mut http = HttpClient::connect(relay.address());
            let request = upgrade(&channel.target());
            http.send(&request[..number % request.len()]);
        }
        // Before the answer is read; half of them by a reset, so that the relay's next write fails.
        1 => {
            let mut http = HttpClient::connect(relay.address());
            http.send(upgrade(&channel.target()));
            let (stream, _) = http.into_parts();
            if number % 4 < 2 {
                reset_at_the_end(&stream);
            }
        }
        2 => {
            let mut client = RawClient::connect(relay, channel);
            client.send(&Frame::close(1000, ""));
            // Others may have had a word before.
            assert_eq!(client.drain(), Some(1000));
        }
        3 => reset_at_the_end(RawClient::connect(relay, channel).stream()),
        // In the middle of a frame.
        4 => RawClient::connect(relay, channel).send_bytes(&Frame::text("half a fra").encode()[..1 + number % 14]),
        // With something on its way to it, and to whoever else is there.
        _ => RawClient::connect(relay, channel).send(&Frame::text("and gone")),
    }
}

/// Waits until nobody is counted any more and every connection is closed.
fn settle(relay: &Relay, channels: &[Channel], files: usize) {
    for channel in channels {
        relay.await_clients(channel, 0);
    }
    eventually("no connection is left open", || (relay.open_files() <= files).then_some(()));
}
