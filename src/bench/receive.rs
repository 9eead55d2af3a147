//! The receiving side: every frame of every connection is checked, counted, timed and taken out of its window.

use hdrhistogram::Histogram;

use super::error::Failure;
use super::frame::{self, Expected, Header};
use super::options::{Pace, Plan};
use super::payload::{Filler, STAMP_BYTES, Stamp};
use super::topology::{Seat, receivers_per_message};
use super::window::Windows;

/// What arrived, over all connections. A sound server leaves everything but `delivered` at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were as expected.
    pub delivered: u64,
    /// Messages that a later one of the same publisher overtook.
    pub lost: u64,
    /// Messages that had been overtaken, or came twice.
    pub reordered: u64,
    /// Messages that were not sent like this, or not to this connection.
    pub corrupt: u64,
}

/// Where a connection is in what it receives.
#[derive(Debug)]
pub struct Inbox {
    seat: Seat,
    /// Where its expected sequence numbers start in the receiver's table.
    row: usize,
    /// What is left of an unexpected frame that is not looked at.
    skip_bytes: u64,
}

/// All receivers' state.
pub struct Receiver {
    pub tally: Tally,
    /// Nanoseconds from a message's send time to the moment its receiver read it; of every delivery.
    pub latency: Histogram<u64>,
    pub windows: Windows,
    /// Publishers whose window moved and who have not sent since; each once.
    pub moved: Vec<u32>,
    is_moved: Vec<bool>,
    /// Control frames to be sent back, whole client frames.
    pub replies: Vec<u8>,
    /// The first thing that was not as expected, for the report.
    pub oddity: Option<String>,
    /// The sequence number that each connection expects next from each of its publishers.
    expects: Vec<u64>,
    expected: Expected,
    filler: Filler,
    run: u64,
    text: bool,
}

impl Receiver {
    pub fn new(plan: &Plan, run: u64, publishers: usize, filler: Filler) -> Receiver {
        let window = if let Pace::Window(window) = plan.pace { window } else { 0 };
        let opcode = if plan.text { frame::TEXT } else { frame::BINARY };
        Receiver {
            tally: Tally::default(),
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("constant bounds"),
            windows: Windows::new(publishers, window, receivers_per_message(plan)),
            moved: Vec::with_capacity(publishers),
            is_moved: vec![false; publishers],
            replies: Vec::new(),
            oddity: None,
            expects: Vec::new(),
            expected: Expected::new(opcode, plan.payload_bytes),
            filler,
            run,
            text: plan.text,
        }
    }

    /// A connection joins.
    pub fn inbox(&mut self, seat: Seat) -> Inbox {
        let row = self.expects.len();
        self.expects.resize(row + seat.publisher_count as usize, 0);
        Inbox { seat, row, skip_bytes: 0 }
    }

    /// Takes all whole frames that `bytes` starts with; returns how many bytes that were.
    pub fn take(&mut self, connection: usize, inbox: &mut Inbox, bytes: &[u8], now_ns: u64) -> Result<usize, Failure> {
        if self.text {
            self.take_all::<true>(connection, inbox, bytes, now_ns)
        } else {
            self.take_all::<false>(connection, inbox, bytes, now_ns)
        }
    }

    /// The window of this publisher has room: it is to send. Said once until [`Receiver::sends`].
    pub fn mark_moved(&mut self, publisher: u32) {
        if !std::mem::replace(&mut self.is_moved[publisher as usize], true) {
            self.moved.push(publisher);
        }
    }

    /// The publishers that are to send, no longer marked.
    pub fn take_moved(&mut self, into: &mut Vec<u32>) {
        into.clear();
        std::mem::swap(&mut self.moved, into);
        for publisher in into.iter() {
            self.is_moved[*publisher as usize] = false;
        }
    }

    /// Deliveries that are due to this connection and have not come.
    pub fn missing(&self, inbox: &Inbox) -> u64 {
        let publishers = inbox.seat.first_publisher as usize..;
        let row = &self.expects[inbox.row..inbox.row + inbox.seat.publisher_count as usize];
        row.iter().zip(publishers).map(|(expected, publisher)| self.windows.sent(publisher) - expected).sum()
    }

