//! Control frames (RFC 6455, sections 5.5 and 7): pings are answered, and a close ends the connection in good order.

mod support;

use support::echo::Echo;
use support::frame::{BINARY, CLOSE, Frame, PONG};

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
