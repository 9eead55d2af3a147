//! The way out: a message becomes the payload of a compressed one (RFC 7692, section 7.2.1).

use std::fmt;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::{FLUSH_END, Window, compressed_len_max};

/// Messages below this length are sent as they are, in bytes. Of JSON-like messages, 64 bytes lost 1 % when compressed, 100
/// bytes 11 %, 200 bytes 38 %, and each cost about the same time.
pub const COMPRESS_LEN_MIN: usize = 128;

/// The fastest level that no test made panic: at 1, zlib-rs 0.6.8 does when the output has little room (its `deflate_quick`, on a
/// megabyte of noise). Against level 3, JSON-like messages of 16 KiB took 125 µs instead of 180 and became 0.27 of their
/// length instead of 0.25; with 200 bytes and 1 KiB (0.63 and 0.36), no level from 2 to 6 differed by more than the
/// measurement did: 23 and 27 µs. The machine was busy, so only the larger differences count.
const LEVEL: u32 = 2;

/// Compresses messages, each for itself. Its window and hash tables are large, so a shard has one
/// for each window, not a connection.
pub struct Compressor {
    deflate: Compress,
}

impl Compressor {
    pub fn new(window: Window) -> Compressor {
        Compressor { deflate: Compress::new_with_window_bits(Compression::new(LEVEL), false, window.bits()) }
    }

    /// Compresses a message; what stood in `out` is replaced. `None` = it is better sent as it is, with RSV1 = 0: it is
    /// shorter than [`COMPRESS_LEN_MIN`], or does not shrink. RFC 7692, section 6, leaves that to each message.
    pub fn compress<'o>(&mut self, payload: &[u8], out: &'o mut Vec<u8>) -> Option<&'o [u8]> {
        out.clear();
        if payload.len() < COMPRESS_LEN_MIN {
            return None;
        }
        self.deflate.reset();
        // Room for whatever becomes of it: with less, zlib-rs takes ways of which one panicked.
        out.reserve(compressed_len_max(payload.len() as u64) as usize + FLUSH_END.len() + 1);
        let status = self.deflate.compress_vec(payload, out, FlushCompress::Sync);
        let whole = matches!(status, Ok(Status::Ok)) && self.deflate.total_in() == payload.len() as u64;
        if !whole || !out.ends_with(&FLUSH_END) {
            return None;
        }
        out.truncate(out.len() - FLUSH_END.len());
        (out.len() < payload.len()).then_some(out.as_slice())
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
