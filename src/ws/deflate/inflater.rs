//! The way in: the payload of a compressed message becomes what it was before (RFC 7692, section 7.2.2).

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use crate::ws::CloseCode;

use super::{FLUSH_END, Window};

/// Why a message cannot be inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InflateError {
    /// It is larger than the relay takes.
    TooLarge,
    /// It is not what a compressor writes.
    Broken,
}

impl From<InflateError> for CloseCode {
    fn from(error: InflateError) -> CloseCode {
        match error {
            InflateError::TooLarge => CloseCode::TooLarge,
            InflateError::Broken => CloseCode::BrokenDeflate,
        }
    }
}

/// Inflates messages, each for itself, whatever window they were compressed with. Its window is large, so a
/// shard has one, not a connection.
pub struct Inflater {
    inflate: Inflate,
    /// Blocks of the last message, as far as it was read, and how many of them were last ones.
    blocks: usize,
    last_blocks: usize,
}

/// An empty block that is the last of its stream. It is put behind every message: the stream ends with it, unless the
/// message stops in the middle of a block.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// The least by which the output grows, in bytes; otherwise it doubles.
const GROWTH_MIN: usize = 1024;

/// Last blocks that a message may have within: a compressor has no reason for more than one.
const LAST_BLOCKS_MAX: usize = 16;

/// Blocks that a message may have whatever it is inflated to, and the bytes that pay for each further one. A compressor that is not
/// made to flush writes none for less than 127 bytes; one that is writes two each time.
const BLOCKS_MIN: usize = 16 * 1024;
const BLOCK_LEN_MIN: usize = 127;

impl Inflater {
    pub fn new() -> Inflater {
        Inflater { inflate: Inflate::new(false, Window::Full.bits()), blocks: 0, last_blocks: 0 }
    }

    /// Inflates a message of at most `len_max` bytes; what stood in `out` is replaced. `out` never grows to more than twice
    /// of what came out, or [`GROWTH_MIN`], nor beyond `len_max` and one byte: that byte tells who is over.
    ///
    /// # Errors
    /// The message is too large or broken. What `out` holds then is of no use.
    pub fn inflate(&mut self, compressed: &[u8], len_max: u64, out: &mut Vec<u8>) -> Result<(), InflateError> {
        out.clear();
        (self.blocks, self.last_blocks) = (0, 0);
        if compressed.is_empty() {
            // An empty message should be one byte (section 7.2.3.6), but some compressors write nothing for nothing.
            return Ok(());
        }
        self.inflate.reset(false);
        let mut len = 0;
        let outcome = self.read(compressed, len_max, out, &mut len);
        out.truncate(len);
        outcome
    }

    /// Blocks of the last message, as far as it was read: each takes time, be there anything in it or not.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    fn read(
        &mut self,
        compressed: &[u8],
        len_max: u64,
        out: &mut Vec<u8>,
        len: &mut usize,
    ) -> Result<(), InflateError> {
        self.feed(compressed, InflateFlush::Block, len_max, out, len)?;
        self.feed(&FLUSH_END, InflateFlush::Block, len_max, out, len)?;
        // To its end, and not to that of the block before it.
        let is_over = self.feed(&LAST_BLOCK, InflateFlush::NoFlush, len_max, out, len)?;
        if is_over { Ok(()) } else { Err(InflateError::Broken) }
    }

    /// Inflates the next part of a message behind the first `len` bytes of `out`; whether it ended with a last block.
    fn feed(
        &mut self,
        mut part: &[u8],
        flush: InflateFlush,
        len_max: u64,
        out: &mut Vec<u8>,
        len: &mut usize,
    ) -> Result<bool, InflateError> {
        loop {
            if *len == out.len() {
                let room = len_max.saturating_add(1).saturating_sub(*len as u64);
                let growth = usize::try_from(room).unwrap_or(usize::MAX).min((*len).max(GROWTH_MIN));
                out.reserve_exact(growth);
                out.resize(*len + growth, 0);
            }
            let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(part, &mut out[*len..], flush).map_err(|_| InflateError::Broken)?;
            part = &part[(self.inflate.total_in() - total_in) as usize..];
            *len += (self.inflate.total_out() - total_out) as usize;
            if *len as u64 > len_max {
                return Err(InflateError::TooLarge);
            }
            match status {
                Status::StreamEnd if part.is_empty() => return Ok(true),
                // A message may have last blocks within (section 7.2.3.4); what follows one is a stream of its own.
                Status::StreamEnd => {
                    self.last_blocks += 1;
                    if self.last_blocks > LAST_BLOCKS_MAX {
                        return Err(InflateError::Broken);
                    }
                    self.inflate.reset(false);
                }
                Status::Ok | Status::BufError if *len == out.len() => {}
                Status::Ok | Status::BufError if part.is_empty() => return Ok(false),
                // Neither input nor room is missing: a block is over.
                Status::Ok | Status::BufError => {
                    self.blocks += 1;
                    if self.blocks > BLOCKS_MIN + *len / BLOCK_LEN_MIN {
                        return Err(InflateError::Broken);
                    }
                }
            }
        }
    }
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}
