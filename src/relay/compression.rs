//! Compressed messages (RFC 7692): those that come are inflated, and what is broadcast is compressed once for all who want
//! it so.
//!
//! The compressed form of a log is a log of its own, which grows only while someone reads it, and is written after the
//! plain one has been sent: who does not compress does not wait for those who do.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;

use arrayvec::ArrayVec;

use crate::channel::Log;
use crate::chunk::{Cursor, Meter, Notes, Piece, Pieces};
use crate::session::{Phase, opcode_of};
use crate::time::Time;
use crate::ws::deflate::{COMPRESS_LEN_MIN, Compressor, Inflater, Window};
use crate::ws::{CloseCode, MessageKind, Opcode, frame_len, server_header, server_header_compressed, server_message};

use super::{Output, Relay};

/// What compresses and inflates for all connections of a shard; each part is made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Codec {
    inflater: Option<Inflater>,
    full: Option<Compressor>,
    small: Option<Compressor>,
    /// The last message inflated; kept for its memory.
    inflated: Vec<u8>,
    /// The last message to be compressed, and what it became.
    plain: Vec<u8>,
    deflated: Vec<u8>,
}

impl Codec {
    /// The header and the payload of a message's frame: compressed, unless it is better off as it is.
    fn encode<'m>(&'m mut self, window: Window, opcode: Opcode, message: &'m [u8]) -> (ArrayVec<u8, 10>, &'m [u8]) {
        match self.compress(window, message) {
            Some(deflated) => (server_header_compressed(opcode, deflated.len()), deflated),
            None => (server_header(opcode, message.len()), message),
        }
    }

    fn compress(&mut self, window: Window, payload: &[u8]) -> Option<&[u8]> {
        let compressor = match window {
            Window::Full => &mut self.full,
            Window::Small => &mut self.small,
        };
        compressor.get_or_insert_with(|| Compressor::new(window)).compress(payload, &mut self.deflated)
    }

    fn give_memory_back(&mut self) {
        for buffer in [&mut self.inflated, &mut self.plain, &mut self.deflated] {
            buffer.clear();
            buffer.shrink_to(MEMORY_KEPT);
        }
    }
}

/// The logs of a channel for those who compress.
#[derive(Debug)]
pub(super) struct CompressedLogs {
    /// How far the plain log has been compressed.
    done: Cursor,
    full: CompressedLog,
    small: CompressedLog,
    /// Records of the plain log, by their beginnings, that one client is not to get: its slot and serial. Ascending; only
    /// those that are still to be compressed.
    left_out: Notes<(u64, u32, u32)>,
}

#[derive(Debug)]
struct CompressedLog {
    log: Log,
    /// The last record, while the log is read.
    last: Range<u64>,
    /// Connections that read it, or will.
    readers: u32,
}

impl CompressedLogs {
    /// Logs for a channel whose plain log ends at `head`.
    pub(super) fn new(head: u64, meter: &Meter) -> CompressedLogs {
        let empty = || CompressedLog { log: Log::new(0, frame_len, meter), last: 0..0, readers: 0 };
        CompressedLogs { done: Cursor::at_end(head), full: empty(), small: empty(), left_out: Notes::new(meter) }
    }

    fn of(&self, window: Window) -> &CompressedLog {
        match window {
            Window::Full => &self.full,
            Window::Small => &self.small,
        }
    }

    fn of_mut(&mut self, window: Window) -> &mut CompressedLog {
        match window {
            Window::Full => &mut self.full,
            Window::Small => &mut self.small,
        }
    }

    pub(super) fn log(&self, window: Window) -> &Log {
        &self.of(window).log
    }

    pub(super) fn log_mut(&mut self, window: Window) -> &mut Log {
        &mut self.of_mut(window).log
    }

    /// Whether anyone reads them.
    pub(super) fn are_read(&self) -> bool {
        self.readable() > 0
    }

    /// How many of them are read: as often is each message compressed.
    pub(super) fn readable(&self) -> usize {
        usize::from(self.full.readers > 0) + usize::from(self.small.readers > 0)
    }

    pub(super) fn join(&mut self, window: Window, head: u64) {
        if !self.are_read() {
            self.done = Cursor::at_end(head);
            self.left_out.change(VecDeque::clear);
        }
        self.of_mut(window).readers += 1;
    }

    pub(super) fn leave(&mut self, window: Window) {
        let CompressedLog { log, readers, .. } = self.of_mut(window);
        *readers -= 1;
        if *readers == 0 {
            // No flush comes for a log without readers, and until then it would hold what is new to them.
            log.mark_flushed();
        }
    }

    /// Notes that the record of the plain log that begins at `offset` is not for this client.
    pub(super) fn leave_out(&mut self, offset: u64, slot: u32, serial: u32) {
        self.left_out.change(|left_out| left_out.push_back((offset, slot, serial)));
    }

    /// Appends a record of the plain log to those that are read.
    fn append(&mut self, codec: &mut Codec, record: &[Cell<u8>]) {
        let (kind, payload) = server_message(record);
        let mut message = std::mem::take(&mut codec.plain);
        message.clear();
        message.extend(payload.iter().map(Cell::get));
        for window in [Window::Full, Window::Small] {
            let CompressedLog { log, last, readers } = self.of_mut(window);
            if *readers == 0 {
                continue;
            }
            let (header, payload) = codec.encode(window, opcode_of(kind), &message);
            let offset = log.append([&header, payload]);
            *last = offset..log.head();
        }
        codec.plain = message;
    }

