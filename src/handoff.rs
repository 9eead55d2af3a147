//! What a front sends to a shard: questions about channels, and upgraded sockets.
//!
//! A shard that does not keep up is asked no more than [`QUESTIONS_MAX`] questions. Sockets and seats that come back are
//! never refused: there are no more of them than open files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use futures_channel::oneshot;
use rustix::event::{EventfdFlags, eventfd};

use crate::budget::Permit;
use crate::channel::{BusyChannel, ChannelId, ChannelSpec, ChannelView, Rights, SlowClient, Survey, Token};
use crate::pulse::Beat;
use crate::tls;
use crate::ws::deflate::Window;

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
    /// Shows the first `max` of the channels behind `after` by their ids, in order; fewer than `max` = there are no more.
    List { after: Option<ChannelId>, max: usize, reply: Reply<Vec<ChannelView>> },
    /// Deletes a channel and closes its clients with 4404; `false` = there was none.
    Delete { id: ChannelId, reply: Reply<bool> },
    /// Deletes every channel of the shard as `Delete` does, and says how many there were.
    Reset { reply: Reply<u64> },
    /// The busiest of the first channels behind `after` by their ids, at most `max`; the rest is another question.
    Busiest { after: Option<ChannelId>, max: usize, reply: Reply<Survey<BusyChannel, ChannelId>> },
    /// The clients furthest behind among the first from slot `from` on, at most `max`; the rest is another question.
    Slowest { from: usize, max: usize, reply: Reply<Survey<SlowClient, usize>> },
    /// Asks for a place in a channel, before the upgrade is answered.
    Admit { id: ChannelId, credentials: Credentials, reply: Reply<Result<Seat, AdmitError>> },
    /// Whether `Admit` would give a place, without taking one.
    Check { id: ChannelId, credentials: Credentials, reply: Reply<Result<(), AdmitError>> },
    /// Takes the place with an upgraded socket.
    Join(Join),
    /// Gives the place back unused (a dropped [`Seat`] sends this by itself).
    Leave { place: Place },
    /// Asks whether the shard still turns.
    Beat(Beat),
    /// Closes every client with 1012, one after the other over `spread`, and ends the shard's thread when the last has gone.
    Shutdown { spread: Duration },
}

impl ToShard {
    /// Whether somebody waits for the answer, and can be told that there is none.
    fn is_question(&self) -> bool {
        match self {
            ToShard::Create { .. }
            | ToShard::Read { .. }
            | ToShard::List { .. }
            | ToShard::Delete { .. }
            | ToShard::Reset { .. }
            | ToShard::Busiest { .. }
            | ToShard::Slowest { .. }
            | ToShard::Admit { .. }
            | ToShard::Check { .. } => true,
            ToShard::Join(_) | ToShard::Leave { .. } | ToShard::Beat(_) | ToShard::Shutdown { .. } => false,
        }
    }
}

/// What a client shows to be admitted.
#[derive(Debug)]
pub enum Credentials {
    /// The channel's token, or what it takes for it.
    Token(Token),
    /// Something that the front has checked already.
    Checked,
}

impl Credentials {
    /// The token that the channel has to compare; `None` = all is checked.
    pub fn token(&self) -> Option<&str> {
        match self {
            Credentials::Token(token) => Some(token.reveal()),
            Credentials::Checked => None,
        }
    }
}

/// What a client was admitted with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub rights: Rights,
    /// When it is to be closed with 4401; `None` = never.
    pub ends_at: Option<Instant>,
    /// What messages are compressed with; `None` = they are not.
    pub window: Option<Window>,
}

impl Terms {
    /// What the channel's token gives.
    pub const UNLIMITED: Terms = Terms { rights: Rights::ALL, ends_at: None, window: None };
}

/// Messages in a shard's mailbox at which questions are refused (503): seconds of work.
pub const QUESTIONS_MAX: usize = 65_536;

/// An upgraded socket on its way to the shard that owns its channel.
#[derive(Debug)]
pub struct Join {
    pub seat: Seat,
    pub upgraded: Upgraded,
}

