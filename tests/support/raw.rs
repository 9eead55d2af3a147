//! A WebSocket client on a bare socket: it sends the frames it is given, right or wrong, and answers nothing by itself.

use std::io::Write;
use std::net::TcpStream;

use super::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use super::http::HttpClient;
use super::relay::{Channel, Relay};

/// The key of the example in RFC 6455, section 1.3, and the answer to it. (tungstenite checks the answers to random keys.)
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    /// How much of `received` has been taken as frames; at most its length.
    taken: usize,
    /// Whether the relay may send compressed messages.
    deflate: bool,
}

impl RawClient {
    /// Connects to a channel.
    ///
    /// # Panics
    /// If it is refused.
    pub fn connect(relay: &Relay, channel: &Channel) -> RawClient {
        RawClient::connect_and_send(relay, channel, &[])
    }

    /// Connects, with the first frames in the same write as the request.
    pub fn connect_and_send(relay: &Relay, channel: &Channel, frames: &[u8]) -> RawClient {
        let mut http = HttpClient::connect(relay.address());
        http.send([upgrade(&channel.target()).as_bytes(), frames].concat());
        RawClient::upgraded(http)
    }

    /// Goes on with a connection on which the whole request to upgrade has been sent.
    pub fn upgraded(mut http: HttpClient) -> RawClient {
        let response = http.response();
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        assert!(
            response.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")),
            "{response:?}"
        );
        assert!(
            response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")),
            "{response:?}"
        );
        RawClient::over(http)
    }

    /// Goes on with a connection that has been upgraded.
    pub fn over(http: HttpClient) -> RawClient {
        let (stream, received) = http.into_parts();
        RawClient { stream, received, taken: 0, deflate: false }
    }

    /// The same where permessage-deflate was agreed on: the relay may set RSV1.
    pub fn with_deflate(self) -> RawClient {
        RawClient { deflate: true, ..self }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A second hand on the connection: one reads while the other sends. What was read already goes with it.
    pub fn split(&mut self) -> RawClient {
        let stream = self.stream.try_clone().expect("a TCP socket");
        let (received, taken) = (std::mem::take(&mut self.received), std::mem::take(&mut self.taken));
        RawClient { stream, received, taken, deflate: self.deflate }
    }

    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.encode());
    }

    /// All in one write.
    pub fn send_all(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        self.send_bytes(&bytes);
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the relay reads");
    }

    /// For what the relay may cut off: `false` when it did, or when it reads no more.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next frame.
    ///
    /// # Panics
    /// If none comes.
    pub fn frame(&mut self) -> Frame {
        self.frame_or_end().expect("the connection ended where a frame was due")
    }

    /// The next frame; `None` = the connection ended, between frames or inside one.
    pub fn frame_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, len)) = Frame::decode(&self.received[self.taken..]) {
                self.taken += len;
                assert!(frame.reserved == 0 || self.deflate, "a compressed message that was not agreed on");
                return Some(frame);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Waits for one text message with this content.
    pub fn expect_text(&mut self, content: &str) {
        let (opcode, payload) = self.message();
        assert_eq!((opcode, String::from_utf8_lossy(&payload)), (TEXT, content.into()));
    }

    /// Waits for one binary message with this content. (A megabyte is not printed when it differs.)
    pub fn expect_binary(&mut self, content: &[u8]) {
        let (opcode, payload) = self.message();
        assert_eq!(opcode, BINARY);
        assert!(payload == content, "{} bytes came back for {}, or other ones", payload.len(), content.len());
    }

    /// Checks that the relay answers on this connection.
    pub fn expect_open(&mut self) {
        self.send(&Frame::ping("open?"));
        self.expect_pong(b"open?");
    }

    pub fn expect_pong(&mut self, content: &[u8]) {
        let frame = self.frame();
        assert_eq!((frame.opcode, frame.payload), (PONG, content.to_vec()));
    }

    /// The next message, put together from its fragments; pings in between are skipped.
    pub fn message(&mut self) -> (u8, Vec<u8>) {
        let mut message: Option<(u8, Vec<u8>)> = None;
        loop {
            let frame = self.frame();
            match (frame.opcode, &mut message) {
                (PING, _) => continue,
                (TEXT | BINARY, None) => message = Some((frame.opcode, frame.payload)),
                (CONTINUATION, Some((_, payload))) => payload.extend_from_slice(&frame.payload),
                _ => panic!("a message was due: {frame:?}"),
            }
            if frame.fin {
                return message.expect("a frame was taken");
            }
        }
    }

    /// Waits for a close frame with this code and gives its reason.
    ///
    /// # Panics
    /// If another frame comes first, or another code.
    pub fn expect_close(&mut self, code: u16) -> String {
        let frame = self.frame();
        assert_eq!(frame.opcode, CLOSE, "a close frame was due: {frame:?}");
        let (given, reason) = close_of(&frame).unwrap_or_else(|| panic!("a close frame without a code: {frame:?}"));
        assert_eq!(given, code, "close code, with reason {reason:?}");
        reason
    }

    /// Waits for the end of the connection; frames that come before it are a failure.
    pub fn expect_end(&mut self) {
        let frame = self.frame_or_end();
        assert_eq!(frame, None, "the connection should have ended");
        assert_eq!(self.taken, self.received.len(), "the connection ended inside a frame");
    }

    /// Reads to the end of the connection; gives the close code if there was one.
    pub fn drain(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(frame) = self.frame_or_end() {
            if frame.opcode == CLOSE {
                code = close_of(&frame).map(|(code, _)| code);
            }
        }
        code
    }

    fn read_more(&mut self) -> bool {
        self.received.drain(..self.taken);
        self.taken = 0;
        super::read_more(&mut self.stream, &mut self.received)
    }
}

/// A well-formed request to upgrade.
pub fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Code and reason of a close frame that has them.
fn close_of(frame: &Frame) -> Option<(u16, String)> {
    let (code, reason) = frame.payload.split_first_chunk()?;
    let reason = String::from_utf8(reason.to_vec()).expect("a reason is UTF-8");
    Some((u16::from_be_bytes(*code), reason))
}
