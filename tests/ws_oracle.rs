//! The decoder beside tungstenite's: what both are given, both read alike.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use ringrelay::ws::{Decoder, Event, MessageKind};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// A stream that holds what a client sent, and swallows what it is answered.
struct Recorded(Cursor<Vec<u8>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What one of the two makes of a stream: messages, pings, pongs and closes; whether it then failed.
type Reading = (Vec<(char, Vec<u8>)>, bool);

fn by_oracle(bytes: &[u8]) -> Reading {
    let config = WebSocketConfig::default().max_message_size(Some(LEN_MAX)).max_frame_size(None);
    let stream = Recorded(Cursor::new(bytes.to_vec()));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(('t', text.as_bytes().to_vec())),
            Ok(Message::Binary(payload)) => events.push(('b', payload.to_vec())),
            Ok(Message::Ping(payload)) => events.push(('i', payload.to_vec())),
            Ok(Message::Pong(_)) => events.push(('o', Vec::new())),
            Ok(Message::Close(_)) => {
                events.push(('c', Vec::new()));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("only written"),
            // The end of what was recorded looks like a lost connection.
            Err(tungstenite::Error::Io(_)) => return (events, false),
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (events, false);
            }
            Err(_) => return (events, true),
        }
    }
}

fn by_us(bytes: &[u8]) -> Reading {
    let mut decoder = Decoder::new(LEN_MAX as u64);
    let mut bytes = bytes.to_vec();
    let mut input = bytes.as_mut_slice();
    let mut events = Vec::new();
    loop {
        match decoder.next(&mut input) {
            Ok(Some(Event::Message(MessageKind::Text, payload))) => events.push(('t', payload.to_vec())),
            Ok(Some(Event::Message(MessageKind::Binary, payload))) => events.push(('b', payload.to_vec())),
            Ok(Some(Event::Ping(payload))) => events.push(('i', payload.to_vec())),
            Ok(Some(Event::Pong)) => events.push(('o', Vec::new())),
            Ok(Some(Event::Close(_))) => {
                events.push(('c', Vec::new()));
                return (events, false);
            }
            Ok(Some(Event::Compressed(..))) => unreachable!("nothing was negotiated"),
            Ok(None) => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

const LEN_MAX: usize = 70_000;

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]);
    let text = prop_oneof![".{0,30}", "[a-z]{100,140}", "[é-ü]{32760,32790}"];
    let payload = prop_oneof![4 => text.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    (first, payload, any::<[u8; 4]>()).prop_map(|(first, mut payload, mask)| {
        if first & 8 != 0 {
            payload.truncate(125);
        }
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(0x80 | len as u8),
            len @ 126..=0xffff => {
                frame.push(0xfe);
                frame.extend((len as u16).to_be_bytes());
            }
            len => {
                frame.push(0xff);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    })
}

proptest! {
    #[test]
    fn messages_are_read_as_the_oracle_reads_them(frames in prop::collection::vec(frame(), 0..10)) {
        let bytes = frames.concat();
        prop_assert_eq!(by_us(&bytes), by_oracle(&bytes));
    }
}
