//! What a front sends to a shard: questions about channels, and upgraded sockets.
//!
//! The queue to a shard has no bound of its own because its senders have one: an HTTP connection has at most one
//! question, one seat and one socket under way, and connections are bounded by the open-files limit.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use futures_channel::oneshot;
use rustix::event::{EventfdFlags, eventfd};

use crate::channel::{ChannelId, ChannelSpec, ChannelView};

pub use crate::channel::{AdmitError, CreateError, Place};

/// Where an answer goes; dropped unanswered when the shard is gone, and without effect when the front is.
pub type Reply<T> = oneshot::Sender<T>;

/// A message from a front (or the server) to one shard.
#[derive(Debug)]
pub enum ToShard {
    /// Creates a channel.
    Create { spec: ChannelSpec, reply: Reply<Result<ChannelView, CreateError>> },
    /// Shows one channel; `None` = there is none.
    Read { id: ChannelId, reply: Reply<Option<ChannelView>> },
    /// Shows all channels of the shard.
    List { reply: Reply<Vec<ChannelView>> },
    /// Deletes a channel and closes its clients with 4404; `false` = there was none.
    Delete { id: ChannelId, reply: Reply<bool> },
    /// Asks for a place in a channel, before the upgrade is answered.
    Admit { id: ChannelId, token: String, reply: Reply<Result<Seat, AdmitError>> },
    /// Takes the place with an upgraded socket.
    Join(Join),
    /// Gives the place back unused (a dropped [`Seat`] sends this by itself).
    Leave { place: Place },
    /// Closes every client with 1001, cuts those that are left after `grace`, and ends the shard's thread.
    Shutdown { grace: Duration },
}

/// An upgraded socket on its way to the shard that owns its channel.
#[derive(Debug)]
pub struct Join {
    pub seat: Seat,
    /// The TCP connection.
    pub socket: OwnedFd,
    /// What is to be sent before anything else: the HTTP answer to the upgrade.
    pub response: Vec<u8>,
    /// What the client sent behind its request, already read by the front.
    pub received: Vec<u8>,
}

/// A place reserved in a channel: it counts against the client limit until it is taken by a [`Join`] or dropped.
#[derive(Debug)]
pub struct Seat {
    place: Option<Place>,
    shard: ShardHandle,
}

impl Seat {
    pub fn new(place: Place, shard: ShardHandle) -> Seat {
        Seat { place: Some(place), shard }
    }

    /// Hands the socket over to the shard that keeps this seat.
    pub fn join(self, socket: OwnedFd, response: Vec<u8>, received: Vec<u8>) {
        let shard = self.shard.clone();
        shard.send(ToShard::Join(Join { seat: self, socket, response, received }));
    }

    /// Takes the place, on the shard.
    pub fn take(mut self) -> Option<Place> {
        self.place.take()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shard.send(ToShard::Leave { place });
        }
    }
}

/// The sending end of a shard's mailbox.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    queue: Sender<ToShard>,
    bell: Arc<Bell>,
}

impl ShardHandle {
    /// Queues `message` and wakes the shard if it sleeps. A shard that is gone drops it, which its sender sees as an
    /// answer that never comes.
    pub fn send(&self, message: ToShard) {
        if self.queue.send(message).is_ok() {
            self.bell.ring();
        }
    }
}

/// The receiving end: owned by the shard's thread.
#[derive(Debug)]
pub struct Mailbox {
    queue: Receiver<ToShard>,
    bell: Arc<Bell>,
}

impl Mailbox {
    /// A mailbox and its sending end.
    ///
    /// # Errors
    /// No eventfd could be made (open-files limit).
    pub fn new() -> io::Result<(ShardHandle, Mailbox)> {
        let (sender, receiver) = unbounded();
        let bell = Arc::new(Bell { eventfd: eventfd(0, EventfdFlags::CLOEXEC)?, asleep: AtomicBool::new(false) });
        Ok((ShardHandle { queue: sender, bell: bell.clone() }, Mailbox { queue: receiver, bell }))
    }

    pub fn try_recv(&self) -> Result<ToShard, TryRecvError> {
        self.queue.try_recv()
    }

    /// Says that the shard is about to sleep on the eventfd. `false` = do not: there is a message.
    pub fn fall_asleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::Relaxed);
        // Either the sender sees `asleep` or this sees its message (the other half is in `ring`).
        fence(Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Says that the shard is awake, so that senders need not write to the eventfd.
    pub fn wake_up(&self) {
        self.bell.asleep.store(false, Ordering::Relaxed);
    }

    /// Readable when a message came during sleep.
    pub fn eventfd(&self) -> BorrowedFd<'_> {
        self.bell.eventfd.as_fd()
    }
}

#[derive(Debug)]
struct Bell {
    eventfd: OwnedFd,
    asleep: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::Relaxed) {
            // Fails only if the counter is at its end, and then it is readable already.
            let _ = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
        }
    }
}
