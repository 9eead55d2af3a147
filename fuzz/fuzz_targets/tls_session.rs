//! TLS from a client: no bytes make a handshake or a session panic, and a session says nothing that the client did not.
//!
//! The first byte says what is fuzzed, and how the rest is cut into portions: a handshake that is all noise, one with noise
//! laid over a true ClientHello, or the records of a session, some true and some not.
#![no_main]

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use ringrelay::tls::{Acceptor, Handshake, Opened, Progress, Session};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let portion = 1 + usize::from(mode >> 4) * 24;
    let version = usize::from(mode >> 3 & 1);
    match mode & 3 {
        0 => shake_hands(rest, portion),
        1 => {
            let mut hello = said_by(&mut client(version));
            hello.iter_mut().zip(rest).for_each(|(byte, noise)| *byte ^= noise);
            shake_hands(&hello, portion);
        }
        _ => converse(version, rest, portion),
    }
});

/// A server's certificate, and clients of TLS 1.3 and 1.2 that trust it.
static PARTIES: LazyLock<(Acceptor, [Arc<ClientConfig>; 2])> = LazyLock::new(|| {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let directory = std::env::temp_dir().join(format!("ringrelay-fuzz-tls-{}", std::process::id()));
    let (cert_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(&cert_path, certificate.cert.pem()).expect("a file");
    std::fs::write(&key_path, certificate.signing_key.serialize_pem()).expect("a file");
    let acceptor = Acceptor::load(&cert_path, &key_path).expect("a certificate and its key");
    std::fs::remove_dir_all(&directory).expect("our own directory");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).expect("a certificate");
    let clients = [&TLS13, &TLS12].map(|version| {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(&[version]).expect("the provider has suites");
        Arc::new(builder.with_root_certificates(roots.clone()).with_no_client_auth())
    });
    (acceptor, clients)
});

fn client(version: usize) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::clone(&PARTIES.1[version]), name).expect("a configuration")
}

fn handshake() -> Handshake {
    Handshake::new(PARTIES.0.current()).expect("a configuration")
}

/// What the client has to send.
fn said_by(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("a vector takes all");
    }
    bytes
}

/// Feeds a handshake until it fails or there is no more.
fn shake_hands(bytes: &[u8], portion: usize) {
    let (mut handshake, mut received, mut outgoing) = (handshake(), Vec::new(), Vec::new());
    for part in bytes.chunks(portion) {
        received.extend_from_slice(part);
        match handshake.advance(&mut received, &mut outgoing) {
            Ok(Progress::Receive) => {}
            Ok(Progress::Done) => panic!("nobody can shake hands without keys"),
            Err(_) => break,
        }
    }
    assert!(outgoing.len() < 16 << 10, "little is said to strangers: {}", outgoing.len());
}

/// A true handshake, and then what `script` says: each byte is a step, some take the bytes behind them.
fn converse(version: usize, script: &[u8], portion: usize) {
    let (mut session, mut client) = connect(version);
    let (mut said, mut heard): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut script = script.iter().copied();
    while let Some(step) = script.next() {
        let argument = script.next().unwrap_or(0);
        let mut wire = Vec::new();
        match step % 8 {
            // Noise instead of records.
            0 => wire.extend(script.by_ref().take(usize::from(argument))),
            // A record that was changed on its way, or lost its end.
            1 | 2 => {
                client.writer().write_all(&vec![argument; 40]).expect("it is buffered");
                said.extend(vec![argument; 40]);
                wire = said_by(&mut client);
                let at = usize::from(argument) % wire.len();
                if step % 8 == 1 { wire[at] ^= 1 << (step >> 5) } else { wire.truncate(at) }
            }
            3 if client.refresh_traffic_keys().is_ok() => wire = said_by(&mut client),
            4 => {
                client.send_close_notify();
                wire = said_by(&mut client);
            }
            // What clients say; sometimes more than a record holds.
            _ => {
                let len = usize::from(argument) << (step >> 5);
                let data: Vec<u8> = (0..len).map(|at| step ^ at as u8).collect();
                client.writer().write_all(&data).expect("it is buffered");
                said.extend(data);
                wire = said_by(&mut client);
            }
        }
        for part in wire.chunks_mut(portion) {
            if !open(&mut session, part, &mut heard) {
                assert!(said.starts_with(&heard));
                return;
            }
        }
    }
    assert!(said.starts_with(&heard));
}

/// Whether the session goes on.
fn open(session: &mut Session, part: &mut [u8], heard: &mut Vec<u8>) -> bool {
    let mut from = 0;
    loop {
        match session.open(&mut part[from..]) {
            Ok(Opened::Data { data, end }) => {
                heard.extend_from_slice(&part[from..][data]);
                from += end;
            }
            Ok(Opened::Parted { data, end }) => {
                heard.extend_from_slice(&session.parted()[data]);
                from += end;
            }
            Ok(Opened::Nothing) => return true,
            Ok(Opened::Closed) => return false,
            Err(_) => {
                // Its alert can be sealed, and is the last.
                let mut sealed = Vec::new();
                let _ = session.seal_bytes(b"", &mut sealed);
                assert!(!session.has_control());
                return false;
            }
        }
    }
}

fn connect(version: usize) -> (Session, ClientConnection) {
    let (mut handshake, mut client) = (handshake(), client(version));
    // Longer than anything that is written at once here.
    client.set_buffer_limit(None);
    let mut received = Vec::new();
    loop {
        received.extend(said_by(&mut client));
        let mut outgoing = Vec::new();
        let progress = handshake.advance(&mut received, &mut outgoing).expect("a true handshake");
        let mut outgoing = outgoing.as_slice();
        while !outgoing.is_empty() {
            client.read_tls(&mut outgoing).expect("a slice can be read");
            client.process_new_packets().expect("a true handshake");
        }
        assert_eq!(client.reader().read(&mut [0]).unwrap_or(0), 0, "nothing was said yet");
        if let Progress::Done = progress {
            assert!(received.is_empty() && !client.is_handshaking());
            return (handshake.into_session().expect("known keys"), client);
        }
    }
}
