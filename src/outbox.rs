//! What waits to be sent to one connection alone: answers, control frames, messages that are not broadcast.

use crate::chunk::{Chain, Cursor, Meter, Pieces};

/// A connection's own byte queue. Empty, it holds no memory.
#[derive(Debug)]
pub struct Outbox {
    chain: Chain,
    /// `sent.offset() <= chain.head()`; what lies between is still to be sent.
    sent: Cursor,
    /// `chain.head()` at the last [`mark_flushed`](Self::mark_flushed).
    flushed: u64,
}

impl Outbox {
    /// An empty queue whose memory `meter` counts.
    pub fn new(meter: &Meter) -> Outbox {
        let chain = Chain::new(CHUNK_SIZE_MIN, meter);
        let sent = chain.end();
        Outbox { chain, sent, flushed: 0 }
    }

    /// Appends a frame, or any other unit that is sent whole.
    pub fn push<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let chunk = self.chain.append(parts);
        if self.sent.is_detached() {
            self.sent.attach(chunk);
        }
    }

    /// Bytes to be sent.
    pub fn len(&self) -> u64 {
        self.chain.head() - self.sent.offset()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that were to be sent at the last flush and still are.
    pub fn lag(&self) -> u64 {
        self.flushed.saturating_sub(self.sent.offset())
    }

    /// Bytes of memory that it holds.
    pub fn held_len(&self) -> u64 {
        self.sent.held_len()
    }

    /// Says that a turn ends: what is in the outbox has had its chance to be sent.
    pub fn mark_flushed(&mut self) {
        self.flushed = self.chain.head();
    }

    /// Offset behind the last byte: everything ever pushed.
    pub fn head(&self) -> u64 {
        self.chain.head()
    }

    /// Offset behind the last byte that has been sent.
    pub fn sent(&self) -> u64 {
        self.sent.offset()
    }

    /// Adds what is to be sent up to the offset `until` to `pieces`, at most `len_max` bytes; returns how many.
    pub fn gather(&self, until: u64, len_max: usize, pieces: &mut Pieces) -> usize {
        self.sent.gather(until, len_max, pieces)
    }

    /// Says that the first `len` bytes have been sent.
    pub fn advance(&mut self, len: usize) {
        self.sent.advance(len, self.chain.head());
        if self.is_empty() {
            self.chain.cool();
        }
    }
}

/// First chunk: a pong and a close frame fit, and so does a small message.
const CHUNK_SIZE_MIN: usize = 512;
