//! The kernel's TLS (kTLS) on a socket: system calls that the safe interfaces to the kernel do not have.
//!
//! A socket to which [`attach`] has been applied passes bytes on as before. Once it has a key it seals what is sent, as
//! records of data if nothing else is said ([`Driver::send_sealed`](super::Driver::send_sealed)).

#![allow(unsafe_code)]

use std::io;
use std::mem::{offset_of, size_of_val};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Prepares a connected TCP socket.
///
/// # Errors
/// The kernel has no TLS, or its module is not loaded and this process may not load it; or the socket is not connected.
pub fn attach(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_TCP, libc::TCP_ULP, b"tls\0")
}

/// Has everything that is sent from now on sealed with a key: a `tls12_crypto_info_…`. The kernel keeps a copy.
///
/// # Errors
/// The kernel does not have the cipher, or the socket has a key and the kernel takes no further one (before 6.14).
pub fn set_send_key(socket: BorrowedFd<'_>, crypto_info: &[u8]) -> io::Result<()> {
    set(socket, libc::SOL_TLS, libc::TLS_TX, crypto_info)
}

/// Reads the key back into `crypto_info`, which has to be as long as it: with the number of the next record at its end.
///
/// # Errors
/// The socket has no key, or one of another length.
pub fn read_send_key(socket: BorrowedFd<'_>, crypto_info: &mut [u8]) -> io::Result<()> {
    let mut len = crypto_info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, which `crypto_info` has, and the length that it wrote.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_TLS, libc::TLS_TX, crypto_info.as_mut_ptr().cast(), &raw mut len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that were sent and that the peer has not acknowledged, without what the kernel is still to seal or to queue.
///
/// # Errors
/// It is no TCP socket.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut len: libc::c_int = 0;
    // SAFETY: this request writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut len) };
    if result == 0 { Ok(usize::try_from(len).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// The control message that says of which type a record is to be (`TLS_SET_RECORD_TYPE`), with the padding that the kernel
/// expects.
#[repr(C)]
pub struct RecordType {
    header: libc::cmsghdr,
    content_type: u8,
    _padding: [u8; size_of::<usize>() - 1],
}

impl RecordType {
    pub fn new(content_type: u8) -> RecordType {
        // SAFETY: all its fields are integers, for which zero is a value.
        let mut message: RecordType = unsafe { std::mem::zeroed() };
        message.header.cmsg_len = (offset_of!(RecordType, content_type) + size_of::<u8>()) as _;
        message.header.cmsg_level = libc::SOL_TLS;
        message.header.cmsg_type = libc::TLS_SET_RECORD_TYPE;
        message.content_type = content_type;
        message
    }
}

/// The content type of data (RFC 8446, section 5.1): of records that need no mention.
pub const APPLICATION_DATA: u8 = 23;

fn set(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `value.len()` bytes, and keeps no pointer to them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            size_of_val(value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
