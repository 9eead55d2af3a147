//! permessage-deflate (RFC 7692): what is agreed on in the opening handshake, and the two directions of a message.
//!
//! No context is taken over from one message to the next, in either direction. So what is broadcast is compressed once for
//! all who agreed on the same window, and no connection keeps a window: a shard has one [`Compressor`] for each
//! [`Window`] and one [`Inflater`].

mod compressor;
mod inflater;
mod negotiation;
#[cfg(test)]
mod roundtrip_tests;

pub use compressor::{COMPRESS_LEN_MIN, Compressor};
pub use inflater::{InflateError, Inflater};
pub use negotiation::{Agreed, MalformedExtensions, negotiate};

/// How far back the data that the relay sends may refer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Window {
    /// 2^15 bytes: what every client takes that did not ask for less.
    Full,
    /// 2^9 bytes: what everyone takes that did. One size for all of them, so that a message is compressed at most twice.
    Small,
}

impl Window {
    /// The base-2 logarithm of its size in bytes.
    pub fn bits(self) -> u8 {
        match self {
            Window::Full => 15,
            Window::Small => 9,
        }
    }
}

/// What a flush of the compressor ends with. It is not sent, and the receiver appends it (RFC 7692, section 7.2).
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The most bytes that a message of `len` bytes may come in when it is compressed. Incompressible data grows: by an eighth
/// where every byte is a literal of nine bits, and by what block headers take. It is zlib's own bound for all its settings.
pub(super) fn compressed_len_max(len: u64) -> u64 {
    len.saturating_add(len / 8).saturating_add(len / 64).saturating_add(16)
}
