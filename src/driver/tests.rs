//! Both drivers against real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::sockopt::set_socket_linger;

use super::*;
use crate::chunk::{Chain, Cursor, Meter};
use crate::epoll::Epoll;
use crate::ring::Ring;

/// Runs each of these with both.
macro_rules! with_both {
    ($($test:ident)*) => {
        mod uring {
            $(#[test] fn $test() { super::$test::<super::Ring>(); })*
        }
        mod epoll {
            $(#[test] fn $test() { super::$test::<super::Epoll>(); })*
        }
    };
}

mod sealing;

with_both! {
    one_receive_brings_again_and_again
    bytes_from_before_receiving_arrive
    what_is_put_back_comes_first
    pieces_arrive_in_order
    a_send_goes_on_when_there_is_room
    a_cancelled_send_tells_how_far_it_came
    a_cancelled_receive_ends
    a_cancelled_receive_ends_although_there_is_more
    sends_on_many_sockets_all_complete
    who_sends_most_does_not_keep_others_waiting
    what_one_turn_takes_in_has_a_bound
    who_has_shut_its_side_still_gets_what_is_sent
    the_end_comes_behind_what_was_sent_before
    a_reset_ends_both_directions
    a_send_in_flight_on_a_connection_that_breaks_completes
    what_stands_behind_an_urgent_byte_arrives
    a_slot_can_be_used_again
    a_write_to_the_eventfd_wakes_again_and_again
    waiting_ends_with_its_timeout
}

/// A driver, and what it has told that no test has asked for yet.
struct Rig<D> {
    driver: D,
    completions: Vec<Completion>,
    eventfd: OwnedFd,
}

impl<D: Driver> Rig<D> {
    fn new() -> Rig<D> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let size = Size { submissions: 8, buffers: 16, buffer_len: BUFFER_LEN as u32 };
        let driver = D::new(size, eventfd.as_fd()).expect("io_uring is allowed here");
        Rig { driver, completions: Vec::new(), eventfd }
    }

    fn adopt(&mut self, socket: &impl AsFd, slot: u32) {
        self.driver.adopt(socket.as_fd(), slot).unwrap();
    }

    /// Starts to receive on a new socket.
    fn receive(&mut self, socket: &impl AsFd, slot: u32) {
        self.adopt(socket, slot);
        self.driver.receive(socket.as_fd(), slot);
    }

    /// Asks until there is an answer, with a bound.
    fn await_some<T>(&mut self, mut ask: impl FnMut(&mut Rig<D>) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.driver.reap(&mut self.completions);
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(Instant::now() < deadline, "nothing has happened");
            self.driver.wait(Some(Duration::from_millis(50)));
        }
    }

    fn next_arrival(&mut self) -> Arrival {
        self.await_some(|rig| rig.driver.next_arrival())
    }

    /// The next arrival, which has to have bytes: whose, and which.
    fn next_bytes(&mut self) -> (u32, Vec<u8>) {
        match self.next_arrival() {
            Arrival::Received { slot, buffer, part, more } => {
                let bytes = self.driver.received(&buffer, part).to_vec();
                self.driver.give_back(buffer);
                assert!(more, "there are buffers enough");
                (slot, bytes)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next bytes of a single connection, so many.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            all.extend(self.next_bytes().1);
        }
        all
    }

    fn send(&mut self, socket: &impl AsFd, slot: u32, pieces: Pieces) {
        self.driver.send(socket.as_fd(), slot, pieces);
    }

    fn next_sent(&mut self) -> (u32, Option<usize>) {
        self.await_some(|rig| {
            let at = rig.completions.iter().position(|completion| matches!(completion, Completion::Sent { .. }))?;
            match rig.completions.remove(at) {
                Completion::Sent { slot, len } => Some((slot, len)),
                Completion::Woken => unreachable!("a send was asked for"),
            }
        })
    }
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

/// Two ends of a TCP connection.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    there.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (listener.accept().unwrap().0, there)
}

/// More than the buffers of a socket hold.
fn much() -> Vec<u8> {
    (0..32_000_000u32).map(|i| (i % 251) as u8).collect()
}

/// Closes with a reset instead of an end of the stream.
fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn one_receive_brings_again_and_again<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 7);
    for round in 0..40u8 {
        there.write_all(&[round; 100]).unwrap();
        assert_eq!(rig.next_bytes(), (7, vec![round; 100]));
    }
    drop(there);
    assert!(matches!(rig.next_arrival(), Arrival::Hangup { slot: 7 }));
}

fn bytes_from_before_receiving_arrive<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    there.write_all(b"before the socket was adopted").unwrap();
    rig.adopt(&here, 0);
    rig.driver.wait(Some(Duration::from_millis(1)));
    rig.driver.receive(here.as_fd(), 0);
    assert_eq!(rig.next_bytes().1, b"before the socket was adopted");
}

