//! The way in: the payload of a compressed message becomes what it was before (RFC 7692, section 7.2.2).

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

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
    inflate: Decompress,
}

/// An empty block that is the last of its stream. It is put behind every message: the stream ends with it, unless the
/// message stops in the middle of a block.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// The least by which the output grows, in bytes; otherwise it doubles.
const GROWTH_MIN: usize = 1024;

impl Inflater {
    pub fn new() -> Inflater {
        Inflater { inflate: Decompress::new_with_window_bits(false, Window::Full.bits()) }
    }

    /// Inflates a message of at most `len_max` bytes; what stood in `out` is replaced. `out` never grows to more than twice
    /// of what came out, or [`GROWTH_MIN`], nor beyond `len_max` and one byte: that byte tells who is over.
    ///
    /// # Errors
    /// The message is too large or broken. What `out` holds then is of no use.
    pub fn inflate(&mut self, compressed: &[u8], len_max: u64, out: &mut Vec<u8>) -> Result<(), InflateError> {
        out.clear();
        if compressed.is_empty() {
            // An empty message should be one byte (section 7.2.3.6), but some compressors write nothing for nothing.
            return Ok(());
        }
        self.inflate.reset(false);
        self.feed(compressed, len_max, out)?;
        self.feed(&FLUSH_END, len_max, out)?;
        if self.feed(&LAST_BLOCK, len_max, out)? { Ok(()) } else { Err(InflateError::Broken) }
    }

    /// Inflates the next part of a message; whether it ended with a last block.
    fn feed(&mut self, mut part: &[u8], len_max: u64, out: &mut Vec<u8>) -> Result<bool, InflateError> {
        loop {
            if out.len() == out.capacity() {
                let room = len_max.saturating_add(1).saturating_sub(out.len() as u64);
                let growth = usize::try_from(room).unwrap_or(usize::MAX).min(out.len().max(GROWTH_MIN));
                out.reserve_exact(growth);
            }
            let (taken, written) = (self.inflate.total_in(), out.len());
            let status = self.inflate.decompress_vec(part, out, FlushDecompress::None);
            let status = status.map_err(|_| InflateError::Broken)?;
            let taken = (self.inflate.total_in() - taken) as usize;
            part = &part[taken..];
            if out.len() as u64 > len_max {
                return Err(InflateError::TooLarge);
            }
            match status {
                Status::StreamEnd if part.is_empty() => return Ok(true),
                // A message may have last blocks within (section 7.2.3.4); what follows one is a stream of its own.
                Status::StreamEnd => self.inflate.reset(false),
                Status::Ok | Status::BufError if out.len() == out.capacity() => {}
                Status::Ok | Status::BufError if part.is_empty() => return Ok(false),
                // Neither input nor room is missing.
                Status::Ok | Status::BufError if taken == 0 && out.len() == written => {
                    return Err(InflateError::Broken);
                }
                Status::Ok | Status::BufError => {}
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
