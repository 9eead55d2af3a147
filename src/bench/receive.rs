//! What a run needs of its receiving side, whichever way the pattern gives out messages: to everyone ([`broadcast`]) or
//! to one at a time ([`rotation`]).
//!
//! [`broadcast`]: super::broadcast
//! [`rotation`]: super::rotation

use super::broadcast::Broadcast;
use super::error::Failure;
use super::ledger::Ledger;
use super::options::{Pattern, Plan};
use super::payload::Filler;
use super::rotation::Rotation;
use super::topology::Seat;

/// Where a connection is in what it receives.
#[derive(Debug)]
pub struct Inbox {
    pub seat: Seat,
    /// Where its expected sequence numbers start in the receiver's table.
    pub row: usize,
    /// What is left of an unexpected frame that is not looked at.
    pub skip_bytes: u64,
}

/// The receiving side of all connections.
pub enum Receiver {
    Broadcast(Broadcast),
    Rotation(Rotation),
}

impl Receiver {
    pub fn new(plan: &Plan, run: u64, publishers: usize, filler: Filler) -> Receiver {
        match plan.pattern {
            Pattern::PubSub | Pattern::Echo => Receiver::Broadcast(Broadcast::new(plan, run, publishers, filler)),
            Pattern::PushPull | Pattern::FanInOut => Receiver::Rotation(Rotation::new(plan, run, publishers, filler)),
        }
    }

    pub fn ledger(&self) -> &Ledger {
        match self {
            Receiver::Broadcast(receiver) => &receiver.ledger,
            Receiver::Rotation(receiver) => &receiver.ledger,
        }
    }

    pub fn ledger_mut(&mut self) -> &mut Ledger {
        match self {
            Receiver::Broadcast(receiver) => &mut receiver.ledger,
            Receiver::Rotation(receiver) => &mut receiver.ledger,
        }
    }

    /// A connection joins.
    pub fn inbox(&mut self, seat: Seat) -> Inbox {
        match self {
            Receiver::Broadcast(receiver) => receiver.inbox(seat),
            Receiver::Rotation(receiver) => receiver.inbox(seat),
        }
    }

    /// Takes what there is of frames; returns how many bytes that were. The rest comes again, with more behind it.
    pub fn take(&mut self, connection: usize, inbox: &mut Inbox, bytes: &[u8], now_ns: u64) -> Result<usize, Failure> {
        match self {
            Receiver::Broadcast(receiver) => receiver.take(connection, inbox, bytes, now_ns),
            Receiver::Rotation(receiver) => receiver.take(connection, inbox, bytes, now_ns),
        }
    }

    /// How many messages the publisher may send now.
    pub fn vacancy(&self, publisher: usize) -> u64 {
        match self {
            Receiver::Broadcast(receiver) => receiver.windows.vacancy(publisher),
            Receiver::Rotation(receiver) => receiver.journeys.vacancy(publisher),
        }
    }

    /// The sequence number of the publisher's next `count` messages' first, which are now in flight.
    pub fn send(&mut self, publisher: usize, count: u64) -> u64 {
        match self {
            Receiver::Broadcast(receiver) => {
                let first = receiver.windows.sent(publisher);
                (0..count).for_each(|_| _ = receiver.windows.send(publisher));
                first
            }
            Receiver::Rotation(receiver) => receiver.journeys.send(publisher, count),
        }
    }

    /// What all publishers have sent so far.
    pub fn sent_total(&self) -> u64 {
        match self {
            Receiver::Broadcast(receiver) => receiver.windows.sent_total(),
            Receiver::Rotation(receiver) => receiver.journeys.sent_total(),
        }
    }

    /// Deliveries that are due to these, which are all, and have not come.
    pub fn missing<'a>(&self, inboxes: impl Iterator<Item = &'a Inbox>) -> u64 {
        match self {
            Receiver::Broadcast(receiver) => inboxes.map(|inbox| receiver.missing(inbox)).sum(),
            Receiver::Rotation(receiver) => receiver.journeys.open_total(),
        }
    }

    /// How far the receivers of a room are apart in what they got; `None` if nothing can be said of it.
    pub fn spread(&self) -> Option<u64> {
        match self {
            Receiver::Broadcast(_) => None,
            Receiver::Rotation(receiver) => receiver.spread(),
        }
    }
}
