//! Clients that begin to shake hands and go no further, beside a live channel (slowloris).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::version::TLS13;
use serde_json::json;
use tungstenite::Message;

use crate::rig::{BOTH, Rig, message, read_to_end};
use crate::support::eventually;

const STALLING: usize = 200;

const TIMEOUT: Duration = Duration::from_secs(3);

#[test]
fn who_stops_in_the_handshake_is_cut_and_holds_nobody_up() {
    let rig = Rig::start_with(&["--handshake-timeout", "3000"]);
    let channel = rig.create(&json!({"pattern": "pub-sub", "excludeSender": true}));
    let [mut publisher, mut subscriber] = [(); 2].map(|()| rig.websocket(&channel, &TLS13));
    rig.await_clients(&channel, 2);
    let files = rig.relay.open_files();
    let is_over = Arc::new(AtomicBool::new(false));
    let live = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut delivered = 0;
            while !is_over.load(Ordering::Relaxed) {
                publisher.send(Message::text(delivered.to_string())).expect("the channel lives");
                assert_eq!(message(&mut subscriber), Message::text(delivered.to_string()));
                delivered += 1;
            }
            delivered
        }
    });

    let began = Instant::now();
    let mut stalled: Vec<TcpStream> = (0..STALLING).map(|_| first_byte(&rig)).collect();
    stalled.extend((0..STALLING).map(|index| half_shaken(&rig, BOTH[index % 2])));
    let all_there = Instant::now();
    for stream in stalled {
        read_to_end(&stream);
    }
    let cut_after = all_there.elapsed();
    assert!(cut_after > TIMEOUT / 2 && cut_after < TIMEOUT + Duration::from_secs(5), "cut after {cut_after:?}");
    eventually("their sockets are closed", || (rig.relay.open_files() <= files).then_some(()));

    is_over.store(true, Ordering::Relaxed);
    let delivered = live.join().expect("the live channel was never held up");
    assert!(delivered >= 100, "{delivered} messages in {:?}", began.elapsed());
}

/// Sends the first byte of a ClientHello, and no more.
fn first_byte(rig: &Rig) -> TcpStream {
    let mut stream = rig.tcp();
    stream.write_all(&[22]).expect("the relay reads");
    stream
}

/// Sends a ClientHello, sees that there is an answer, and says no more.
fn half_shaken(rig: &Rig, version: &'static rustls::SupportedProtocolVersion) -> TcpStream {
    let mut stream = rig.tls(rig.config(version));
    stream.conn.write_tls(&mut stream.sock).expect("the relay reads");
    stream.sock.read_exact(&mut [0]).expect("the relay answers");
    stream.sock
}
