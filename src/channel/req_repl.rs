//! req-repl: a request goes to every other client, a reply to the one that asked (requirements, section 1).

use super::envelope::{Envelope, Intent};
use super::{Delivery, Members, Membership, Refusal};

pub(super) fn deliver<'m>(members: &Members, sender: Membership, payload: &'m [u8]) -> Result<Delivery<'m>, Refusal> {
    let envelope = Envelope::parse(payload)?;
    match envelope.intent()? {
        Intent::Request if !members.has_others(sender) => Err(Refusal::NoResponders),
        Intent::Request => Ok(Delivery::RequestToOthers(envelope.into_request())),
        Intent::Reply(origin) => Ok(Delivery::Reply(origin)),
    }
}
