//! Sending on sockets for which the kernel seals, where it can; elsewhere, that it is said.

use super::*;

with_both! {
    what_the_kernel_seals_are_records_of_the_type_that_is_named
    a_socket_that_seals_loses_nothing_when_it_is_full
}

fn what_the_kernel_seals_are_records_of_the_type_that_is_named<D: Driver>() {
    let (here, mut there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    rig.adopt(&here, 1);
    let attached = kernel_tls::attach(here.as_fd());
    if !std::fs::exists("/proc/net/tls_stat").unwrap() {
        assert!(attached.is_err() && kernel_tls::set_send_key(here.as_fd(), &trial_key()).is_err());
        assert!(kernel_tls::read_send_key(here.as_fd(), &mut trial_key()).is_err());
        // The socket is as it was.
        rig.send(&here, 1, pieces(&[b"plain"]));
        assert_eq!(rig.next_sent(), (1, Some(5)));
        let mut got = [0; 5];
        there.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"plain");
        return;
    }
    attached.unwrap();
    kernel_tls::set_send_key(here.as_fd(), &trial_key()).unwrap();
    let sends: [(u8, &[&[u8]]); 5] =
        [(23, &[b"data"]), (21, &[b"al"]), (23, &[b"in ", b"parts"]), (22, &[b"hello"]), (23, &[b"data"])];
    for (number, (content_type, parts)) in sends.into_iter().enumerate() {
        let len = parts.concat().len();
        rig.driver.send_sealed(here.as_fd(), 1, content_type, pieces(parts));
        assert_eq!(rig.next_sent(), (1, Some(len)));
        // A header, a nonce of eight bytes, the data and a tag.
        let mut record = vec![0; 5 + 8 + len + 16];
        there.read_exact(&mut record).unwrap();
        assert_eq!(record[..5], [content_type, 3, 3, 0, (8 + len + 16) as u8]);
        let mut key = trial_key();
        kernel_tls::read_send_key(here.as_fd(), &mut key).unwrap();
        assert_eq!(key[32..], (number as u64 + 1).to_be_bytes(), "the kernel counts records");
    }
}

fn a_socket_that_seals_loses_nothing_when_it_is_full<D: Driver>() {
    let (here, mut there) = tcp_pair();
    let seals = kernel_tls::attach(here.as_fd()).is_ok();
    assert_eq!(seals, std::fs::exists("/proc/net/tls_stat").unwrap());
    if !seals {
        return;
    }
    kernel_tls::set_send_key(here.as_fd(), &trial_key()).unwrap();
    let mut rig = Rig::<D>::new();
    rig.adopt(&here, 1);
    let all = vec![7; 16 << 20];
    // Nothing is read. As long as the sockets find room, a part goes; then it is waited for.
    let mut sent = 0;
    loop {
        rig.driver.send_sealed(here.as_fd(), 1, 23, pieces(&[&all[sent..]]));
        rig.driver.wait(Some(Duration::from_millis(200)));
        rig.driver.reap(&mut rig.completions);
        match rig.completions.drain(..).collect::<Vec<_>>()[..] {
            [] => break,
            [Completion::Sent { slot: 1, len: Some(len) }] => sent += len,
            ref other => panic!("{other:?}"),
        }
        assert!(sent < all.len(), "sockets hold less");
    }
    rig.driver.cancel_send(1);
    let (1, Some(len)) = rig.next_sent() else { panic!() };
    sent += len;
    assert!((1..all.len()).contains(&sent), "{sent}");
    assert!(kernel_tls::unacknowledged(here.as_fd()).unwrap() > 4096);
    drop(rig);
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        there.read_to_end(&mut got).map(|_| got)
    });
    // What is still held back is sent as room comes, before the end.
    let deadline = Instant::now() + Duration::from_secs(20);
    while kernel_tls::unacknowledged(here.as_fd()).unwrap() > 0 {
        assert!(Instant::now() < deadline, "the reader reads");
        std::thread::yield_now();
    }
    drop(here);
    let (got, mut data_len) = (reader.join().unwrap().unwrap(), 0);
    let mut rest = got.as_slice();
    while let Some((header, behind)) = rest.split_at_checked(5) {
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        data_len += len - 24;
        rest = &behind[len..];
    }
    assert_eq!((data_len, rest.len()), (sent, 0));
}

/// A key of AES-128-GCM for TLS 1.2, whose records show their type.
fn trial_key() -> [u8; 40] {
    let mut crypto_info = [0; 40];
    crypto_info[..2].copy_from_slice(&0x303_u16.to_ne_bytes());
    crypto_info[2..4].copy_from_slice(&51_u16.to_ne_bytes());
    crypto_info
}
