//! The receiving side of `pub-sub` and `echo`: everyone gets everything of its publishers, so what comes next is known.
//! Every frame is checked, counted, timed and taken out of its window.

use super::control;
use super::error::Failure;
use super::frame::{self, Expected, Header};
use super::ledger::Ledger;
use super::options::{Pace, Plan};
use super::payload::{Filler, STAMP_BYTES, Stamp};
use super::receive::Inbox;
use super::topology::{Seat, receivers_per_message};
use super::window::Windows;

/// All receivers' state.
pub struct Broadcast {
    pub ledger: Ledger,
    pub windows: Windows,
    /// The sequence number that each connection expects next from each of its publishers.
    expects: Vec<u64>,
    expected: Expected,
    filler: Filler,
    run: u64,
    text: bool,
}

impl Broadcast {
    pub fn new(plan: &Plan, run: u64, publishers: usize, filler: Filler) -> Broadcast {
        let window = if let Pace::Window(window) = plan.pace { window } else { 0 };
        let opcode = if plan.text { frame::TEXT } else { frame::BINARY };
        Broadcast {
            ledger: Ledger::new(publishers),
            windows: Windows::new(publishers, window, receivers_per_message(plan)),
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
                self.ledger.corrupt("a message without a valid stamp");
                continue;
            };
            let publisher = stamp.publisher();
            let column = publisher.wrapping_sub(inbox.seat.first_publisher);
            if stamp.run() != self.run || column >= inbox.seat.publisher_count {
                self.ledger.corrupt("a message of another room or run");
                continue;
            }
            if !self.filler.matches(filler, stamp.sequence) {
                self.ledger.corrupt("a message with damaged filler");
            }
            let expects = &mut self.expects[inbox.row + column as usize];
            if *expects != stamp.sequence {
                self.out_of_order(inbox.row + column as usize, publisher, stamp.sequence);
                continue;
            }
            *expects += 1;
            self.ledger.tally.delivered += 1;
            if self.windows.release(publisher as usize, stamp.sequence) {
                self.ledger.mark_moved(publisher);
            }
            if stamp.sent_ns != run_sent_ns {
                self.ledger.record(now_ns - run_sent_ns, run_len);
                (run_sent_ns, run_len) = (stamp.sent_ns, 0);
            }
            run_len += 1;
        }
        self.ledger.record(now_ns - run_sent_ns, run_len);
        Ok(at)
    }

    /// A frame that is not the expected one, or not there yet. Returns its length, or 0 if more bytes are needed.
    #[cold]
    fn take_other(&mut self, connection: usize, inbox: &mut Inbox, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(header) = Header::parse(bytes) else { return Ok(0) };
        control::check(connection, &header)?;
        if header.opcode & 0x8 == 0 {
            if bytes.len() < self.expected.frame_bytes && self.expected_to_come(&header) {
                return Ok(0);
            }
            self.ledger.corrupt(&format!("a frame that nobody sent: {header:?}"));
            let frame_bytes = header.header_bytes as u64 + header.payload_bytes;
            let taken = frame_bytes.min(bytes.len() as u64);
            inbox.skip_bytes = frame_bytes - taken;
            return Ok(taken as usize);
        }
        control::take(connection, &header, bytes, &mut self.ledger.replies)
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
            return self.ledger.corrupt("a sequence number that was never sent");
        }
        self.ledger.note(|| format!("publisher {publisher}: message {sequence} came where {expected} was due"));
        if sequence < expected {
            self.ledger.tally.reordered += 1;
            return;
        }
        self.ledger.tally.lost += sequence - expected;
        self.ledger.tally.delivered += 1;
        self.expects[cell] = sequence + 1;
        for passed in expected..=sequence {
            if self.windows.release(publisher as usize, passed) {
                self.ledger.mark_moved(publisher);
            }
        }
    }
}

#[cfg(test)]
#[path = "broadcast_tests.rs"]
mod tests;
