//! A client that is too far behind, and goes on at the newest message instead of being closed.

use crate::chunk::Cursor;

use super::{LogEnd, Phase, Session};

impl Session {
    /// Lets go of the log: what is in flight is cut short, the record that is sent in part is finished from a copy, and the
    /// client [goes on](Self::resume) wherever the log has come to by then. Only for a session to which everything comes
    /// through the log.
    pub fn skip(&mut self) {
        debug_assert!(self.phase == Phase::Open && self.order.is_none());
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
        let own: u64 = self.own.iter().map(|own| own.end.min(head) - own.start.min(head)).sum();
        self.own.clear();
        self.cursor = Cursor::at_end(head);
        (self.log_end, self.aligned) = (LogEnd::Head, true);
        Some(head - end - own)
    }
}
