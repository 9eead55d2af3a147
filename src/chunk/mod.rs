//! Bytes that are written once and sent many times.
//!
//! A [`Chain`] is what one writer appends to: a list of [`Chunk`]s, each of which knows the next. Who reads it holds a
//! [`Cursor`]. A chunk lives as long as somebody points at it or at one before it, so that a chain is trimmed behind
//! its slowest reader without anyone keeping count: a cursor that has read everything points at no chunk at all.
//!
//! What readers are not to get is told by [`Notes`], whose memory counts like that of the chunks ([`Meter`]).
//!
//! The bytes are `Cell`s: they can be appended to while the kernel sends what stands before them, and no `unsafe` is
//! needed to say so. What has been written is never changed as long as anyone but the chain holds the chunk.

mod chain;
mod cursor;
mod meter;
mod notes;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;

pub use chain::Chain;
pub use cursor::Cursor;
pub use meter::Meter;
pub use notes::Notes;

/// Tells how long a record is by its first bytes. What is behind these may be other records.
pub type RecordLen = fn(&[Cell<u8>]) -> usize;

/// Append-only memory, shared between a chain, its readers and the sends that are in flight.
pub struct Chunk {
    bytes: Box<[Cell<u8>]>,
    /// How much is written; `len <= bytes.len()`.
    len: Cell<usize>,
    /// Offset in the chain of the first byte.
    base: u64,
    /// What follows; set once, when the chain goes on to another chunk. From then on `len` stays.
    next: OnceCell<Rc<Chunk>>,
    /// Counts the bytes.
    meter: Meter,
}

impl Chunk {
    fn new(size: usize, base: u64, meter: &Meter) -> Rc<Chunk> {
        meter.add(size);
        Rc::new(Chunk {
            bytes: vec![Cell::new(0); size].into_boxed_slice(),
            len: Cell::new(0),
            base,
            next: OnceCell::new(),
            meter: meter.clone(),
        })
    }

    fn room(&self) -> usize {
        self.bytes.len() - self.len.get()
    }

    /// Offset in the chain of the first byte behind what is written.
    fn end(&self) -> u64 {
        self.base + self.len.get() as u64
    }

    /// Appends `part`, for which there is room.
    fn write(&self, part: &[u8]) {
        let from = self.len.get();
        let to = from + part.len();
        for (cell, byte) in self.bytes[from..to].iter().zip(part) {
            cell.set(*byte);
        }
        self.len.set(to);
    }
}

/// Without the bytes, which are many and somebody's messages.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}..{} of {})", self.base, self.end(), self.bytes.len())
    }
}

impl Drop for Chunk {
    /// Frees the chunks behind this one in a loop: a chain as long as a slow reader's lag must not use up the stack.
    fn drop(&mut self) {
        self.meter.sub(self.bytes.len());
        let mut next = self.next.take();
        while let Some(mut chunk) = next.and_then(Rc::into_inner) {
            next = chunk.next.take();
        }
    }
}

/// A run of written bytes of one chunk, which it keeps alive.
#[derive(Clone, Debug)]
pub struct Piece {
    chunk: Rc<Chunk>,
    start: usize,
    len: usize,
}

impl Piece {
    /// The bytes. They do not change while the piece exists.
    pub fn cells(&self) -> &[Cell<u8>] {
        &self.chunk.bytes[self.start..self.start + self.len]
    }

    /// Bytes of their own, in no chain, counted by `meter`. Not copied, if there is no room behind them.
    pub fn new(bytes: Vec<u8>, meter: &Meter) -> Piece {
        let len = bytes.len();
        meter.add(len);
        let bytes = bytes.into_iter().map(Cell::new).collect();
        let chunk = Chunk { bytes, len: Cell::new(len), base: 0, next: OnceCell::new(), meter: meter.clone() };
        Piece { chunk: Rc::new(chunk), start: 0, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets go of the first `len` bytes, of which there are as many.
    pub fn skip(&mut self, len: usize) {
        assert!(len <= self.len);
        self.start += len;
        self.len -= len;
    }

    /// The bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.cells().iter().map(Cell::get).collect()
    }
}

/// What one send carries: runs of bytes in order, few enough for one vectored send.
pub type Pieces = arrayvec::ArrayVec<Piece, PIECES_MAX>;

/// Runs of bytes in one send. A lag of 256 KiB in the largest chunks is two; more only join small ones.
pub const PIECES_MAX: usize = 8;
