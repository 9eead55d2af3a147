//! The order of what comes to a session by two ways: requests of req-repl through the log, replies through the outbox.

use std::cell::Cell;
use std::ops::Range;

use crate::chunk::Pieces;
use crate::ws::frame_len;

use super::{Session, len_of};

/// What keeps requests, which come through the log, and replies, which come through the outbox, in the order of their
/// senders.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// End of the last request of this session in the log; 0 = it has sent none.
    requested_to: u64,
    /// End of the last part of the log that was copied into the outbox.
    copied_to: u64,
    /// A part of the log that goes before a part of the outbox; `None` = what is in the outbox may go first.
    log_first: Option<LogFirst>,
}

/// The outbox from the offset `outbox` on is to be sent after the log up to `log`, a place between two records.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogFirst {
    pub(super) log: u64,
    pub(super) outbox: u64,
}

impl Session {
    /// Has what is put into the outbox from now on go out after the log up to `until`, an end of a record.
    ///
    /// A sender of requests (which go through the log) and replies (which go through the outbox) may be read in its
    /// order by this. What a send in flight carries of the log stays where it is; the rest is copied into the outbox, so
    /// that however often requests and replies take turns, they leave in one piece.
    pub fn go_on_after(&mut self, until: u64, head: u64) {
        debug_assert!(until <= head);
        if until <= self.cursor.offset() {
            return;
        }
        let (offset, in_flight_to) = (self.cursor.offset(), self.in_flight_to());
        let mut order = self.order.take().unwrap_or_default();
        order.log_first = order.log_first.filter(|first| first.log > offset);
        let settled = match order.log_first {
            Some(first) => first.log,
            None if in_flight_to > offset => {
                let mut end = self.cursor.clone();
                end.advance(len_of(offset..in_flight_to), head);
                let log = end.record_end(frame_len);
                order.log_first = Some(LogFirst { log, outbox: self.outbox.head() });
                log
            }
            None => self.record_end(),
        };
        let from = settled.max(order.copied_to);
        if from < until {
            let copy = self.copy_log(from..until, head);
            self.outbox.push([&copy]);
            self.leave_out_copied(from..until);
            order.copied_to = until;
            if self.sending.is_none() {
                self.skip_own(head);
            }
        }
        self.order = Some(order);
    }

    /// Notes that the last record of the log, which ends at `end`, is a request of this session's.
    pub fn requested(&mut self, end: u64) {
        self.order.get_or_insert_default().requested_to = end;
    }

    /// End of the last request of this session in the log; 0 = it has sent none.
    pub fn requested_to(&self) -> u64 {
        self.order.as_ref().map_or(0, |order| order.requested_to)
    }

    /// Where in the log the send in flight ends.
    fn in_flight_to(&self) -> u64 {
        let mut to = self.cursor.offset();
        let mut left = self.sending.map_or(0, |sending| sending.log_before + sending.log) as u64;
        for own in self.own.iter() {
            if to + left <= own.start {
                break;
            }
            left -= own.start - to;
            to = own.end;
        }
        to + left
    }

    /// A part of the log, between records, without what the client is not to get.
    fn copy_log(&self, part: Range<u64>, head: u64) -> Vec<u8> {
        let mut copy = Vec::with_capacity(len_of(part.clone()));
        let mut reader = self.cursor.clone();
        reader.advance(len_of(reader.offset()..part.start), head);
        let inside = self.own.iter().filter(|own| own.end > part.start && own.start < part.end);
        let gaps = inside.map(|own| own.start.max(part.start)..own.end.min(part.end));
        for gap in gaps.chain(std::iter::once(part.end..part.end)) {
            while reader.offset() < gap.start {
                let mut pieces = Pieces::new();
                let len = reader.gather(gap.start, usize::MAX, &mut pieces);
                copy.extend(pieces.iter().flat_map(|piece| piece.cells().iter().map(Cell::get)));
                reader.advance(len, head);
            }
            reader.advance(len_of(gap), head);
        }
        copy
    }

    /// Leaves out a part of the log that lies behind all that is in flight, with what it touches of others that are left
    /// out.
    fn leave_out_copied(&mut self, part: Range<u64>) {
        let begin = self.own.partition_point(|own| own.end <= part.start);
        let end = self.own.partition_point(|own| own.start < part.end);
        self.own.change(|notes| {
            let part = notes.drain(begin..end).fold(part, |part, own| part.start.min(own.start)..part.end.max(own.end));
            notes.insert(begin, part);
        });
    }

    /// What goes before the outbox, if it has not been sent yet.
    pub(super) fn log_first(&mut self) -> Option<LogFirst> {
        let offset = self.cursor.offset();
        let order = self.order.as_mut()?;
        order.log_first = order.log_first.filter(|first| first.log > offset);
        order.log_first
    }
}
