//! WebSocket framing (RFC 6455) and the compression of messages (RFC 7692), without I/O: bytes in, messages out, and back.

mod close;
mod decoder;
pub mod deflate;
mod frame;
mod mask;
mod utf8;

pub use close::CloseCode;
pub use decoder::{Decoder, Event};
pub use frame::{
    FrameHeader, HEADER_LEN_MAX, Opcode, frame_len, server_header, server_header_compressed, server_message,
};

/// Whether a message is text (UTF-8) or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    Text,
    Binary,
}

impl MessageKind {
    /// Checks a whole message as it was before it was compressed.
    ///
    /// # Errors
    /// It should be text, and is not UTF-8.
    pub fn check(self, payload: &[u8]) -> Result<(), CloseCode> {
        if self == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(CloseCode::InvalidText);
        }
        Ok(())
    }
}
