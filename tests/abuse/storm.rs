//! Many who come and go at once, beside a channel that is in use. (Its latency meanwhile is measured by `benches/storm`.)

use std::thread;

use crate::live::Live;
use crate::support::frame::Frame;
use crate::support::http::HttpClient;
use crate::support::raw::{RawClient, upgrade};
use crate::support::relay::{Channel, Relay};
use crate::{assert_healthy, relay, reset_at_the_end};

#[test]
fn a_storm_of_connections_takes_nothing_from_a_live_channel() {
    const THREADS: usize = 8;
    const EACH: usize = 250;
    let relay = relay(&[]);
    let live = Live::start(&relay);
    let other = relay.pub_sub();
    // What comes and goes on the live channel does not speak there, so that its messages stay numbered.
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (relay, channel) = (&relay, if thread % 2 == 0 { &live.channel } else { &other });
            scope.spawn(move || {
                for number in 0..EACH {
                    match number % 4 {
                        0 => assert_healthy(relay),
                        1 => without_its_token(relay, channel),
                        2 => RawClient::connect(relay, channel).send(&Frame::close(1001, "")),
                        _ => reset_at_the_end(RawClient::connect(relay, channel).stream()),
                    }
                }
            });
        }
    });
    live.assert_goes_on(100);
    relay.await_clients(&other, 0);
    live.finish();
    assert_healthy(&relay);
}

fn without_its_token(relay: &Relay, channel: &Channel) {
    let mut http = HttpClient::connect(relay.address());
    http.send(upgrade(&format!("/channels/{}/connect?token=wrong", channel.id)));
    http.response().assert_refusal(401);
}
