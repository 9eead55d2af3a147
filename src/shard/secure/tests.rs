//! How much of what TLS brings one turn takes in.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustls::{ClientConnection, ProtocolVersion};

use super::*;
use crate::channel::{ChannelId, ChannelSpec, Pattern, Rights, SlowPolicy, Token};
use crate::relay::{Limits, Output, TURN_LEN_MAX, Terms};
use crate::tls::tests::{connect, from_client};

/// A client with TLS in an echo channel.
struct Rig {
    relay: Relay,
    id: ClientId,
    tls: Secure,
    client: ClientConnection,
    _socket: UnixStream,
    /// Bytes that it was sent.
    sent_len: usize,
}

impl Rig {
    fn new(version: ProtocolVersion) -> Rig {
        let mut relay = Relay::new(0, Limits::new(1 << 20, 1 << 30));
        let id = ChannelId::parse("a").unwrap();
        let spec = ChannelSpec {
            id: id.clone(),
            token: Token::new("secret"),
            pattern: Pattern::Echo,
            client_limit: None,
            timeout: None,
            exclude_sender: false,
            history: 0,
            slow_consumers: SlowPolicy::Disconnect,
            permit: None,
        };
        relay.create(Time::ZERO, spec).unwrap();
        let place = relay.admit(&id, Some("secret")).unwrap();
        let terms = Terms { rights: Rights::ALL, ends_at: None, window: None };
        let id = relay.join(Time::ZERO, place, b"101", terms);
        let (mut session, client) = connect(version);
        session.take_toll();
        let (socket, _) = UnixStream::pair().unwrap();
        let tls = Secure::new(Box::new(session), KernelTls::NONE, socket.as_fd());
        let mut rig = Rig { relay, id, tls, client, _socket: socket, sent_len: 0 };
        rig.drain();
        rig.sent_len = 0;
        rig
    }

    /// The client seals these bytes, each by itself.
    fn seal_each(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for byte in bytes {
            self.client.writer().write_all(&[*byte]).unwrap();
            wire.extend(from_client(&mut self.client));
        }
        wire
    }

    fn drain(&mut self) {
        loop {
            let mut sent = Vec::new();
            self.relay.drain(Time::ZERO, |output| {
                if let Output::Send(_, pieces) = output {
                    sent.push(pieces.iter().map(Piece::len).sum::<usize>());
                }
            });
            if sent.is_empty() {
                return;
            }
            for len in sent {
                self.sent_len += len;
                self.relay.handle(Time::ZERO, self.id, Input::Sent(len));
            }
        }
    }

    /// What is taken of `wire` turn by turn, given in buffers of 64 KiB, and how it ended.
    fn turns(&mut self, mut wire: Vec<u8>) -> (Vec<usize>, Taken) {
        let (mut turns, mut taken, mut last) = (vec![0], 0, Taken::All);
        for buffer in wire.chunks_mut(64 * 1024) {
            let mut rest = buffer;
            while !rest.is_empty() {
                if self.relay.turn_is_full() {
                    self.drain();
                    turns.push(0);
                }
                let (used, how) = self.tls.take_in(Time::ZERO, &mut self.relay, self.id, rest);
                assert!(used > 0, "each turn brings it further");
                assert_eq!(how == Taken::Full, used < rest.len());
                assert!(how != Taken::Full || self.relay.turn_is_full());
                taken += used;
                *turns.last_mut().unwrap() += used;
                rest = &mut rest[used..];
                last = how;
            }
        }
        self.drain();
        assert_eq!(taken, wire.len());
        (turns, last)
    }
}

/// A binary message of `len` bytes, 126 or more, masked with zeros.
fn frame(len: u16) -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe];
    frame.extend(len.to_be_bytes());
    frame.resize(8 + usize::from(len), 0);
    frame
}

#[test]
fn a_turn_is_full_after_some_thousand_records_of_a_byte() {
    for version in [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2] {
        let mut rig = Rig::new(version);
        let wire = rig.seal_each(&frame(10_000));
        let record_len = wire.len() / 10_008;
        let (turns, last) = rig.turns(wire);
        let toll = record_len + 64;
        let records: Vec<usize> = turns.iter().map(|used| used / record_len).collect();
        assert_eq!(records[..3], [TURN_LEN_MAX.div_ceil(toll); 3], "{version:?}: {records:?}");
        assert_eq!((records.len(), last), ((10_008 * toll).div_ceil(TURN_LEN_MAX), Taken::All), "{version:?}");
        assert_eq!(rig.sent_len, 4 + 10_000, "the message is whole");
    }
}

#[test]
fn records_with_much_in_them_fill_a_turn_by_what_is_in_them() {
    let mut rig = Rig::new(ProtocolVersion::TLSv1_3);
    let mut wire = Vec::new();
    for _ in 0..64 {
        rig.client.writer().write_all(&frame(16_000)).unwrap();
        wire.extend(from_client(&mut rig.client));
    }
    let (turns, _) = rig.turns(wire);
    assert_eq!(turns.len(), 4, "16 of them each, or 17: {turns:?}");
    assert_eq!(rig.sent_len, 64 * 16_004);
}

#[test]
fn a_key_update_takes_its_part_of_a_turn_and_says_nothing() {
    let mut rig = Rig::new(ProtocolVersion::TLSv1_3);
    let mut wire = Vec::new();
    for _ in 0..50 {
        rig.client.writer().write_all(&frame(16_384 - 8)).unwrap();
        rig.client.refresh_traffic_keys().unwrap();
        wire.extend(from_client(&mut rig.client));
    }
    let (turns, last) = rig.turns(wire);
    let each: usize = 16_384 + 4096;
    assert_eq!((turns.len(), last), ((50 * each).div_ceil(TURN_LEN_MAX), Taken::All), "{turns:?}");
    // Sixteen of them with nothing between are still fewer than fill a turn, and the next is the last.
    let mut wire = Vec::new();
    for byte in &frame(200)[..40] {
        wire.extend(rig.seal_each(&[*byte]));
        rig.client.refresh_traffic_keys().unwrap();
        wire.extend(from_client(&mut rig.client));
    }
    let (turns, last) = rig.turns(wire);
    assert_eq!((turns.len(), last), (1, Taken::Broken));
    assert!(rig.tls.has_control(), "an alert says so");
}

#[test]
fn a_turn_may_end_behind_a_record_that_came_in_two_parts() {
    let mut rig = Rig::new(ProtocolVersion::TLSv1_3);
    let mut wire = rig.seal_each(&frame(200));
    let (first, second) = wire.split_at_mut(40);
    assert_eq!(rig.tls.take_in(Time::ZERO, &mut rig.relay, rig.id, first), (40, Taken::All));
    // So little is left of the turn that the rest of the record fills it.
    rig.relay.charge(TURN_LEN_MAX - 120);
    assert!(!rig.relay.turn_is_full());
    let (used, taken) = rig.tls.take_in(Time::ZERO, &mut rig.relay, rig.id, second);
    assert_eq!(taken, Taken::Full);
    assert!(used < second.len() && rig.relay.turn_is_full());
    rig.drain();
    let (rest, taken) = rig.tls.take_in(Time::ZERO, &mut rig.relay, rig.id, &mut second[used..]);
    assert_eq!((used + rest, taken), (second.len(), Taken::All));
    rig.drain();
    assert_eq!(rig.sent_len, 4 + 200);
}
