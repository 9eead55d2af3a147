//! The reading end: how far one reader has come.

use std::cell::Cell;
use std::rc::Rc;

use super::{Chunk, Piece, Pieces, RecordLen};

/// A place in a chain: all before it has been sent.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The chunk that holds `offset`, or ends there; `None` = everything had been read when the cursor came here.
    chunk: Option<Rc<Chunk>>,
    /// Offset in the chain of the next byte to read.
    offset: u64,
}

impl Cursor {
    /// A cursor at `offset`, which lies in `chunk` or at its end.
    pub fn at(chunk: Rc<Chunk>, offset: u64) -> Cursor {
        debug_assert!((chunk.base..=chunk.end()).contains(&offset));
        Cursor { chunk: Some(chunk), offset }
    }

    /// A cursor at the end of a chain, `head`.
    pub fn at_end(head: u64) -> Cursor {
        Cursor { chunk: None, offset: head }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the cursor had read everything when it was last moved. It must then be [attached](Self::attach) to what
    /// was appended since before it can read on.
    pub fn is_detached(&self) -> bool {
        self.chunk.is_none()
    }

    /// Tells a detached cursor which chunk its offset lies in: `chunk` or one behind it.
    pub fn attach(&mut self, chunk: &Rc<Chunk>) {
        debug_assert!(self.chunk.is_none() && chunk.base <= self.offset);
        self.chunk = Some(chunk.clone());
        self.settle();
    }

    /// Adds to `pieces` what lies between the cursor and `until`, at most `len_max` bytes; returns how many. The cursor
    /// stays; [`advance`](Self::advance) moves it when the bytes have been sent.
    pub fn gather(&self, until: u64, len_max: usize, pieces: &mut Pieces) -> usize {
        let (mut from, mut gathered) = (self.offset, 0);
        let mut chunk = self.chunk.as_ref();
        while let Some(current) = chunk {
            let end = until.min(current.end());
            let len =
                usize::try_from(end.saturating_sub(from)).expect("a chunk fits in memory").min(len_max - gathered);
            if len > 0 {
                let start = usize::try_from(from - current.base).expect("a chunk fits in memory");
                pieces.push(Piece { chunk: current.clone(), start, len });
                from += len as u64;
                gathered += len;
            }
            if from == until || gathered == len_max || pieces.is_full() {
                break;
            }
            chunk = current.next.get();
        }
        gathered
    }

    /// Moves on by `len` bytes; `head` is the end of the chain. At the head the cursor lets go of its chunk.
    pub fn advance(&mut self, len: usize, head: u64) {
        self.offset += len as u64;
        debug_assert!(self.offset <= head);
        if self.offset == head {
            self.chunk = None;
            return;
        }
        self.settle();
    }

    /// Goes on to the chunk that holds the offset.
    fn settle(&mut self) {
        while let Some(chunk) = &self.chunk {
            if self.offset < chunk.end() {
                break;
            }
            let Some(next) = chunk.next.get() else { break };
            self.chunk = Some(next.clone());
        }
        debug_assert!(self.chunk.as_ref().is_none_or(|chunk| (chunk.base..=chunk.end()).contains(&self.offset)));
    }

    /// Bytes of the chunks that the cursor keeps from being given back: its own and all behind it.
    pub fn held_len(&self) -> u64 {
        let (mut held, mut chunk) = (0, self.chunk.as_ref());
        while let Some(current) = chunk {
            held += current.bytes.len() as u64;
            chunk = current.next.get();
        }
        held
    }

    /// Lets go of the chain but for the bytes up to `until`, which are copied; they lie in one chunk.
    pub fn keep_until(&mut self, until: u64) {
        let mut pieces = Pieces::new();
        let len = self.gather(until, usize::MAX, &mut pieces);
        debug_assert_eq!(self.offset + len as u64, until);
        self.chunk = pieces.first().map(|piece| {
            let copy = Chunk::new(len, self.offset, &piece.chunk.meter);
            copy.write(&piece.to_vec());
            copy
        });
    }

    /// Length of the record that begins at the cursor, which is not detached and has something to read.
    pub fn record_len(&self, record_len: RecordLen) -> usize {
        let chunk = self.chunk.as_ref().expect("there is a record");
        let start = usize::try_from(self.offset - chunk.base).expect("a chunk fits in memory");
        record_len(&chunk.bytes[start..chunk.len.get()])
    }

    /// The first end of a record at or behind the cursor. `record_len` tells from a record's first bytes how long it is.
    ///
    /// Walks the chunk from its start, since only there a record is known to begin: for the rare reader that stopped
    /// in the middle of one.
    pub fn record_end(&self, record_len: impl Fn(&[Cell<u8>]) -> usize) -> u64 {
        let Some(chunk) = &self.chunk else { return self.offset };
        let mut at = 0;
        while chunk.base + (at as u64) < self.offset {
            at += record_len(&chunk.bytes[at..chunk.len.get()]);
        }
        chunk.base + at as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Chain, Meter};

    #[test]
    fn gather_stops_at_its_bounds() {
        let mut chain = Chain::new(8, &Meter::default());
        let first = chain.append([b"0123", b"4567"]).clone();
        chain.append([b"89", b"ab"]);
        let cursor = Cursor::at(first, 0);
        let gathered = |until, len_max| {
            let mut pieces = Pieces::new();
            let len = cursor.gather(until, len_max, &mut pieces);
            let bytes: Vec<u8> = pieces.iter().flat_map(Piece::to_vec).collect();
            assert_eq!(bytes.len(), len);
            bytes
        };
        assert_eq!(gathered(12, 100), b"0123456789ab");
        assert_eq!(gathered(10, 100), b"0123456789");
        assert_eq!(gathered(12, 9), b"012345678");
        assert_eq!(gathered(3, 2), b"01");
        assert_eq!(gathered(0, 2), b"");
    }

    #[test]
    fn what_is_kept_does_not_hold_the_chain() {
        let mut chain = Chain::new(8, &Meter::default());
        let first = chain.append([b"0123", b"4567"]).clone();
        chain.append([b"89", b"ab"]);
        let mut cursor = Cursor::at(first.clone(), 3);
        assert_eq!(Rc::strong_count(&first), 2);
        cursor.keep_until(6);
        assert_eq!(Rc::strong_count(&first), 1);
        let mut pieces = Pieces::new();
        assert_eq!(cursor.gather(6, usize::MAX, &mut pieces), 3);
        assert_eq!(pieces[0].to_vec(), b"345");
        drop(pieces);
        cursor.advance(3, 6);
        assert!(cursor.is_detached());
    }

    #[test]
    fn a_cursor_holds_whole_chunks() {
        let meter = Meter::default();
        let mut chain = Chain::new(8, &meter);
        let first = chain.append([b"0123", b"4567"]).clone();
        chain.append([b"89", b"ab"]);
        let mut cursor = Cursor::at(first, 7);
        assert_eq!(cursor.held_len(), meter.held());
        cursor.advance(1, 12);
        assert_eq!(cursor.held_len(), 8 * 4, "the second chunk is larger");
        cursor.advance(4, 12);
        assert_eq!(cursor.held_len(), 0);
    }

    #[test]
    fn a_cursor_walks_from_record_to_record_over_chunks() {
        let mut chain = Chain::new(8, &Meter::default());
        let first = chain.append([&[3], b"ab"]).clone();
        chain.append([&[5], b"cdef"]);
        chain.append([&[4], b"ghi"]);
        let mut cursor = Cursor::at(first, 0);
        let mut lens = Vec::new();
        while !cursor.is_detached() {
            lens.push(cursor.record_len(|record| usize::from(record[0].get())));
            cursor.advance(lens[lens.len() - 1], chain.head());
        }
        assert_eq!(lens, [3, 5, 4]);
    }

    #[test]
    fn a_record_end_is_found_from_anywhere_in_the_record() {
        let mut chain = Chain::new(64, &Meter::default());
        let chunk = chain.append([&[3], b"ab"]).clone();
        chain.append([&[5], b"cdef"]);
        let record_len = |record: &[Cell<u8>]| usize::from(record[0].get());
        let ends: Vec<u64> = (0..=8).map(|offset| Cursor::at(chunk.clone(), offset).record_end(record_len)).collect();
        assert_eq!(ends, [0, 3, 3, 3, 8, 8, 8, 8, 8]);
    }
}
