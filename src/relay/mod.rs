//! The relay of one shard: its channels and its connections, and everything that decides.
//!
//! It knows no socket, clock or thread. The driver tells it what happened ([`Relay::handle`]) and then asks what to do
//! ([`Relay::drain`]): what one tick brought is handled first and sent afterwards, so that a send carries all of it.

mod closing;
mod delivery;
mod heartbeat;
mod limits;
mod rooms;
mod tally;
mod timers;

use std::time::Duration;

use slab::Slab;

use crate::channel::{AdmitError, Channel, ChannelId, ChannelSpec, ChannelView};
use crate::channel::{ClientId, CreateError, Membership, Place, Rights, SlowPolicy};
use crate::chunk::{Cursor, Pieces};
use crate::session::{Phase, Rates, Session};
use crate::time::Time;
use crate::ws::{CloseCode, Opcode};

pub use crate::session::SEND_LEN_MAX;
pub use limits::{Limits, TURN_LEN_MAX};
pub use tally::Tally;

use heartbeat::Heartbeat;
use rooms::Rooms;
use timers::{Timer, Timers};

/// What a client was admitted with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub rights: Rights,
    /// When it is to be closed with 4401; `None` = never.
    pub ends_at: Option<Time>,
}

/// What happened to a connection.
#[derive(Debug)]
pub enum Input {
    /// The client has closed its sending side, or the connection broke.
    Hangup,
    /// The send in flight has ended after this many bytes.
    Sent(usize),
    /// The send in flight failed: the connection is broken.
    SendFailed,
    /// The socket was closed after [`Output::Cut`]; the slot is free.
    Closed,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes, and say when that has ended. There is one send in flight per connection at the most.
    Send(ClientId, Pieces),
    /// End the send in flight early; [`Input::Sent`] tells how far it came.
    CancelSend(ClientId),
    /// Shut the sending side of the connection.
    ShutWrite(ClientId),
    /// Close the socket, once nothing is in flight on it.
    Cut(ClientId),
}

/// All channels of one shard and the connections to them.
#[derive(Debug)]
pub struct Relay {
    shard: u16,
    limits: Limits,
    rooms: Rooms,
    /// Boxed: a list that doubles would hold the room of as many sessions again.
    sessions: Slab<Box<Session>>,
    /// Connections taken in so far.
    joined: u32,
    timers: Timers,
    /// `None` = nobody is pinged.
    heartbeat: Option<Heartbeat>,
    /// `None` = clients may send as much as they like.
    rates: Option<Rates>,
    tally: Tally,
    /// Slots of rooms whose log has grown since the last drain; each once.
    grown: Vec<u32>,
    /// Slots of sessions that may have something to send; each once (`Session::queued`).
    queued: Vec<u32>,
    /// Slots of sessions whose send in flight is to be ended before a new one is started.
    cancels: Vec<u32>,
    /// Outputs that are not sends, in order.
    outputs: Vec<Output>,
    /// Bytes that were taken in since the last drain.
    taken_len: usize,
    /// Bytes since the last drain that were made of what was taken in, and are many times as long: the errors that clients
    /// were told, and what was decompressed.
    made_len: usize,
    /// Set once the relay closes: nobody is admitted any more.
    shutting_down: bool,
}

impl Relay {
    pub fn new(shard: u16, limits: Limits) -> Relay {
        Relay {
            shard,
            limits,
            rooms: Rooms::default(),
            sessions: Slab::new(),
            joined: 0,
            timers: Timers::default(),
            heartbeat: limits.ping_interval.map(Heartbeat::new),
            rates: Rates::new(limits.message_rate, limits.byte_rate, limits.message_len_max),
            tally: Tally::default(),
            grown: Vec::new(),
            queued: Vec::new(),
            cancels: Vec::new(),
            outputs: Vec::new(),
            taken_len: 0,
            made_len: 0,
            shutting_down: false,
        }
    }

    /// Creates a channel.
    ///
    /// # Errors
    /// The id is taken, or the relay is closing.
    pub fn create(&mut self, now: Time, spec: ChannelSpec) -> Result<ChannelView, CreateError> {
        if self.shutting_down {
            return Err(CreateError::ShuttingDown);
        }
        let slot = self.rooms.insert(Channel::new(spec, now)).ok_or(CreateError::IdTaken)?;
        self.watch_expiry(slot);
        Ok(self.rooms[slot].channel.view(now))
    }