/// A connection that was upgraded.
#[derive(Debug)]
pub struct Upgraded {
    /// The TCP connection.
    pub socket: OwnedFd,
    /// What seals it; `None` = it is plain.
    pub tls: Option<Box<tls::Session>>,
    pub terms: Terms,
    /// What is to be sent before anything else: the HTTP answer to the upgrade.
    pub response: Vec<u8>,
    /// What the client sent behind its request, already read by the front, and opened.
    pub received: Vec<u8>,
    /// The right to be one of the relay's connections; to be kept as long as the socket is.
    pub permit: Permit,
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
    pub fn join(self, upgraded: Upgraded) {
        let shard = self.shard.clone();
        shard.send(ToShard::Join(Join { seat: self, upgraded }));
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
    /// Queues `message` and wakes the shard if it sleeps. A shard that is gone drops it, and so does the queue if it is a
    /// question too many; its sender sees that by the reply that was dropped with it.
    pub fn send(&self, message: ToShard) {
        if message.is_question() && self.queue.len() >= QUESTIONS_MAX {
            return;
        }
        let queue = if let ToShard::Beat(_) = message { &self.bell.beats } else { &self.queue };
        if queue.send(message).is_ok() {
            self.bell.ring();
        }
    }
}

/// The receiving end: owned by the shard's thread.
#[derive(Debug)]
pub struct Mailbox {
    queue: Receiver<ToShard>,
    /// Read first. No more than are asked: a beat that was not answered is followed by no other.
    beats: Receiver<ToShard>,
    bell: Arc<Bell>,
}

impl Mailbox {
    /// A mailbox and its sending end.
    ///
    /// # Errors
    /// No eventfd could be made (open-files limit).
    pub fn new() -> io::Result<(ShardHandle, Mailbox)> {
        let (sender, receiver) = unbounded();
        let (beat_sender, beats) = unbounded();
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
        let bell = Arc::new(Bell { eventfd, asleep: AtomicBool::new(false), beats: beat_sender });
        let handle = ShardHandle { queue: sender, bell: bell.clone() };
        Ok((handle, Mailbox { queue: receiver, beats, bell }))
    }

    pub fn try_recv(&self) -> Result<ToShard, TryRecvError> {
        self.beats.try_recv().or_else(|_| self.queue.try_recv())
    }

    /// Whether nothing has come that was not received.
    pub fn is_empty(&self) -> bool {
        self.beats.is_empty() && self.queue.is_empty()
    }

    /// Says that the shard is about to sleep on the eventfd. `false` = do not: there is a message.
    pub fn fall_asleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::Relaxed);
        // Either the sender sees `asleep` or this sees its message (the other half is in `ring`).
        fence(Ordering::SeqCst);
        if self.is_empty() {
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
    /// For beats, which are read before everything else: a shard that has much mail is not one that is stuck. (Here, since
    /// every connection of a front holds handles, and nobody sends beats often.)
    beats: Sender<ToShard>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_hangs_is_not_asked_for_ever() {
        let (shard, mailbox) = Mailbox::new().unwrap();
        for _ in 0..QUESTIONS_MAX {
            let (reply, _) = oneshot::channel();
            shard.send(ToShard::Reset { reply });
        }
        let (reply, mut answer) = oneshot::channel();
        shard.send(ToShard::Reset { reply });
        assert!(answer.try_recv().is_err(), "refused at once");
        shard.send(ToShard::Leave { place: Place { slot: 0, generation: 0 } });
        assert_eq!(std::iter::from_fn(|| mailbox.try_recv().ok()).count(), QUESTIONS_MAX + 1);
    }

    #[test]
    fn a_beat_is_read_before_the_mail_and_wakes_a_shard() {
        let (shard, mailbox) = Mailbox::new().unwrap();
        let beat = |shard: &ShardHandle| crate::pulse::Pulse::new(1).ask(|_, beat| shard.send(ToShard::Beat(beat)));
        shard.send(ToShard::Leave { place: Place { slot: 0, generation: 0 } });
        assert!(beat(&shard));
        assert!(matches!(mailbox.try_recv(), Ok(ToShard::Beat(_))));
        assert!(matches!(mailbox.try_recv(), Ok(ToShard::Leave { .. })));
        assert!(mailbox.is_empty() && mailbox.fall_asleep());
        assert!(beat(&shard));
        assert!(!mailbox.is_empty() && !mailbox.fall_asleep(), "there is a beat");
        rustix::io::read(mailbox.eventfd(), &mut [0; 8]).unwrap();
    }

    #[test]
    fn a_sleeping_shard_is_woken_once() {
        let (shard, mailbox) = Mailbox::new().unwrap();
        assert!(mailbox.fall_asleep());
        for _ in 0..3 {
            shard.send(ToShard::Shutdown { spread: Duration::ZERO });
        }
        let mut count = [0; 8];
        rustix::io::read(mailbox.eventfd(), &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
        assert!(!mailbox.fall_asleep(), "there is mail");
    }
}
