//! RFC 6455 as the relay holds its clients to it, one rule each, on an `echo` channel: what is kept comes back, what is
//! broken is answered with its close code, and then the connection ends.

mod support;

use support::echo::{Echo, fails};
use support::frame::{BINARY, CLOSE, CONTINUATION, Frame, LengthField, PING, TEXT};
use support::noise;
use support::raw::RawClient;
use support::relay::Relay;

const MESSAGE_MAX: usize = 1 << 20;

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
    // Twelve million of them: eighty bytes for each would be a gigabyte.
    for _ in 0..1_200 {
        echo.client.send_bytes(&empty);
    }
    echo.client.send(&Frame::continuation("done"));
    echo.client.expect_text("done");
    echo.relay.assert_bounded(before);
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