    /// Shows a channel; `None` = there is none of that id.
    pub fn read(&self, now: Time, id: &ChannelId) -> Option<ChannelView> {
        self.rooms.find(id).map(|slot| self.rooms[slot].channel.view(now))
    }

    /// Shows all channels, in no particular order.
    pub fn list(&self, now: Time) -> Vec<ChannelView> {
        self.rooms.iter().map(|room| room.channel.view(now)).collect()
    }

    /// Deletes a channel and closes its clients with 4404; `false` = there was none.
    pub fn delete(&mut self, now: Time, id: &ChannelId) -> bool {
        let slot = self.rooms.find(id);
        if let Some(slot) = slot {
            self.remove(now, slot, CloseCode::ChannelDeleted);
        }
        slot.is_some()
    }

    /// Reserves a place in a channel for the bearer of `token`; `None` = for one who has shown something else than the
    /// channel's token.
    ///
    /// # Errors
    /// There is no such channel, the token is wrong, the channel is full, or the relay is closing.
    pub fn admit(&mut self, id: &ChannelId, token: Option<&str>) -> Result<Place, AdmitError> {
        if self.shutting_down {
            return Err(AdmitError::ShuttingDown);
        }
        let slot = self.rooms.find(id).ok_or(AdmitError::NoSuchChannel)?;
        let room = &mut self.rooms[slot];
        room.channel.admit(token)?;
        Ok(Place { slot, generation: room.generation })
    }

    /// Gives a reserved place back.
    pub fn leave(&mut self, place: Place) {
        if let Some(room) = self.rooms.at(place) {
            room.channel.release();
        }
    }

    /// Takes a connection in, with `response` to be sent first. Its channel may be gone since it was admitted; then it
    /// is told so by a close frame.
    pub fn join(&mut self, now: Time, place: Place, response: &[u8], terms: Terms) -> ClientId {
        let entry = self.sessions.vacant_entry();
        let client = ClientId { shard: self.shard, slot: entry.key() as u32 };
        self.joined = self.joined.wrapping_add(1);
        let (serial, message_len_max) = (self.joined, self.limits.message_len_max);
        match self.rooms.at(place) {
            Some(room) if !self.shutting_down => {
                let (cursor, head) = (room.channel.log.join(), room.channel.log.head());
                room.channel.release();
                let mut session = Session::new(serial, message_len_max, response, cursor, head);
                session.place = Some((place.slot, room.channel.join(client, terms.rights)));
                (session.may_publish, session.expires_at) = (terms.rights.publish, terms.ends_at);
                session.allowance = self.rates.as_ref().map(|rates| Box::new(rates.allowance(now)));
                entry.insert(Box::new(session));
                if let Some(at) = terms.ends_at {
                    self.timers.set(at, Timer::TokenEnd(client.slot));
                }
            }
            gone => {
                let code = if gone.is_some() { CloseCode::GoingAway } else { CloseCode::ChannelDeleted };
                if let Some(room) = gone {
                    room.channel.release();
                }
                entry.insert(Box::new(Session::new(serial, message_len_max, response, Cursor::at_end(0), 0)));
                self.close(now, client.slot, code);
            }
        }
        self.queue(client.slot);
        client
    }

    /// Takes in what happened to a connection.
    pub fn handle(&mut self, now: Time, client: ClientId, input: Input) {
        debug_assert_eq!(client.shard, self.shard);
        let slot = client.slot;
        match input {
            Input::Hangup => self.hang_up(now, slot),
            Input::Sent(len) => {
                let head = self.head_of(slot);
                let session = &mut self.sessions[slot as usize];
                session.sent(len, head);
                if !session.is_idle(head) {
                    self.queue(slot);
                }
            }
            Input::SendFailed => {
                let head = self.head_of(slot);
                self.sessions[slot as usize].sent(0, head);
                self.cut(slot);
            }
            Input::Closed => {
                let session = self.sessions.remove(slot as usize);
                debug_assert!(session.phase == Phase::Cut && session.place.is_none() && session.deadline.is_none());
            }
        }
    }

