//! RFC 6455 as the relay holds its clients to it, one rule each, on an `echo` channel: what is kept comes back, what is
//! broken is answered with its close code, and then the connection ends.

mod support;

use std::time::{Duration, Instant};

use support::frame::{BINARY, CLOSE, CONTINUATION, Frame, LengthField, PING, PONG, TEXT};
use support::http::HttpClient;
use support::noise;
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};

const MESSAGE_MAX: usize = 1 << 20;

/// An echo channel with one client.
struct Echo {
    // Fields are dropped in this order: the client leaves before the relay ends.
    client: RawClient,
    channel: Channel,
    relay: Relay,
}

impl Echo {
    fn start() -> Echo {
        let relay = Relay::start();
        let channel = relay.echo();
        let client = RawClient::connect(&relay, &channel);
        Echo { client, channel, relay }
    }

    /// Waits for a close frame with `code` as the next frame, then for the end, without answering.
    #[track_caller]
    fn expect_failure(&mut self, code: u16) {
        self.client.expect_close(code);
        self.client.expect_end();
        self.relay.await_clients(&self.channel, 0);
    }
}

/// Sends these frames at once; none of them may have an effect but a close with `code`.
#[track_caller]
fn fails(frames: &[Frame], code: u16) {
    let mut echo = Echo::start();
    echo.client.send_all(frames);
    echo.expect_failure(code);
}

// Frames

#[test]
fn unmasked_frame_is_1002() {
    fails(&[Frame::text("plain").unmasked()], 1002);
}

#[test]
fn unmasked_control_frame_is_1002() {
    fails(&[Frame::ping("plain").unmasked()], 1002);
}

#[test]
fn unmasked_empty_frame_is_1002() {
    fails(&[Frame::text("").unmasked()], 1002);
}

#[test]
fn reserved_bits_are_1002() {
    for bits in 1..=7 {
        fails(&[Frame::text("compressed?").reserved(bits)], 1002);
    }
}

#[test]
fn reserved_bits_of_a_control_frame_are_1002() {
    fails(&[Frame::ping("?").reserved(0b100)], 1002);
    fails(&[Frame::close(1000, "").reserved(0b001)], 1002);
}

#[test]
fn reserved_bits_of_a_continuation_are_1002() {
    fails(&[Frame::text("a").unfinished(), Frame::continuation("b").reserved(0b100)], 1002);
}

#[test]
fn reserved_opcodes_are_1002() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        fails(&[Frame::new(opcode, "?")], 1002);
    }
}

#[test]
fn fragmented_control_frame_is_1002() {
    fails(&[Frame::ping("half").unfinished()], 1002);
    fails(&[Frame::pong("half").unfinished()], 1002);
    fails(&[Frame::close(1000, "half").unfinished()], 1002);
}

#[test]
fn control_frame_over_125_bytes_is_1002() {
    fails(&[Frame::ping(noise(126))], 1002);
    fails(&[Frame::close(1000, "x".repeat(124))], 1002);
}

#[test]
fn control_frame_of_125_bytes_passes() {
    let mut echo = Echo::start();
    echo.client.send(&Frame::ping(noise(125)));
    echo.client.expect_pong(&noise(125));
}

#[test]
fn length_that_is_not_minimal_is_1002() {
    fails(&[Frame::text("short").length(LengthField::Bits16)], 1002);
    fails(&[Frame::text("short").length(LengthField::Bits64)], 1002);
    fails(&[Frame::binary(noise(125)).length(LengthField::Bits16)], 1002);
    fails(&[Frame::binary(noise(0xffff)).length(LengthField::Bits64)], 1002);
}

#[test]
fn length_of_a_control_frame_that_is_not_minimal_is_1002() {
    fails(&[Frame::ping("short").length(LengthField::Bits16)], 1002);
    fails(&[Frame::close(1000, "").length(LengthField::Bits64)], 1002);
}

