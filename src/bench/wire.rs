//! The sockets of a run: one edge-triggered epoll, what each connection has yet to write, and the bytes that go to the
//! receiver.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::connect::Established;
use super::error::Failure;
use super::frame;
use super::publish::Outbox;
use super::receive::{Inbox, Receiver};
use super::topology::Seat;
use super::transport::{Received, Transport};

/// All connections of a run.
pub struct Wire {
    pub receiver: Receiver,
    /// Connections whose outbox became empty after it had been waiting for its socket.
    pub unblocked: Vec<usize>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    events: Vec<epoll::Event>,
    /// All bytes pass through here; a partial frame at its end moves to its connection.
    buffer: Vec<u8>,
    clock: Instant,
}

struct Connection {
    transport: Transport,
    inbox: Inbox,
    outbox: Outbox,
    /// The beginning of a frame whose end has not come.
    tail: Vec<u8>,
}

impl Wire {
    /// Takes over the connections, which sit in the order of `seats`.
    pub fn new(
        mut receiver: Receiver,
        seats: &[Seat],
        established: Vec<Established>,
        frame_bytes: usize,
    ) -> Result<Wire, Failure> {
        let system = |error| Failure::system("epoll", error);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system)?;
        let mut connections = Vec::with_capacity(seats.len());
        for (seat, established) in seats.iter().zip(established) {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, established.transport.socket(), EventData::new_u64(connections.len() as u64), flags)
                .map_err(system)?;
            connections.push(Connection {
                transport: established.transport,
                inbox: receiver.inbox(*seat),
                outbox: Outbox::default(),
                tail: established.received,
            });
        }
        Ok(Wire {
            receiver,
            unblocked: Vec::new(),
            epoll,
            connections,
            events: Vec::with_capacity(EVENTS_MAX),
            buffer: vec![0; RECEIVE_BYTES + frame_bytes],
            clock: Instant::now(),
        })
    }

    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The run's clock, which messages carry.
    pub fn now_ns(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    pub fn outbox(&mut self, index: usize) -> &mut Outbox {
        &mut self.connections[index].outbox
    }

    /// Writes what the socket takes of the connection's outbox.
    pub fn flush(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        connection.outbox.flush(&mut connection.transport).map_err(|error| closed(index, &error))
    }

    /// Waits for events once and handles them.
    pub fn turn(&mut self, timeout: &Timespec) -> Result<(), Failure> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::system("epoll_wait", error)),
        }
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            let is_ending = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            if is_ending || flags.contains(EventFlags::IN) {
                self.receive(index, is_ending)?;
            }
            if flags.contains(EventFlags::OUT) && !self.connections[index].outbox.is_empty() {
                self.flush(index)?;
                if self.connections[index].outbox.is_empty() {
                    self.unblocked.push(index);
                }
            }
        }
        self.events = events;
        Ok(())
    }

    /// Deliveries that are due and have not come.
    pub fn missing(&self) -> u64 {
        self.receiver.missing(self.connections.iter().map(|connection| &connection.inbox))
    }

    /// Says goodbye, without waiting for the answers.
    pub fn close(mut self) {
        for connection in &mut self.connections {
            frame::put_client_frame(connection.outbox.buffer(), frame::CLOSE, &1000u16.to_be_bytes());
            // A connection that is gone already needs no goodbye.
            let _ = connection.outbox.flush(&mut connection.transport);
        }
    }

    /// Reads all that is there. With an edge-triggered epoll a read that did not fill the buffer has emptied the
    /// socket, except that an end of the stream announced together with the data needs another read to be seen.
    fn receive(&mut self, index: usize, is_ending: bool) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        loop {
            let tail_bytes = connection.tail.len();
            self.buffer[..tail_bytes].copy_from_slice(&connection.tail);
            let (received, is_emptied) = match connection.transport.recv(&mut self.buffer[tail_bytes..]) {
                Ok(Received::Bytes { count, is_emptied }) => (count, is_emptied),
                Ok(Received::End) => {
                    return Err(Failure::Closed { connection: index, code: None, reason: String::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(closed(index, &error)),
            };
            let now_ns = self.clock.elapsed().as_nanos() as u64;
            let filled = tail_bytes + received;
            let taken = self.receiver.take(index, &mut connection.inbox, &self.buffer[..filled], now_ns)?;
            connection.tail.clear();
            connection.tail.extend_from_slice(&self.buffer[taken..filled]);
            let replies = &mut self.receiver.ledger_mut().replies;
            if !replies.is_empty() {
                // Between two messages: an outbox holds whole frames.
                connection.outbox.buffer().append(replies);
                connection.outbox.flush(&mut connection.transport).map_err(|error| closed(index, &error))?;
            }
            if is_emptied && !is_ending {
                return Ok(());
            }
        }
    }
}

/// Larger than what a subscriber's socket usually holds: one read empties it.
const RECEIVE_BYTES: usize = 256 << 10;

const EVENTS_MAX: usize = 1024;

fn closed(connection: usize, error: &io::Error) -> Failure {
    Failure::Closed { connection, code: None, reason: error.to_string() }
}
