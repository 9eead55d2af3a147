//! WebSocket framing (RFC 6455), without I/O: bytes in, messages out, and back.

mod close;
mod decoder;
mod frame;
mod mask;
mod utf8;

pub use close::CloseCode;
pub use decoder::{Decoder, Event};
pub use frame::{FrameHeader, HEADER_LEN_MAX, Opcode, frame_len, server_header};

/// Whether a message is text (UTF-8) or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    Text,
    Binary,
}
