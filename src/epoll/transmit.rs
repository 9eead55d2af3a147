//! The system calls that send, from where the bytes lie.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::chunk::{PIECES_MAX, Pieces};
use crate::driver::kernel_tls::RecordType;

/// How far a socket has taken what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// All of it.
    Ended,
    /// It is full; the kernel will tell of room.
    Full,
    /// It takes nothing any more.
    Broken,
}

/// Sends as much of `pieces` as the socket takes, and lets go of that. Returns how many bytes it was.
/// `content_type`: of the records that the socket is to make; `None` = data, or no records.
pub(super) fn transmit(socket: BorrowedFd<'_>, content_type: Option<u8>, pieces: &mut Pieces) -> (usize, Outcome) {
    let mut sent = 0;
    while !pieces.is_empty() {
        match send(socket, content_type, pieces) {
            Ok(len) => {
                sent += len;
                skip(pieces, len);
            }
            // Only a send that found no room has the kernel tell of it: a short one is not enough to know.
            Err(Errno::AGAIN) => return (sent, Outcome::Full),
            Err(Errno::INTR) => {}
            Err(_) => return (sent, Outcome::Broken),
        }
    }
    (sent, Outcome::Ended)
}

/// One system call.
fn send(socket: BorrowedFd<'_>, content_type: Option<u8>, pieces: &Pieces) -> rustix::io::Result<usize> {
    if let ([piece], None) = (pieces.as_slice(), content_type) {
        // SAFETY: nobody writes before this function ends: that would have to be this thread, as cells are for one.
        return rustix::net::send(socket, unsafe { bytes(piece.cells()) }, FLAGS);
    }
    let vectors: ArrayVec<IoSlice<'_>, PIECES_MAX> = pieces
        .iter()
        // SAFETY: as above.
        .map(|piece| IoSlice::new(unsafe { bytes(piece.cells()) }))
        .collect();
    match content_type {
        None => rustix::net::sendmsg(socket, &vectors, &mut SendAncillaryBuffer::default(), FLAGS),
        Some(content_type) => send_record(socket, content_type, &vectors),
    }
}

/// Sends `vectors` as a record of this type. rustix has no such control message.
fn send_record(socket: BorrowedFd<'_>, content_type: u8, vectors: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
    let mut control = RecordType::new(content_type);
    // SAFETY: all fields of a msghdr are integers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSlice is laid out as an iovec; the kernel only reads through it.
    message.msg_iov = vectors.as_ptr().cast_mut().cast();
    message.msg_iovlen = vectors.len() as _;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<RecordType>() as _;
    // SAFETY: `message` names so many vectors of bytes that are borrowed, and a control message of that length; the kernel
    // keeps no pointer.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, FLAGS.bits() as libc::c_int) };
    usize::try_from(sent)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).expect("the kernel's errors have a number"))
}

/// The bytes of `cells`, without a copy.
///
/// # Safety
/// Nobody writes to the cells as long as the result is there.
unsafe fn bytes(cells: &[Cell<u8>]) -> &[u8] {
    // SAFETY: a `Cell<u8>` is laid out as a `u8`, the pointer and the length are those of a slice, and its bytes do not
    // change, as the caller says.
    unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
}

/// Lets go of the first `len` bytes.
fn skip(pieces: &mut Pieces, mut len: usize) {
    let whole = pieces
        .iter()
        .take_while(|piece| {
            let is_gone = piece.len() <= len;
            len -= if is_gone { piece.len() } else { 0 };
            is_gone
        })
        .count();
    pieces.drain(..whole);
    if let Some(first) = pieces.first_mut() {
        first.skip(len);
    }
}

/// `NOSIGNAL`: a broken connection is an error, not a signal.
const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
