//! Channels: what they are asked to be, who is in them, where a message goes, and the log that broadcasts are read from.
//!
//! Nothing here knows of WebSocket or HTTP: the log holds encoded records and does not look into them. A pattern that
//! needs more than a line has a file of its own; [`Channel::deliver`] is the way into all of them.

mod activity;
mod envelope;
mod fan_in_out;
mod log;
mod members;
mod origin;
mod push_pull;
mod refusal;
mod req_repl;
mod rotation;
mod spec;

use std::time::Duration;

use crate::chunk::{Meter, RecordLen};
use crate::time::Time;

pub use activity::{BusyChannel, SlowClient, Survey};
pub use envelope::{ORIGIN_MEMBER_LEN_MAX, OriginMember, Request};
pub use log::{HISTORY_LEN_MAX, Log};
pub use members::{ClientId, Members, Membership, Position};
pub use origin::Origin;
pub use refusal::Refusal;
pub use spec::{
    AdmitError, ChannelId, ChannelSpec, ChannelView, CreateError, Pattern, Place, Rights, SlowPolicy, Token,
};

use activity::Activity;
use rotation::Rotation;

/// Where a message goes, and as what.
#[derive(Debug)]
pub enum Delivery<'m> {
    /// As it is, to its sender.
    Back,
    /// As it is, to this client.
    One(ClientId),
    /// As it is, to everyone, or to everyone but its sender.
    All { exclude_sender: bool },
    /// With its sender's origin, to this client.
    RequestToOne(ClientId, Request<'m>),
    /// With its sender's origin, to everyone but its sender.
    RequestToOthers(Request<'m>),
    /// As it is, to who made the request.
    Reply(Origin),
}

/// One channel, on the shard that owns it.
#[derive(Debug)]
pub struct Channel {
    spec: ChannelSpec,
    pub log: Log,
    /// Those that messages go to.
    members: Members,
    /// Those that may only send.
    speakers: Members,
    /// Whose turn it is, in the patterns that take turns; otherwise empty.
    rotation: Rotation,
    /// Places promised to clients whose sockets are on their way; counted against the limit.
    reserved: u64,
    /// When the last message came, or the channel was created.
    active_at: Time,
    activity: Activity,
}

impl Channel {
    /// A channel without clients. `record_len` tells how long a record of its log is, `meter` counts the log's memory.
    pub fn new(spec: ChannelSpec, now: Time, record_len: RecordLen, meter: &Meter) -> Channel {
        // Only broadcasts go through the log.
        let history = if spec.pattern == Pattern::PubSub { spec.history } else { 0 };
        let (members, speakers, rotation) = (Members::default(), Members::default(), Rotation::default());
        let (log, activity) = (Log::new(history, record_len, meter), Activity::default());
        Channel { log, members, speakers, rotation, reserved: 0, active_at: now, activity, spec }
    }

    pub fn spec(&self) -> &ChannelSpec {
        &self.spec
    }

    /// Those that messages go to.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Some client of the channel; `None` = there is nobody left.
    pub fn anyone(&self) -> Option<ClientId> {
        self.members.last().or_else(|| self.speakers.last())
    }

    /// Adds a client and says where it is kept.
    pub fn join(&mut self, client: ClientId, rights: Rights) -> Membership {
        if !rights.subscribe {
            return Membership::Speaker(self.speakers.join(client));
        }
        if self.takes_turns() {
            self.rotation.join();
        }
        Membership::Listener(self.members.join(client))
    }

    /// Removes the client that is kept there. Another may have moved there: it is returned, to be told.
    pub fn leave(&mut self, membership: Membership) -> Option<ClientId> {
        match membership {
            Membership::Speaker(position) => self.speakers.leave(position),
            Membership::Listener(position) => {
                if self.takes_turns() {
                    self.rotation.leave(position);
                }
                self.members.leave(position)
            }
        }
    }

    fn takes_turns(&self) -> bool {
        matches!(self.spec.pattern, Pattern::PushPull | Pattern::FanInOut)
    }

    /// Where a message of the client kept at `sender` goes.
    ///
    /// # Errors
    /// It breaks the rules of the pattern, or nobody can get it: its sender is to be told, and nothing else happens.
    #[inline]
    pub fn deliver<'m>(&mut self, sender: Membership, payload: &'m [u8]) -> Result<Delivery<'m>, Refusal> {
        match self.spec.pattern {
            Pattern::Echo => Ok(Delivery::Back),
            Pattern::PubSub => Ok(Delivery::All { exclude_sender: self.spec.exclude_sender }),
            Pattern::PushPull => push_pull::deliver(&mut self.rotation, &self.members, sender),
            Pattern::ReqRepl => req_repl::deliver(&self.members, sender, payload),
            Pattern::FanInOut => fan_in_out::deliver(&mut self.rotation, &self.members, sender, payload),
        }
    }

    /// Notes that a message came: the timeout starts anew.
    pub fn touch(&mut self, now: Time) {
        self.active_at = now;
        self.activity.note(now);
    }

    /// When the channel was last used.
    pub fn active_at(&self) -> Time {
        self.active_at
    }

    /// When the channel is to be deleted, if no message comes; `None` = never.
    pub fn expires_at(&self) -> Option<Time> {
        self.spec.timeout.map(|timeout| self.active_at + timeout)
    }

    /// Reserves a place for the bearer of `token`; `None` = for one who has shown something else than the channel's token.
    ///
    /// # Errors
    /// The token is wrong, or the client limit is reached.
    pub fn admit(&mut self, token: Option<&str>) -> Result<(), AdmitError> {
        if token.is_some_and(|token| !self.spec.token.matches(token)) {
            return Err(AdmitError::WrongToken);
        }
        let taken = self.clients() + self.reserved;
        if self.spec.client_limit.is_some_and(|limit| taken >= limit) {
            return Err(AdmitError::Full);
        }
        self.reserved += 1;
        Ok(())
    }

    pub fn clients(&self) -> u64 {
        (self.members.len() + self.speakers.len()) as u64
    }

    /// Ends a reservation: the client has come, or will not.
    pub fn release(&mut self) {
        debug_assert!(self.reserved > 0);
        self.reserved -= 1;
    }

    /// Messages in the last whole second.
    pub fn messages_per_second(&self, now: Time) -> u32 {
        self.activity.per_second(now)
    }

    /// How busy the channel is.
    pub fn activity(&self, now: Time, shard: u16) -> BusyChannel {
        BusyChannel {
            id: self.spec.id.clone(),
            shard,
            pattern: self.spec.pattern,
            clients: self.clients(),
            messages_per_second: self.messages_per_second(now),
        }
    }

    /// What the channel shows of itself.
    pub fn view(&self, now: Time) -> ChannelView {
        ChannelView {
            id: self.spec.id.clone(),
            pattern: self.spec.pattern,
            client_limit: self.spec.client_limit,
            timeout: self.spec.timeout,
            countdown: self.expires_at().map(|at| (at - now).min(self.spec.timeout.unwrap_or(Duration::MAX))),
            exclude_sender: self.spec.exclude_sender,
            history: self.spec.history,
            slow_consumers: self.spec.slow_consumers,
            clients: self.clients(),
        }
    }
}