fn what_is_put_back_comes_first<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (other, mut other_there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 0);
    there.write_all(b"begin and rest").unwrap();
    let Arrival::Received { slot, buffer, mut part, more } = rig.next_arrival() else { panic!() };
    part.start += b"begin".len();
    rig.driver.put_back(Arrival::Received { slot, buffer, part, more });
    rig.receive(&other, 1);
    other_there.write_all(b"later").unwrap();
    assert!(rig.driver.has_arrivals());
    rig.driver.wait(None);
    assert_eq!(rig.next_bytes(), (0, b" and rest".to_vec()));
    assert_eq!(rig.next_bytes(), (1, b"later".to_vec()));
}

fn pieces_arrive_in_order<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.adopt(&here, 3);
    for parts in [&[&b"alone"[..]][..], &[b"first ", b"second ", b"third"]] {
        let expected = parts.concat();
        rig.send(&here, 3, pieces(parts));
        assert_eq!(rig.next_sent(), (3, Some(expected.len())));
        let mut got = vec![0; expected.len()];
        there.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
    }
}

fn a_send_goes_on_when_there_is_room<D: Driver>() {
    let (here, mut there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 0);
    let all = much();
    let parts: Vec<&[u8]> = all.chunks(all.len() / 5 + 1).collect();
    rig.send(&here, 0, pieces(&parts));
    rig.driver.wait(Some(Duration::from_millis(20)));
    rig.driver.reap(&mut rig.completions);
    assert!(rig.completions.is_empty(), "the sockets' buffers are smaller");
    let len = all.len();
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; len];
        there.read_exact(&mut got).unwrap();
        (there, got)
    });
    assert_eq!(rig.next_sent(), (0, Some(len)));
    let (mut there, got) = reader.join().unwrap();
    assert!(got == all, "what arrived is not what was sent");
    // The other direction has not suffered.
    there.write_all(b"thanks").unwrap();
    assert_eq!(rig.take(6), b"thanks");
}

fn a_cancelled_send_tells_how_far_it_came<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.adopt(&here, 0);
    let all = much();
    rig.send(&here, 0, pieces(&[&all]));
    rig.driver.wait(Some(Duration::from_millis(20)));
    rig.driver.cancel_send(0);
    let (0, Some(sent)) = rig.next_sent() else { panic!() };
    assert!(sent < all.len(), "a socket's buffer is smaller");
    drop(here);
    let mut got = Vec::new();
    there.read_to_end(&mut got).unwrap();
    assert_eq!(got, all[..sent]);
}

fn a_cancelled_receive_ends<D: Driver>() {
    let (here, _there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 5);
    rig.driver.wait(Some(Duration::from_millis(1)));
    rig.driver.cancel_receive(5);
    assert!(matches!(rig.next_arrival(), Arrival::Ended { slot: 5 }));
}

fn a_cancelled_receive_ends_although_there_is_more<D: Driver>() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 0);
    there.write_all(&[1; 3 * BUFFER_LEN]).unwrap();
    rig.next_bytes();
    rig.driver.cancel_receive(0);
    let ended = loop {
        match rig.next_arrival() {
            Arrival::Received { buffer, more, .. } => {
                rig.driver.give_back(buffer);
                if !more {
                    break true;
                }
            }
            Arrival::Ended { slot: 0 } => break true,
            other => panic!("{other:?}"),
        }
    };
    assert!(ended);
}

fn sends_on_many_sockets_all_complete<D: Driver>() {
    let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
    let mut rig = Rig::<D>::new();
    for (slot, (here, _)) in pairs.iter().enumerate() {
        rig.adopt(here, slot as u32);
        rig.send(here, slot as u32, pieces(&[b"x"]));
    }
    let mut done = vec![false; pairs.len()];
    while done.contains(&false) {
        let (slot, Some(1)) = rig.next_sent() else { panic!() };
        assert!(!std::mem::replace(&mut done[slot as usize], true));
    }
}

fn who_sends_most_does_not_keep_others_waiting<D: Driver>() {
    let (greedy, mut greedy_there) = UnixStream::pair().unwrap();
    let (modest, mut modest_there) = UnixStream::pair().unwrap();
    let mut rig = Rig::<D>::new();
    rig.receive(&greedy, 0);
    rig.receive(&modest, 1);
    greedy_there.write_all(&[0; 8 * BUFFER_LEN]).unwrap();
    rig.next_bytes();
    modest_there.write_all(b"me too").unwrap();
    let before = (0..).take_while(|_| rig.next_bytes().0 == 0).count();
    assert!(before < 16, "{before} buffers of the other one's before it");
    rig.driver.cancel_receive(0);
}

