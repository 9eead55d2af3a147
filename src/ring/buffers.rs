//! Receive buffers that all sockets of a ring share: the kernel picks one when bytes have come, not before, so that an
//! idle connection pins none (`IORING_REGISTER_PBUF_RING`).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::driver::BufferId;

/// The group that receives name.
pub(super) const GROUP: u16 = 0;

/// The buffers and the ring through which the kernel gets them. Freed only when no receive is in flight any more.
pub(super) struct BufferPool {
    /// `count` entries, page-aligned; shared with the kernel, which reads an entry once the tail has passed it.
    entries: NonNull<BufRingEntry>,
    /// `count * len` bytes. The kernel writes to the buffers that it holds.
    memory: NonNull<u8>,
    /// Number of buffers; a power of two.
    count: u16,
    /// Size of each, in bytes.
    len: u32,
    /// Entries ever written, modulo 2^16; what the kernel last read at the tail is the same or older.
    tail: u16,
}

impl BufferPool {
    /// Makes `count` buffers of `len` bytes and hands all of them to the kernel.
    ///
    /// # Errors
    /// The kernel refuses to register them.
    ///
    /// # Panics
    /// If `count` is no power of two up to 32 768.
    pub(super) fn register(submitter: &Submitter<'_>, count: u16, len: u32) -> io::Result<BufferPool> {
        assert!(count.is_power_of_two() && count <= 1 << 15);
        let mut pool = BufferPool {
            entries: allocate(entries_layout(count)).cast(),
            memory: allocate(memory_layout(count, len)),
            count,
            len,
            tail: 0,
        };
        // SAFETY: `entries` is page-aligned, has room for `count` entries, and is freed by `drop`. That runs when `Ring`
        // has cancelled every receive and waited for it, or, if registering fails, before there is one.
        unsafe { submitter.register_buf_ring_with_flags(pool.entries.as_ptr() as u64, count, GROUP, 0)? };
        for id in 0..count {
            pool.give_back(BufferId(id));
        }
        Ok(pool)
    }

    /// The buffer that a completion names.
    pub(super) fn taken(&self, id: u16) -> BufferId {
        assert!(id < self.count);
        BufferId(id)
    }

    /// The first `len` bytes of a buffer.
    pub(super) fn bytes(&mut self, id: &BufferId, len: usize) -> &mut [u8] {
        assert!(len <= self.len as usize);
        // SAFETY: the kernel has completed the receive that filled this buffer and gets it again only by `give_back`,
        // which consumes its id. `id < count` (checked by `taken`), so it lies in `memory`, which was zeroed when it was
        // allocated.
        unsafe {
            let start = self.memory.as_ptr().add(usize::from(id.0) * self.len as usize);
            std::slice::from_raw_parts_mut(start, len)
        }
    }

    pub(super) fn give_back(&mut self, id: BufferId) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `index < count` and `id < count`, so both pointers stay in their allocations. The kernel does not read
        // this entry before the tail passes it, which the release store below makes happen after the writes. The tail
        // lies in an unused field of the first entry, aligned to two bytes, and only this thread writes to it.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(index);
            entry.set_addr(self.memory.as_ptr().add(usize::from(id.0) * self.len as usize) as u64);
            entry.set_len(self.len);
            entry.set_bid(id.0);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for BufferPool {
    fn drop(&mut self) {
        // SAFETY: both were allocated with these layouts, and `Ring::drop` has ended every operation that used them.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout(self.count));
            dealloc(self.memory.as_ptr(), memory_layout(self.count, self.len));
        }
    }
}

const PAGE: usize = 4096;

fn entries_layout(count: u16) -> Layout {
    Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), PAGE).expect("a small layout")
}

fn memory_layout(count: u16, len: u32) -> Layout {
    Layout::from_size_align(usize::from(count) * len as usize, PAGE).expect("buffers fit in memory")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here is empty.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}
