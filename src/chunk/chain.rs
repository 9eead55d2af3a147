//! The writing end of a list of chunks.

use std::rc::Rc;

use super::{Chunk, Cursor, Meter};

/// An append-only sequence of records with offsets that only grow.
#[derive(Debug)]
pub struct Chain {
    /// Where the next record goes, if it fits; `None` = nothing was written lately.
    tail: Option<Rc<Chunk>>,
    /// Offset behind the last byte; `tail.end() == head` where there is a tail.
    head: u64,
    /// Size of the next chunk, in bytes: grows while chunks fill up faster than they are read.
    chunk_size: usize,
    /// What `chunk_size` starts from.
    chunk_size_min: usize,
    /// Counts the memory of the chunks.
    meter: Meter,
}

impl Chain {
    /// An empty chain whose first chunk will have `chunk_size_min` bytes, all counted by `meter`.
    pub fn new(chunk_size_min: usize, meter: &Meter) -> Chain {
        Chain { tail: None, head: 0, chunk_size: chunk_size_min, chunk_size_min, meter: meter.clone() }
    }

    /// Offset behind the last byte: everything ever written.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Whether the chain holds memory.
    pub fn is_warm(&self) -> bool {
        self.tail.is_some()
    }

    /// Appends one record made of `parts` and returns the chunk that it went to. A record never spans two chunks.
    pub fn append<const N: usize>(&mut self, parts: [&[u8]; N]) -> &Rc<Chunk> {
        let len = parts.iter().map(|part| part.len()).sum();
        if self.tail.as_ref().is_none_or(|tail| tail.room() < len) {
            self.make_room(len);
        } else if let Some(tail) = self.tail.as_mut().filter(|tail| tail.len.get() > 0).and_then(Rc::get_mut) {
            // Nobody reads it any more: start over in memory that the caches still hold.
            tail.base = self.head;
            tail.len.set(0);
        }
        let tail = self.tail.as_ref().expect("there is room");
        for part in parts {
            tail.write(part);
        }
        self.head += len as u64;
        debug_assert_eq!(tail.end(), self.head);
        tail
    }

    /// Gives the memory back if everyone has read everything. What is being read goes when its readers have gone on.
    pub fn cool(&mut self) {
        if self.tail.as_ref().is_some_and(|tail| Rc::strong_count(tail) == 1) {
            self.tail = None;
            self.chunk_size = self.chunk_size_min;
        }
    }

    /// A cursor behind everything written so far.
    pub fn end(&self) -> Cursor {
        Cursor::at_end(self.head)
    }

    fn make_room(&mut self, len: usize) {
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.bytes.len() >= len).and_then(Rc::get_mut) {
            tail.base = self.head;
            tail.len.set(0);
            return;
        }
        let chunk = Chunk::new(self.chunk_size.max(len), self.head, &self.meter);
        self.chunk_size = (self.chunk_size * CHUNK_GROWTH).min(CHUNK_SIZE_MAX);
        if let Some(full) = self.tail.replace(chunk.clone()) {
            full.next.set(chunk).expect("the tail has no next");
        }
    }
}

/// Largest chunk, but for a record that is larger: 16 messages of 16 KiB lie side by side in it.
const CHUNK_SIZE_MAX: usize = 256 * 1024;
const CHUNK_GROWTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Pieces;

    fn read_all(cursor: &mut Cursor, head: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while cursor.offset() < head {
            let mut pieces = Pieces::new();
            let gathered = cursor.gather(head, usize::MAX, &mut pieces);
            all.extend(pieces.iter().flat_map(|piece| piece.to_vec()));
            drop(pieces);
            cursor.advance(gathered, head);
        }
        all
    }

    #[test]
    fn a_reader_gets_what_was_appended_over_many_chunks() {
        let mut chain = Chain::new(16, &Meter::default());
        let first = chain.append([b"a", b"b"]).clone();
        let mut cursor = Cursor::at(first, 0);
        let mut expected = b"ab".to_vec();
        for i in 0..200u8 {
            chain.append([&[i], &vec![i; usize::from(i) % 40]]);
            expected.push(i);
            expected.extend(vec![i; usize::from(i) % 40]);
        }
        assert_eq!(read_all(&mut cursor, chain.head()), expected);
        assert_eq!(chain.head(), expected.len() as u64);
    }

    #[test]
    fn memory_is_used_again_once_everyone_has_read() {
        let mut chain = Chain::new(64, &Meter::default());
        for round in 0..100u8 {
            let chunk = chain.append([&[round; 8], &[]]).clone();
            let mut cursor = Cursor::at(chunk, u64::from(round) * 8);
            assert_eq!(read_all(&mut cursor, chain.head()), [round; 8]);
        }
        assert_eq!(chain.chunk_size, 64 * CHUNK_GROWTH, "one chunk was enough");
    }

    #[test]
    fn cooling_frees_what_nobody_reads_and_nothing_else() {
        let mut chain = Chain::new(64, &Meter::default());
        let chunk = chain.append([b"x", &[]]).clone();
        let mut cursor = Cursor::at(chunk, 0);
        chain.cool();
        assert!(chain.is_warm());
        assert_eq!(read_all(&mut cursor, 1), b"x");
        chain.cool();
        assert!(!chain.is_warm());
        chain.append([b"y", &[]]);
        assert_eq!(chain.head(), 2);
    }

    #[test]
    fn a_long_chain_is_dropped_without_recursion() {
        let mut chain = Chain::new(1, &Meter::default());
        chain.chunk_size = 1;
        let first = chain.append([b"x", &[]]).clone();
        for _ in 0..200_000 {
            chain.chunk_size = 1;
            chain.append([b"x", &[]]);
        }
        drop(chain);
        drop(first);
    }
}