    /// Closes every connection with 1001 and admits no more. What is left at the end of `grace` is cut.
    pub fn shut_down(&mut self, now: Time, grace: Duration) {
        self.shutting_down = true;
        let slots: Vec<u32> = self.sessions.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.close(now, slot, CloseCode::GoingAway);
            self.set_deadline(slot, now + grace);
        }
    }

    /// Whether messages of this client still count, and those of others still go to it.
    pub fn is_open(&self, client: ClientId) -> bool {
        self.sessions.get(client.slot as usize).is_some_and(|session| session.phase == Phase::Open)
    }

    /// Whether so much was taken in since the last drain that it is to be sent before there is more.
    pub fn turn_is_full(&self) -> bool {
        self.taken_len + self.made_len >= TURN_LEN_MAX
    }

    /// Whether connections are left.
    pub fn has_clients(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// When [`drain`](Self::drain) has something to do even if nothing happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let beat = self.heartbeat.as_ref().filter(|_| !self.sessions.is_empty()).map(Heartbeat::next_at);
        self.timers.next().into_iter().chain(beat).min()
    }

    /// What has happened since the last time.
    pub fn take_tally(&mut self) -> Option<Tally> {
        (!self.tally.is_empty()).then(|| std::mem::take(&mut self.tally))
    }

    /// Does what is due, and tells what is to be done about all that was taken in since the last time.
    pub fn drain(&mut self, now: Time, mut emit: impl FnMut(Output)) {
        while let Some(timer) = self.timers.take_due(now) {
            self.fire(now, timer);
        }
        self.beat(now);
        self.flush_logs(now, &mut emit);
        self.cancel_sends(&mut emit);
        let mut next = 0;
        while let Some(slot) = self.queued.get(next).copied() {
            self.send(now, slot, &mut emit);
            next += 1;
        }
        self.queued.clear();
        (self.taken_len, self.made_len) = (0, 0);
        self.outputs.drain(..).for_each(emit);
    }

    /// Pings the clients whose turn it is, and cuts those that did not stir since the last two pings. No close frame:
    /// nobody would read it.
    fn beat(&mut self, now: Time) {
        let slots = self.sessions.capacity();
        while let Some(due) = self.heartbeat.as_mut().and_then(|heartbeat| heartbeat.take_due(now, slots)) {
            for slot in due {
                let Some(session) = self.sessions.get_mut(slot) else { continue };
                if session.phase != Phase::Open {
                    continue;
                }
                if session.silent_for == SILENT_PINGS_MAX {
                    self.tally.dead += 1;
                    self.cut(slot as u32);
                } else {
                    session.silent_for += 1;
                    self.push(slot as u32, Opcode::Ping, &[]);
                }
            }
        }
    }

    /// Starts a send to every subscriber of a log that has grown, unless one is in flight: that one takes up the rest
    /// when it ends.
    fn flush_logs(&mut self, now: Time, emit: &mut impl FnMut(Output)) {
        let lag_max = self.limits.lag_max();
        let (mut slow, mut behind) = (Vec::new(), Vec::new());
        for slot in self.grown.drain(..) {
            // A room may have been removed since; then its clients were attached to what they are still to get.
            let Some(room) = self.rooms.get_mut(slot).filter(|room| room.grown) else { continue };
            room.grown = false;
            let (head, flushed) = (room.channel.log.head(), room.channel.log.flushed());
            let policy = room.channel.spec().slow_consumers;
            for client in room.channel.members().iter() {
                let session = &mut self.sessions[client.slot as usize];
                if session.is_skipping() {
                    continue;
                }
                room.channel.log.attach(session.cursor_mut());
                if session.is_slow(lag_max, flushed) {
                    self.tally.slow.push((policy, session.lag(flushed)));
                    match policy {
                        SlowPolicy::Disconnect => slow.push(client.slot),
                        SlowPolicy::Skip => behind.push(client.slot),
                    }
                } else if let Some(pieces) = session.next_send(head) {
                    emit(Output::Send(client, pieces));
                }
            }
            room.channel.log.mark_flushed();
        }
        for slot in slow {
            self.close(now, slot, CloseCode::SlowConsumer);
        }
        for slot in behind {
            self.sessions[slot as usize].skip();
            if self.sessions[slot as usize].holds_log() {
                self.cancels.push(slot);
            }
            self.queue(slot);
        }
    }

    /// Ends the sends that hold what nobody waits for any more.
    fn cancel_sends(&mut self, emit: &mut impl FnMut(Output)) {
        for slot in self.cancels.drain(..) {
            if self.sessions.get(slot as usize).is_some_and(|session| session.is_sending()) {
                emit(Output::CancelSend(ClientId { shard: self.shard, slot }));
            }
        }
    }

    /// Goes on with one connection: the next send, or the next step towards its end.
    fn send(&mut self, now: Time, slot: u32, emit: &mut impl FnMut(Output)) {
        let head = self.head_of(slot);
        let client = ClientId { shard: self.shard, slot };
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.queued = false;
        if matches!(session.phase, Phase::Shut | Phase::Cut) {
            return;
        }
        // What it is behind in a log is judged where the log is flushed.
        let too_slow = session.phase == Phase::Open && session.is_slow(self.limits.lag_max(), 0);
        if let Some(skipped) = session.resume(head) {
            self.tally.skipped_len += skipped;
        }
        session.outbox.mark_flushed();
        if too_slow {
            self.tally.slow.push((SlowPolicy::Disconnect, session.lag(0)));
            self.close(now, slot, CloseCode::SlowConsumer);
            self.cancel_sends(emit);
        } else if let Some(pieces) = session.next_send(head) {
            emit(Output::Send(client, pieces));
        } else if session.phase == Phase::Ending && !session.has_work(head) {
            if session.hung_up {
                self.cut(slot);
            } else {
                session.phase = Phase::Shut;
                self.outputs.push(Output::ShutWrite(client));
            }
        }
    }

    /// Notes that a room's log has grown.
    fn grow(&mut self, now: Time, slot: u32) {
        let room = &mut self.rooms[slot];
        if room.grown {
            return;
        }
        room.grown = true;
        self.grown.push(slot);
        if room.cool_at.is_none() {
            self.cool_at(slot, now + COOL_AFTER);
        }
    }

    /// Notes that a session may have something to send.
    fn queue(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        if !session.queued {
            session.queued = true;
            self.queued.push(slot);
        }
    }

    /// The end of the log that a session reads: where it stands, for one that is to read nothing. Without a channel there is
    /// no log, and no bound to it.
    fn head_of(&mut self, slot: u32) -> u64 {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return u64::MAX };
        match session.place {
            Some((room, Membership::Listener(_))) => self.rooms[room].channel.log.head(),
            Some((_, Membership::Speaker(_))) => session.cursor_mut().offset(),
            None => u64::MAX,
        }
    }

    /// Closes the clients of a channel and forgets it.
    fn remove(&mut self, now: Time, slot: u32, code: CloseCode) {
        while let Some(client) = self.rooms[slot].channel.anyone() {
            self.close(now, client.slot, code);
        }
        let room = self.rooms.remove(slot);
        if let Some(at) = room.expire_at {
            self.timers.unset(at, Timer::Expire(slot));
        }
        if let Some(at) = room.cool_at {
            self.timers.unset(at, Timer::Cool(slot));
        }
    }

    fn fire(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Expire(slot) => {
                self.rooms[slot].expire_at = None;
                // Messages only note their time; the timer follows when it would have fired.
                if self.rooms[slot].channel.expires_at().is_some_and(|at| at <= now) {
                    self.remove(now, slot, CloseCode::ChannelExpired);
                } else {
                    self.watch_expiry(slot);
                }
            }
            Timer::Cool(slot) => {
                let room = &mut self.rooms[slot];
                room.cool_at = None;
                let idle_at = room.channel.active_at() + COOL_AFTER;
                if idle_at <= now {
                    room.channel.log.cool();
                }
                // What history holds stays, and whoever appends next looks again.
                if room.channel.log.is_warm() && !room.channel.log.has_history() {
                    self.cool_at(slot, if idle_at > now { idle_at } else { now + COOL_AFTER });
                }
            }
            Timer::TokenEnd(slot) => self.close(now, slot, CloseCode::TokenExpired),
            Timer::Cut(slot) => {
                self.sessions[slot as usize].deadline = None;
                self.cut(slot);
            }
        }
    }

    fn watch_expiry(&mut self, slot: u32) {
        let room = &mut self.rooms[slot];
        room.expire_at = room.channel.expires_at();
        if let Some(at) = room.expire_at {
            self.timers.set(at, Timer::Expire(slot));
        }
    }

    fn cool_at(&mut self, slot: u32, at: Time) {
        self.rooms[slot].cool_at = Some(at);
        self.timers.set(at, Timer::Cool(slot));
    }

    /// Deletes every channel and closes their clients with 4404; says how many channels there were.
    pub fn reset(&mut self, now: Time) -> u64 {
        let ids: Vec<ChannelId> = self.rooms.iter().map(|room| room.channel.spec().id.clone()).collect();
        ids.iter().filter(|id| self.delete(now, id)).count() as u64
    }
}

/// Pings after which a client that sent nothing at all is cut (requirements, section 5).
const SILENT_PINGS_MAX: u8 = 2;

/// How long a log stays in memory after its last message, for the next one.
const COOL_AFTER: Duration = Duration::from_secs(1);
