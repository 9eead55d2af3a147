//! The ring against real sockets: one socket pair each.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;
use crate::chunk::{Chain, Cursor, Meter};

fn ring() -> Ring {
    Ring::new(RingSize { submissions: 8, buffers: 4, buffer_len: 4096 }).expect("io_uring is allowed here")
}

/// The next completions, waited for with a bound.
fn next(ring: &mut Ring) -> Vec<Completion> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut completions = Vec::new();
    while completions.is_empty() {
        assert!(Instant::now() < deadline, "nothing completed");
        ring.wait(Some(Duration::from_millis(50)));
        ring.reap(&mut completions);
    }
    completions
}

fn pieces(parts: &[&[u8]]) -> Pieces {
    let mut pieces = Pieces::new();
    for part in parts {
        let mut chain = Chain::new(part.len(), &Meter::default());
        let chunk = chain.append([part, &[]]).clone();
        Cursor::at(chunk, 0).gather(part.len() as u64, usize::MAX, &mut pieces);
    }
    pieces
}

#[test]
fn one_receive_completes_again_and_again() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut ring = ring();
    ring.receive(here.as_fd(), 7);
    for round in 0..20u8 {
        there.write_all(&[round; 100]).unwrap();
        for completion in next(&mut ring) {
            let Completion::Arrived(Arrival::Received { slot: 7, buffer, part, more: true }) = completion else {
                panic!("{completion:?}")
            };
            assert_eq!(ring.received(&buffer, part), [round; 100]);
            ring.give_back(buffer);
        }
    }
    drop(there);
    assert!(matches!(next(&mut ring)[..], [Completion::Arrived(Arrival::Hangup { slot: 7 })]));
}

#[test]
fn receiving_ends_without_buffers_and_goes_on_with_them() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut ring = ring();
    ring.receive(here.as_fd(), 1);
    there.write_all(&vec![9; 5 * 4096]).unwrap();
    let (mut held, mut ended, mut total) = (Vec::new(), false, 0);
    while !ended {
        for completion in next(&mut ring) {
            match completion {
                Completion::Arrived(Arrival::Received { buffer, part, more, .. }) => {
                    total += part.len();
                    held.push(buffer);
                    ended |= !more;
                }
                Completion::Arrived(Arrival::Ended { slot: 1 }) => ended = true,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(total, 4 * 4096, "there were four buffers");
    held.into_iter().for_each(|buffer| ring.give_back(buffer));
    ring.receive(here.as_fd(), 1);
    while total < 5 * 4096 {
        for completion in next(&mut ring) {
            let Completion::Arrived(Arrival::Received { buffer, part, .. }) = completion else {
                panic!("{completion:?}")
            };
            total += part.len();
            ring.give_back(buffer);
        }
    }
}

#[test]
fn pieces_arrive_in_order() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut ring = ring();
    for parts in [&[&b"alone"[..]][..], &[b"first ", b"second ", b"third"]] {
        let expected = parts.concat();
        ring.send(here.as_fd(), 3, pieces(parts));
        let [Completion::Sent { slot: 3, len: Some(len) }] = next(&mut ring)[..] else { panic!() };
        assert_eq!(len, expected.len());
        let mut got = vec![0; len];
        there.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
    }
}

#[test]
fn a_cancelled_send_tells_how_far_it_came() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut ring = ring();
    let all: Vec<u8> = (0..8_000_000u32).map(|i| (i % 251) as u8).collect();
    ring.send(here.as_fd(), 0, pieces(&[&all]));
    ring.wait(Some(Duration::from_millis(20)));
    ring.cancel_send(0);
    let [Completion::Sent { slot: 0, len: Some(sent) }] = next(&mut ring)[..] else { panic!() };
    assert!(sent < all.len(), "a socket's buffer is smaller");
    drop(here);
    let mut got = Vec::new();
    there.read_to_end(&mut got).unwrap();
    assert_eq!(got, all[..sent]);
}

#[test]
fn a_cancelled_receive_ends() {
    let (here, _there) = UnixStream::pair().unwrap();
    let mut ring = ring();
    ring.receive(here.as_fd(), 5);
    ring.wait(Some(Duration::from_millis(1)));
    ring.cancel_receive(5);
    assert!(matches!(next(&mut ring)[..], [Completion::Arrived(Arrival::Ended { slot: 5 })]));
}

