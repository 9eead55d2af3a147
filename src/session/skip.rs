//! How a session goes on elsewhere in its log: at the newest message, because it is too far behind, or in the compressed form
//! of the log, once it has got the history.

use std::collections::VecDeque;
use std::ops::Range;

use crate::chunk::{Cursor, Meter, Notes};

use super::{LogEnd, Phase, Session, push_range};

/// Where a session goes on that reads the history first.
#[derive(Debug)]
pub(super) struct Later {
    cursor: Cursor,
    /// It was too slow: what follows the cursor is skipped, and the cursor holds nothing.
    pub(super) is_skipped: bool,
    /// As [`Session::own`], of the log that it goes on in.
    pub(super) own: Notes<Range<u64>>,
}

impl Later {
    /// Where the session goes on.
    pub(super) fn offset(&self) -> u64 {
        self.cursor.offset()
    }

    /// Bytes of the chunks of that log that it holds.
    pub(super) fn held_len(&self) -> u64 {
        self.cursor.held_len()
    }
}

impl Session {
    /// Has the session read the plain log up to `history_end` from where it stands, and go on at `cursor` of another log.
    /// `meter` counts its notes on that.
    pub fn read_history_first(&mut self, history_end: u64, cursor: Cursor, meter: &Meter) {
        self.log_end = LogEnd::At(history_end);
        self.later = Some(Box::new(Later { cursor, is_skipped: false, own: Notes::new(meter) }));
    }

    /// Has the session read from `cursor` on.
    pub fn read_from(&mut self, cursor: Cursor) {
        self.joined_at = cursor.offset();
        self.cursor = cursor;
    }

    /// Where the session will go on; `None` = it is there, or nowhere in particular.
    pub fn later_mut(&mut self) -> Option<&mut Cursor> {
        self.later.as_mut().filter(|later| !later.is_skipped).map(|later| &mut later.cursor)
    }

    /// Whether the session still reads the history, and is to go on in another log than its cursor is in.
    pub fn reads_history(&self) -> bool {
        self.later.as_ref().is_some_and(|later| !later.is_skipped)
    }

    /// Has a session go on behind the history, if it has got that. What may be in flight is not of the log.
    pub fn finish_history(&mut self) -> bool {
        let LogEnd::At(history_end) = self.log_end else { return false };
        if self.phase != Phase::Open || self.cursor.offset() < history_end {
            return false;
        }
        let Some(later) = self.later.take_if(|later| !later.is_skipped) else { return false };
        self.own = later.own;
        self.read_from(later.cursor);
        (self.log_end, self.aligned) = (LogEnd::Head, true);
        true
    }

    /// [Leaves](Self::leave_out) a record of the plain log out, in which a session that still reads the history will read on
    /// if its channel ends.
    pub fn leave_out_plain(&mut self, range: Range<u64>) {
        if self.reads_history() {
            push_range(&mut self.own, range);
        }
    }

    /// As [`lag`](Self::lag) of a session that reads the history, for `flushed` of the log that it goes on in; `None` = it
    /// reads no history.
    pub fn later_lag(&self, flushed: u64) -> Option<u64> {
        let later = self.later.as_ref().filter(|later| !later.is_skipped)?;
        Some(flushed.saturating_sub(later.offset()) + self.notes_len() + self.outbox.lag())
    }

    /// Lets go of the log: what is in flight is cut short, the record that is sent in part is finished from a copy, and the
    /// client [goes on](Self::resume) wherever the log has come to by then. Only for a session to which everything comes
    /// through the log.
    pub fn skip(&mut self) {
        debug_assert!(self.phase == Phase::Open && self.order.is_none());
        // One that still reads the history goes on at the newest message, too. The rest of the history is not for it: to
        // read on there would hold all that follows.
        if let Some(later) = &mut self.later {
            later.cursor = Cursor::at_end(later.cursor.offset());
            later.is_skipped = true;
            self.own.change(VecDeque::clear);
            self.log_end = LogEnd::NextRecord;
        }
        if matches!(self.log_end, LogEnd::Head) {
            self.log_end = LogEnd::NextRecord;
        }
        // A send that carries nothing of the log is not cut short for it, and may take for ever.
        if matches!(self.log_end, LogEnd::NextRecord) && !self.holds_log() {
            self.settle();
        }
    }

    /// Takes the notes on what it is not to get together while it is skipping. Of what it will not be sent only the length
    /// counts, and a client that sends but never reads would have the notes grow for ever. All of them are of a log that is
    /// being flushed.
    pub fn merge_skipped(&mut self) {
        let own = match &mut self.later {
            Some(later) if later.is_skipped => &mut later.own,
            None if matches!(self.log_end, LogEnd::Rest(_)) => &mut self.own,
            Some(_) | None => return,
        };
        if own.len() > 1
            && let Some(end) = own.back().map(|last| last.end)
        {
            own.change(|own| {
                let len: u64 = own.drain(..).map(|own| own.end - own.start).sum();
                own.push_back(end - len..end);
            });
        }
    }

    /// Whether the session has left the log, and is to go on elsewhere.
    pub fn is_skipping(&self) -> bool {
        !matches!(self.log_end, LogEnd::Head)
    }

    /// Goes on at `head`, if what had been sent in part is finished; says how many bytes of the log it was not sent. `head`
    /// is the end of a log that has just been flushed.
    pub fn resume(&mut self, head: u64) -> Option<u64> {
        if self.phase != Phase::Open || self.sending.is_some() || !self.is_skipping() {
            return None;
        }
        if self.finish_history() {
            return Some(0);
        }
        let end = self.log_end(head);
        if self.cursor.offset() < end {
            return None;
        }
        let mut skipped_from = end;
        if let Some(later) = self.later.take() {
            skipped_from = later.offset();
            self.own = later.own;
        }
        let own: u64 = self.own.iter().map(|own| own.end.min(head) - own.start.min(head)).sum();
        // What was compressed ahead of its flush is still to come.
        self.own.change(|own| {
            own.retain_mut(|own| {
                own.start = own.start.max(head);
                own.start < own.end
            });
        });
        self.read_from(Cursor::at_end(head));
        (self.log_end, self.aligned) = (LogEnd::Head, true);
        Some(head - skipped_from - own)
    }
}
