//! Handshakes that do not end well, and those that take their time.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustls::AlertDescription;
use rustls::version::TLS13;

use crate::rig::{BOTH, Rig, read_to_end};
use crate::support::PATIENCE;

#[test]
fn a_plain_request_is_told_to_use_https() {
    let rig = Rig::start();
    for request in ["GET /channels HTTP/1.1\r\nHost: localhost\r\n\r\n", "\r\n"] {
        let mut stream = rig.tcp();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(read_to_end(&stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let rig = Rig::start();
    for version in BOTH {
        let mut stream = rig.tls(rig.config(version));
        while stream.conn.is_handshaking() {
            let mut bytes = Vec::new();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut bytes).unwrap();
            }
            for byte in bytes {
                stream.sock.write_all(&[byte]).unwrap();
            }
            if stream.conn.is_handshaking() {
                stream.conn.read_tls(&mut stream.sock).unwrap();
                stream.conn.process_new_packets().unwrap();
            }
        }
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn who_does_not_shake_hands_is_cut_in_time() {
    let rig = Rig::start_with(&["--handshake-timeout", "300"]);
    for begin in [&b""[..], &[22, 3, 1], &[22, 3, 1, 1, 0, 1, 0]] {
        // Before the relay's time begins, which is when it accepts.
        let started = Instant::now();
        let mut stream = rig.tcp();
        stream.write_all(begin).unwrap();
        assert_eq!(read_to_end(&stream), b"");
        let after = started.elapsed();
        assert!(after >= Duration::from_millis(300) && after < PATIENCE, "{after:?}");
    }
}

#[test]
fn garbage_gets_an_alert_or_nothing_and_an_end() {
    let rig = Rig::start();
    // A ClientHello that cannot be read; a message longer than any, for which rustls has no alert; a version that there
    // never was.
    let cases: [(&[u8], bool); 3] = [
        (&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0], true),
        (&[22, 3, 1, 0, 4, 9, 9, 9, 9], false),
        (&[22, 9, 9, 0, 1, 1], true),
    ];
    for (garbage, is_told) in cases {
        let mut stream = rig.tcp();
        stream.write_all(garbage).unwrap();
        let answer = read_to_end(&stream);
        assert_eq!(answer.first() == Some(&21) && answer.len() == 7, is_told, "{garbage:?} gets {answer:?}");
        assert!(is_told || answer.is_empty(), "{garbage:?} gets {answer:?}");
    }
    assert_eq!(rig.request(rig.config(&TLS13), "GET", "/healthz", "").0, 200, "others are served on");
}

#[test]
fn who_sends_on_behind_garbage_gets_the_alert_all_the_same() {
    let rig = Rig::start();
    let mut stream = rig.tcp();
    // Closed with bytes unread, the relay's end would be reset, and the client could lose what it was sent.
    stream.write_all(&[&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..], &[0; 20_000]].concat()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 100];
    loop {
        match stream.read(&mut buffer).expect("an end, and no reset") {
            0 => break,
            len => answer.extend_from_slice(&buffer[..len]),
        }
    }
    assert_eq!((answer.first(), answer.len()), (Some(&21), 7), "{answer:?}");
}

#[test]
fn alpn_is_http_1_1_or_nothing() {
    let rig = Rig::start();
    for version in BOTH {
        let config_with = |protocols: &[&str]| {
            let mut config = rig.config(version);
            config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
            config
        };
        let mut stream = rig.tls(config_with(&["h2", "http/1.1"]));
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));

        let error = rig.tls(config_with(&["h2"])).write_all(b"x").unwrap_err();
        let expected = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert!(error.to_string().contains(&expected.to_string()), "{error:?}");
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let rig = Rig::start();
    for version in BOTH {
        let mut stream = rig.tls(rig.config(version));
        for round in 0..20 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK", "round {round}");
            while !answer_ends(&mut stream) {}
        }
    }
}

/// Reads to the end of a body that ends with a brace.
fn answer_ends(stream: &mut impl Read) -> bool {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte == *b"}"
}