#[test]
fn more_submissions_than_the_ring_holds_all_complete() {
    let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
    let mut ring = ring();
    for (slot, (here, _)) in pairs.iter().enumerate() {
        ring.send(here.as_fd(), slot as u32, pieces(&[b"x"]));
    }
    let mut done = vec![false; pairs.len()];
    while done.contains(&false) {
        for completion in next(&mut ring) {
            let Completion::Sent { slot, len: Some(1) } = completion else { panic!("{completion:?}") };
            assert!(!std::mem::replace(&mut done[slot as usize], true));
        }
    }
}

#[test]
fn a_write_to_the_eventfd_wakes() {
    let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let mut ring = ring();
    for _ in 0..3 {
        ring.watch(eventfd.as_fd());
        rustix::io::write(&eventfd, &1u64.to_ne_bytes()).unwrap();
        assert!(matches!(next(&mut ring)[..], [Completion::Woken]));
    }
}

/// A key of AES-128-GCM for TLS 1.2, whose records show their type.
fn trial_key() -> [u8; 40] {
    let mut crypto_info = [0; 40];
    crypto_info[..2].copy_from_slice(&0x303_u16.to_ne_bytes());
    crypto_info[2..4].copy_from_slice(&51_u16.to_ne_bytes());
    crypto_info
}

#[test]
fn what_the_kernel_seals_are_records_of_the_type_that_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    there.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut ring = ring();
    let attached = kernel_tls::attach(here.as_fd());
    if !std::fs::exists("/proc/net/tls_stat").unwrap() {
        assert!(attached.is_err() && kernel_tls::set_send_key(here.as_fd(), &trial_key()).is_err());
        assert!(kernel_tls::read_send_key(here.as_fd(), &mut trial_key()).is_err());
        // The socket is as it was.
        ring.send(here.as_fd(), 1, pieces(&[b"plain"]));
        assert!(matches!(next(&mut ring)[..], [Completion::Sent { slot: 1, len: Some(5) }]));
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
        ring.send_sealed(here.as_fd(), 1, content_type, pieces(parts));
        let completions = next(&mut ring);
        let [Completion::Sent { slot: 1, len: Some(sent) }] = completions[..] else { panic!("{completions:?}") };
        assert_eq!(sent, len);
        // A header, a nonce of eight bytes, the data and a tag.
        let mut record = vec![0; 5 + 8 + len + 16];
        there.read_exact(&mut record).unwrap();
        assert_eq!(record[..5], [content_type, 3, 3, 0, (8 + len + 16) as u8]);
        let mut key = trial_key();
        kernel_tls::read_send_key(here.as_fd(), &mut key).unwrap();
        assert_eq!(key[32..], (number as u64 + 1).to_be_bytes(), "the kernel counts records");
    }
}

#[test]
fn a_socket_that_seals_ends_a_send_when_it_is_full_and_loses_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    let seals = kernel_tls::attach(here.as_fd()).is_ok();
    assert_eq!(seals, std::fs::exists("/proc/net/tls_stat").unwrap());
    if !seals {
        return;
    }
    kernel_tls::set_send_key(here.as_fd(), &trial_key()).unwrap();
    let mut ring = ring();
    let all = vec![7; 16 << 20];
    // Nothing is read. As long as the sockets find room, a part goes; then it is waited for.
    let mut sent = 0;
    loop {
        ring.send_sealed(here.as_fd(), 1, 23, pieces(&[&all[sent..]]));
        ring.wait(Some(Duration::from_millis(200)));
        let mut completions = Vec::new();
        ring.reap(&mut completions);
        match completions[..] {
            [] => break,
            [Completion::Sent { slot: 1, len: Some(len) }] => sent += len,
            _ => panic!("{completions:?}"),
        }
        assert!(sent < all.len(), "sockets hold less");
    }
    assert!(sent > 0);
    ring.cancel_send(1);
    let [Completion::Sent { slot: 1, len: Some(0) }] = next(&mut ring)[..] else { panic!() };
    assert!(kernel_tls::unacknowledged(here.as_fd()).unwrap() > 4096);
    drop(ring);
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
