//! Opens all connections at once, in batches: many thousand in a second or two.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use rustix::time::Timespec;

use super::error::Failure;
use super::options::Plan;
use super::publish::Outbox;
use super::target::RoomTarget;
use super::topology::Seat;
use super::transport::{RECEIVE_BYTES_MIN, Received, Transport};
use super::trust::Trust;
use super::upgrade;

/// An established WebSocket connection.
pub struct Established {
    pub transport: Transport,
    /// What came right behind the head of the answer: the beginning of the frames.
    pub received: Vec<u8>,
}

/// Opens one connection per seat, in their order.
pub fn open_all(
    plan: &Plan,
    targets: &[RoomTarget],
    seats: &[Seat],
    mut progress: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<Vec<Established>, Failure> {
    let system = |error| Failure::system("epoll", error);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system)?;
    let mut attempts: Vec<Option<Attempt>> = Vec::with_capacity(seats.len());
    let mut established: Vec<Option<Established>> = (0..seats.len()).map(|_| None).collect();
    let mut events = Vec::with_capacity(PENDING_MAX);
    let mut buffer = vec![0; RECEIVE_BYTES_MIN];
    let (mut open, mut checked) = (0, Instant::now());
    while open < seats.len() {
        while attempts.len() < seats.len() && attempts.len() - open < PENDING_MAX {
            let index = attempts.len();
            let attempt = Attempt::start(&targets[seats[index].room as usize], plan.trust.as_ref(), index)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&epoll, attempt.transport.socket(), EventData::new_u64(index as u64), flags).map_err(system)?;
            attempts.push(Some(attempt));
        }
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), Some(&CHECK_INTERVAL)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(system(error)),
        }
        for event in &events {
            let index = event.data.u64() as usize;
            let Some(attempt) = &mut attempts[index] else { continue };
            if let Some(received) = attempt.step(&mut buffer)? {
                let attempt = attempts[index].take().expect("it was there a line ago");
                epoll::delete(&epoll, attempt.transport.socket()).map_err(system)?;
                established[index] = Some(Established { transport: attempt.transport, received });
                open += 1;
            }
        }
        if events.is_empty() || checked.elapsed() > Duration::from_millis(200) {
            checked = Instant::now();
            let late = attempts.iter().flatten().find(|attempt| attempt.started.elapsed() > plan.connect_timeout);
            if let Some(late) = late {
                return Err(Failure::Unanswered {
                    address: late.address,
                    established: open,
                    wanted: seats.len(),
                    timeout: plan.connect_timeout,
                });
            }
            progress(open)?;
        }
    }
    Ok(established.into_iter().map(|connection| connection.expect("all are open")).collect())
}

/// Attempts at a time: below the backlog that servers listen with (511 and up), or the kernel drops SYNs and each of
/// those costs a second.
const PENDING_MAX: usize = 256;

const CHECK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Connections from one source address; beyond, the next one of 127.0.0.0/8 is used, as its ports run out at 28 000.
const PER_SOURCE_MAX: usize = 20_000;

/// A connection on its way to being open.
struct Attempt {
    transport: Transport,
    address: SocketAddr,
    /// The request; with TLS the handshake goes ahead of it.
    outbox: Outbox,
    head: Vec<u8>,
    started: Instant,
}

impl Attempt {
    fn start(target: &RoomTarget, trust: Option<&Trust>, index: usize) -> Result<Attempt, Failure> {
        let address = target.address;
        let unreachable = |error: Errno| Failure::Unreachable { address, error: error.into() };
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)).map_err(unreachable)?;
        // A message waits for nothing but its window.
        sockopt::set_tcp_nodelay(&socket, true).map_err(unreachable)?;
        let source = index / PER_SOURCE_MAX;
        if source > 0 && matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
            let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + source as u32);
            rustix::net::bind(&socket, &SocketAddr::from((source, 0))).map_err(unreachable)?;
        }
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(unreachable(error)),
        }
        let session = trust.map(|trust| trust.session(&target.authority)).transpose()?;
        let mut outbox = Outbox::default();
        outbox.buffer().extend_from_slice(&upgrade::request(target));
        let transport = Transport::new(socket, session);
        Ok(Attempt { transport, address, outbox, head: Vec::new(), started: Instant::now() })
    }

    /// Goes as far as the socket allows. `Some`: open, with what came behind the head.
    fn step(&mut self, buffer: &mut [u8]) -> Result<Option<Vec<u8>>, Failure> {
        let address = self.address;
        let unreachable = |error: io::Error| Failure::Unreachable { address, error };
        loop {
            if !self.outbox.is_empty() {
                let pending = sockopt::socket_error(self.transport.socket()).and_then(|pending| pending);
                pending.map_err(|error| unreachable(error.into()))?;
            }
            match self.outbox.flush(&mut self.transport) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => return Err(unreachable(error)),
            }
            if !self.outbox.is_empty() {
                return Ok(None);
            }
            match self.transport.recv(buffer) {
                Ok(Received::Bytes { count, .. }) => self.head.extend_from_slice(&buffer[..count]),
                Ok(Received::End) => {
                    let answer = "it closed the connection instead of answering".to_owned();
                    return Err(Failure::Refused { address, answer });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(unreachable(error)),
            }
            let answer = upgrade::answer(&self.head).map_err(|answer| Failure::Refused { address, answer })?;
            if let Some(head_bytes) = answer {
                return Ok(Some(self.head.split_off(head_bytes)));
            }
        }
    }
}
