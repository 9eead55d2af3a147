//! The relay of one shard: its channels and its connections, and everything that decides.
//!
//! It knows no socket, clock or thread. The driver tells it what happened ([`Relay::handle`]) and then asks what to do
//! ([`Relay::drain`]): what one tick brought is handled first and sent afterwards, so that a send carries all of it.

mod closing;
mod compression;
mod delivery;
mod departure;
mod flush;
mod heartbeat;
mod limits;
mod memory;
mod rooms;
mod survey;
mod tally;
mod timers;

use std::time::Duration;

use slab::Slab;

use crate::channel::{AdmitError, Channel, ChannelId, ChannelSpec, ChannelView};
use crate::channel::{ClientId, CreateError, Membership, Place, Rights, SlowPolicy};
use crate::chunk::{Cursor, Meter, Pieces};
use crate::metrics::{BATCH_BOUNDS, DURATION_BOUNDS, Traffic};
use crate::session::{Phase, Rates, Session};
use crate::time::Time;
use crate::ws::deflate::Window;
use crate::ws::{CloseCode, Decoder, Opcode, frame_len};

pub use crate::session::SEND_LEN_MAX;
pub use closing::CLOSE_TIMEOUT;
pub use limits::{Limits, TURN_LEN_MAX};
pub use survey::Lag;
pub use tally::Tally;

use compression::Codec;
use departure::Departure;
use heartbeat::Heartbeat;
use rooms::Rooms;
use survey::Lags;
use timers::{Timer, Timers};

