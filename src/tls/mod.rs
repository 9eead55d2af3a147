//! TLS 1.2 and 1.3 for the server's side, without sockets.
//!
//! A connection begins as a [`Handshake`], which is rustls's. When that is done only the keys are kept, in a [`Session`]:
//! it opens and seals records in memory that its caller lends it, so that an idle connection holds no buffers. The same
//! session serves a front's HTTP and then, on a shard, the WebSocket. There the kernel may take over the sealing.

mod certificate;
mod cipher;
mod encrypter;
mod error;
mod handshake;
mod offload;
mod record;
mod send_key;
mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use certificate::{Acceptor, CertificateError};
pub use error::{HandshakeError, RecordError};
pub use handshake::{Handshake, Progress, is_handshake};
pub use offload::{Control, Refused};
pub use send_key::SendKey;
pub use session::{Opened, Scratch, Session};
