//! Who sits where: the room of every connection, what it sends and what it is to receive.

use super::options::{Pattern, Plan};

/// One connection's part in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub room: u32,
    /// Its index among all publishers, if it sends.
    pub publishes: Option<u32>,
    /// It receives, or may receive, from publishers `first_publisher .. first_publisher + publisher_count`.
    pub first_publisher: u32,
    pub publisher_count: u32,
}

/// All seats, in the order they connect: in each room the subscribers, then the publishers.
pub fn seats(plan: &Plan) -> Vec<Seat> {
    let mut seats = Vec::new();
    for room in 0..plan.rooms {
        match plan.pattern {
            Pattern::PubSub | Pattern::PushPull | Pattern::FanInOut => {
                let first_publisher = room * plan.publishers;
                let listener = Seat { room, publishes: None, first_publisher, publisher_count: plan.publishers };
                seats.extend((0..plan.subscribers).map(|_| listener));
                let publishers = first_publisher..first_publisher + plan.publishers;
                seats.extend(publishers.map(|index| Seat { publishes: Some(index), ..listener }));
            }
            Pattern::Echo => {
                let connections = room * plan.subscribers..(room + 1) * plan.subscribers;
                seats.extend(connections.map(|index| Seat {
                    room,
                    publishes: Some(index),
                    first_publisher: index,
                    publisher_count: 1,
                }));
            }
        }
    }
    seats
}

/// How many connections get each message.
pub fn receivers_per_message(plan: &Plan) -> u32 {
    match plan.pattern {
        Pattern::PubSub => plan.subscribers + plan.publishers,
        Pattern::Echo | Pattern::PushPull | Pattern::FanInOut => 1,
    }
}