#[test]
fn length_with_its_highest_bit_set_is_refused() {
    let mut echo = Echo::start();
    echo.client.send(&Frame::binary("").length(LengthField::Claimed(1 << 63)));
    let close = echo.client.frame();
    // Both are true of it: no length of RFC 6455, and too large.
    let code = u16::from_be_bytes([close.payload[0], close.payload[1]]);
    assert!(close.opcode == CLOSE && (code == 1002 || code == 1009), "{close:?}");
    echo.client.expect_end();
}

#[test]
fn every_form_of_length_is_echoed_in_its_minimal_form() {
    let mut echo = Echo::start();
    for len in [0, 1, 124, 125, 126, 127, 128, 255, 256, 0xfffe, 0xffff, 0x1_0000, 0x1_0001, 300_000] {
        let payload = noise(len);
        echo.client.send(&Frame::binary(payload.clone()));
        echo.client.expect_binary(&payload);
    }
}

// Fragments

#[test]
fn continuation_without_a_start_is_1002() {
    fails(&[Frame::continuation("of what?")], 1002);
    fails(&[Frame::continuation("of what?").unfinished()], 1002);
}

#[test]
fn continuation_behind_a_whole_message_is_1002() {
    let mut echo = Echo::start();
    echo.client.send_all(&[Frame::text("a").unfinished(), Frame::continuation("b"), Frame::continuation("c")]);
    echo.client.expect_text("ab");
    echo.expect_failure(1002);
}

#[test]
fn data_frame_inside_a_fragmented_message_is_1002() {
    fails(&[Frame::text("a").unfinished(), Frame::text("b")], 1002);
    fails(&[Frame::text("a").unfinished(), Frame::binary("b").unfinished()], 1002);
    fails(&[Frame::binary("a").unfinished(), Frame::continuation("b").unfinished(), Frame::binary("c")], 1002);
}

#[test]
fn fragments_are_put_together() {
    let mut echo = Echo::start();
    echo.client.send_all(&[
        Frame::text("").unfinished(),
        Frame::continuation("Hel").unfinished(),
        Frame::continuation("").unfinished(),
        Frame::continuation("lo").unfinished(),
        Frame::continuation(""),
        Frame::binary([1]).unfinished(),
        Frame::continuation([2]),
    ]);
    echo.client.expect_text("Hello");
    echo.client.expect_binary(&[1, 2]);
}

#[test]
fn fragments_may_come_one_by_one() {
    let mut echo = Echo::start();
    for _ in 0..3 {
        echo.client.send(&Frame::binary([1]).unfinished());
        // Answered, so the fragment before it has been taken.
        echo.client.expect_open();
        echo.client.send(&Frame::continuation([2]).unfinished());
        echo.client.expect_open();
        echo.client.send(&Frame::continuation([3]));
        echo.client.expect_binary(&[1, 2, 3]);
    }
}

#[test]
fn control_frames_between_fragments_are_answered_at_once() {
    let mut echo = Echo::start();
    echo.client.send_all(&[
        Frame::text("one ").unfinished(),
        Frame::ping("first"),
        Frame::continuation("two ").unfinished(),
        Frame::pong("nobody asked"),
        Frame::ping(""),
        Frame::continuation("three"),
    ]);
    echo.client.expect_pong(b"first");
    echo.client.expect_pong(b"");
    echo.client.expect_text("one two three");
}

#[test]
fn close_between_fragments_closes() {
    let mut echo = Echo::start();
    echo.client.send_all(&[Frame::text("never ").unfinished(), Frame::close(1000, "enough")]);
    echo.client.expect_close(1000);
    echo.client.expect_end();
}

#[test]
fn message_of_65_537_fragments_passes() {
    let mut echo = Echo::start();
    let payload = noise(65_537);
    let mut fragments: Vec<Frame> = payload.iter().map(|byte| Frame::continuation([*byte]).unfinished()).collect();
    fragments[0].opcode = BINARY;
    fragments[65_536].fin = true;
    echo.client.send_all(&fragments);
    echo.client.expect_binary(&payload);
}

