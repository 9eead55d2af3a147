//! Who is connected to a channel.

/// A client of the relay. Both halves are kept although all clients of a channel are on its own shard today: one day a
/// busy channel may be read from all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId {
    pub shard: u16,
    /// Index among the connections of the shard; used again after the connection has ended.
    pub slot: u32,
}

/// The connected clients of a channel, in no particular order.
#[derive(Debug, Default)]
pub struct Members {
    clients: Vec<ClientId>,
}

/// Where in the list a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position(pub(super) usize);

/// Where a client of a channel is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// Among those that messages go to.
    Listener(Position),
    /// Among those that may only send: what is for everyone is not for them, and they have no turns.
    Speaker(Position),
}

impl Members {
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Whether there is anyone but the client kept at `sender`.
    pub(super) fn has_others(&self, sender: Membership) -> bool {
        let own = matches!(sender, Membership::Listener(_));
        self.len() > usize::from(own)
    }

    pub fn iter(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.clients.iter().copied()
    }

    /// The client that stands at `position`.
    pub fn at(&self, position: Position) -> ClientId {
        self.clients[position.0]
    }

    pub fn last(&self) -> Option<ClientId> {
        self.clients.last().copied()
    }

    /// Adds a client and says where it stands.
    pub fn join(&mut self, client: ClientId) -> Position {
        self.clients.push(client);
        Position(self.clients.len() - 1)
    }

    /// Removes the client at `position`. Another may have moved there: it is returned, to be told.
    pub fn leave(&mut self, position: Position) -> Option<ClientId> {
        self.clients.swap_remove(position.0);
        if self.clients.len() * 4 < self.clients.capacity() {
            self.clients.shrink_to(self.clients.len() * 2);
        }
        self.clients.get(position.0).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moves_on_leaving_is_told() {
        let client = |slot| ClientId { shard: 0, slot };
        let mut members = Members::default();
        let positions: Vec<Position> = (0..3).map(|slot| members.join(client(slot))).collect();
        assert_eq!(members.leave(positions[0]), Some(client(2)));
        assert_eq!(members.leave(positions[0]), Some(client(1)), "2 stood there, 1 moved in");
        assert_eq!(members.leave(positions[0]), None);
        assert!(members.is_empty());
    }
}
