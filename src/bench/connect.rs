//! Opens all connections at once, in batches: many thousand in a second or two.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, send, sockopt};
use rustix::time::Timespec;

use super::error::Failure;
use super::options::Plan;
use super::target::RoomTarget;
use super::topology::Seat;
use super::upgrade::{self, HEAD_BYTES_MAX};

/// An established WebSocket connection.
pub struct Established {
    pub socket: OwnedFd,
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
    let (mut open, mut checked) = (0, Instant::now());
    while open < seats.len() {
        while attempts.len() < seats.len() && attempts.len() - open < PENDING_MAX {
            let index = attempts.len();
            let attempt = Attempt::start(&targets[seats[index].room as usize], index)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&epoll, &attempt.socket, EventData::new_u64(index as u64), flags).map_err(system)?;
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
            if let Some(received) = attempt.step()? {
                let attempt = attempts[index].take().expect("it was there a line ago");
                epoll::delete(&epoll, &attempt.socket).map_err(system)?;
                established[index] = Some(Established { socket: attempt.socket, received });
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
    socket: OwnedFd,
    address: SocketAddr,
    request: Vec<u8>,
    is_sent: bool,
    head: Vec<u8>,
    started: Instant,
}

impl Attempt {
    fn start(target: &RoomTarget, index: usize) -> Result<Attempt, Failure> {
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
        let request = upgrade::request(target);
        Ok(Attempt { socket, address, request, is_sent: false, head: Vec::new(), started: Instant::now() })
    }

    /// Goes as far as the socket allows. `Some`: open, with what came behind the head.
    fn step(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let address = self.address;
        let unreachable = |error: Errno| Failure::Unreachable { address, error: error.into() };
        if !self.is_sent {
            sockopt::socket_error(&self.socket).and_then(|pending| pending).map_err(unreachable)?;
            match send(&self.socket, &self.request, SendFlags::NOSIGNAL) {
                Ok(count) if count == self.request.len() => self.is_sent = true,
                // A few hundred bytes into an empty socket buffer go whole.
                Ok(_) => return Err(unreachable(Errno::NOBUFS)),
                Err(Errno::AGAIN | Errno::NOTCONN) => return Ok(None),
                Err(error) => return Err(unreachable(error)),
            }
        }
        loop {
            let mut buffer = [0; HEAD_BYTES_MAX];
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) => {
                    let answer = "it closed the connection instead of answering".to_owned();
                    return Err(Failure::Refused { address, answer });
                }
                Ok((count, _)) => self.head.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(unreachable(error)),
            }
            let answer = upgrade::answer(&self.head).map_err(|answer| Failure::Refused { address, answer })?;
            if let Some(head_bytes) = answer {
                return Ok(Some(self.head.split_off(head_bytes)));
            }
        }
    }
}
