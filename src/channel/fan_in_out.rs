//! fan-in-out: requests are spread over the other clients in turn, replies go to who asked (requirements, section 1).

use super::envelope::{Envelope, Intent};
use super::{Delivery, Members, Position, Refusal, Rotation};

pub(super) fn deliver<'m>(
    rotation: &mut Rotation,
    members: &Members,
    sender: Position,
    payload: &'m [u8],
) -> Result<Delivery<'m>, Refusal> {
    let envelope = Envelope::parse(payload)?;
    match envelope.intent()? {
        Intent::Request if members.len() == 1 => Err(Refusal::NoResponders),
        Intent::Request => {
            let responder = members.at(rotation.take_turn(sender));
            Ok(Delivery::RequestToOne(responder, envelope.into_request()))
        }
        Intent::Reply(origin) => Ok(Delivery::Reply(origin)),
    }
}
