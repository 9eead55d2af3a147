//! Taking a socket back from the runtime, to hand it to a shard. The only unsafe code of the front.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use monoio::net::TcpStream;

/// The socket of `stream`, no longer known to the runtime.
///
/// # Panics
/// If an operation on `stream` is under way: the runtime keeps the socket then, and would go on to use it.
#[allow(unsafe_code)]
pub(super) fn into_owned_fd(stream: TcpStream) -> OwnedFd {
    let fd = stream.into_raw_fd();
    // SAFETY: `into_raw_fd` consumes the stream and panics unless it held the only reference to the socket, so no
    // operation of the runtime's is in flight on `fd`. It takes `fd` off the runtime's epoll and does not close it, so
    // `fd` is open and this is its only owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