#[test]
fn empty_fragments_cost_no_memory() {
    let mut echo = Echo::start();
    echo.client.send(&Frame::text("").unfinished());
    let before = echo.relay.memory();
    let empty: Vec<u8> =
        std::iter::repeat_n(Frame::continuation("").unfinished(), 10_000).flat_map(|frame| frame.encode()).collect();
    for _ in 0..50 {
        echo.client.send_bytes(&empty);
    }
    echo.client.send(&Frame::continuation("done"));
    echo.client.expect_text("done");
    let grown = echo.relay.memory_peak().saturating_sub(before);
    assert!(grown < 8 << 20, "half a million empty fragments took {grown} bytes");
}

// Text

#[test]
fn invalid_utf8_is_1007() {
    for bytes in [
        &b"\xff"[..],
        b"caf\xe9",
        // Overlong, a surrogate, above U+10FFFF, a continuation byte alone.
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        // Ends inside a character.
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"good to the last\xc3",
    ] {
        fails(&[Frame::text(bytes)], 1007);
    }
}

#[test]
fn invalid_utf8_is_1007_before_the_frame_is_whole() {
    for (begun, why) in [
        (&b"\xff"[..], "no UTF-8 byte"),
        (b"a b c \xc0\xaf", "overlong"),
        (b"0123456789abcdef0123456789abcdef0123456789\xed\xa0", "a surrogate, known by its second byte"),
        (b"\xf4\x90", "above U+10FFFF, known by its second byte"),
    ] {
        let mut echo = Echo::start();
        // A frame of 1 000 bytes, of which these are the first.
        eprintln!("{why}");
        echo.client.send(&Frame::text(begun).length(LengthField::Claimed(1_000)));
        echo.expect_failure(1007);
    }
}

#[test]
fn invalid_utf8_is_1007_before_the_message_is_whole() {
    fails(&[Frame::text("good, \u{20ac}, and ").unfinished(), Frame::continuation(b"b\xffd").unfinished()], 1007);
    fails(&[Frame::text(b"\xe2").unfinished(), Frame::continuation(b"\x28").unfinished()], 1007);
    fails(
        &[
            Frame::text(b"\xf0\x9f").unfinished(),
            Frame::continuation("").unfinished(),
            Frame::continuation("x").unfinished(),
        ],
        1007,
    );
}

#[test]
fn message_that_ends_inside_a_character_is_1007() {
    fails(&[Frame::text(b"\xf0\x9f").unfinished(), Frame::continuation(b"\x98")], 1007);
    fails(&[Frame::text(b"\xe2\x82").unfinished(), Frame::continuation("")], 1007);
}

#[test]
fn characters_may_be_split_over_fragments_and_segments() {
    let text = "z\u{df}\u{20ac}\u{1f600}\u{10ffff}\u{feff}\0";
    let mut echo = Echo::start();
    let mut fragments: Vec<Frame> = text.bytes().map(|byte| Frame::continuation([byte]).unfinished()).collect();
    fragments[0].opcode = TEXT;
    fragments.last_mut().expect("there are some").fin = true;
    echo.client.send_all(&fragments);
    echo.client.expect_text(text);
    for byte in Frame::text(text).encode() {
        echo.client.send_bytes(&[byte]);
    }
    echo.client.expect_text(text);
}

#[test]
fn control_frames_between_the_halves_of_a_character_change_nothing() {
    let mut echo = Echo::start();
    echo.client.send_all(&[Frame::text(b"\xe2\x82").unfinished(), Frame::ping(b"\xff"), Frame::continuation(b"\xac")]);
    echo.client.expect_pong(b"\xff");
    echo.client.expect_text("\u{20ac}");
}

#[test]
fn binary_needs_no_utf8() {
    let mut echo = Echo::start();
    echo.client.send(&Frame::binary(b"\xff\xc0\xaf"));
    echo.client.expect_binary(b"\xff\xc0\xaf");
}