fn what_one_turn_takes_in_has_a_bound<D: Driver>() {
    let mut rig = Rig::<D>::new();
    let mut there_is = 0;
    let pairs: Vec<_> = (0..64).map(|_| UnixStream::pair().unwrap()).collect();
    for (slot, (here, there)) in pairs.iter().enumerate() {
        there.set_nonblocking(true).unwrap();
        let mut writer: &UnixStream = there;
        while let Ok(len) = writer.write(&[1; BUFFER_LEN]) {
            there_is += len;
        }
        rig.receive(here, slot as u32);
    }
    assert!(there_is > 2 * TURN_LEN_MAX, "{there_is}");
    rig.driver.wait(None);
    rig.driver.reap(&mut rig.completions);
    let mut taken = 0;
    while let Some(arrival) = rig.driver.next_arrival() {
        if let Arrival::Received { buffer, part, .. } = arrival {
            taken += part.len();
            rig.driver.give_back(buffer);
        }
    }
    assert!((1..TURN_LEN_MAX + BUFFER_LEN).contains(&taken), "{taken}");
    for slot in 0..pairs.len() as u32 {
        rig.driver.cancel_receive(slot);
    }
}

fn who_has_shut_its_side_still_gets_what_is_sent<D: Driver>() {
    let (here, mut there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 0);
    there.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(rig.next_arrival(), Arrival::Hangup { slot: 0 }));
    let all = much();
    rig.send(&here, 0, pieces(&[&all]));
    let len = all.len();
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; len];
        there.read_exact(&mut got).unwrap();
    });
    assert_eq!(rig.next_sent(), (0, Some(len)));
    reader.join().unwrap();
}

fn the_end_comes_behind_what_was_sent_before<D: Driver>() {
    for len in [1, BUFFER_LEN, 3 * BUFFER_LEN + 1] {
        let (here, mut there) = tcp_pair();
        let mut rig = Rig::<D>::new();
        rig.receive(&here, 0);
        there.write_all(&vec![7; len]).unwrap();
        drop(there);
        assert_eq!(rig.take(len), vec![7; len]);
        assert!(matches!(rig.next_arrival(), Arrival::Hangup { slot: 0 }));
    }
}

fn a_reset_ends_both_directions<D: Driver>() {
    let (here, there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    rig.receive(&here, 0);
    rig.driver.wait(Some(Duration::from_millis(1)));
    reset(there);
    assert!(matches!(rig.next_arrival(), Arrival::Hangup { slot: 0 }));
    rig.send(&here, 0, pieces(&[b"to nobody"]));
    assert_eq!(rig.next_sent(), (0, None));
}

fn a_send_in_flight_on_a_connection_that_breaks_completes<D: Driver>() {
    let (here, there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    rig.adopt(&here, 0);
    let all = much();
    rig.send(&here, 0, pieces(&[&all]));
    rig.driver.wait(Some(Duration::from_millis(20)));
    reset(there);
    let (0, Some(sent)) = rig.next_sent() else { panic!("something had gone") };
    assert!((1..all.len()).contains(&sent));
}

fn what_stands_behind_an_urgent_byte_arrives<D: Driver>() {
    let (here, mut there) = tcp_pair();
    let mut rig = Rig::<D>::new();
    there.write_all(b"before ").unwrap();
    rustix::net::send(&there, b"!", rustix::net::SendFlags::OOB).unwrap();
    there.write_all(b"behind").unwrap();
    rig.receive(&here, 0);
    assert_eq!(rig.take(13), b"before behind");
}

fn a_slot_can_be_used_again<D: Driver>() {
    let mut rig = Rig::<D>::new();
    for round in 0..50u8 {
        let (here, mut there) = UnixStream::pair().unwrap();
        rig.receive(&here, 0);
        there.write_all(&[round]).unwrap();
        assert_eq!(rig.next_bytes(), (0, vec![round]));
        rig.send(&here, 0, pieces(&[&[round]]));
        assert_eq!(rig.next_sent(), (0, Some(1)));
        // What is in the socket when it is closed is not for the next one.
        there.write_all(&[200; 100]).unwrap();
        rig.driver.cancel_receive(0);
        loop {
            match rig.next_arrival() {
                Arrival::Received { buffer, .. } => rig.driver.give_back(buffer),
                Arrival::Ended { slot: 0 } => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn a_write_to_the_eventfd_wakes_again_and_again<D: Driver>() {
    let mut rig = Rig::<D>::new();
    for _ in 0..3 {
        rustix::io::write(&rig.eventfd, &1u64.to_ne_bytes()).unwrap();
        rig.await_some(|rig| matches!(rig.completions.pop(), Some(Completion::Woken)).then_some(()));
    }
    rig.driver.wait(Some(Duration::from_millis(1)));
    rig.driver.reap(&mut rig.completions);
    assert!(rig.completions.is_empty(), "once for each write");
}

fn waiting_ends_with_its_timeout<D: Driver>() {
    let mut rig = Rig::<D>::new();
    let started = Instant::now();
    rig.driver.wait(Some(Duration::from_micros(3500)));
    assert!(started.elapsed() >= Duration::from_micros(3500), "{:?}", started.elapsed());
    assert!(!rig.driver.poll());
}

const BUFFER_LEN: usize = 4096;

/// More than a relay takes in: what is not for it has a bound too.
const TURN_LEN_MAX: usize = 1 << 20;
