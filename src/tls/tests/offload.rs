//! Sessions whose records another seals: a double of the kernel, which knows no more than the key in the kernel's form.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::*;

/// Seals as Linux does (`net/tls/tls_sw.c`).
struct Kernel {
    is_13: bool,
    is_gcm: bool,
    key: LessSafeKey,
    /// Salt and nonce.
    iv: [u8; 12],
    sequence: u64,
}

impl Kernel {
    fn new(key: &SendKey) -> Kernel {
        let bytes = key.as_bytes();
        let (info, rest) = bytes.split_at(4);
        let (version, cipher) = (u16::from_ne_bytes([info[0], info[1]]), u16::from_ne_bytes([info[2], info[3]]));
        let (algorithm, key_len): (&'static Algorithm, usize) = match cipher {
            51 => (&AES_128_GCM, 16),
            52 => (&AES_256_GCM, 32),
            54 => (&CHACHA20_POLY1305, 32),
            other => panic!("{other}"),
        };
        let salt_len = if cipher == 54 { 0 } else { 4 };
        let (nonce, rest) = rest.split_at(12 - salt_len);
        let (key, rest) = rest.split_at(key_len);
        let (salt, sequence) = rest.split_at(salt_len);
        Kernel {
            is_13: version == 0x304,
            is_gcm: salt_len > 0,
            key: LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()),
            iv: [salt, nonce].concat().try_into().unwrap(),
            sequence: u64::from_be_bytes(sequence.try_into().unwrap()),
        }
    }

    fn seal(&mut self, kind: u8, data: &[u8]) -> Vec<u8> {
        let counts_nonces = self.is_gcm && !self.is_13;
        let mut nonce = self.iv;
        if counts_nonces {
            let next = u64::from_be_bytes(self.iv[4..].try_into().unwrap()).wrapping_add(1);
            self.iv[4..].copy_from_slice(&next.to_be_bytes());
        } else {
            nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
        }
        let (mut sealed, explicit) = (data.to_vec(), if counts_nonces { nonce[4..].to_vec() } else { Vec::new() });
        let outer = if self.is_13 { 23 } else { kind };
        if self.is_13 {
            sealed.push(kind);
        }
        let len = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
        let header = [&[outer, 3, 3][..], &len(explicit.len() + sealed.len() + 16)].concat();
        let aad = if self.is_13 {
            header.clone()
        } else {
            [&self.sequence.to_be_bytes()[..], &[kind, 3, 3], &len(data.len())].concat()
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).unwrap();
        self.sequence += 1;
        [header, explicit, sealed].concat()
    }

    fn seal_control(&mut self, control: Control) -> Vec<u8> {
        self.seal(control.content_type(), control.message())
    }
}

/// Takes the sending half over.
fn offloaded(session: &mut Session) -> Kernel {
    let mut kernel = None;
    session
        .offload(|key| {
            kernel = Some(Kernel::new(key));
            Ok(())
        })
        .unwrap();
    kernel.unwrap()
}

/// What the client makes of the kernel's close_notify.
fn is_told_the_end(client: &mut ClientConnection, kernel: &mut Kernel, session: &mut Session) -> bool {
    let control = session.control(false).unwrap().unwrap();
    let alert = kernel.seal_control(control);
    session.control_sent(control, |_| panic!("no key is due")).unwrap();
    client.read_tls(&mut alert.as_slice()).unwrap();
    client.process_new_packets().unwrap().peer_has_closed()
}

#[test]
fn the_kernel_goes_on_in_every_suite_where_the_session_was() {
    let files = Files::new("offload");
    let acceptor = files.load().unwrap();
    for suite in suites() {
        let mut client = client(files.client_config(suite));
        let (mut session, _) = shake_hands(&acceptor, &mut client, usize::MAX, b"");
        let mut answer = Vec::new();
        session.seal_bytes(b"by us", &mut answer).unwrap();
        assert_eq!(to_client(&mut client, &answer).unwrap(), b"by us");
        let mut kernel = offloaded(&mut session);
        for round in 0..3 {
            let record = kernel.seal(23, &noise(1000));
            assert_eq!(to_client(&mut client, &record).unwrap(), noise(1000), "{suite:?} {round}");
        }
        // The other direction is still ours.
        client.writer().write_all(b"from the client").unwrap();
        let wire = from_client(&mut client);
        assert_eq!(open(&mut session, &wire, 5).unwrap(), b"from the client", "{suite:?}");
        session.close();
        assert!(session.has_control());
        assert!(is_told_the_end(&mut client, &mut kernel, &mut session), "{suite:?}");
        assert!(!session.has_control());
        assert_eq!(session.control(true), Ok(None), "nothing follows an alert");
    }
}

