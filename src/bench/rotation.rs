//! The receiving side of `push-pull` and `fan-in-out`: each message goes to one member of its room, not to its sender;
//! with `fan-in-out` that member answers, and the reply goes to the requester alone.
//!
//! Which member gets a message is the server's to say, so a gap at one of them means nothing. A message is lost once all
//! of them have got a later one of its sender, as each gets them in order.

use serde_json::value::RawValue;

use super::control;
use super::error::Failure;
use super::frame::{self, Header};
use super::journey::{Arrival, Journeys};
use super::ledger::Ledger;
use super::nats::{self, stream::Operation, stream::Stream};
use super::options::{Dialect, Pace, Pattern, Plan};
use super::payload::{Encoding, Filler, STAMP_BYTES, Stamp};
use super::receive::Inbox;
use super::request::{self, Message};
use super::topology::Seat;

/// All receivers' state.
pub struct Rotation {
    pub ledger: Ledger,
    pub journeys: Journeys,
    room: Room,
    pattern: Pattern,
    encoding: Encoding,
    opcode: u8,
    /// The longest frame that can be meant for us.
    frame_bytes_max: u64,
    /// Of each connection and publisher of its room, the sequence number that may come next.
    expects: Vec<u64>,
    /// The same of replies: of each publisher and member of its room.
    expects_replies: Vec<u64>,
    /// Messages, replies aside, that each connection got.
    received: Vec<u64>,
    /// Of each connection, with `--dialect nats`.
    streams: Option<Vec<Stream>>,
    /// What is to be sent in the frame that is being made.
    outgoing: Vec<u8>,
    filler: Filler,
    run: u64,
}

/// All rooms are alike: first the subscribers, then the publishers, and connections are numbered from room to room.
#[derive(Clone, Copy)]
struct Room {
    subscribers: usize,
    publishers: usize,
}

/// Where the answer to a message goes.
#[derive(Clone, Copy)]
enum ReplyTo<'a> {
    /// To the origin that stands in the message.
    Origin,
    /// To this subject of NATS, if to any.
    Subject(Option<&'a [u8]>),
}

impl Rotation {
    pub fn new(plan: &Plan, run: u64, publishers: usize, filler: Filler) -> Rotation {
        let window = if let Pace::Window(window) = plan.pace { window } else { 0 };
        let room = Room { subscribers: plan.subscribers as usize, publishers: plan.publishers as usize };
        let has_replies = plan.pattern.has_replies();
        Rotation {
            ledger: Ledger::new(publishers),
            journeys: Journeys::new(publishers, window, if has_replies { 2 } else { 1 }),
            room,
            pattern: plan.pattern,
            encoding: plan.encoding(),
            opcode: if plan.text { frame::TEXT } else { frame::BINARY },
            frame_bytes_max: (plan.payload_bytes + ROUTING_BYTES_MAX) as u64,
            expects: Vec::new(),
            expects_replies: vec![0; if has_replies { publishers * room.members() } else { 0 }],
            received: Vec::new(),
            streams: (plan.dialect == Dialect::Nats).then(Vec::new),
            outgoing: Vec::new(),
            filler,
            run,
        }
    }

    /// A connection joins.
    pub fn inbox(&mut self, seat: Seat) -> Inbox {
        let row = self.expects.len();
        self.expects.resize(row + self.room.publishers, 0);
        self.received.push(0);
        if let Some(streams) = &mut self.streams {
            streams.push(Stream::default());
        }
        Inbox { seat, row, skip_bytes: 0 }
    }

    /// Takes what there is of frames; returns how many bytes that were.
    pub fn take(&mut self, connection: usize, inbox: &mut Inbox, bytes: &[u8], now_ns: u64) -> Result<usize, Failure> {
        match &mut self.streams {
            None => self.take_frames(connection, inbox, bytes, now_ns),
            Some(streams) => {
                let mut stream = std::mem::take(&mut streams[connection]);
                let taken = self.take_nats(connection, inbox, &mut stream, bytes, now_ns)?;
                self.streams.as_mut().expect("it was there a line ago")[connection] = stream;
                Ok(taken)
            }
        }
    }

    /// How far the receivers of a room are apart in what they got, in the worst of the rooms. Several publishers that are
    /// each passed over in turn leave no such figure.
    pub fn spread(&self) -> Option<u64> {
        let Room { subscribers: subscribers @ 1.., publishers: 1 } = self.room else { return None };
        let rooms = self.received.chunks_exact(self.room.members()).map(|members| &members[..subscribers]);
        rooms.map(|room| room.iter().max().expect("not empty") - room.iter().min().expect("not empty")).max()
    }

