//! push-pull: each message goes to one client, all in turn (requirements, section 1).

use super::{Delivery, Members, Membership, Refusal, Rotation};

/// The next client of the queue gets the message; its sender only if nobody else is connected. One that may only send
/// does not even get its own.
pub(super) fn deliver<'m>(
    rotation: &mut Rotation,
    members: &Members,
    sender: Membership,
) -> Result<Delivery<'m>, Refusal> {
    let turn = rotation.take_turn(sender).ok_or(Refusal::NoResponders)?;
    Ok(Delivery::One(members.at(turn)))
}
