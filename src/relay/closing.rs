//! How connections end: with a close frame, without one, or cut.

use std::time::Duration;

use crate::channel::{ClientId, Membership};
use crate::session::Phase;
use crate::time::Time;
use crate::ws::CloseCode;

use super::timers::Timer;
use super::{Output, Relay};

impl Relay {
    /// The client has closed, or broken a rule: `code` goes back to it, unless a close frame has gone already.
    pub(super) fn end(&mut self, now: Time, slot: u32, code: CloseCode) {
        let session = &mut self.sessions[slot as usize];
        if session.phase == Phase::Closing {
            session.phase = Phase::Ending;
            self.queue(slot);
        } else {
            self.close(now, slot, code);
        }
    }

    /// Begins to close an open session: it leaves its channel, and `code` is the last that it is sent.
    pub(super) fn close(&mut self, now: Time, slot: u32, code: CloseCode) {
        if self.sessions[slot as usize].phase != Phase::Open {
            return;
        }
        let head = self.leave_room(slot);
        self.tally.closed(code);
        let session = &mut self.sessions[slot as usize];
        session.close(code, head);
        if session.holds_log() || code == CloseCode::SlowConsumer {
            self.cancels.push(slot);
        }
        self.set_deadline(slot, now + CLOSE_TIMEOUT);
        self.queue(slot);
    }

    /// The client sends nothing more. It may still read.
    pub(super) fn hang_up(&mut self, now: Time, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        session.hung_up = true;
        match session.phase {
            Phase::Open => {
                self.tally.lost += 1;
                self.leave_room(slot);
                let session = &mut self.sessions[slot as usize];
                session.abandon();
                if session.holds_log() {
                    self.cancels.push(slot);
                }
                self.set_deadline(slot, now + CLOSE_TIMEOUT);
                self.queue(slot);
            }
            Phase::Closing => {
                session.phase = Phase::Ending;
                self.queue(slot);
            }
            Phase::Ending => self.queue(slot),
            Phase::Shut => self.cut(slot),
            Phase::Cut => {}
        }
    }

    /// Has the socket closed.
    pub(super) fn cut(&mut self, slot: u32) {
        if self.sessions[slot as usize].phase == Phase::Cut {
            return;
        }
        self.leave_room(slot);
        let session = &mut self.sessions[slot as usize];
        session.phase = Phase::Cut;
        if let Some(timer) = session.deadline.take() {
            self.timers.unset(timer, Timer::Cut(slot));
        }
        self.outputs.push(Output::Cut(ClientId { shard: self.shard, slot }));
    }

    /// Takes a session out of its channel, ready to read what is left for it. Returns the end of that.
    pub(super) fn leave_room(&mut self, slot: u32) -> u64 {
        let session = &mut self.sessions[slot as usize];
        let Some((room_slot, membership)) = session.place.take() else { return session.cursor_mut().offset() };
        if let Some(timer) = session.token_end.take() {
            self.timers.unset(timer, Timer::TokenEnd(slot));
        }
        let reads = session.reads;
        if reads.is_some() {
            // What was said before is still for this client.
            self.compress(room_slot);
        }
        let (room, session) = (&mut self.rooms[room_slot], &mut self.sessions[slot as usize]);
        let head = match membership {
            Membership::Listener(_) => {
                session.finish_history();
                // One that still reads the history holds the plain log from there on, and reads on in it.
                let log = room.log(if session.reads_history() { None } else { reads });
                // One that is skipping reads a copy.
                if !session.is_skipping() {
                    log.attach(session.cursor_mut());
                }
                log.head()
            }
            Membership::Speaker(_) => session.cursor_mut().offset(),
        };
        if let (Some(window), Some(logs)) = (reads, &mut room.compressed) {
            logs.leave(window);
        }
        if let Some(moved) = room.channel.leave(membership) {
            self.sessions[moved.slot as usize].place = Some((room_slot, membership));
        }
        head
    }

    /// Cuts a session at `at`, if it has no earlier deadline.
    pub(super) fn set_deadline(&mut self, slot: u32, at: Time) {
        let session = &mut self.sessions[slot as usize];
        if session.phase == Phase::Cut || session.deadline.is_some_and(|timer| self.timers.due_at(timer) <= at) {
            return;
        }
        if let Some(later) = session.deadline.replace(self.timers.set(at, Timer::Cut(slot))) {
            self.timers.unset(later, Timer::Cut(slot));
        }
    }
}

/// How long a connection may take to end once a close frame was queued for it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