    fn take_frames(
        &mut self,
        connection: usize,
        inbox: &mut Inbox,
        bytes: &[u8],
        now_ns: u64,
    ) -> Result<usize, Failure> {
        let mut at = inbox.skip_bytes.min(bytes.len() as u64) as usize;
        inbox.skip_bytes -= at as u64;
        loop {
            let rest = &bytes[at..];
            let Some(header) = Header::parse(rest) else { return Ok(at) };
            control::check(connection, &header)?;
            if header.opcode & 0x8 != 0 {
                match control::take(connection, &header, rest, &mut self.ledger.replies)? {
                    0 => return Ok(at),
                    frame_bytes => at += frame_bytes,
                }
                continue;
            }
            let frame_bytes = header.header_bytes as u64 + header.payload_bytes;
            if !header.fin || header.opcode != self.opcode || frame_bytes > self.frame_bytes_max {
                self.ledger.corrupt(&format!("a frame that nobody sent: {header:?}"));
                let taken = frame_bytes.min(rest.len() as u64);
                inbox.skip_bytes = frame_bytes - taken;
                at += taken as usize;
                continue;
            }
            let Some(payload) = rest.get(header.header_bytes..frame_bytes as usize) else { return Ok(at) };
            self.take_payload(connection, inbox, payload, ReplyTo::Origin, now_ns);
            at += frame_bytes as usize;
        }
    }

    fn take_nats(
        &mut self,
        connection: usize,
        inbox: &Inbox,
        stream: &mut Stream,
        bytes: &[u8],
        now_ns: u64,
    ) -> Result<usize, Failure> {
        let taken = stream.unpack(connection, bytes, &mut self.ledger.replies)?;
        while let Some(operation) = stream.next_operation().map_err(|what| Failure::Protocol { connection, what })? {
            match operation {
                Operation::Message { reply_to, payload } => {
                    self.take_payload(connection, inbox, payload, ReplyTo::Subject(reply_to), now_ns);
                }
                Operation::Ping => self.outgoing.extend_from_slice(b"PONG\r\n"),
                Operation::Pong | Operation::Notice => {}
            }
        }
        if !self.outgoing.is_empty() {
            frame::put_client_frame(&mut self.ledger.replies, frame::BINARY, &self.outgoing);
            self.outgoing.clear();
        }
        Ok(taken)
    }

    fn take_payload(&mut self, connection: usize, inbox: &Inbox, payload: &[u8], reply_to: ReplyTo<'_>, now_ns: u64) {
        if self.pattern == Pattern::PushPull {
            if let Some(stamp) = self.read_body(inbox, payload, now_ns) {
                self.arrive(connection, inbox, &stamp, now_ns);
            }
            return;
        }
        let message = match Message::parse(payload) {
            Ok(message) => message,
            Err(what) => return self.ledger.corrupt(&what),
        };
        let Some(body) = message.body else {
            return self.ledger.corrupt(&format!("a message without a body: {}", String::from_utf8_lossy(payload)));
        };
        let Some(stamp) = self.read_body(inbox, body.as_bytes(), now_ns) else { return };
        match message.kind {
            "request" => {
                if self.arrive(connection, inbox, &stamp, now_ns) {
                    self.reply(connection, message.origin, body, reply_to);
                }
            }
            "reply" => self.arrive_back(inbox, &stamp, message.by, now_ns),
            other => self.ledger.corrupt(&format!("a message of the unknown type {other}")),
        }
    }

    /// The stamp, if there is a right one of this room.
    fn read_body(&mut self, inbox: &Inbox, body: &[u8], now_ns: u64) -> Option<Stamp> {
        let Some((stamp, filler)) = body.split_first_chunk::<STAMP_BYTES>() else {
            self.ledger.corrupt("a message that is too short");
            return None;
        };
        let Some(stamp) = self.encoding.decode(stamp).filter(|stamp| stamp.sent_ns <= now_ns) else {
            self.ledger.corrupt("a message without a valid stamp");
            return None;
        };
        let column = stamp.publisher().wrapping_sub(inbox.seat.first_publisher);
        if stamp.run() != self.run || column >= inbox.seat.publisher_count {
            self.ledger.corrupt("a message of another room or run");
            return None;
        }
        if filler.len() != self.filler.bytes().len() || !self.filler.matches(filler, stamp.sequence) {
            self.ledger.corrupt("a message with damaged filler");
        }
        Some(stamp)
    }

    /// A message, or a request, is there. False: it is not to be answered.
    fn arrive(&mut self, connection: usize, inbox: &Inbox, stamp: &Stamp, now_ns: u64) -> bool {
        let publisher = stamp.publisher();
        let arrival = self.journeys.arrive(publisher as usize, stamp.sequence, 0);
        if !self.is_first(arrival, stamp) {
            return false;
        }
        if inbox.seat.publishes == Some(publisher) && self.room.members() > 1 {
            self.ledger.corrupt("a message that was given to its own sender");
        }
        let cell = inbox.row + (publisher - inbox.seat.first_publisher) as usize;
        let expected = &mut self.expects[cell];
        self.received[connection] += 1;
        count_in_order(&mut self.ledger, expected, stamp);
        if arrival == Arrival::Done {
            self.ledger.record(now_ns - stamp.sent_ns, 1);
            self.ledger.mark_moved(publisher);
        }
        if self.journeys.is_due_for_examination(publisher as usize) {
            self.give_up(inbox, publisher);
        }
        true
    }

