//! Sessions against rustls's own client, in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore,
    SupportedCipherSuite,
};

use super::*;
use crate::chunk::{Meter, Piece, Pieces};

mod certificates;
mod offload;

/// A certificate and its key, as files.
struct Files {
    directory: std::path::PathBuf,
    certificate: CertifiedKey<KeyPair>,
}

impl Files {
    fn new(name: &str) -> Files {
        let directory = std::env::temp_dir().join(format!("ringrelay-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = Files { directory, certificate: certificate() };
        files.write("cert.pem", &files.certificate.cert.pem());
        files.write("key.pem", &files.certificate.signing_key.serialize_pem());
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).unwrap();
    }

    fn load(&self) -> Result<Acceptor, CertificateError> {
        Acceptor::load(&self.directory.join("cert.pem"), &self.directory.join("key.pem"))
    }

    /// A client that trusts this certificate alone.
    fn client_config(&self, suite: SupportedCipherSuite) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![suite];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[if suite.version().version == ProtocolVersion::TLSv1_3 {
                &TLS13
            } else {
                &TLS12
            }])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_early_data = true;
        config
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

fn client(config: ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

fn suites() -> Vec<SupportedCipherSuite> {
    let certificate_is = |suite: &SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("_RSA_");
    let suites: Vec<_> =
        rustls::crypto::ring::default_provider().cipher_suites.into_iter().filter(certificate_is).collect();
    assert_eq!(suites.len(), 6, "three for each version");
    suites
}

fn suite(version: ProtocolVersion) -> SupportedCipherSuite {
    suites().into_iter().find(|suite| suite.version().version == version).unwrap()
}

/// What the client has to send, all of it.
pub(crate) fn from_client(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Lets the client take all of `bytes`.
fn to_client(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut received = Vec::new();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        let state = client.process_new_packets()?;
        let start = received.len();
        received.resize(start + state.plaintext_bytes_to_read(), 0);
        client.reader().read_exact(&mut received[start..]).unwrap();
    }
    Ok(received)
}

/// Shakes hands, `step` bytes at a time, with `early` sent by the client as soon as it may; what the session begins with.
fn shake_hands(acceptor: &Acceptor, client: &mut ClientConnection, step: usize, early: &[u8]) -> (Session, Vec<u8>) {
    let mut handshake = Handshake::new(acceptor.current()).unwrap();
    let (mut wire, mut received) = (Vec::new(), Vec::new());
    let mut is_early_sent = false;
    loop {
        if !client.is_handshaking() && !std::mem::replace(&mut is_early_sent, true) {
            client.writer().write_all(early).unwrap();
        }
        wire.extend(from_client(client));
        assert!(!wire.is_empty(), "both wait");
        while !wire.is_empty() {
            received.extend(wire.drain(..step.min(wire.len())));
            let mut outgoing = Vec::new();
            let progress = handshake.advance(&mut received, &mut outgoing).unwrap();
            to_client(client, &outgoing).unwrap();
            if let Progress::Done = progress {
                received.append(&mut wire);
                assert!(!client.is_handshaking());
                if !is_early_sent {
                    client.writer().write_all(early).unwrap();
                    received.extend(from_client(client));
                }
                return (handshake.into_session().unwrap(), received);
            }
        }
    }
}

pub(crate) fn connect(version: ProtocolVersion) -> (Session, ClientConnection) {
    let files = Files::new(&format!("{version:?}-{:?}", std::thread::current().id()));
    let mut client = client(files.client_config(suite(version)));
    let (session, rest) = shake_hands(&files.load().unwrap(), &mut client, usize::MAX, b"");
    assert_eq!(rest, b"");
    (session, client)
}

/// Opens all of `bytes`, given in parts of `step` bytes.
fn open(session: &mut Session, bytes: &[u8], step: usize) -> Result<Vec<u8>, RecordError> {
    let mut plain = Vec::new();
    for part in bytes.to_vec().chunks_mut(step) {
        let mut from = 0;
        loop {
            match session.open(&mut part[from..])? {
                Opened::Data { data, end } => {
                    plain.extend_from_slice(&part[from..][data]);
                    from += end;
                }
                Opened::Parted { data, end } => {
                    plain.extend_from_slice(&session.parted()[data]);
                    from += end;
                }
                Opened::Nothing | Opened::Closed => break,
            }
        }
    }
    Ok(plain)
}

fn seal(session: &mut Session, plain: &mut Pieces) -> (Vec<u8>, usize) {
    let (sealed, len) = session.seal(plain, &mut Scratch::default()).unwrap();
    (sealed.iter().flat_map(Piece::to_vec).collect(), len)
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2];

#[test]
fn data_passes_both_ways_in_every_suite() {
    let files = Files::new("suites");
    let acceptor = files.load().unwrap();
    for suite in suites() {
        let mut client = client(files.client_config(suite));
        let (mut session, mut rest) = shake_hands(&acceptor, &mut client, usize::MAX, b"early");
        rest.extend(from_client(&mut client));
        assert_eq!(open(&mut session, &rest, usize::MAX).unwrap(), b"early", "{suite:?}");
        // More than the client's buffer holds at once.
        for part in noise(200_000).chunks(50_000) {
            client.writer().write_all(part).unwrap();
            let wire = from_client(&mut client);
            assert_eq!(open(&mut session, &wire, 7_000).unwrap(), part, "{suite:?}");
        }
        let mut plain: Pieces =
            noise(150_000).chunks(40_000).map(|part| Piece::new(part.to_vec(), &Meter::default())).collect();
        let mut back = Vec::new();
        while !plain.is_empty() {
            let (sealed, _) = seal(&mut session, &mut plain);
            back.extend(to_client(&mut client, &sealed).unwrap());
        }
        assert_eq!(back, noise(150_000), "{suite:?}");
        let mut answer = Vec::new();
        session.seal_bytes(&noise(40_000), &mut answer).unwrap();
        assert_eq!(to_client(&mut client, &answer).unwrap(), noise(40_000));
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let files = Files::new("bytes");
    let acceptor = files.load().unwrap();
    for version in BOTH {
        let mut client = client(files.client_config(suite(version)));
        let (mut session, rest) = shake_hands(&acceptor, &mut client, 1, b"behind it");
        assert_eq!(open(&mut session, &rest, 1).unwrap(), b"behind it");
    }
}

#[test]
fn records_may_come_byte_by_byte_and_leave_no_memory() {
    for version in BOTH {
        let (mut session, mut client) = connect(version);
        client.writer().write_all(&noise(40_000)).unwrap();
        let wire = from_client(&mut client);
        assert_eq!(open(&mut session, &wire, 1).unwrap(), noise(40_000));
        assert_eq!(session.parted_len(), 0);
    }
}

#[test]
fn a_record_that_is_forgotten_takes_no_memory_and_nothing_is_read_any_more() {
    for version in BOTH {
        let (mut session, mut client) = connect(version);
        client.writer().write_all(&noise(10_000)).unwrap();
        let wire = from_client(&mut client);
        assert_eq!(open(&mut session, &wire[..8_000], usize::MAX).unwrap(), b"");
        assert!((8_000..16_640).contains(&session.parted_len()), "{}", session.parted_len());
        session.forget();
        assert_eq!(session.parted_len(), 0);
        // Neither the rest, nor what is behind it, nor what was never sealed.
        client.writer().write_all(b"behind it").unwrap();
        let rest = [&wire[8_000..], &from_client(&mut client), &[0xff; 100]].concat();
        assert_eq!(open(&mut session, &rest, 7).unwrap(), b"");
        assert_eq!(session.parted_len(), 0);
        let (sealed, _) =
            seal(&mut session, &mut [Piece::new(b"and why".to_vec(), &Meter::default())].into_iter().collect());
        assert_eq!(to_client(&mut client, &sealed).unwrap(), b"and why");
    }
}

#[test]
fn one_send_carries_eight_records_at_the_most() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    let mut plain: Pieces = [Piece::new(noise(300_000), &Meter::default())].into_iter().collect();
    let (sealed, len) = seal(&mut session, &mut plain);
    assert_eq!(len, 8 * (16 << 10));
    assert_eq!(to_client(&mut client, &sealed).unwrap(), noise(300_000)[..len]);
    assert_eq!(plain[0].to_vec(), noise(300_000)[len..]);
}

#[test]
fn tickets_resume_sessions_over_a_reload() {
    let files = Files::new("resume");
    let acceptor = files.load().unwrap();
    for version in BOTH {
        let config = files.client_config(suite(version));
        let mut first = client(config.clone());
        let (mut session, _) = shake_hands(&acceptor, &mut first, usize::MAX, b"");
        // The ticket of TLS 1.3 comes behind the handshake.
        let (sealed, _) = seal(&mut session, &mut [Piece::new(b"x".to_vec(), &Meter::default())].into_iter().collect());
        to_client(&mut first, &sealed).unwrap();
        assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
        acceptor.reload().unwrap();
        let mut second = client(config);
        let (mut session, rest) = shake_hands(&acceptor, &mut second, usize::MAX, b"again");
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(open(&mut session, &rest, usize::MAX).unwrap(), b"again");
        // Its last keys are as good as those of a full handshake.
        let (sealed, _) =
            seal(&mut session, &mut [Piece::new(b"and back".to_vec(), &Meter::default())].into_iter().collect());
        assert_eq!(to_client(&mut second, &sealed).unwrap(), b"and back");
    }
}

#[test]
fn a_client_that_speaks_another_protocol_is_refused_by_an_alert() {
    let files = Files::new("alpn");
    let acceptor = files.load().unwrap();
    for (protocols, is_welcome) in [(vec!["h2"], false), (vec!["h2", "http/1.1"], true), (vec![], true)] {
        let mut config = files.client_config(suite(ProtocolVersion::TLSv1_3));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut client = client(config);
        let mut handshake = Handshake::new(acceptor.current()).unwrap();
        let mut outgoing = Vec::new();
        let progress = handshake.advance(&mut from_client(&mut client), &mut outgoing);
        assert_eq!(progress.is_ok(), is_welcome, "{protocols:?}");
        let answer = to_client(&mut client, &outgoing);
        if !is_welcome {
            let alert = AlertDescription::NoApplicationProtocol;
            assert_eq!(answer, Err(rustls::Error::AlertReceived(alert)));
        }
    }
}

#[test]
fn keys_are_renewed_when_the_client_asks() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    for round in 0..40 {
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(&noise(16 << 10)).unwrap();
        let wire = from_client(&mut client);
        assert_eq!(open(&mut session, &wire, 11).unwrap(), noise(16 << 10), "round {round}");
        if round % 3 == 0 {
            assert!(session.has_control());
            let (sealed, _) =
                seal(&mut session, &mut [Piece::new(b"too".to_vec(), &Meter::default())].into_iter().collect());
            assert!(!session.has_control());
            assert_eq!(to_client(&mut client, &sealed).unwrap(), b"too", "round {round}");
        }
    }
}

#[test]
fn a_worn_out_key_is_renewed_in_tls_13_and_ends_the_session_in_tls_12() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    session.wear_out_after(2);
    let mut plain: Pieces = [Piece::new(noise(100_000), &Meter::default())].into_iter().collect();
    let (sealed, _) = seal(&mut session, &mut plain);
    assert_eq!(to_client(&mut client, &sealed).unwrap(), noise(100_000));

    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_2);
    session.wear_out_after(2);
    let mut plain: Pieces = [Piece::new(noise(100_000), &Meter::default())].into_iter().collect();
    let (sealed, len) = seal(&mut session, &mut plain);
    assert_eq!(len, 32 << 10);
    assert_eq!(to_client(&mut client, &sealed).unwrap(), noise(100_000)[..len]);
    assert_eq!(session.seal(&mut plain, &mut Scratch::default()).unwrap_err(), RecordError::KeyWornOut);
    let (alert, len) = seal(&mut session, &mut plain);
    assert_eq!(len, 0);
    client.read_tls(&mut alert.as_slice()).unwrap();
    assert!(client.process_new_packets().unwrap().peer_has_closed(), "told in good order");
}

