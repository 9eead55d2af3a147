//! How much comes in per turn where messages are compressed and inflated.

use ringrelay::channel::{Pattern, SlowPolicy};
use ringrelay::relay::{Input, Limits, SEND_LEN_MAX, TURN_LEN_MAX};
use ringrelay::time::Time;
use ringrelay::ws::deflate::{Compressor, Window};

use super::rig::Rig;

const FRAME_LEN: usize = 208;

/// Messages of 200 bytes, more than a turn compresses and far fewer than it takes in.
fn messages() -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, 0, 200, 0, 0, 0, 0];
    frame.resize(FRAME_LEN, b'x');
    frame.repeat(320)
}

/// How many of the messages one turn of a channel takes whose first client sends them.
fn taken_in_a_turn(pattern: Pattern, windows: &[Option<Window>]) -> usize {
    let mut rig = Rig::new(1 << 30, |spec| spec.pattern = pattern);
    windows.iter().for_each(|window| rig.join(*window));
    rig.settle();
    let mut messages = messages();
    let taken = rig.relay.receive(Time::ZERO, rig.readers[0].id, &mut messages);
    assert_eq!(taken % FRAME_LEN, 0);
    if taken < messages.len() {
        assert!(rig.relay.turn_is_full());
        assert_eq!(rig.relay.receive(Time::ZERO, rig.readers[0].id, &mut messages[taken..]), 0);
        rig.drain();
        assert!(rig.relay.receive(Time::ZERO, rig.readers[0].id, &mut messages[taken..]) > 0, "the next turn goes on");
    }
    taken / FRAME_LEN
}

/// 23 µs each: a turn has to end long before it has taken in as many bytes as of others.
#[test]
fn a_turn_ends_when_what_is_to_be_compressed_fills_it() {
    let (full, small) = (Some(Window::Full), Some(Window::Small));
    let all = messages().len() / FRAME_LEN;
    assert_eq!(taken_in_a_turn(Pattern::PubSub, &[None, None]), all);
    assert_eq!(taken_in_a_turn(Pattern::Echo, &[None]), all);
    let once = TURN_LEN_MAX.div_ceil(200 + 3 * 1024);
    assert_eq!(taken_in_a_turn(Pattern::PubSub, &[None, full, full]), once);
    assert_eq!(taken_in_a_turn(Pattern::PubSub, &[None, full, small]), once.div_ceil(2));
    assert_eq!(taken_in_a_turn(Pattern::Echo, &[full]), once);
    assert_eq!(taken_in_a_turn(Pattern::PushPull, &[None, small]), once);
}

/// A message is inflated to more than a send carries: who reads all that it is sent, turn by turn, must not fall behind.
#[test]
fn what_is_inflated_comes_in_no_faster_than_it_goes_out() {
    const MESSAGE_LEN: usize = 1 << 20;
    const MESSAGES: usize = 30;
    const { assert!(MESSAGE_LEN > SEND_LEN_MAX) };
    let mut rig = Rig::with_limits(Limits::new(MESSAGE_LEN as u64, 1), |spec| {
        spec.slow_consumers = SlowPolicy::Disconnect;
    });
    rig.join(Some(Window::Full));
    rig.join(None);
    rig.settle();
    let mut deflated = Vec::new();
    let payload =
        Compressor::new(Window::Full).compress(&[7; MESSAGE_LEN], &mut deflated).expect("it shrinks").to_vec();
    let mut frame = vec![0xc2, 0xfe];
    frame.extend(u16::try_from(payload.len()).expect("it shrinks much").to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    let mut waiting = frame.repeat(MESSAGES);
    for _ in 0..MESSAGES * 20 {
        let taken = rig.relay.receive(Time::ZERO, rig.readers[0].id, &mut waiting);
        waiting.drain(..taken);
        rig.drain();
        for reader in &mut rig.readers {
            if let Some(bytes) = reader.in_flight.take() {
                reader.got.extend(&bytes);
                rig.relay.handle(Time::ZERO, reader.id, Input::Sent(bytes.len()));
            }
        }
    }
    assert!(waiting.is_empty(), "it comes in, in the end");
    assert!(rig.relay.is_open(rig.readers[1].id), "it read all that it was sent");
    assert_eq!(rig.readers[1].got.len(), 3 + MESSAGES * (10 + MESSAGE_LEN));
}
