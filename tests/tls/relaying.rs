//! Messages over WSS.

use std::io::Write;
use std::time::Instant;

use rustls::version::TLS13;
use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::rig::{BOTH, Rig, message, upgrade, websocket_over};
use crate::support::frame::Frame;
use crate::support::{PATIENCE, noise};

#[test]
fn t2_1_1_rest_is_served_over_tls() {
    let rig = Rig::start();
    for version in BOTH {
        let ask = |method, target: &str, body| rig.request(rig.config(version), method, target, body);
        let (status, body) = ask("POST", "/channels", r#"{"pattern":"echo","timeout":200}"#);
        assert_eq!(status, 201, "{body}");
        let id = serde_json::from_str::<serde_json::Value>(&body).unwrap()["data"]["id"].as_str().unwrap().to_owned();
        let (status, body) = ask("GET", &format!("/channels/{id}"), "");
        assert_eq!((status, body.contains(r#""timeout":200"#)), (200, true), "{body}");
        assert_eq!(ask("DELETE", &format!("/channels/{id}"), "").0, 200);
        assert_eq!(ask("GET", &format!("/channels/{id}"), "").0, 404);
        assert!(ask("GET", "/cluster", "").1.contains("https://"), "links say how the relay is reached");
        // Longer than a record.
        let page = ask("GET", "/docs", "").1;
        assert!(page.len() > 10_000 && page.trim_end().ends_with("</html>"));
    }
}

#[test]
fn t2_2_1_messages_pass_over_tls() {
    let rig = Rig::start();
    for version in BOTH {
        let channel = rig.channel("echo");
        let mut socket = rig.websocket(&channel, version);
        for text in ["hello", "", "and again"] {
            socket.send(Message::from(text)).unwrap();
            assert_eq!(message(&mut socket), Message::from(text));
        }
        socket.close(None).unwrap();
        // The answer, and then an end that is sealed: anything else is an error here.
        loop {
            match socket.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn large_messages_pass_both_ways() {
    let rig = Rig::start();
    let payload = noise(1 << 20);
    for version in BOTH {
        let mut socket = rig.websocket(&rig.channel("echo"), version);
        for _ in 0..4 {
            socket.send(Message::from(payload.clone())).unwrap();
            assert!(message(&mut socket) == Message::from(payload.clone()));
        }
    }
}

#[test]
fn many_subscribers_get_every_message_in_order() {
    const SUBSCRIBERS: usize = 24;
    const MESSAGES: usize = 400;
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    let sockets: Vec<_> = (0..SUBSCRIBERS).map(|i| rig.websocket(&channel, BOTH[i % 2])).collect();
    let mut publisher = rig.websocket(&channel, &TLS13);
    rig.await_clients(&channel, SUBSCRIBERS as u64 + 1);
    let payload = |i: usize| noise(i * 37 % 3000 + i % 7).into_iter().map(|b| b ^ i as u8).collect::<Vec<u8>>();
    std::thread::scope(|scope| {
        for mut socket in sockets {
            scope.spawn(move || {
                for i in 0..MESSAGES {
                    assert!(message(&mut socket) == Message::from(payload(i)), "message {i}");
                }
            });
        }
        for i in 0..MESSAGES {
            publisher.write(Message::from(payload(i))).unwrap();
            if i % 10 == 9 {
                publisher.flush().unwrap();
            }
        }
        publisher.flush().unwrap();
    });
}

#[test]
fn frames_that_come_with_the_request_are_relayed() {
    let rig = Rig::start();
    for version in BOTH {
        let channel = rig.channel("echo");
        let mut stream = rig.tls(rig.config(version));
        let mut bytes = upgrade(&channel).into_bytes();
        bytes.extend(Frame::binary(*b"right behind it").encode());
        // More than one record, and the last of them with half a frame.
        let large = Frame::binary(noise(40_000)).encode();
        bytes.extend_from_slice(&large[..30_000]);
        stream.write_all(&bytes).unwrap();
        stream.flush().unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        stream.write_all(&large[30_000..]).unwrap();
        let mut socket = tungstenite::WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Client, None);
        assert_eq!(message(&mut socket), Message::from(b"right behind it".to_vec()));
        assert!(message(&mut socket) == Message::from(noise(40_000)));
    }
}

fn read_head(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_slow_consumer_gets_its_4408_and_slows_nobody() {
    let rig = Rig::start_with(&["--max-lag", "65536", "--max-message-size", "65536"]);
    for version in BOTH {
        let channel = rig.channel("pub-sub");
        let mut slow = rig.websocket(&channel, version);
        // Who publishes gets its own messages too.
        let mut publisher = rig.websocket(&channel, &TLS13);
        rig.await_clients(&channel, 2);
        let started = Instant::now();
        let mut sent = 0_u32;
        // Until the relay has let go of who does not read.
        let is_cut = |rig: &Rig| {
            let body = rig.request(rig.config(&TLS13), "GET", &format!("/channels/{}", channel.id), "").1;
            body.contains(r#""clients":1"#)
        };
        while sent == 0 || !sent.is_multiple_of(16) || !is_cut(&rig) {
            assert!(started.elapsed() < PATIENCE, "it is never cut");
            let payload = noise(32 << 10);
            publisher.send(Message::from(payload.clone())).unwrap();
            assert!(message(&mut publisher) == Message::from(payload));
            sent += 1;
        }
        // It gets whole messages, and then hears why.
        let mut got = 0;
        loop {
            match message(&mut slow) {
                Message::Close(Some(close)) => {
                    assert_eq!(close.code, CloseCode::from(4408));
                    break;
                }
                other => assert!(other == Message::from(noise(32 << 10))),
            }
            got += 1;
        }
        assert!(got < sent, "{got} of {sent}");
        publisher.send(Message::from("still here")).unwrap();
        assert_eq!(message(&mut publisher), Message::from("still here"));
    }
}

#[test]
fn who_stops_in_the_middle_of_a_record_goes_on_later() {
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    let mut slow = rig.websocket(&channel, &TLS13);
    let mut publisher = rig.websocket(&channel, &TLS13);
    rig.await_clients(&channel, 2);
    // More than the sockets hold, less than the bound of the lag: the relay waits in the middle of it.
    let payload = noise(1 << 20);
    for _ in 0..3 {
        publisher.send(Message::from(payload.clone())).unwrap();
        assert!(message(&mut publisher) == Message::from(payload.clone()));
    }
    for round in 0..3 {
        assert!(message(&mut slow) == Message::from(payload.clone()), "round {round}");
    }
    // Meanwhile it may speak.
    slow.send(Message::from("thanks")).unwrap();
    assert_eq!(message(&mut publisher), Message::from("thanks"));
}

#[test]
fn keys_are_renewed_in_the_middle_of_everything() {
    let rig = Rig::start();
    let mut socket = rig.websocket(&rig.channel("echo"), &TLS13);
    for round in 0..30_usize {
        socket.get_mut().conn.refresh_traffic_keys().unwrap();
        let payload = noise(round * 5_000);
        socket.send(Message::from(payload.clone())).unwrap();
        assert!(message(&mut socket) == Message::from(payload), "round {round}");
    }
}

#[test]
fn resumed_sessions_relay_like_others() {
    let rig = Rig::start();
    for version in BOTH {
        let config = rig.config(version);
        let channel = rig.create(&json!({"pattern": "echo"}));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut socket = websocket_over(rig.tls(config.clone()), &channel);
            socket.send(Message::from("once more")).unwrap();
            assert_eq!(message(&mut socket), Message::from("once more"));
            kinds.push(socket.get_ref().conn.handshake_kind().unwrap());
        }
        assert_eq!(kinds[0], rustls::HandshakeKind::Full);
        assert_eq!(kinds[1..], [rustls::HandshakeKind::Resumed; 2], "{version:?}");
    }
}
