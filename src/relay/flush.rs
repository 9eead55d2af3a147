//! Sends what was appended to logs to all who read them, and judges who is too slow.

use crate::channel::SlowPolicy;
use crate::time::Time;
use crate::ws::CloseCode;
use crate::ws::deflate::Window;

use super::{Output, Relay};

impl Relay {
    /// Starts a send to every subscriber of a log that has grown, unless one is in flight: that one takes up the rest
    /// when it ends.
    pub(super) fn flush_logs(&mut self, now: Time, emit: &mut impl FnMut(Output)) {
        for slot in std::mem::take(&mut self.grown) {
            // A room may have been removed since; then its clients were attached to what they are still to get.
            let Some(room) = self.rooms.get_mut(slot).filter(|room| room.grown) else { continue };
            room.grown = false;
            if let Some(logs) = room.compressed.as_mut().filter(|logs| logs.are_read()) {
                logs.attach(&room.channel.log);
                self.to_compress.push(slot);
            }
            self.flush_log(now, slot, None, emit);
        }
    }

    /// The same for one form of a channel's log and those who read it.
    pub(super) fn flush_log(&mut self, now: Time, slot: u32, reads: Option<Window>, emit: &mut impl FnMut(Output)) {
        let lag_max = self.limits.lag_max();
        let mut slow = Vec::new();
        let Some(room) = self.rooms.get_mut(slot) else { return };
        let policy = room.channel.spec().slow_consumers;
        let log = room.log(reads);
        let (head, flushed) = (log.head(), log.flushed());
        for client in room.channel.members().iter() {
            let session = &mut self.sessions[client.slot as usize];
            if session.reads != reads {
                continue;
            }
            if session.is_skipping() {
                if let Some(later) = session.later_mut() {
                    log.attach(later);
                    if let Some(lag) = session.later_lag(flushed).filter(|lag| *lag > lag_max) {
                        slow.push((client.slot, lag));
                    }
                } else {
                    session.merge_skipped();
                }
                continue;
            }
            log.attach(session.cursor_mut());
            if session.is_slow(lag_max, flushed) {
                slow.push((client.slot, session.lag(flushed)));
            } else if let Some(pieces) = session.next_send(head) {
                emit(Output::Send(client, pieces));
            }
        }
        room.log_mut(reads).mark_flushed();
        for (slot, lag) in slow {
            self.tally.slow.push((policy, lag));
            match policy {
                SlowPolicy::Disconnect => self.close(now, slot, CloseCode::SlowConsumer),
                SlowPolicy::Skip => self.skip(slot),
            }
        }
    }

    /// Takes a client to the newest message.
    fn skip(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        session.skip();
        if session.holds_log() {
            self.cancels.push(slot);
        }
        self.queue(slot);
    }
}
