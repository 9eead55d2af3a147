//! The ring against real sockets: one socket pair each.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;
use crate::chunk::{Chain, Cursor};

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
        let mut chain = Chain::new(part.len());
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