    fn take_all<const TEXT: bool>(
        &mut self,
        connection: usize,
        inbox: &mut Inbox,
        bytes: &[u8],
        now_ns: u64,
    ) -> Result<usize, Failure> {
        let Expected { frame_bytes, header_bytes, .. } = self.expected;
        let mut at = (inbox.skip_bytes.min(bytes.len() as u64)) as usize;
        inbox.skip_bytes -= at as u64;
        // Messages that a publisher sent together have one send time: their latency is recorded as one run.
        let mut run_sent_ns = 0;
        let mut run_len = 0;
        loop {
            let rest = &bytes[at..];
            if rest.len() < frame_bytes || !self.expected.matches(&rest[..frame_bytes]) {
                match self.take_other(connection, inbox, rest)? {
                    0 => break,
                    taken => at += taken,
                }
                continue;
            }
            at += frame_bytes;
            let (stamp, filler) = rest[header_bytes..frame_bytes]
                .split_first_chunk::<STAMP_BYTES>()
                .expect("payload_bytes >= STAMP_BYTES");
            let Some(stamp) = Stamp::decode::<TEXT>(stamp).filter(|stamp| stamp.sent_ns <= now_ns) else {
                self.corrupt("a message without a valid stamp");
                continue;
            };
            let publisher = (stamp.origin & PUBLISHER_MASK) as u32;
            let column = publisher.wrapping_sub(inbox.seat.first_publisher);
            if stamp.origin >> 24 != self.run || column >= inbox.seat.publisher_count {
                self.corrupt("a message of another room or run");
                continue;
            }
            if !self.filler.matches(filler, stamp.sequence) {
                self.corrupt("a message with damaged filler");
            }
            let expects = &mut self.expects[inbox.row + column as usize];
            if *expects != stamp.sequence {
                self.out_of_order(inbox.row + column as usize, publisher, stamp.sequence);
                continue;
            }
            *expects += 1;
            self.tally.delivered += 1;
            if self.windows.release(publisher as usize, stamp.sequence) {
                self.mark_moved(publisher);
            }
            if stamp.sent_ns != run_sent_ns {
                self.record(now_ns - run_sent_ns, run_len);
                (run_sent_ns, run_len) = (stamp.sent_ns, 0);
            }
            run_len += 1;
        }
        self.record(now_ns - run_sent_ns, run_len);
        Ok(at)
    }

    #[inline(always)]
    fn record(&mut self, latency_ns: u64, deliveries: u64) {
        if deliveries > 0 {
            self.latency.saturating_record_n(latency_ns, deliveries);
        }
    }

    /// A frame that is not the expected one, or not there yet. Returns its length, or 0 if more bytes are needed.
    #[cold]
    fn take_other(&mut self, connection: usize, inbox: &mut Inbox, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(header) = Header::parse(bytes) else { return Ok(0) };
        let violation = |what: &str| Failure::Protocol { connection, what: format!("{what} ({header:?})") };
        if header.masked {
            return Err(violation("the server masks its frames"));
        }
        if header.reserved_bits != 0 {
            return Err(violation("the server uses an extension that was not negotiated"));
        }
        if header.opcode & 0x8 == 0 {
            if bytes.len() < self.expected.frame_bytes && self.expected_to_come(&header) {
                return Ok(0);
            }
            self.corrupt(&format!("a frame that nobody sent: {header:?}"));
            let frame_bytes = header.header_bytes as u64 + header.payload_bytes;
            let taken = frame_bytes.min(bytes.len() as u64);
            inbox.skip_bytes = frame_bytes - taken;
            return Ok(taken as usize);
        }
        if header.payload_bytes > 125 || !header.fin {
            return Err(violation("a control frame that is too long or fragmented"));
        }
        let frame_bytes = header.header_bytes + header.payload_bytes as usize;
        let Some(payload) = bytes.get(header.header_bytes..frame_bytes) else { return Ok(0) };
        match header.opcode {
            frame::PING => frame::put_client_frame(&mut self.replies, frame::PONG, payload),
            frame::PONG => {}
            frame::CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                return Err(Failure::Closed { connection, code, reason });
            }
            _ => return Err(violation("a control frame of an unknown kind")),
        }
        Ok(frame_bytes)
    }

    /// Whether a frame with this header is the expected one, of which a part is there.
    fn expected_to_come(&self, header: &Header) -> bool {
        let opcode = if self.text { frame::TEXT } else { frame::BINARY };
        header.fin
            && header.opcode == opcode
            && header.payload_bytes == (self.expected.frame_bytes - self.expected.header_bytes) as u64
    }

    /// What was skipped is given up as lost, so that the window moves on; if it comes later, it is `reordered` too.
    #[cold]
    fn out_of_order(&mut self, cell: usize, publisher: u32, sequence: u64) {
        let expected = self.expects[cell];
        if sequence >= self.windows.sent(publisher as usize) {
            return self.corrupt("a sequence number that was never sent");
        }
        self.note(|| format!("publisher {publisher}: message {sequence} came where {expected} was due"));
        if sequence < expected {
            self.tally.reordered += 1;
            return;
        }
        self.tally.lost += sequence - expected;
        self.tally.delivered += 1;
        self.expects[cell] = sequence + 1;
        for passed in expected..=sequence {
            if self.windows.release(publisher as usize, passed) {
                self.mark_moved(publisher);
            }
        }
    }

    #[cold]
    fn corrupt(&mut self, what: &str) {
        self.tally.corrupt += 1;
        self.note(|| what.to_owned());
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.oddity.get_or_insert_with(what);
    }
}

const PUBLISHER_MASK: u64 = (1 << 24) - 1;

/// Anything slower reads as this.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
