//! How bytes come: with the request, in any pieces, slowly, or without end from a client that never reads.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use support::echo::Echo;
use support::frame::{BINARY, Frame, PONG, TEXT};
use support::http::HttpClient;
use support::noise;
use support::raw::{RawClient, upgrade};
use support::relay::Relay;

const MESSAGE_MAX: usize = 1 << 20;

#[test]
fn frames_in_the_segment_of_the_request_are_not_lost() {
    let relay = Relay::start();
    let channel = relay.echo();
    let frames = [Frame::text("at once"), Frame::ping("me too"), Frame::binary(noise(1_000))];
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    let mut client = RawClient::connect_and_send(&relay, &channel, &bytes);
    let mut seen = [client.frame(), client.frame(), client.frame()].map(|frame| (frame.opcode, frame.payload));
    // A pong may overtake messages.
    seen.sort_by_key(|(opcode, _)| *opcode);
    assert_eq!(seen, [(TEXT, b"at once".to_vec()), (BINARY, noise(1_000)), (PONG, b"me too".to_vec())]);
}

#[test]
fn a_megabyte_behind_the_request_is_not_lost() {
    let relay = Relay::start();
    let channel = relay.echo();
    let payload = noise(MESSAGE_MAX);
    let mut client = RawClient::connect_and_send(&relay, &channel, &Frame::binary(payload.clone()).encode());
    client.expect_binary(&payload);
    client.expect_open();
}

#[test]
fn half_a_frame_in_the_segment_of_the_request_is_not_lost() {
    let relay = Relay::start();
    let channel = relay.echo();
    let bytes = Frame::text("in two parts").encode();
    // Cut inside the header, inside the mask, inside the payload.
    for cut in [1, 4, 9] {
        let mut client = RawClient::connect_and_send(&relay, &channel, &bytes[..cut]);
        client.send_bytes(&bytes[cut..]);
        client.expect_text("in two parts");
    }
}

#[test]
fn sender_may_go_byte_by_byte() {
    let relay = Relay::start();
    let channel = relay.echo();
    let mut http = HttpClient::connect(relay.address());
    for byte in upgrade(&channel.target()).bytes() {
        http.send([byte]);
    }
    let mut client = RawClient::upgraded(http);
    let payload = noise(700);
    let frames = [
        Frame::text("a").unfinished(),
        Frame::ping("p"),
        Frame::continuation("b"),
        Frame::binary(payload.clone()),
        Frame::close(1000, "bye"),
    ];
    for byte in frames.iter().flat_map(Frame::encode) {
        client.send_bytes(&[byte]);
    }
    client.expect_pong(b"p");
    client.expect_text("ab");
    client.expect_binary(&payload);
    client.expect_close(1000);
    client.expect_end();
}

#[test]
fn frames_may_be_cut_anywhere() {
    let mut echo = Echo::start();
    let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 200, 70_000].map(noise).into();
    let bytes: Vec<u8> = payloads.iter().flat_map(|payload| Frame::binary(payload.clone()).encode()).collect();
    for size in [1_447, 4_096, 65_535] {
        for part in bytes.chunks(size) {
            echo.client.send_bytes(part);
        }
        for payload in &payloads {
            echo.client.expect_binary(payload);
        }
    }
}

#[test]
fn client_that_pings_and_never_reads_costs_bounded_memory() {
    let echo = Echo::start();
    let flood = Frame::ping(noise(125)).encode().repeat(1_000);
    does_not_grow(echo, &flood, 64 << 20);
}

#[test]
fn client_that_sends_and_never_reads_costs_bounded_memory() {
    let echo = Echo::start();
    let flood = Frame::binary(noise(60_000)).encode();
    does_not_grow(echo, &flood, 256 << 20);
}

#[test]
fn client_that_reads_all_and_is_never_behind_its_bound_costs_bounded_memory() {
    const MESSAGES: usize = 5_000;
    // 3 MB of the 4 MiB that a client may be behind: however late its reader has its turn on busy cores, it is not slow.
    const AHEAD: usize = 50;
    let Echo { mut client, channel, relay } = Echo::start();
    let mut reader = client.split();
    let before = relay.memory();
    let message = Frame::binary(noise(60_000)).encode();
    let (ahead, read) = mpsc::sync_channel(AHEAD - 1);
    thread::scope(|scope| {
        scope.spawn(move || {
            for () in read {
                assert_eq!(reader.frame().payload.len(), 60_000);
            }
        });
        for _ in 0..MESSAGES {
            ahead.send(()).expect("the reader reads on");
            client.send_bytes(&message);
        }
        drop(ahead);
    });
    relay.assert_bounded(before);
    assert_eq!(relay.clients(&channel), 1);
}

/// Writes `flood` again and again, up to `total` bytes, and reads nothing; the relay may cut the client off, or stop
/// reading from it, but not keep all of it.
fn does_not_grow(mut echo: Echo, flood: &[u8], total: usize) {
    let before = echo.relay.memory();
    echo.client.stream().set_write_timeout(Some(Duration::from_secs(2))).expect("a TCP socket");
    for _ in 0..total / flood.len() {
        if !echo.client.try_send_bytes(flood) {
            break;
        }
    }
    echo.relay.assert_bounded(before);
    // And it has ears for others.
    RawClient::connect(&echo.relay, &echo.channel).expect_open();
}
