//! Channels: what they are asked to be, who is in them, and the log that broadcasts are read from.
//!
//! Nothing here knows of WebSocket or HTTP: the log holds encoded records and does not look into them.

mod log;
mod members;
mod spec;

use std::time::Duration;

use crate::time::Time;

pub use log::{HISTORY_LEN_MAX, Log};
pub use members::{ClientId, Members, Position};
pub use spec::{AdmitError, ChannelId, ChannelSpec, ChannelView, CreateError, Pattern, Place, Token};

/// One channel, on the shard that owns it.
#[derive(Debug)]
pub struct Channel {
    spec: ChannelSpec,
    pub log: Log,
    pub members: Members,
    /// Places promised to clients whose sockets are on their way; counted against the limit.
    reserved: u64,
    /// When the last message came, or the channel was created.
    active_at: Time,
}

impl Channel {
    pub fn new(spec: ChannelSpec, now: Time) -> Channel {
        // Only broadcasts go through the log.
        let history = if spec.pattern == Pattern::PubSub { spec.history } else { 0 };
        Channel { log: Log::new(history), members: Members::default(), reserved: 0, active_at: now, spec }
    }

    pub fn spec(&self) -> &ChannelSpec {
        &self.spec
    }

    /// Notes that a message came: the timeout starts anew.
    pub fn touch(&mut self, now: Time) {
        self.active_at = now;
    }

    /// When the channel was last used.
    pub fn active_at(&self) -> Time {
        self.active_at
    }

    /// When the channel is to be deleted, if no message comes; `None` = never.
    pub fn expires_at(&self) -> Option<Time> {
        self.spec.timeout.map(|timeout| self.active_at + timeout)
    }

    /// Reserves a place for the bearer of `token`.
    ///
    /// # Errors
    /// The token is wrong, or the client limit is reached.
    pub fn admit(&mut self, token: &str) -> Result<(), AdmitError> {
        if !self.spec.token.matches(token) {
            return Err(AdmitError::WrongToken);
        }
        let taken = self.members.len() as u64 + self.reserved;
        if self.spec.client_limit.is_some_and(|limit| taken >= limit) {
            return Err(AdmitError::Full);
        }
        self.reserved += 1;
        Ok(())
    }

    /// Ends a reservation: the client has come, or will not.
    pub fn release(&mut self) {
        debug_assert!(self.reserved > 0);
        self.reserved -= 1;
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
            clients: self.members.len() as u64,
        }
    }
}
