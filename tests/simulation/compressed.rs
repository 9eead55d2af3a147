//! How long messages are once the relay has compressed them.

use ringrelay::ws::deflate::{Compressor, Window};

/// Compresses as the relay does, each message for itself.
pub struct CompressedLens {
    full: Memo,
    small: Memo,
}

/// The last message of many that are the same, for one receiver after the other.
struct Memo {
    compressor: Compressor,
    message: Vec<u8>,
    len: usize,
}

impl CompressedLens {
    pub fn new() -> CompressedLens {
        let memo = |window| Memo { compressor: Compressor::new(window), message: Vec::new(), len: 0 };
        CompressedLens { full: memo(Window::Full), small: memo(Window::Small) }
    }

    /// The length of a message's payload, compressed for this window, or as it is where that is no longer.
    pub fn compressed(&mut self, window: Window, message: &[u8]) -> usize {
        let memo = match window {
            Window::Full => &mut self.full,
            Window::Small => &mut self.small,
        };
        if memo.message != message {
            message.clone_into(&mut memo.message);
            memo.len = memo.compressor.compress(message, &mut Vec::new()).map_or(message.len(), <[u8]>::len);
        }
        memo.len
    }
}
