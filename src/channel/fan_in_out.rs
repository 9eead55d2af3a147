//! fan-in-out: requests are spread over the other clients in turn, replies go to who asked (requirements, section 1).

use super::envelope::{Envelope, Intent};
use super::{Delivery, Members, Membership, Refusal, Rotation};

pub(super) fn deliver<'m>(
    rotation: &mut Rotation,
    members: &Members,
    sender: Membership,
    payload: &'m [u8],
) -> Result<Delivery<'m>, Refusal> {
    let envelope = Envelope::parse(payload)?;
    match envelope.intent()? {
        Intent::Request if !members.has_others(sender) => Err(Refusal::NoResponders),
        Intent::Request => {
            let turn = rotation.take_turn(sender).ok_or(Refusal::NoResponders)?;
            Ok(Delivery::RequestToOne(members.at(turn), envelope.into_request()))
        }
        Intent::Reply(origin) => Ok(Delivery::Reply(origin)),
    }
}