/// Has `spoil` change what the client sends; the session's error, and the alert that the client gets for it.
fn broken_by(version: ProtocolVersion, spoil: impl FnOnce(&mut Vec<u8>)) -> (RecordError, AlertDescription) {
    let (mut session, mut client) = connect(version);
    client.writer().write_all(&noise(1000)).unwrap();
    let mut wire = from_client(&mut client);
    spoil(&mut wire);
    let error = open(&mut session, &wire, usize::MAX).unwrap_err();
    let (sealed, len) =
        seal(&mut session, &mut [Piece::new(b"not any more".to_vec(), &Meter::default())].into_iter().collect());
    assert_eq!(len, 0);
    match to_client(&mut client, &sealed) {
        Err(rustls::Error::AlertReceived(alert)) => (error, alert),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_breaks_a_session_is_told_by_the_right_alert() {
    for version in BOTH {
        assert_eq!(
            broken_by(version, |wire| *wire.last_mut().unwrap() ^= 1),
            (RecordError::BadMac, AlertDescription::BadRecordMac)
        );
        assert_eq!(
            broken_by(version, |wire| wire[3..5].copy_from_slice(&18_433_u16.to_be_bytes())),
            (RecordError::Overflow, AlertDescription::RecordOverflow)
        );
        for kind in [0, 20, 24, 255] {
            assert_eq!(
                broken_by(version, |wire| wire[0] = kind),
                (RecordError::Unexpected, AlertDescription::UnexpectedMessage)
            );
        }
        assert_eq!(
            broken_by(version, |wire| wire.splice(..0, *b"GET / HTTP/1.1\r\n").for_each(drop)),
            (RecordError::Unexpected, AlertDescription::UnexpectedMessage)
        );
        // Shorter than a tag.
        assert_eq!(
            broken_by(version, |wire| *wire = vec![23, 3, 3, 0, 3, 1, 2, 3]),
            (RecordError::BadMac, AlertDescription::BadRecordMac)
        );
    }
}

#[test]
fn who_only_renews_keys_is_cut() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    let mut wire = Vec::new();
    for _ in 0..17 {
        client.refresh_traffic_keys().unwrap();
        wire.extend(from_client(&mut client));
    }
    assert_eq!(open(&mut session, &wire, usize::MAX), Err(RecordError::NothingButControl));
}

#[test]
fn who_renews_keys_with_little_data_between_is_cut() {
    for (len, bytes_between) in [(16, 1), (17, 1100), (32, 8 << 10)] {
        let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
        for round in 0..=len {
            client.writer().write_all(&noise(bytes_between)).unwrap();
            client.refresh_traffic_keys().unwrap();
            let opened = open(&mut session, &from_client(&mut client), usize::MAX).map(|data| data.len());
            let expected = if round < len { Ok(bytes_between) } else { Err(RecordError::TooManyKeys) };
            assert_eq!(opened, expected, "{bytes_between} bytes, round {round}");
        }
        let (sealed, _) = seal(&mut session, &mut Pieces::new());
        let alert = rustls::Error::AlertReceived(AlertDescription::UnexpectedMessage);
        assert_eq!(to_client(&mut client, &sealed), Err(alert));
    }
}

#[test]
fn what_opening_costs_besides_the_data_is_told_once() {
    for version in BOTH {
        let (mut session, mut client) = connect(version);
        session.take_toll();
        client.writer().write_all(&noise(1000)).unwrap();
        let wire = from_client(&mut client);
        open(&mut session, &wire, 7).unwrap();
        let toll = session.take_toll();
        assert!(toll > wire.len() - 1000 && toll < 200, "{version:?}: {toll}");
        assert_eq!(session.take_toll(), 0);
        let mut wire = Vec::new();
        for byte in noise(1000) {
            client.writer().write_all(&[byte]).unwrap();
            wire.extend(from_client(&mut client));
        }
        open(&mut session, &wire, usize::MAX).unwrap();
        assert_eq!(session.take_toll(), wire.len() - 1000 + 1000 * (toll - (wire.len() / 1000 - 1)), "{version:?}");
    }
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    session.take_toll();
    client.refresh_traffic_keys().unwrap();
    open(&mut session, &from_client(&mut client), usize::MAX).unwrap();
    assert!(session.take_toll() > 4 << 10, "a key update is worth many records");
}

#[test]
fn a_close_notify_ends_one_side() {
    for version in BOTH {
        let (mut session, mut client) = connect(version);
        client.writer().write_all(b"last words").unwrap();
        client.send_close_notify();
        let mut wire = from_client(&mut client);
        wire.extend_from_slice(b"and what nobody can have sent");
        assert_eq!(open(&mut session, &wire, 13).unwrap(), b"last words");
        assert!(session.is_read_closed());
        let (sealed, _) =
            seal(&mut session, &mut [Piece::new(b"answer".to_vec(), &Meter::default())].into_iter().collect());
        session.close();
        let mut sealed = sealed;
        sealed.extend(seal(&mut session, &mut Pieces::new()).0);
        let mut bytes = sealed.as_slice();
        client.read_tls(&mut bytes).unwrap();
        let state = client.process_new_packets().unwrap();
        assert_eq!((state.plaintext_bytes_to_read(), state.peer_has_closed()), (6, true));
        assert_eq!(
            seal(&mut session, &mut [Piece::new(b"too late".to_vec(), &Meter::default())].into_iter().collect()),
            (vec![], 0)
        );
    }
}

#[test]
fn garbage_ends_a_handshake() {
    let files = Files::new("garbage");
    let acceptor = files.load().unwrap();
    for garbage in [&[22, 3, 1, 0, 4, 9, 9, 9, 9][..], &[22, 3, 1, 0xff, 0xff, 1], &[22, 9, 9, 0, 1, 1]] {
        let mut handshake = Handshake::new(acceptor.current()).unwrap();
        let (mut received, mut outgoing) = (garbage.to_vec(), Vec::new());
        received.resize(70_000, 0);
        assert!(handshake.advance(&mut received, &mut outgoing).is_err(), "{garbage:?}");
        assert!(outgoing.is_empty() || outgoing[0] == 21, "{outgoing:?}");
    }
    assert_eq!(is_handshake(b"GET / HTTP/1.1"), Some(false));
    assert_eq!(is_handshake(&[22, 3, 1]), Some(true));
    assert_eq!(is_handshake(b""), None);
}

#[test]
fn a_changed_byte_anywhere_in_a_handshake_is_survived() {
    let files = Files::new("changed");
    let acceptor = files.load().unwrap();
    for version in BOTH {
        let mut client = client(files.client_config(suite(version)));
        let hello = from_client(&mut client);
        for at in 0..hello.len() {
            for change in [1, 0x80, 0xff] {
                let mut handshake = Handshake::new(acceptor.current()).unwrap();
                let (mut received, mut outgoing) = (hello.clone(), Vec::new());
                received[at] ^= change;
                // Some changes are as good as the original. What follows fits none of them.
                let first = handshake.advance(&mut received, &mut outgoing);
                if first.is_ok() {
                    received.extend_from_slice(&hello);
                    let _ = handshake.advance(&mut received, &mut outgoing);
                }
                assert!(outgoing.is_empty() || matches!(outgoing[0], 21 | 22), "{at} {change}");
            }
        }
    }
}
