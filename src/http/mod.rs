//! HTTP/1.1 for a server (RFC 9110, RFC 9112) and the opening handshake of WebSocket (RFC 6455, section 4.2).
//!
//! Bytes in, values out: nothing here knows a socket, a clock or a channel. What a peer may not send is refused by the
//! parser itself, so that no later code can disagree with a proxy about where a request ends:
//!
//! - [`HeadReader`] finds the end of a request head and takes the head apart, once, when it is whole;
//! - [`Framing`] says how its body is delimited, [`ChunkedDecoder`] undoes the chunked transfer coding;
//! - [`Target`] and [`query`] read the request target;
//! - [`upgrade`] checks the handshake of RFC 6455;
//! - [`Response`] is the answer, written into a buffer of the caller's; [`Origins`] says which pages may read it.

mod chunked;
mod cors;
mod date;
mod error;
mod fields;
mod framing;
mod head;
pub mod query;
mod response;
mod status;
mod target;
pub mod upgrade;

pub use chunked::{ChunkedDecoder, ChunkedError, Progress};
pub use cors::{Grant, Origins};
pub use date::HttpDate;
pub use error::HeadError;
pub use fields::Fields;
pub use framing::Framing;
pub use head::{FIELDS_MAX, Head, HeadLimits, HeadReader, Method, Version};
pub use response::{CONTINUE, Delimiter, Ending, LAST_CHUNK, Response, push_chunk};
pub use status::Status;
pub use target::Target;
