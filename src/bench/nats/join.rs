//! From an open WebSocket to a client that gets messages: `CONNECT`, subscriptions, and a `PING` whose answer says that
//! the server has them.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::super::connect::Established;
use super::super::error::Failure;
use super::super::frame;
use super::super::options::Plan;
use super::super::topology::Seat;
use super::stream::{Operation, Stream};

/// Subscribes all connections, which sit in the order of `seats`: each to its room's queue group, those that wait for
/// replies to their inbox.
pub fn join_all(plan: &Plan, run: u64, seats: &[Seat], established: &mut [Established]) -> Result<(), Failure> {
    for (index, (seat, connection)) in seats.iter().zip(&*established).enumerate() {
        let mut greeting = Vec::new();
        frame::put_client_frame(&mut greeting, frame::BINARY, protocol(plan, run, seat).as_bytes());
        match send(connection.transport.socket(), &greeting, SendFlags::NOSIGNAL) {
            Ok(count) if count == greeting.len() => {}
            // A few hundred bytes into an empty socket buffer go whole.
            Ok(_) => return Err(ended(index, Errno::NOBUFS)),
            Err(error) => return Err(ended(index, error)),
        }
    }
    let deadline = Instant::now() + plan.connect_timeout;
    for (index, connection) in established.iter_mut().enumerate() {
        let left = await_pong(index, connection, deadline)?;
        // Nobody publishes before all have joined.
        debug_assert!(left.is_empty());
        connection.received = left;
    }
    Ok(())
}

/// `echo: false`: a publisher is not given its own messages, as in the other servers.
fn protocol(plan: &Plan, run: u64, seat: &Seat) -> String {
    let subject = super::subject(run, seat.room);
    let options = r#"{"verbose":false,"pedantic":false,"headers":false,"echo":false,"protocol":1}"#;
    let mut protocol = format!("CONNECT {options}\r\nSUB {subject} all 1\r\n");
    if let (true, Some(publisher)) = (plan.pattern.has_replies(), seat.publishes) {
        protocol += &format!("SUB {} 2\r\n", super::inbox(run, publisher));
    }
    protocol + "PING\r\n"
}

/// Reads up to the `PONG`; returns the bytes behind it that make no whole frame.
fn await_pong(index: usize, connection: &mut Established, deadline: Instant) -> Result<Vec<u8>, Failure> {
    let mut stream = Stream::default();
    let mut bytes = std::mem::take(&mut connection.received);
    let mut replies = Vec::new();
    loop {
        let taken = stream.unpack(index, &bytes, &mut replies)?;
        bytes.drain(..taken);
        let complaint = |what| Failure::Protocol { connection: index, what };
        while let Some(operation) = stream.next_operation().map_err(complaint)? {
            if operation == Operation::Pong {
                return Ok(bytes);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let readiness =
            poll(&mut [PollFd::from_borrowed_fd(connection.transport.socket().as_fd(), PollFlags::IN)], Some(&timeout));
        match readiness {
            Ok(0) => return Err(Failure::Protocol { connection: index, what: "no PONG came; is this NATS?".into() }),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::system("poll", error)),
        }
        let mut buffer = [0; 16 << 10];
        match recv(connection.transport.socket(), &mut buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Err(Failure::Closed { connection: index, code: None, reason: String::new() }),
            Ok((count, _)) => bytes.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(ended(index, error)),
        }
    }
}

fn ended(connection: usize, error: Errno) -> Failure {
    Failure::Closed { connection, code: None, reason: error.to_string() }
}
