//! How a session goes on elsewhere in its log: at the newest message, because it is too far behind, or in the compressed form
//! of the log, once it has got the history.

use std::collections::VecDeque;
use std::ops::Range;

use crate::chunk::Cursor;

use super::{LogEnd, Phase, Session};

/// Where a session goes on that reads the history first.
#[derive(Debug)]
pub(super) struct Later {
    cursor: Cursor,
    /// As [`Session::own`], of the log that it goes on in.
    pub(super) own: VecDeque<Range<u64>>,
}

impl Later {
    /// Where the session goes on.
    pub(super) fn offset(&self) -> u64 {
        self.cursor.offset()
    }
}

impl Session {
    /// Has the session read the plain log up to `history_end` from where it stands, and go on at `cursor` of another log.
    pub fn read_history_first(&mut self, history_end: u64, cursor: Cursor) {
        self.log_end = LogEnd::At(history_end);
        self.later = Some(Box::new(Later { cursor, own: VecDeque::new() }));
    }

    /// Has the session read from `cursor` on.
    pub fn read_from(&mut self, cursor: Cursor) {
        self.joined_at = cursor.offset();
        self.cursor = cursor;
    }

    /// Where the session will go on; `None` = it is there, or nowhere in particular.
    pub fn later_mut(&mut self) -> Option<&mut Cursor> {
        self.later.as_mut().map(|later| &mut later.cursor)
    }

    /// Lets go of the log: what is in flight is cut short, the record that is sent in part is finished from a copy, and the
    /// client [goes on](Self::resume) wherever the log has come to by then. Only for a session to which everything comes
    /// through the log.
    pub fn skip(&mut self) {
        debug_assert!(self.phase == Phase::Open && self.order.is_none());
        // One that still reads the history goes on at the newest message, too: from here on it is skipped.
        if let Some(later) = self.later.take() {
            self.joined_at = later.cursor.offset();
        }
        if matches!(self.log_end, LogEnd::Head) {
            self.log_end = LogEnd::NextRecord;
        }
    }

    /// Whether the session does not follow the log for now.
    pub fn is_skipping(&self) -> bool {
        !matches!(self.log_end, LogEnd::Head)
    }

    /// Goes on at `head`, if what had been sent in part is finished; says how many bytes of the log it was not sent. `head`
    /// is the end of a log that has just been flushed.
    pub fn resume(&mut self, head: u64) -> Option<u64> {
        if self.phase != Phase::Open || self.sending.is_some() || !self.is_skipping() {
            return None;
        }
        let end = self.log_end(head);
        if self.cursor.offset() < end {
            return None;
        }
        if let Some(later) = self.later.take() {
            self.read_from(later.cursor);
            self.own = later.own;
            (self.log_end, self.aligned) = (LogEnd::Head, true);
            return Some(0);
        }
        let skipped_from = if matches!(self.log_end, LogEnd::At(_)) { self.joined_at } else { end };
        let own: u64 = self.own.iter().map(|own| own.end.min(head) - own.start.min(head)).sum();
        self.own.clear();
        self.cursor = Cursor::at_end(head);
        (self.log_end, self.aligned) = (LogEnd::Head, true);
        Some(head - skipped_from - own)
    }
}