#[test]
fn a_kernel_that_refuses_leaves_the_session_sealing() {
    for version in BOTH {
        let (mut session, mut client) = connect(version);
        assert_eq!(session.offload(|_| Err(Refused)), Err(Refused));
        let mut plain: Pieces = [Piece::new(noise(50_000), &Meter::default())].into_iter().collect();
        let (sealed, len) = seal(&mut session, &mut plain);
        assert_eq!(to_client(&mut client, &sealed).unwrap(), noise(50_000)[..len]);
        assert_eq!(session.offload(|_| Ok(())), Err(Refused), "it is offered once");
    }
}

#[test]
fn a_session_that_keeps_sealing_offers_no_key() {
    let (mut session, _) = connect(ProtocolVersion::TLSv1_3);
    session.keep_sealing();
    assert_eq!(session.offload(|_| Ok(())), Err(Refused));
}

#[test]
fn the_kernel_gets_the_next_key_behind_the_key_update() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    let mut kernel = offloaded(&mut session);
    for round in 0..5 {
        client.refresh_traffic_keys().unwrap();
        let wire = from_client(&mut client);
        assert_eq!(open(&mut session, &wire, usize::MAX).unwrap(), b"");
        let control = session.control(true).unwrap().unwrap();
        assert_eq!(session.control(true), Ok(Some(control)), "due until it was sent");
        let mut wire = kernel.seal_control(control);
        session
            .control_sent(control, |key| {
                kernel = Kernel::new(key);
                Ok(())
            })
            .unwrap();
        assert_eq!(session.control(true), Ok(None));
        wire.extend(kernel.seal(23, b"with the next key"));
        assert_eq!(to_client(&mut client, &wire).unwrap(), b"with the next key", "round {round}");
    }
}

#[test]
fn a_key_of_before_the_offer_is_the_one_that_is_offered() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    client.refresh_traffic_keys().unwrap();
    let wire = from_client(&mut client);
    open(&mut session, &wire, usize::MAX).unwrap();
    let mut answer = Vec::new();
    session.seal_bytes(b"second key", &mut answer).unwrap();
    answer.extend(offloaded(&mut session).seal(23, b", by the kernel"));
    assert_eq!(to_client(&mut client, &answer).unwrap(), b"second key, by the kernel");
}

#[test]
fn who_asks_for_a_key_that_the_kernel_does_not_take_is_told_the_end() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    let mut kernel = offloaded(&mut session);
    client.refresh_traffic_keys().unwrap();
    let wire = from_client(&mut client);
    open(&mut session, &wire, usize::MAX).unwrap();
    assert_eq!(session.control(false), Err(RecordError::KeyStays));
    assert!(is_told_the_end(&mut client, &mut kernel, &mut session));
}

#[test]
fn a_next_key_that_is_refused_leaves_nothing_to_say() {
    let (mut session, mut client) = connect(ProtocolVersion::TLSv1_3);
    offloaded(&mut session);
    client.refresh_traffic_keys().unwrap();
    let wire = from_client(&mut client);
    open(&mut session, &wire, usize::MAX).unwrap();
    let control = session.control(true).unwrap().unwrap();
    assert_eq!(session.control_sent(control, |_| Err(Refused)), Err(RecordError::KeyStays));
    assert!(!session.has_control());
    assert_eq!(session.control(true), Ok(None));
}

#[test]
fn the_kernel_is_asked_for_its_count_when_the_key_may_be_worn_out() {
    let (mut session, _) = connect(ProtocolVersion::TLSv1_3);
    offloaded(&mut session);
    session.wear_out_after(100);
    assert_eq!(session.may_seal(60, true, || panic!("there is room")), Ok(true));
    session.data_sent(60);
    // Sixty bytes were one record.
    assert_eq!(session.may_seal(60, true, || Some(1)), Ok(true));
    session.data_sent(60);
    assert_eq!(session.may_seal(60, true, || Some(90)), Ok(false));
    assert!(matches!(session.control(true), Ok(Some(Control::KeyUpdate(_)))));
}

#[test]
fn a_key_that_is_worn_out_ends_a_session_that_gets_no_other() {
    for (version, rekeys, error) in [
        (ProtocolVersion::TLSv1_3, false, RecordError::KeyStays),
        (ProtocolVersion::TLSv1_2, false, RecordError::KeyWornOut),
        (ProtocolVersion::TLSv1_2, true, RecordError::KeyWornOut),
    ] {
        let (mut session, mut client) = connect(version);
        let mut kernel = offloaded(&mut session);
        session.wear_out_after(10);
        // A kernel that does not say counts as one that has sealed too much.
        assert_eq!(session.may_seal(11, rekeys, || None), Err(error));
        assert!(is_told_the_end(&mut client, &mut kernel, &mut session), "{version:?}");
    }
}
