//! push-pull: each message goes to one client, all in turn (requirements, section 1).

use super::{Delivery, Members, Position, Rotation};

/// The next client of the queue gets the message; its sender only if nobody else is connected.
pub(super) fn deliver<'m>(rotation: &mut Rotation, members: &Members, sender: Position) -> Delivery<'m> {
    Delivery::One(members.at(rotation.take_turn(sender)))
}