/// What a client was admitted with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub rights: Rights,
    /// When it is to be closed with 4401; `None` = never.
    pub ends_at: Option<Time>,
    /// What messages are compressed with; `None` = they are not.
    pub window: Option<Window>,
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
    /// Begin with what was said so far, before the rest is asked for: it takes its time.
    Submit,
    /// Forget what is held of a TLS record that has come in part, and throw away unread what still comes.
    Forget(ClientId),
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
    /// What has passed so far.
    traffic: Traffic,
    /// How far its clients are behind.
    lags: Lags,
    /// Counts the memory of logs and outboxes.
    meter: Meter,
    /// Bytes of what has arrived in part; the sum of `partial_len()` over all sessions.
    partial_len: u64,
    /// When more may be closed for lack of memory.
    reclaim_at: Time,
    /// Slots of rooms whose log has grown since the last drain; each once.
    grown: Vec<u32>,
    /// Slots of rooms of which the plain log was flushed, and the compressed ones are to be.
    to_compress: Vec<u32>,
    codec: Codec,
    /// Slots of sessions that may have something to send; each once (`Session::queued`).
    queued: Vec<u32>,
    /// Slots of sessions whose send in flight is to be ended before a new one is started.
    cancels: Vec<u32>,
    /// Outputs that are not sends, in order.
    outputs: Vec<Output>,
    /// Bytes that were taken in since the last drain, and what opening them cost ([`charge`](Self::charge)).
    taken_len: usize,
    /// Bytes that were made of what was taken in, and are many times as long or take as much time: the errors that clients
    /// were told, what was inflated, and what is compressed. What is over a turn's fill counts in the turns after it.
    made_len: usize,
    /// Set once the relay closes: nobody is admitted any more, and who is there is to go.
    departure: Option<Departure>,
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
            traffic: Traffic::default(),
            lags: Lags::default(),
            meter: Meter::default(),
            partial_len: 0,
            reclaim_at: Time::ZERO,
            grown: Vec::new(),
            to_compress: Vec::new(),
            codec: Codec::default(),
            queued: Vec::new(),
            cancels: Vec::new(),
            outputs: Vec::new(),
            taken_len: 0,
            made_len: 0,
            departure: None,
        }
    }

    /// Creates a channel.
    ///
    /// # Errors
    /// The id is taken, or the relay is closing.
    pub fn create(&mut self, now: Time, spec: ChannelSpec) -> Result<ChannelView, CreateError> {
        if self.departure.is_some() {
            return Err(CreateError::ShuttingDown);
        }
        if self.is_out_of_memory() {
            return Err(CreateError::OutOfMemory);
        }
        let slot = self.rooms.insert(Channel::new(spec, now, frame_len, &self.meter)).ok_or(CreateError::IdTaken)?;
        self.watch_expiry(slot);
        Ok(self.rooms[slot].channel.view(now))
    }

    /// Shows a channel; `None` = there is none of that id.
    pub fn read(&self, now: Time, id: &ChannelId) -> Option<ChannelView> {
        self.rooms.find(id).map(|slot| self.rooms[slot].channel.view(now))
    }

    /// Shows the first `max` of the channels behind `after` by their ids, in order; `None` = from the first.
    pub fn list(&self, now: Time, after: Option<&ChannelId>, max: usize) -> Vec<ChannelView> {
        self.rooms.behind(after).take(max).map(|room| room.channel.view(now)).collect()
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
        if self.departure.is_some() {
            return Err(AdmitError::ShuttingDown);
        }
        if self.is_out_of_memory() {
            return Err(AdmitError::OutOfMemory);
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
        // What came before is not for who comes now.
        self.compress(place.slot);
        let entry = self.sessions.vacant_entry();
        let client = ClientId { shard: self.shard, slot: entry.key() as u32 };
        self.joined = self.joined.wrapping_add(1);
        let (serial, message_len_max) = (self.joined, self.limits.message_len_max);
        match self.rooms.at(place) {
            Some(room) if self.departure.is_none() => {
                room.channel.release();
                let (log, head) = (&room.channel.log, room.channel.log.head());
                // One that gets nothing of the log must not hold it: neither its history nor what follows.
                let cursor = if terms.rights.subscribe { log.join() } else { Cursor::at_end(head) };
                let mut session = Session::new(serial, message_len_max, response, cursor, head, &self.meter);
                if let Some(window) = terms.window {
                    session.window = Some(window);
                    if terms.rights.subscribe {
                        room.compress_for(&mut session, window, &self.meter);
                    }
                    session.decoder = Decoder::with_deflate(message_len_max);
                }
                let log = room.log(session.reads);
                session.count_records_from(match session.reads {
                    None => log.appended_before_history(),
                    Some(_) => log.appended(),
                });
                session.place = Some((place.slot, room.channel.join(client, terms.rights)));
                session.may_publish = terms.rights.publish;
                session.token_end = terms.ends_at.map(|at| self.timers.set(at, Timer::TokenEnd(client.slot)));
                session.allowance = self.rates.as_ref().map(|rates| Box::new(rates.allowance(now)));
                entry.insert(Box::new(session));
            }
            gone => {
                let code = if gone.is_some() { CloseCode::ServiceRestart } else { CloseCode::ChannelDeleted };
                if let Some(room) = gone {
                    room.channel.release();
                }
                entry.insert(Box::new(Session::new(
                    serial,
                    message_len_max,
                    response,
                    Cursor::at_end(0),
                    0,
                    &self.meter,
                )));
                self.close(now, client.slot, code);
            }
        }
        self.sessions[client.slot as usize].opened_at = now;
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
                let session = &mut self.sessions[slot as usize];
                session.sent(0, head);
                self.tally.lost += u64::from(session.phase == Phase::Open);
                self.cut(slot);
            }
            Input::Closed => {
                let session = self.sessions.remove(slot as usize);
                self.partial_len -= session.partial_len();
                self.traffic.durations.observe(&DURATION_BOUNDS, (now - session.opened_at).as_micros() as u64);
                debug_assert!(session.phase == Phase::Cut && session.place.is_none() && session.deadline.is_none());
            }
        }
    }

    /// Closes every connection with 1012, one after the other over `spread`, and admits no more. Until its time comes a
    /// client sends and gets messages as before; those that are being sent something come last. Who does not answer the
    /// close is cut [`CLOSE_TIMEOUT`] later.
    pub fn shut_down(&mut self, now: Time, spread: Duration) {
        let (busy, idle): (Vec<_>, Vec<_>) = self.sessions.iter().partition(|(_, session)| session.is_sending());
        let slots = idle.into_iter().chain(busy).map(|(slot, _)| slot as u32).collect();
        self.departure = Some(Departure::new(now, spread, slots, u64::from(self.shard)));
    }

    /// Whether messages of this client still count, and those of others still go to it.
    pub fn is_open(&self, client: ClientId) -> bool {
        self.sessions.get(client.slot as usize).is_some_and(|session| session.phase == Phase::Open)
    }

    /// Whether so much was taken in since the last drain that it is to be sent before there is more.
    pub fn turn_is_full(&self) -> bool {
        self.taken_len + self.made_len >= TURN_LEN_MAX
    }

    /// Counts towards the turn what it cost to get at what clients sent, as so many bytes taken in.
    pub fn charge(&mut self, len: usize) {
        self.taken_len += len;
    }

    /// How many channels there are.
    pub fn channel_count(&self) -> usize {
        self.rooms.len()
    }

    /// Whether connections are left.
    pub fn has_clients(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// When [`drain`](Self::drain) has something to do even if nothing happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let beat = self.heartbeat.as_ref().filter(|_| !self.sessions.is_empty()).map(Heartbeat::next_at);
        let departure = self.departure.as_ref().and_then(Departure::next_at);
        self.timers.next().into_iter().chain(beat).chain(departure).min()
    }

    /// What has passed so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
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
        self.see_off(now);
        self.reclaim(now);
        self.flush_logs(now, &mut emit);
        self.send_queued(now, &mut emit);
        if !self.to_compress.is_empty() {
            emit(Output::Submit);
            self.flush_compressed(now, &mut emit);
            self.send_queued(now, &mut emit);
        }
        self.taken_len = 0;
        // One message may be inflated to more than a send carries: nothing comes in until that has had its turns to go out.
        self.made_len = self.made_len.saturating_sub(TURN_LEN_MAX);
        self.outputs.drain(..).for_each(emit);
    }

    /// Goes on with the connections that may have something to send.
    fn send_queued(&mut self, now: Time, emit: &mut impl FnMut(Output)) {
        self.cancel_sends(emit);
        let mut next = 0;
        while let Some(slot) = self.queued.get(next).copied() {
            self.send(now, slot, emit);
            next += 1;
        }
        self.queued.clear();
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

    /// Closes those whose time has come, once the relay ends.
    fn see_off(&mut self, now: Time) {
        while let Some(slot) = self.departure.as_mut().and_then(|departure| departure.take_due(now)) {
            if self.sessions.contains(slot as usize) {
                self.close(now, slot, CloseCode::ServiceRestart);
            }
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

    /// Has a session that left its log go on there, if it is ready for that.
    fn resume(&mut self, slot: u32, head: u64) -> bool {
        let resumed = self.sessions.get_mut(slot as usize).and_then(|session| session.resume(head));
        self.tally.skipped_len += resumed.unwrap_or(0);
        // What was skipped is sent by no send.
        if let (Some(1..), Some(session)) = (resumed, self.sessions.get_mut(slot as usize))
            && let Some((room, _)) = session.place
        {
            session.count_records_from(self.rooms[room].log(session.reads).appended());
        }
        resumed.is_some()
    }

    /// Goes on with one connection: the next send, or the next step towards its end.
    fn send(&mut self, now: Time, slot: u32, emit: &mut impl FnMut(Output)) {
        let mut head = self.head_of(slot);
        let client = ClientId { shard: self.shard, slot };
        if self.resume(slot, head) {
            head = self.head_of(slot);
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.queued = false;
        if matches!(session.phase, Phase::Shut | Phase::Cut) {
            return;
        }
        // What it is behind in a log is judged where the log is flushed.
        let too_slow = session.phase == Phase::Open && session.is_slow(self.limits.lag_max(), 0);
        session.outbox.mark_flushed();
        if too_slow {
            self.tally.slow.push((SlowPolicy::Disconnect, session.lag(0)));
            self.close(now, slot, CloseCode::SlowConsumer);
            self.cancel_sends(emit);
        } else if let Some(pieces) = session.next_send(head) {
            let appended = match session.place {
                Some((room, Membership::Listener(_))) => Some(self.rooms[room].log(session.reads).appended()),
                Some((_, Membership::Speaker(_))) | None => None,
            };
            self.traffic.batches.observe(&BATCH_BOUNDS, session.take_frames(appended));
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

    /// The end of the log that a session reads, at its last flush.
    fn flushed_of(&self, session: &Session) -> u64 {
        match session.place {
            Some((room, Membership::Listener(_))) => self.rooms[room].log(session.reads).flushed(),
            Some((_, Membership::Speaker(_))) | None => 0,
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
        if room.cool.is_none() {
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
            Some((room, Membership::Listener(_))) => match session.reads {
                None => self.rooms[room].channel.log.head(),
                // What is compressed ahead of its time is sent in its turn; a client may have come after it.
                reads => {
                    let flushed = self.rooms[room].log(reads).flushed();
                    if session.is_skipping() { flushed } else { flushed.max(session.cursor_mut().offset()) }
                }
            },
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
        if let Some(timer) = room.expire {
            self.timers.unset(timer, Timer::Expire(slot));
        }
        if let Some(timer) = room.cool {
            self.timers.unset(timer, Timer::Cool(slot));
        }
    }

    fn fire(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Expire(slot) => {
                self.rooms[slot].expire = None;
                // Messages only note their time; the timer follows when it would have fired.
                if self.rooms[slot].channel.expires_at().is_some_and(|at| at <= now) {
                    self.remove(now, slot, CloseCode::ChannelExpired);
                } else {
                    self.watch_expiry(slot);
                }
            }
            Timer::Cool(slot) => {
                let room = &mut self.rooms[slot];
                room.cool = None;
                let idle_at = room.channel.active_at() + COOL_AFTER;
                if idle_at <= now {
                    room.cool();
                }
                if room.is_warm() {
                    self.cool_at(slot, if idle_at > now { idle_at } else { now + COOL_AFTER });
                }
            }
            Timer::TokenEnd(slot) => {
                self.sessions[slot as usize].token_end = None;
                self.close(now, slot, CloseCode::TokenExpired);
            }
            Timer::Cut(slot) => {
                self.sessions[slot as usize].deadline = None;
                self.cut(slot);
            }
        }
    }

    fn watch_expiry(&mut self, slot: u32) {
        let room = &mut self.rooms[slot];
        room.expire = room.channel.expires_at().map(|at| self.timers.set(at, Timer::Expire(slot)));
    }

    fn cool_at(&mut self, slot: u32, at: Time) {
        self.rooms[slot].cool = Some(self.timers.set(at, Timer::Cool(slot)));
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