    /// A reply is there.
    fn arrive_back(&mut self, inbox: &Inbox, stamp: &Stamp, by: Option<u32>, now_ns: u64) {
        let publisher = stamp.publisher();
        if inbox.seat.publishes != Some(publisher) {
            return self.ledger.corrupt("a reply to a request of another client");
        }
        let Some(member) = by.map(|member| member as usize).filter(|member| *member < self.room.members()) else {
            return self.ledger.corrupt("a reply of nobody in the room");
        };
        let arrival = self.journeys.arrive(publisher as usize, stamp.sequence, 1);
        if !self.is_first(arrival, stamp) {
            return;
        }
        let expected = &mut self.expects_replies[publisher as usize * self.room.members() + member];
        count_in_order(&mut self.ledger, expected, stamp);
        self.ledger.tally.round_trips += 1;
        self.ledger.record(now_ns - stamp.sent_ns, 1);
        self.ledger.mark_moved(publisher);
    }

    /// What came twice, or from nowhere, is counted here and no further.
    fn is_first(&mut self, arrival: Arrival, stamp: &Stamp) -> bool {
        match arrival {
            Arrival::OnItsWay | Arrival::Done => return true,
            Arrival::NeverSent => self.ledger.corrupt("a message that was never sent, or a reply before its request"),
            Arrival::Again => {
                self.ledger.tally.reordered += 1;
                let (publisher, sequence) = (stamp.publisher(), stamp.sequence);
                self.ledger.note(|| format!("publisher {publisher}: message {sequence} came twice, or far too late"));
            }
        }
        false
    }

    /// Answers a request, back along the connection that is being read.
    fn reply(&mut self, connection: usize, origin: Option<&RawValue>, body: &str, reply_to: ReplyTo<'_>) {
        let member = connection % self.room.members();
        let mut reply = Vec::with_capacity(body.len() + ROUTING_BYTES_MAX);
        match reply_to {
            ReplyTo::Origin if origin.is_none() => self.ledger.corrupt("a request without an origin"),
            ReplyTo::Origin => {
                request::put_reply(&mut reply, origin, member, body);
                frame::put_client_frame(&mut self.ledger.replies, self.opcode, &reply);
            }
            ReplyTo::Subject(None) => self.ledger.corrupt("a request without a subject for its reply"),
            ReplyTo::Subject(Some(subject)) => {
                request::put_reply(&mut reply, None, member, body);
                nats::put_publication(&mut self.outgoing, subject, None, &reply);
            }
        }
    }

    /// Counts as lost what can come no more, so that the window is not used up by it.
    #[cold]
    fn give_up(&mut self, inbox: &Inbox, publisher: u32) {
        let members = self.room.members();
        let first_row = inbox.seat.room as usize * members * self.room.publishers;
        let column = (publisher - inbox.seat.first_publisher) as usize;
        let sender = self.room.subscribers + column;
        let rows = self.expects[first_row..].chunks_exact(self.room.publishers).take(members).enumerate();
        // The sender gets none of its own, so it says nothing.
        let floor = rows.filter(|(member, _)| *member != sender).map(|(_, row)| row[column]).min();
        let replies = self.expects_replies.iter().skip(publisher as usize * members).take(members).enumerate();
        let reply_floor = replies.filter(|(member, _)| *member != sender).map(|(_, expected)| *expected).min();
        let lost = self.journeys.give_up(publisher as usize, [floor.unwrap_or(0), reply_floor.unwrap_or(0)]);
        if lost > 0 {
            self.ledger.tally.lost += lost;
            self.ledger.note(|| format!("publisher {publisher}: {lost} messages were overtaken on every connection"));
            self.ledger.mark_moved(publisher);
        }
    }
}

/// Counts what a connection got, in order or not, from one sender.
fn count_in_order(ledger: &mut Ledger, expected: &mut u64, stamp: &Stamp) {
    if stamp.sequence < *expected {
        ledger.tally.reordered += 1;
        let (publisher, sequence, expected) = (stamp.publisher(), stamp.sequence, *expected);
        return ledger.note(|| format!("publisher {publisher}: message {sequence} came where {expected} was due"));
    }
    *expected = stamp.sequence + 1;
    ledger.tally.delivered += 1;
}

impl Room {
    fn members(self) -> usize {
        self.subscribers + self.publishers
    }
}

/// What the relay may add to a message, and a reply to its body.
pub const ROUTING_BYTES_MAX: usize = 512;

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
