//! What a session keeps from being given back.

use arrayvec::ArrayVec;

use crate::ws::deflate::Window;

use super::{LogEnd, Session};

/// Memory that a session holds, in bytes.
#[derive(Debug)]
pub struct Holding {
    /// Held by nobody else: its outbox, what has arrived in part, what was copied of a log, its notes.
    pub own: u64,
    /// Chunks of the logs that it reads, by their form; `None` = the plain one. Others may hold them too.
    pub logs: ArrayVec<(Option<Window>, u64), 2>,
}

impl Holding {
    /// All of it.
    pub fn len(&self) -> u64 {
        self.own + self.logs.iter().map(|(_, len)| len).sum::<u64>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Session {
    /// Bytes that are held for this client, or for others that are as far behind: what was to be sent at the last flush,
    /// and the history that it still reads. `flushed` is the end of the log that it reads, then.
    pub fn held_len(&self, flushed: u64) -> u64 {
        let log_len = match (self.log_end, &self.later) {
            (LogEnd::Head, _) => flushed.saturating_sub(self.cursor.offset()),
            (LogEnd::At(end), Some(later)) => {
                end.saturating_sub(self.cursor.offset()) + flushed.saturating_sub(later.offset())
            }
            (LogEnd::At(end), None) | (LogEnd::Rest(end), _) => end.saturating_sub(self.cursor.offset()),
            (LogEnd::NextRecord, _) => 0,
        };
        log_len + self.notes_len() + self.outbox.lag()
    }

    /// The memory that it holds: all chunks from the one on in which it stands, however little of them it is still to get.
    pub fn holding(&self) -> Holding {
        let notes = self.own.held_len() + self.later.as_ref().map_or(0, |later| later.own.held_len());
        let own = self.outbox.held_len() + self.partial_len() + notes as u64;
        let mut holding = Holding { own, logs: ArrayVec::new() };
        let cursor_len = self.cursor.held_len();
        match (self.log_end, &self.later) {
            (LogEnd::Rest(_), _) => holding.own += cursor_len,
            (_, Some(later)) => {
                holding.logs.push((None, cursor_len));
                holding.logs.push((self.reads, later.held_len()));
            }
            (LogEnd::Head | LogEnd::At(_) | LogEnd::NextRecord, None) => holding.logs.push((self.reads, cursor_len)),
        }
        holding
    }
}
