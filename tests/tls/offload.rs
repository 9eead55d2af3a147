//! Connections whose records the kernel seals, where it can; elsewhere, that nothing is different.

use std::io::Write;

use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedCipherSuite};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::rig::{Files, Rig, Socket, message, websocket_over};
use crate::support::noise;
use crate::support::relay::{Relay, complaint, ringrelay};

/// Whether the kernel has TLS, its module loaded: it counts in this file then.
fn is_in_kernel() -> bool {
    std::fs::exists(STATISTICS).expect("/proc")
}

/// A count of the kernel's.
fn counted(name: &str) -> u64 {
    let text = std::fs::read_to_string(STATISTICS).expect("the kernel has TLS");
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).expect("a count of this name");
    line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a number")
}

const STATISTICS: &str = "/proc/net/tls_stat";

/// A relay that gives the kernel all it can take.
fn rig() -> Rig {
    Rig::start_with(&["--ktls", if is_in_kernel() { "on" } else { "auto" }])
}

/// Those that fit the certificate: three for each version.
fn suites() -> impl Iterator<Item = SupportedCipherSuite> {
    let suites = rustls::crypto::ring::default_provider().cipher_suites;
    suites.into_iter().filter(|suite| !format!("{:?}", suite.suite()).contains("_RSA_"))
}

fn config_of(rig: &Rig, suite: SupportedCipherSuite) -> ClientConfig {
    let version = if suite.tls13().is_some() { &TLS13 } else { &TLS12 };
    let config = rig.config(version);
    let mut provider = (**config.crypto_provider()).clone();
    provider.cipher_suites = vec![suite];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rig.files.certificate()).expect("a certificate");
    ClientConfig::builder_with_provider(std::sync::Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("the suite is of this version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Reads until the end, which has to be sealed.
fn assert_ends(socket: &mut Socket) {
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_kernel_without_tls_is_refused_if_it_is_asked_for() {
    let files = Files::new();
    let (cert, key) = (files.cert_path(), files.key_path());
    let flags =
        ["--ktls", "on", "--ssl", "--ssl-cert-path", cert.to_str().unwrap(), "--ssl-key-path", key.to_str().unwrap()];
    if is_in_kernel() {
        let log = Relay::start_with(&flags).end(Signal::TERM).stdout;
        assert!(log.contains("the kernel seals TLS records"), "{log}");
        return;
    }
    let output = ringrelay().args(["serve", "--port", "0"]).args(flags).output().expect("a process");
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("ktls: on, but the kernel has no TLS here"), "{said}");
    assert!(said.contains("modprobe tls"), "{said}");
}

#[test]
fn what_was_found_is_logged_once() {
    let count = |flags: &[&str]| {
        let log = Rig::start_with(flags).relay.end(Signal::TERM).stdout;
        log.matches("the kernel seals TLS records").count() + log.matches("the kernel has no TLS").count()
    };
    assert_eq!(count(&["--ktls", "auto"]), 1);
    assert_eq!(count(&["--ktls", "off"]), 0);
}

#[test]
fn messages_of_all_sizes_pass_in_every_suite() {
    let rig = rig();
    for suite in suites() {
        let channel = rig.channel("echo");
        let mut socket = websocket_over(rig.tls(config_of(&rig, suite)), &channel);
        for len in [0, 1, 125, 16_384, 16_385, 1 << 20] {
            socket.send(Message::from(noise(len))).unwrap();
            assert_eq!(message(&mut socket), Message::from(noise(len)), "{suite:?} {len}");
        }
        if is_in_kernel() {
            assert!(counted("TlsCurrTxSw") > 0, "{suite:?}");
        }
        // Many that leave together.
        for number in 0..500_u32 {
            socket.write(Message::from(number.to_string())).unwrap();
        }
        socket.flush().unwrap();
        for number in 0..500_u32 {
            assert_eq!(message(&mut socket), Message::from(number.to_string()), "{suite:?}");
        }
        socket.close(None).unwrap();
        assert_ends(&mut socket);
    }
}

#[test]
fn a_broadcast_reaches_those_who_read_late() {
    let rig = rig();
    for suite in suites() {
        let channel = rig.channel("pub-sub");
        let mut sockets: Vec<Socket> =
            (0..4).map(|_| websocket_over(rig.tls(config_of(&rig, suite)), &channel)).collect();
        rig.await_clients(&channel, 4);
        // Less than they may fall behind, and more than their sockets hold.
        let payloads: Vec<Vec<u8>> = (0..30).map(|i| noise(100_000 + i)).collect();
        let mut sender = sockets.remove(0);
        for payload in &payloads {
            sender.send(Message::from(payload.clone())).unwrap();
        }
        let mut early = sockets.remove(0);
        for payload in &payloads {
            assert_eq!(message(&mut early), Message::from(payload.clone()), "{suite:?}");
        }
        // What nobody has taken yet is not sent to the others any more; what they get is whole, and so is the end.
        rig.request(rig.config(&TLS13), "DELETE", &format!("/channels/{}", channel.id), "");
        for socket in &mut sockets {
            let mut expected = payloads.iter();
            let frame = loop {
                match message(socket) {
                    Message::Close(frame) => break frame.expect("a reason"),
                    message => assert_eq!(Some(message), expected.next().map(|part| Message::from(part.clone()))),
                }
            };
            assert_eq!(frame.code, CloseCode::from(4404), "{suite:?}");
            assert_ends(socket);
        }
    }
}

#[test]
fn a_client_that_asks_for_the_next_key_gets_it_or_the_end() {
    let rig = rig();
    let channel = rig.channel("echo");
    let mut socket = rig.websocket(&channel, &TLS13);
    socket.send(Message::from("first key")).unwrap();
    assert_eq!(message(&mut socket), Message::from("first key"));
    let mut rounds = 0;
    let ended = (0..12).any(|round| {
        let stream = socket.get_mut();
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
        rounds = round;
        let text = format!("key {round}");
        if socket.send(Message::from(text.clone())).is_err() {
            return true;
        }
        match socket.read() {
            Ok(message) => {
                assert_eq!(message, Message::from(text));
                false
            }
            // The end is sealed: anything else would be an error of the connection.
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => true,
            Err(error) => panic!("{error}"),
        }
    });
    drop(socket);
    let log = rig.relay.end(Signal::TERM).stdout;
    // Only a kernel that seals TLS 1.3 and takes one key alone cannot go on.
    assert_eq!(ended, log.contains("\"tls_13\":true") && log.contains("\"rekeys\":false"), "{log}");
    assert_eq!(rounds, if ended { 0 } else { 11 });
}

#[test]
fn auto_never_ends_a_connection_for_a_key() {
    let rig = Rig::start_with(&["--ktls", "auto"]);
    let mut socket = rig.websocket(&rig.channel("echo"), &TLS13);
    for round in 0..12 {
        let stream = socket.get_mut();
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
        socket.send(Message::from(format!("key {round}"))).unwrap();
        assert_eq!(message(&mut socket), Message::from(format!("key {round}")));
    }
}