    /// Whether they hold memory that [`cool`](Self::cool) might give back.
    pub(super) fn are_warm(&self) -> bool {
        self.full.log.is_warm() || self.small.log.is_warm()
    }

    /// Gives back memory that nobody reads.
    pub(super) fn cool(&mut self) {
        self.full.log.cool();
        self.small.log.cool();
    }

    /// Has the part that is still to be compressed held, before the plain log is flushed.
    pub(super) fn attach(&mut self, log: &Log) {
        log.attach(&mut self.done);
    }
}

impl Relay {
    /// Takes in a message that came compressed.
    pub(super) fn inflate(&mut self, now: Time, slot: u32, kind: MessageKind, compressed: &[u8]) {
        if self.sessions[slot as usize].phase != Phase::Open {
            return;
        }
        let mut message = std::mem::take(&mut self.codec.inflated);
        let inflater = self.codec.inflater.get_or_insert_default();
        let inflated = inflater.inflate(compressed, self.limits.message_len_max, &mut message);
        // Also what turns out to be too large or broken has taken its time.
        self.made_len += inflating_len(compressed.len(), inflater.blocks(), message.len());
        match inflated.map_err(CloseCode::from).and_then(|()| kind.check(&message)) {
            Ok(()) => self.deliver(now, slot, kind, &message),
            Err(code) => self.end(now, slot, code),
        }
        self.codec.inflated = message;
        self.codec.give_memory_back();
    }

    /// Puts a message of up to three parts into a client's outbox, compressed if it agreed on that.
    pub(super) fn push_message(&mut self, slot: u32, opcode: Opcode, parts: [&[u8]; 3]) {
        let Relay { sessions, codec, traffic, made_len, .. } = self;
        let session = &mut sessions[slot as usize];
        let [one, two, three] = parts;
        traffic.deliver(1, one.len() + two.len() + three.len());
        match session.window {
            None => {
                let header = server_header(opcode, one.len() + two.len() + three.len());
                session.outbox.push([&header, one, two, three]);
            }
            Some(window) => {
                let mut message = std::mem::take(&mut codec.plain);
                message.clear();
                parts.iter().for_each(|part| message.extend_from_slice(part));
                *made_len += compressing_len(message.len());
                let (header, payload) = codec.encode(window, opcode, &message);
                session.outbox.push([&header, payload]);
                codec.plain = message;
                codec.give_memory_back();
            }
        }
        self.queue(slot);
    }

    /// Compresses what a channel's log has got since the last time, for those who read it so.
    pub(super) fn compress(&mut self, slot: u32) {
        let Relay { rooms, sessions, codec, .. } = self;
        let Some(room) = rooms.get_mut(slot) else { return };
        let (log, Some(logs)) = (&room.channel.log, &mut room.compressed) else { return };
        if !logs.are_read() {
            return;
        }
        logs.attach(log);
        while logs.done.offset() < log.head() {
            let mut pieces = Pieces::new();
            let len = logs.done.gather(log.head(), usize::MAX, &mut pieces);
            let mut offset = logs.done.offset();
            for mut cells in pieces.iter().map(Piece::cells) {
                // Records are whole: none spans two chunks.
                while !cells.is_empty() {
                    let (record, rest) = cells.split_at(frame_len(cells));
                    logs.append(codec, record);
                    while logs.left_out.front().is_some_and(|(left_out, ..)| *left_out == offset) {
                        let Some((_, client, serial)) = logs.left_out.change(VecDeque::pop_front) else { break };
                        if let Some(session) =
                            sessions.get_mut(client as usize).filter(|session| session.serial == serial)
                            && let Some(window) = session.reads
                        {
                            session.leave_out(logs.of(window).last.clone());
                        }
                    }
                    offset += record.len() as u64;
                    cells = rest;
                }
            }
            logs.done.advance(len, log.head());
        }
        codec.give_memory_back();
    }

    /// Compresses and sends what the plain logs were sent of before.
    pub(super) fn flush_compressed(&mut self, now: Time, emit: &mut impl FnMut(Output)) {
        for slot in std::mem::take(&mut self.to_compress) {
            self.compress(slot);
            for window in [Window::Full, Window::Small] {
                self.flush_log(now, slot, Some(window), emit);
            }
        }
    }
}

/// What it counts in a turn to inflate a message of `len` bytes that come in so many blocks to `inflated_len` bytes.
fn inflating_len(len: usize, blocks: usize, inflated_len: usize) -> usize {
    INFLATING_LEN_MIN + len + blocks * BLOCK_LEN + inflated_len
}

/// What it counts in a turn to compress a message of `len` bytes once.
pub(super) fn compressing_len(len: usize) -> usize {
    if len < COMPRESS_LEN_MIN { 0 } else { len + COMPRESSING_LEN_MIN }
}

/// What the beginning of a message costs its compressor, in bytes that it compresses in the same time: 200 bytes took 23 µs,
/// 1 KiB 27 µs and 16 KiB 125 µs, most of it to empty the hash tables.
const COMPRESSING_LEN_MIN: usize = 3 * 1024;

/// What a message costs its inflater however short it is, and what each block costs, in bytes that are inflated in the same
/// time. In a test build long messages took 1.5 to 2 ns a byte, one of 100 bytes 1.3 µs, and an empty block 0.03 µs, or 0.5 µs with
/// codes of its own.
const INFLATING_LEN_MIN: usize = 512;
const BLOCK_LEN: usize = 1024;

/// Memory that the codec keeps for each kind of message, in bytes.
const MEMORY_KEPT: usize = 64 * 1024;
