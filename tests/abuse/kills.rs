//! Clients that are killed anywhere in what they send or are sent, by a seed.

use fastrand::Rng;
use serde_json::json;

use crate::live::Live;
use crate::support::frame::Frame;
use crate::support::noise;
use crate::support::raw::RawClient;
use crate::{assert_healthy, relay, reset_at_the_end};

#[test]
fn clients_killed_inside_a_frame_take_nothing_from_the_others() {
    for seed in [1, 0x5eed, u64::MAX] {
        kill_by(seed);
    }
}

/// Printed with a failure, because it is the only input.
#[track_caller]
fn kill_by(seed: u64) {
    const CLIENTS: usize = 120;
    println!("seed {seed:#x}");
    let mut random = Rng::with_seed(seed);
    let relay = relay(&[]);
    let live = Live::start(&relay);
    let channels: Vec<_> = ["echo", "pub-sub", "push-pull", "req-repl", "fan-in-out"]
        .map(|pattern| relay.create(json!({"pattern": pattern})))
        .into();
    // One on each channel that stays: what the others said before they were cut may reach it, whole.
    let mut survivors: Vec<RawClient> = channels.iter().map(|channel| RawClient::connect(&relay, channel)).collect();
    let mut doomed = Vec::new();
    for _ in 0..CLIENTS {
        let channel = &channels[random.usize(..channels.len())];
        let mut client = RawClient::connect(&relay, channel);
        for _ in 0..random.usize(..4) {
            // The relay may have found fault with it already.
            client.try_send_bytes(&message(&mut random).encode());
        }
        let last = message(&mut random).encode();
        client.try_send_bytes(&last[..random.usize(..last.len())]);
        if random.bool() {
            reset_at_the_end(client.stream());
        }
        doomed.push(client);
        // Some die young, some later, and not in the order in which they came.
        if random.u8(..4) == 0 {
            doomed.swap_remove(random.usize(..doomed.len()));
        }
    }
    drop(doomed);
    for (survivor, channel) in survivors.iter_mut().zip(&channels) {
        relay.await_clients(channel, 1);
        survivor.send(&Frame::ping("still here?"));
        while survivor.frame().payload != b"still here?" {}
    }
    live.assert_goes_on(20);
    live.finish();
    assert_healthy(&relay);
}

/// Something that every pattern takes or answers.
fn message(random: &mut Rng) -> Frame {
    match random.u8(..4) {
        0 => Frame::text(r#"{"type":"request","n":1}"#),
        1 => Frame::text(r#"{"type":"reply","origin":"0-0-0"}"#),
        2 => Frame::binary(noise(random.usize(..70_000))),
        _ => Frame::text("begun").unfinished(),
    }
}