// Size

#[test]
fn message_of_1_mib_passes() {
    let mut echo = Echo::start();
    let payload = noise(MESSAGE_MAX);
    echo.client.send(&Frame::binary(payload.clone()));
    echo.client.expect_binary(&payload);
    let text = "\u{20ac}a".repeat(MESSAGE_MAX / 4);
    echo.client.send(&Frame::text(text.clone()));
    echo.client.expect_text(&text);
}

#[test]
fn message_of_1_mib_in_fragments_passes() {
    let mut echo = Echo::start();
    let payload = noise(MESSAGE_MAX);
    let mut fragments: Vec<Frame> = payload.chunks(60_000).map(|part| Frame::continuation(part).unfinished()).collect();
    fragments[0].opcode = BINARY;
    fragments.last_mut().expect("there are some").fin = true;
    echo.client.send_all(&fragments);
    echo.client.expect_binary(&payload);
}

#[test]
fn message_over_1_mib_is_1009() {
    for len in [MESSAGE_MAX + 1, 3 * MESSAGE_MAX] {
        let mut echo = Echo::start();
        // The relay may cut it off anywhere, but the client has to learn why.
        echo.client.try_send_bytes(&Frame::binary(noise(len)).encode());
        echo.expect_failure(1009);
    }
}

#[test]
fn message_over_1_mib_is_1009_by_its_header_alone() {
    for len in [MESSAGE_MAX as u64 + 1, 1 << 32, (1 << 63) - 1] {
        fails(&[Frame::text("").length(LengthField::Claimed(len))], 1009);
    }
}

#[test]
fn fragments_over_1_mib_together_are_1009() {
    fails(&[Frame::binary(noise(MESSAGE_MAX)).unfinished(), Frame::continuation("x")], 1009);
    fails(
        &[Frame::binary("x").unfinished(), Frame::continuation("").length(LengthField::Claimed(MESSAGE_MAX as u64))],
        1009,
    );
}

#[test]
fn largest_message_is_a_setting() {
    let relay = Relay::start_with(&["--max-message-size", "100"]);
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    client.send(&Frame::binary(noise(100)));
    client.expect_binary(&noise(100));
    client.send(&Frame::binary(noise(101)));
    client.expect_close(1009);
    client.expect_end();
}

// Ping and pong

#[test]
fn ping_is_answered_with_its_payload() {
    let mut echo = Echo::start();
    for payload in [&b""[..], b"hello", b"\0\xff\xfe"] {
        echo.client.send(&Frame::ping(payload));
        echo.client.expect_pong(payload);
    }
}

#[test]
fn pings_and_messages_at_once_are_all_answered() {
    let mut echo = Echo::start();
    let frames: Vec<Frame> = (0..10).flat_map(|n: u8| [Frame::ping([n]), Frame::binary([n])]).collect();
    echo.client.send_all(&frames);
    let (mut pongs, mut messages) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let frame = echo.client.frame();
        match frame.opcode {
            PONG => pongs.extend(frame.payload),
            BINARY => messages.extend(frame.payload),
            _ => panic!("{frame:?}"),
        }
    }
    let sent: Vec<u8> = (0..10).collect();
    assert_eq!((pongs, messages), (sent.clone(), sent), "each in its order");
}

#[test]
fn pong_that_nobody_asked_for_is_ignored() {
    let mut echo = Echo::start();
    echo.client.send_all(&[Frame::pong("keep-alive"), Frame::pong(""), Frame::text("next")]);
    echo.client.expect_text("next");
}

// Closing

/// Sends a close frame with this payload; the answer has to be one with `code`, and then the end.
#[track_caller]
fn close_is_answered(payload: &[u8], code: u16) {
    let mut echo = Echo::start();
    echo.client.send(&Frame::new(CLOSE, payload));
    echo.expect_failure(code);
}

