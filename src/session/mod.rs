//! One WebSocket connection: what it has received in part, what it is to be sent, and how it ends.

mod holding;
mod order;
mod rate;
mod skip;

use std::collections::VecDeque;
use std::ops::Range;

use crate::channel::Membership;
use crate::chunk::{Cursor, Meter, Notes, Pieces};
use crate::outbox::Outbox;
use crate::time::{Key, Time};
use crate::ws::deflate::Window;
use crate::ws::{CloseCode, Decoder, MessageKind, Opcode, frame_len, server_header};

use order::Order;

use skip::Later;

pub use holding::Holding;
pub use rate::{Allowance, Rates};

/// The state of a connection, from its upgrade until its socket is closed.
#[derive(Debug)]
pub struct Session {
    /// Slot of its channel, and where it is kept there; `None` = it is in no channel (any more).
    pub place: Option<(u32, Membership)>,
    pub decoder: Decoder,
    /// Bytes of memory that its TLS holds for a record of which a part has come; 0 = there is none, or no TLS.
    pub parted_len: usize,
    pub outbox: Outbox,
    pub phase: Phase,
    /// The timer that cuts it when it takes too long to end; `None` = it is open.
    pub deadline: Option<Key>,
    /// The timer for the end of the token that it was admitted with; `None` = it has no end.
    pub token_end: Option<Key>,
    /// Whether the client may send messages.
    pub may_publish: bool,
    /// What it may still send; `None` = as much as it likes.
    pub allowance: Option<Box<Allowance>>,
    /// What its messages are compressed with; `None` = they are not.
    pub window: Option<Window>,
    /// The form of the log that it reads; `None` = the plain one.
    pub reads: Option<Window>,
    /// Where it goes on in the log that it reads, once it has got the history, which is kept plain; `None` = it is there.
    later: Option<Box<Later>>,
    /// Pings since the client was last heard of.
    pub silent_for: u8,
    /// Whether the client has closed its sending side.
    pub hung_up: bool,
    /// Set while the session stands in the relay's list of those that have something to send.
    pub queued: bool,
    /// How far it has been sent the channel's log.
    cursor: Cursor,
    /// The log's head when it joined: the history before it is no lag.
    joined_at: u64,
    /// Where in the log it stops.
    log_end: LogEnd,
    /// Whether the cursor stands between two records, so that something else may be sent there.
    aligned: bool,
    /// Parts of the log that it is not to get, ascending and apart; all at or behind the cursor: its own messages, and
    /// what was copied into the outbox. While it reads the history: those that it would not get if it were to read on.
    own: Notes<Range<u64>>,
    /// How log and outbox follow each other; `None` = as they come. Apart, because few sessions need it.
    order: Option<Box<Order>>,
    /// Records of its log that it was sent, or is not to get, as [`Log::appended`](crate::channel::Log::appended) counts.
    records_seen: u32,
    /// When the client came.
    pub opened_at: Time,
    /// Which connection of its shard it is, counted from the first.
    pub serial: u32,
    /// The send in flight.
    sending: Option<Sending>,
    /// The close frame to send once all before it has been; `None` = the session is open, or it has been sent.
    farewell: Option<CloseCode>,
}

/// How far a connection is on its way from open to closed (RFC 6455, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Messages go both ways.
    Open,
    /// The relay closes: a close frame is on its way, and the client's answer is awaited.
    Closing,
    /// Nothing more is expected from the client: once all is sent, the sending side is shut.
    Ending,
    /// The sending side is shut; what the client still sends is thrown away until it closes too. Closing the socket
    /// earlier would reset the connection, and the close frame might be lost with it.
    Shut,
    /// The driver was told to close the socket.
    Cut,
}

#[derive(Clone, Copy, Debug)]
enum LogEnd {
    /// At the head, wherever it is.
    Head,
    /// At this offset, between two records.
    At(u64),
    /// At the next place between two records: the client has no right to the rest, or no use for it.
    NextRecord,
    /// At this offset, which is that place. What is left of the record is a copy: the log does not wait for it.
    Rest(u64),
}

/// What a send carries, in order.
#[derive(Clone, Copy, Debug)]
struct Sending {
    /// Bytes of the log that go before the outbox: the rest of a record of which a part was sent, or what
    /// [`LogFirst`] says.
    log_before: usize,
    outbox: usize,
    log: usize,
    /// Whether what it carries of the log ends between two records.
    aligned: bool,
    /// Whether it carries all that there is of the log.
    to_head: bool,
}

/// What was gathered of the log.
struct Gathered {
    len: usize,
    /// Offset behind the last byte.
    to: u64,
    /// Whether that is between two records.
    aligned: bool,
}

