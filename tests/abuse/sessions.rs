//! TLS sessions that come and go, in every way there is, until a leak would show.

use std::io::{Read, Write};
use std::thread;

use rustls::client::Resumption;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tungstenite::Message;

use crate::rig::{BOTH, Rig, TlsStream, websocket_over};
use crate::support::eventually;
use crate::support::frame::Frame;
use crate::support::raw::upgrade;
use crate::support::relay::Channel;
use crate::{reset_at_the_end, rig};

#[test]
fn two_thousand_sessions_that_came_and_went_leave_nothing_behind() {
    const CYCLES: usize = 2_000;
    /// After these every receive buffer has been used once, and the allocator has what it needs for so many at once.
    const WARM_UP: usize = 1_000;
    /// 1 KiB a cycle: an idle connection with TLS holds more than three times as much, and a handshake more than that.
    const GROWTH_MAX: u64 = 2 << 20;

    let rig = rig(&[]);
    let channels = [rig.channel("pub-sub"), rig.channel("echo")];
    let files = rig.relay.open_files();
    come_and_go(&rig, &channels, WARM_UP);
    settle(&rig, &channels, files);
    let memory = rig.relay.memory();
    come_and_go(&rig, &channels, CYCLES);
    settle(&rig, &channels, files);
    let grown = rig.relay.memory().saturating_sub(memory);
    assert!(grown < GROWTH_MAX, "{CYCLES} sessions that are gone left {} KiB behind", grown >> 10);
    assert_eq!(rig.request(rig.config(BOTH[0]), "GET", "/healthz", "").0, 200);
}

const THREADS: usize = 4;

fn come_and_go(rig: &Rig, channels: &[Channel; 2], cycles: usize) {
    thread::scope(|scope| {
        for first in 0..THREADS {
            let clients = BOTH.map(|version| Client::of(rig, version));
            scope.spawn(move || {
                for number in (first..cycles).step_by(THREADS) {
                    clients[number / WAYS % 2].cycle(rig, &channels[number / WAYS / 2 % 2], number);
                }
            });
        }
    });
}

/// Waits until nobody is counted any more and every connection is closed.
fn settle(rig: &Rig, channels: &[Channel], files: usize) {
    for channel in channels {
        rig.await_clients(channel, 0);
    }
    eventually("no connection is left open", || (rig.relay.open_files() <= files).then_some(()));
}

/// How many ways out there are in [`Client::cycle`].
const WAYS: usize = 10;

/// Who comes again and again: every other time as one who has been here before.
struct Client {
    resuming: ClientConfig,
    forgetful: ClientConfig,
}

impl Client {
    fn of(rig: &Rig, version: &'static SupportedProtocolVersion) -> Client {
        let (resuming, mut forgetful) = (rig.config(version), rig.config(version));
        forgetful.resumption = Resumption::disabled();
        Client { resuming, forgetful }
    }

    /// In, and out in one of the ways.
    fn cycle(&self, rig: &Rig, channel: &Channel, number: usize) {
        let config = if (number / WAYS / 4).is_multiple_of(2) { &self.resuming } else { &self.forgetful };
        let mut stream = rig.tls(config.clone());
        match number % WAYS {
            // Inside the ClientHello.
            0 => {
                let hello = sealed(&mut stream);
                send(&stream, &hello[..number % hello.len()]);
            }
            // Behind it.
            1 => {
                let hello = sealed(&mut stream);
                send(&stream, &hello);
                stream.sock.read_exact(&mut [0]).expect("the relay answers");
                reset_every_other_time(&stream, number);
            }
            // Inside what ends the handshake.
            2 => {
                let hello = sealed(&mut stream);
                send(&stream, &hello);
                while !stream.conn.wants_write() {
                    stream.conn.read_tls(&mut stream.sock).expect("the relay answers");
                    stream.conn.process_new_packets().expect("a good answer");
                }
                let end = sealed(&mut stream);
                send(&stream, &end[..number % end.len()]);
            }
            // Inside the record of the request.
            3 => {
                shake_hands(&mut stream);
                stream.conn.writer().write_all(upgrade(&channel.target()).as_bytes()).expect("there is room");
                let request = sealed(&mut stream);
                send(&stream, &request[..number % request.len()]);
            }
            // Before the answer is read; half of them by a reset, so that the relay's next write fails.
            4 => {
                stream.write_all(upgrade(&channel.target()).as_bytes()).expect("the relay reads");
                stream.flush().expect("the relay reads");
                reset_every_other_time(&stream, number);
            }
            // In good order.
            5 => {
                let mut socket = websocket_over(stream, channel);
                socket.close(None).expect("the relay reads");
                loop {
                    match socket.read() {
                        // Others may have had a word before.
                        Ok(_) => {}
                        Err(tungstenite::Error::ConnectionClosed) => break,
                        Err(error) => panic!("no good end: {error}"),
                    }
                }
            }
            6 => reset_at_the_end(&websocket_over(stream, channel).get_ref().sock),
            // Inside a record.
            7 => {
                let mut socket = websocket_over(stream, channel);
                let stream = socket.get_mut();
                stream.conn.writer().write_all(&Frame::text("half a record").encode()).expect("there is room");
                let record = sealed(stream);
                send(stream, &record[..1 + number % (record.len() - 1)]);
            }
            // Inside a frame.
            8 => {
                let mut socket = websocket_over(stream, channel);
                let frame = Frame::text("half a fra").encode();
                socket.get_mut().write_all(&frame[..1 + number % 14]).expect("the relay reads");
            }
            // With something on its way to it, and to whoever else is there.
            _ => websocket_over(stream, channel).send(Message::from("and gone")).expect("the relay reads"),
        }
    }
}

fn shake_hands(stream: &mut TlsStream) {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("hands are shaken");
    }
}

/// What the client's TLS has to send.
fn sealed(stream: &mut TlsStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

/// Sends past the client's TLS.
fn send(stream: &TlsStream, bytes: &[u8]) {
    (&stream.sock).write_all(bytes).expect("the relay reads");
}

fn reset_every_other_time(stream: &TlsStream, number: usize) {
    if (number / WAYS / 8).is_multiple_of(2) {
        reset_at_the_end(&stream.sock);
    }
}