#[test]
fn close_1000_is_echoed() {
    close_is_answered(b"\x03\xe8", 1000);
    close_is_answered(b"\x03\xe8done, thank you \xe2\x82\xac", 1000);
}

#[test]
fn close_codes_that_may_be_sent_are_echoed() {
    for code in [1001_u16, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        close_is_answered(&code.to_be_bytes(), code);
    }
}

#[test]
fn close_without_a_code_is_answered() {
    let mut echo = Echo::start();
    echo.client.send(&Frame::new(CLOSE, ""));
    let answer = echo.client.frame();
    assert_eq!(answer.opcode, CLOSE);
    assert!(matches!(answer.payload.as_slice(), b"" | b"\x03\xe8"), "{answer:?}");
    echo.client.expect_end();
    echo.relay.await_clients(&echo.channel, 0);
}

#[test]
fn close_with_one_byte_is_1002() {
    close_is_answered(b"\x03", 1002);
}

#[test]
fn close_codes_that_may_not_be_sent_are_1002() {
    for code in [0_u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        close_is_answered(&code.to_be_bytes(), 1002);
    }
}

#[test]
fn close_reason_that_is_no_utf8_is_1007() {
    close_is_answered(b"\x03\xe8bad \xff", 1007);
    close_is_answered(b"\x03\xe8half \xe2\x82", 1007);
}

#[test]
fn nothing_is_taken_after_a_close() {
    let mut echo = Echo::start();
    echo.client.send_all(&[
        Frame::text("before"),
        Frame::close(1000, ""),
        Frame::text("after"),
        Frame::ping("after"),
        Frame::text("after").unmasked(),
    ]);
    echo.client.expect_text("before");
    echo.client.expect_close(1000);
    echo.client.expect_end();
}

#[test]
fn end_without_a_close_is_noticed() {
    let Echo { client, channel, relay } = Echo::start();
    client.stream().shutdown(std::net::Shutdown::Write).expect("a TCP socket");
    relay.await_clients(&channel, 0);
}

// How bytes come

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
    does_not_grow(echo, &flood, 128 << 20);
}

/// Writes `flood` again and again, up to `total` bytes, and reads nothing; the relay may cut the client off, or stop
/// reading from it, but not keep all of it.
fn does_not_grow(mut echo: Echo, flood: &[u8], total: usize) {
    // What a connection may hold by default (4 MiB), twice for the copy that is being sent, and room for buffers.
    const GROWTH_MAX: u64 = 24 << 20;
    let before = echo.relay.memory();
    echo.client.stream().set_write_timeout(Some(Duration::from_secs(2))).expect("a TCP socket");
    let started = Instant::now();
    for _ in 0..total / flood.len() {
        if !echo.client.try_send_bytes(flood) {
            break;
        }
    }
    let grown = echo.relay.memory_peak().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the relay grew by {grown} bytes in {:?}", started.elapsed());
    // And it has ears for others.
    RawClient::connect(&echo.relay, &echo.channel).expect_open();
}

#[test]
fn frames_of_this_client_are_those_of_rfc_6455() {
    // Section 5.7: the examples there, so that what this file sends is what it says.
    assert_eq!(Frame::text("Hello").encode(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(Frame::text("Hello").unmasked().encode(), b"\x81\x05Hello");
    assert_eq!(Frame::text("Hel").unfinished().unmasked().encode(), b"\x01\x03Hel");
    assert_eq!(Frame::continuation("lo").unmasked().encode(), b"\x80\x02lo");
    assert_eq!(Frame::new(PING, "Hello").unmasked().encode(), b"\x89\x05Hello");
    assert_eq!(Frame::binary(noise(256)).unmasked().encode()[..4], [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(Frame::binary(noise(65_536)).unmasked().encode()[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(Frame::decode(b"\x81\x05Hello-"), Some((Frame::text("Hello").unmasked(), 7)));
    assert_eq!(Frame::new(CONTINUATION, "x"), Frame::continuation("x"));
}