impl Session {
    /// A session at `cursor` of its channel's log, whose head is `joined_at`, with the answer to its upgrade to be sent
    /// first.
    pub fn new(
        serial: u32,
        message_len_max: u64,
        response: &[u8],
        cursor: Cursor,
        joined_at: u64,
        meter: &Meter,
    ) -> Session {
        let mut outbox = Outbox::new(meter);
        outbox.push([response]);
        Session {
            place: None,
            decoder: Decoder::new(message_len_max),
            parted_len: 0,
            outbox,
            phase: Phase::Open,
            deadline: None,
            token_end: None,
            may_publish: true,
            window: None,
            reads: None,
            later: None,
            silent_for: 0,
            allowance: None,
            hung_up: false,
            queued: false,
            cursor,
            joined_at,
            log_end: LogEnd::Head,
            aligned: true,
            own: Notes::new(meter),
            order: None,
            records_seen: 0,
            opened_at: Time::ZERO,
            serial,
            sending: None,
            farewell: None,
        }
    }

    pub fn cursor_mut(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// Slot of its channel; `None` = it is in no channel (any more).
    pub fn room(&self) -> Option<u32> {
        self.place.map(|(room, _)| room)
    }

    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Leaves `range`, a record just appended to the log, out of what this client is sent.
    pub fn leave_out(&mut self, range: Range<u64>) {
        self.records_seen = self.records_seen.wrapping_add(1);
        push_range(self.later.as_mut().map_or(&mut self.own, |later| &mut later.own), range);
    }

    /// How far the client is behind `flushed`, the end of the log at the last flush, in bytes: what was to be sent then
    /// and has not been. Its own messages that it is not to get count too, with a note for each gap between them: the
    /// log is held for it from its cursor on, whatever lies there.
    pub fn lag(&self, flushed: u64) -> u64 {
        flushed.saturating_sub(self.cursor.offset().max(self.joined_at)) + self.notes_len() + self.outbox.lag()
    }

    /// Bytes of memory that are held for what has come of the client in part.
    pub fn partial_len(&self) -> u64 {
        (self.decoder.held_len() + self.parted_len) as u64
    }

    /// Bytes of the notes on what it is not to get.
    fn notes_len(&self) -> u64 {
        let later = self.later.as_ref().map_or(0, |later| later.own.len());
        ((self.own.len() + later) * size_of::<Range<u64>>()) as u64
    }

    /// Whether the client is further behind than it may be. One whose last send has just ended does read, and is sent more
    /// per turn than a turn brings; it gets the benefit of the doubt up to twice the bound.
    pub fn is_slow(&self, lag_max: u64, flushed: u64) -> bool {
        // Nearly always, and cheap to see.
        if flushed <= self.cursor.offset() && self.outbox.is_empty() {
            return false;
        }
        let lag = self.lag(flushed);
        lag > lag_max && (self.sending.is_some() || lag / 2 > lag_max)
    }

    /// Whether the send in flight holds the log, which this session will not read to its end.
    pub fn holds_log(&self) -> bool {
        matches!(self.log_end, LogEnd::NextRecord)
            && self.sending.is_some_and(|sending| sending.log_before + sending.log > 0)
    }

    /// Begins to close: nothing that comes from now on is delivered. `head` is the end of the log that its cursor is in.
    ///
    /// What the client was still to get is sent before the close frame, unless it is the reason for closing. One that still
    /// reads the history gets all of that plain.
    pub fn close(&mut self, code: CloseCode, head: u64) {
        debug_assert!(self.phase == Phase::Open);
        self.farewell = Some(code);
        let (phase, log_end) = match code {
            CloseCode::ServiceRestart | CloseCode::ChannelDeleted | CloseCode::ChannelExpired => {
                (Phase::Closing, LogEnd::At(head))
            }
            CloseCode::SlowConsumer | CloseCode::TokenExpired => (Phase::Closing, LogEnd::NextRecord),
            CloseCode::Empty
            | CloseCode::Echo(_)
            | CloseCode::ProtocolError(_)
            | CloseCode::InvalidText
            | CloseCode::BrokenDeflate
            | CloseCode::MayNotPublish
            | CloseCode::RateLimit
            | CloseCode::OutOfMemory
            | CloseCode::TooLarge => (Phase::Ending, LogEnd::NextRecord),
        };
        self.phase = phase;
        self.stop_reading(log_end);
    }

    /// Begins to end without a close frame: the client has gone, or at least will not answer.
    pub fn abandon(&mut self) {
        debug_assert!(self.phase == Phase::Open);
        self.phase = Phase::Ending;
        self.stop_reading(LogEnd::NextRecord);
    }

    /// Sets where the log ends for a session that ends.
    fn stop_reading(&mut self, log_end: LogEnd) {
        self.log_end = match (self.later.take().filter(|later| !later.is_skipped), self.log_end) {
            // It reads on behind the history: the log is the plain one.
            (Some(_), _) | (None, LogEnd::Head) => log_end,
            // It reads a copy already.
            (None, LogEnd::At(_) | LogEnd::NextRecord | LogEnd::Rest(_)) => self.log_end,
        };
        if matches!(self.log_end, LogEnd::NextRecord) {
            // What will not be sent cannot go first.
            self.order = None;
            // A send that carries nothing of the log is no reason to hold it.
            if !self.holds_log() {
                self.settle();
            }
        }
        self.forget_notes();
    }

    /// What to send next, as far as there is something and no send is in flight. `head` is the end of the log.
    pub fn next_send(&mut self, head: u64) -> Option<Pieces> {
        if self.sending.is_some() {
            return None;
        }
        let end = self.log_end(head);
        self.skip_own(end);
        if self.outbox.is_empty() && self.cursor.offset() == end {
            let code = self.farewell.take()?;
            push_frame(&mut self.outbox, Opcode::Close, code.payload(&mut [0; 125]));
        }
        let (pieces, sending) = self.gather(end);
        debug_assert!(!pieces.is_empty(), "{self:?}");
        self.sending = Some(sending);
        Some(pieces)
    }

    /// Says how many records of its log came before those that it is to get.
    pub fn count_records_from(&mut self, appended: u32) {
        self.records_seen = appended;
    }

    /// Frames that the send that was just begun brings to its end: those of a send that stops at its bound come with a later
    /// one. `appended` are the records of the log so far; `None` = it reads none.
    pub fn take_frames(&mut self, appended: Option<u32>) -> u64 {
        let Some(sending) = self.sending else { return 0 };
        let of_outbox = if sending.outbox as u64 == self.outbox.len() { self.outbox.take_pushed() } else { 0 };
        let of_log = match appended {
            Some(appended) if sending.to_head && matches!(self.log_end, LogEnd::Head) => {
                appended.wrapping_sub(std::mem::replace(&mut self.records_seen, appended))
            }
            Some(_) | None => 0,
        };
        u64::from(of_outbox) + u64::from(of_log)
    }

    /// What one send is to carry; the log is read up to `end`.
    fn gather(&mut self, end: u64) -> (Pieces, Sending) {
        let mut pieces = Pieces::new();
        let offset = self.cursor.offset();
        let mut sending = Sending { log_before: 0, outbox: 0, log: 0, aligned: self.aligned, to_head: false };
        let log_first = self.log_first();
        if !self.outbox.is_empty() {
            let (log_until, outbox_until) = match log_first {
                Some(first) if first.outbox <= self.outbox.sent() => (first.log, self.outbox.head()),
                Some(first) => (self.record_end(), first.outbox),
                None => (self.record_end(), self.outbox.head()),
            };
            let mut reached = offset;
            if offset < log_until {
                let before = self.gather_log(log_until, SEND_LEN_MAX, &mut pieces);
                (sending.log_before, sending.aligned, reached) = (before.len, before.aligned, before.to);
                sending.to_head = before.to == end;
            }
            if reached >= log_until && !pieces.is_full() {
                sending.outbox = self.outbox.gather(outbox_until, SEND_LEN_MAX - sending.log_before, &mut pieces);
            }
        }
        let outbox_is_in_it = sending.outbox as u64 == self.outbox.len() && log_first.is_none();
        if sending.log_before == 0 && outbox_is_in_it && !pieces.is_full() {
            let log = self.gather_log(end, SEND_LEN_MAX - sending.outbox, &mut pieces);
            (sending.log, sending.aligned) = (log.len, log.aligned);
            sending.to_head = log.to == end;
        }
        (pieces, sending)
    }

    /// Says that the send in flight has ended after `len` bytes; `head` is the end of the log.
    pub fn sent(&mut self, len: usize, head: u64) {
        let Some(sending) = self.sending.take() else { return };
        let log_before = len.min(sending.log_before);
        let outbox = (len - log_before).min(sending.outbox);
        let log = len - log_before - outbox;
        debug_assert!(log <= sending.log);
        self.outbox.advance(outbox);
        let mut of_log = log_before + log;
        if of_log > 0 {
            self.aligned = sending.aligned && of_log == sending.log_before + sending.log;
        }
        let end = self.log_end_or(head);
        while of_log > 0 {
            let until = self.own.front().map_or(end, |own| own.start.min(end));
            let part = usize::try_from(until - self.cursor.offset()).map_or(of_log, |len| len.min(of_log));
            self.cursor.advance(part, end);
            self.skip_own(end);
            of_log -= part;
        }
    }

    /// Gathers the log from the cursor to `end`, but for what the client is not to get, at most `len_max` bytes.
    fn gather_log(&self, end: u64, len_max: usize, pieces: &mut Pieces) -> Gathered {
        let offset = self.cursor.offset();
        if self.own.is_empty() {
            let len = self.cursor.gather(end, len_max, pieces);
            let to = offset + len as u64;
            return Gathered { len, to, aligned: to == end || (len == 0 && self.aligned) };
        }
        let mut reader = self.cursor.clone();
        let mut gathered = 0;
        let gaps = self.own.iter().map(|own| own.start.min(end)..own.end.min(end));
        for gap in gaps.chain(std::iter::once(end..end)) {
            let len = reader.gather(gap.start, len_max - gathered, pieces);
            gathered += len;
            reader.advance(len, end);
            if reader.offset() < gap.start {
                return Gathered { len: gathered, to: reader.offset(), aligned: gathered == 0 && self.aligned };
            }
            if gap.start == end || pieces.is_full() || gathered == len_max {
                break;
            }
            reader.advance(len_of(gap), end);
        }
        Gathered { len: gathered, to: reader.offset(), aligned: true }
    }

    /// Whether the session is open and has been sent everything up to `head`.
    pub fn is_idle(&self, head: u64) -> bool {
        self.phase == Phase::Open && self.cursor.offset() == head && self.outbox.is_empty() && !self.is_skipping()
    }

    /// Whether there is something to send, or being sent.
    pub fn has_work(&mut self, head: u64) -> bool {
        self.sending.is_some()
            || !self.outbox.is_empty()
            || self.farewell.is_some()
            || self.cursor.offset() < self.log_end(head)
    }

    /// Where this session stops to read the log; settles it, if it was to be the next place between records.
    fn log_end(&mut self, head: u64) -> u64 {
        if let LogEnd::NextRecord = self.log_end {
            if self.sending.is_some() {
                return self.record_end();
            }
            self.settle();
        }
        self.log_end_or(head)
    }

    /// Lets go of the log but for the rest of the record that was sent in part, which is copied.
    fn settle(&mut self) {
        let end = self.record_end();
        self.cursor.keep_until(end);
        self.log_end = LogEnd::Rest(end);
        self.forget_notes();
    }

    /// Gives up the notes on what follows, where one that ends has let go of the log: it goes on nowhere.
    fn forget_notes(&mut self) {
        if self.phase != Phase::Open && matches!(self.log_end, LogEnd::Rest(_)) {
            self.own.change(VecDeque::clear);
        }
    }

    /// The first place between two records from the cursor on.
    fn record_end(&self) -> u64 {
        match self.log_end {
            LogEnd::Rest(end) => end,
            _ if self.aligned => self.cursor.offset(),
            LogEnd::Head | LogEnd::At(_) | LogEnd::NextRecord => self.cursor.record_end(frame_len),
        }
    }

    fn log_end_or(&self, head: u64) -> u64 {
        match self.log_end {
            LogEnd::At(end) | LogEnd::Rest(end) => end,
            LogEnd::Head => head,
            // What is in flight may be of the history, while `head` is of the compressed log.
            LogEnd::NextRecord => u64::MAX,
        }
    }

    /// Moves the cursor over what the client is not to get, up to `head`. Of a compressed log, records behind that may
    /// have been written already, and a range may go on there.
    fn skip_own(&mut self, head: u64) {
        let at = |offset: u64| move |own: &&Range<u64>| own.start == offset && own.start < head;
        while let Some(own) = self.own.front().filter(at(self.cursor.offset())).cloned() {
            let to = own.end.min(head);
            self.cursor.advance(len_of(own.start..to), head);
            self.own.change(|notes| match notes.front_mut() {
                Some(first) if to < own.end => first.start = to,
                Some(_) | None => drop(notes.pop_front()),
            });
        }
    }
}

/// Queues a frame in `outbox`.
pub fn push_frame(outbox: &mut Outbox, opcode: Opcode, payload: &[u8]) {
    outbox.push([&server_header(opcode, payload.len()), payload]);
}

/// Adds a range to those before it, of which it may go on with the last.
fn push_range(ranges: &mut Notes<Range<u64>>, range: Range<u64>) {
    ranges.change(|ranges| match ranges.back_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push_back(range),
    });
}

/// Length of a part of a log.
fn len_of(part: Range<u64>) -> usize {
    usize::try_from(part.end - part.start).expect("a log fits in memory")
}

/// The opcode of an unfragmented message.
pub fn opcode_of(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}

/// Most bytes of one send: more than a turn takes in, so that a connection that reads never falls behind. A socket seldom
/// takes more at once.
///
/// A request of the least size leaves with an origin twice as long as it came.
pub const SEND_LEN_MAX: usize = 768 * 1024;
