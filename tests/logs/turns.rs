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

/// So many messages of a client that agreed on compression, each of this payload, in a channel that compresses nothing: how many
/// one turn takes.
fn inflated_in_a_turn(payload: &[u8], messages: usize) -> usize {
    let mut rig = Rig::new(1 << 30, |spec| spec.exclude_sender = true);
    rig.join(Some(Window::Full));
    rig.settle();
    let mut frame = match u8::try_from(payload.len()) {
        Ok(len @ ..126) => vec![0xc2, 0x80 | len],
        _ => vec![0xc2, 0xfe, (payload.len() >> 8) as u8, payload.len() as u8],
    };
    frame.extend([0; 4]);
    frame.extend(payload);
    let mut all = frame.repeat(messages);
    let taken = rig.relay.receive(Time::ZERO, rig.readers[0].id, &mut all);
    assert_eq!(taken % frame.len(), 0);
    assert!(rig.relay.is_open(rig.readers[0].id), "nothing is wrong with them");
    taken / frame.len()
}

/// What is inflated to nothing takes its time too.
#[test]
fn a_turn_ends_when_inflating_fills_it_whatever_comes_of_that() {
    const BLOCK: usize = 1024;
    const MESSAGE: usize = 512;
    // A message of nothing.
    assert_eq!(inflated_in_a_turn(&[0x00], 10_000), TURN_LEN_MAX.div_ceil(MESSAGE + 1));
    // A hundred blocks that are stored and hold nothing; the last becomes one with what ends every message.
    let stored = [[0x00, 0x00, 0x00, 0xff, 0xff].repeat(100), vec![0x00]].concat();
    assert_eq!(inflated_in_a_turn(&stored, 100), TURN_LEN_MAX.div_ceil(MESSAGE + stored.len() + 100 * BLOCK));
    // Sixteen last ones, each the begin of a stream.
    let last = [[0x03, 0x00].repeat(16), vec![0x00]].concat();
    assert_eq!(inflated_in_a_turn(&last, 1000), TURN_LEN_MAX.div_ceil(MESSAGE + last.len() + 16 * BLOCK));
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
