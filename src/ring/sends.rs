//! The sends in flight, and the memory that the kernel reads for them.

use std::ptr;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use rustix::net::SendFlags;

use crate::chunk::{PIECES_MAX, Pieces};
use crate::driver::kernel_tls::{APPLICATION_DATA, RecordType};

/// The sends in flight, by slot; at most one per slot.
#[derive(Default)]
pub(super) struct Sends {
    by_slot: Vec<Option<Box<Send>>>,
    /// Used up operations, for the next ones; at most `SPARE_MAX`. Boxed as they are, because a box is what moves
    /// between the two lists.
    #[expect(clippy::vec_box)]
    spare: Vec<Box<Send>>,
}

/// One send. It stays where it is (boxed) from its submission to its completion, because the kernel reads from it.
struct Send {
    /// Keep the bytes alive.
    pieces: Pieces,
    /// Where the pieces lie; as many as there are pieces.
    vectors: [libc::iovec; PIECES_MAX],
    /// Names `vectors`, and `control` if that is to be sent.
    message: libc::msghdr,
    /// Says of which type the records are that the socket makes.
    control: RecordType,
}

impl Sends {
    /// The entry that sends `pieces`, which are kept until [`end`](Self::end).
    pub(super) fn start(&mut self, socket: Fd, slot: u32, pieces: Pieces) -> squeue::Entry {
        self.keep(slot, pieces).entry(socket, None, FLAGS)
    }

    /// The same on a socket that makes records of them, of this content type.
    pub(super) fn start_sealed(&mut self, socket: Fd, slot: u32, content_type: u8, pieces: Pieces) -> squeue::Entry {
        let special = (content_type != APPLICATION_DATA).then_some(content_type);
        self.keep(slot, pieces).entry(socket, special, FLAGS_SEALED)
    }

    fn keep(&mut self, slot: u32, pieces: Pieces) -> &mut Send {
        let index = slot as usize;
        if index >= self.by_slot.len() {
            self.by_slot.resize_with(index + 1, || None);
        }
        assert!(self.by_slot[index].is_none(), "one send at a time per socket");
        let mut send = self.spare.pop().unwrap_or_else(Send::unused);
        send.pieces = pieces;
        self.by_slot[index].insert(send)
    }

    /// Lets go of what the kernel has finished with.
    pub(super) fn end(&mut self, slot: u32) {
        let mut send = self.by_slot[slot as usize].take().expect("the send was started");
        send.pieces.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(send);
        }
    }
}

impl Send {
    fn unused() -> Box<Send> {
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: all fields of a msghdr are integers and pointers, for which zero is a value.
        let message = unsafe { std::mem::zeroed() };
        let control = RecordType::new(APPLICATION_DATA);
        Box::new(Send { pieces: Pieces::new(), vectors: [vector; PIECES_MAX], message, control })
    }

    /// `content_type`: of the records to be made; `None` = data, or no records.
    fn entry(&mut self, socket: Fd, content_type: Option<u8>, flags: i32) -> squeue::Entry {
        if let ([piece], None) = (self.pieces.as_slice(), content_type) {
            let cells = piece.cells();
            return opcode::Send::new(socket, cells.as_ptr().cast(), cells.len() as u32).flags(flags).build();
        }
        for (vector, piece) in self.vectors.iter_mut().zip(&self.pieces) {
            let cells = piece.cells();
            vector.iov_base = cells.as_ptr().cast_mut().cast();
            vector.iov_len = cells.len();
        }
        self.message.msg_iov = self.vectors.as_mut_ptr();
        self.message.msg_iovlen = self.pieces.len() as _;
        (self.message.msg_control, self.message.msg_controllen) = (ptr::null_mut(), 0);
        if let Some(content_type) = content_type {
            self.control = RecordType::new(content_type);
            self.message.msg_control = (&raw mut self.control).cast();
            self.message.msg_controllen = size_of::<RecordType>() as _;
        }
        opcode::SendMsg::new(socket, &self.message).flags(flags as u32).build()
    }
}

/// `WAITALL`: the kernel goes on by itself when the socket has room again, instead of a completion for each part. (It
/// may still end early.) `NOSIGNAL`: a broken connection is an error, not a signal.
const FLAGS: i32 = (SendFlags::NOSIGNAL.bits() | SendFlags::from_bits_retain(libc::MSG_WAITALL as u32).bits()) as i32;

/// Sockets that seal refuse `WAITALL`.
const FLAGS_SEALED: i32 = SendFlags::NOSIGNAL.bits() as i32;

/// Operations kept for use again: what a busy shard has in flight, not what one large broadcast had.
const SPARE_MAX: usize = 1024;
