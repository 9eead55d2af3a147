//! What only a ring does. What both drivers do is tested beside their trait.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use super::*;

#[test]
fn receiving_ends_without_buffers_and_goes_on_with_them() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let wakes = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let size = Size { submissions: 8, buffers: 4, buffer_len: 4096 };
    let mut ring = Ring::new(size, wakes.as_fd()).expect("io_uring is allowed here");
    ring.receive(here.as_fd(), 1);
    there.write_all(&vec![9; 5 * 4096]).unwrap();
    let (mut held, mut ended, mut total) = (Vec::new(), false, 0);
    while !ended {
        match next(&mut ring) {
            Arrival::Received { buffer, part, more, .. } => {
                total += part.len();
                held.push(buffer);
                ended = !more;
            }
            Arrival::Ended { slot: 1 } => ended = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(total, 4 * 4096, "there were four buffers");
    held.into_iter().for_each(|buffer| ring.give_back(buffer));
    ring.receive(here.as_fd(), 1);
    while total < 5 * 4096 {
        let arrival = next(&mut ring);
        let Arrival::Received { buffer, part, .. } = arrival else { panic!("{arrival:?}") };
        total += part.len();
        ring.give_back(buffer);
    }
    assert!(ring.starved() >= 1);
}

/// The next arrival, waited for with a bound.
fn next(ring: &mut Ring) -> Arrival {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        ring.reap(&mut Vec::new());
        if let Some(arrival) = ring.next_arrival() {
            return arrival;
        }
        assert!(Instant::now() < deadline, "nothing has come");
        ring.wait(Some(Duration::from_millis(50)));
    }
}
