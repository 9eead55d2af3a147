//! A client of the simulation: what it has sent and got, and what it should have got.

use std::collections::{BTreeMap, VecDeque};

use ringrelay::channel::ClientId;
use ringrelay::time::Time;
use ringrelay::ws::deflate::{Inflater, Window};

/// A message or control frame as the client sees it: opcode and payload.
pub type Frame = (u8, Vec<u8>);

/// A data frame that a client is to get.
#[derive(Clone, Debug)]
pub struct Due {
    pub frame: Frame,
    /// Frames of one stream arrive in order; those of two may overtake each other.
    pub stream: usize,
    /// How long the frame is on its way to this client, compressed if it comes so.
    pub len: u64,
}

/// What the relay may do to a connection from its side, and when nothing is expected of it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A close frame with this code, behind everything that the client was to get until then.
    AfterAll(u16),
    /// A close frame with this code, with less before it.
    Early(u16),
    /// Its answer to a close frame of the client.
    Answer,
    /// No close frame need come: the client hung up.
    None,
}

pub struct Client {
    pub id: ClientId,
    /// Index of its channel in the world.
    pub channel: usize,
    /// Bytes on their way to the relay.
    pub to_relay: Vec<u8>,
    /// Ends of whole messages in `to_relay`, with what the model is to do when they have been delivered.
    pub units: Vec<(usize, Unit)>,
    /// Bytes of the send in flight; `None` = there is none.
    pub in_flight: Option<Vec<u8>>,
    /// Whether it reads at all.
    pub stalled: bool,
    /// What it got of the answer to its upgrade, then of the frame that is still to be completed.
    part: Vec<u8>,
    /// Whether it has got the whole answer to its upgrade.
    is_upgraded: bool,
    /// The frames that it got, inflated.
    frames: Vec<Frame>,
    /// Bytes of all that, as they came.
    pub got_len: u64,
    /// What messages are compressed with, both ways; `None` = they are not.
    pub window: Option<Window>,
    /// Frames that came compressed.
    pub compressed: u64,
    /// When the relay last heard of it.
    pub heard_at: Time,
    /// When it came.
    pub joined_at: Time,
    /// It was so slow, in a channel that skips, that it may miss messages.
    pub may_miss: bool,
    /// Data frames that it is to get, each stream in order.
    pub expected: Vec<Due>,
    /// Bytes of those that came up since the last drain; and before it, when there were some.
    pub fresh_len: u64,
    pub last_fresh_len: u64,
    /// Whether they come by two ways: requests and replies of req-repl.
    pub has_streams: bool,
    /// What the relay calls it, as others see it in requests.
    pub origin: String,
    /// Whether it has sent a request to everyone.
    pub has_asked: bool,
    /// What its own messages that it is not to get may cost, in bytes.
    pub left_out: u64,
    /// Payloads of the pongs that it is to get.
    pub pongs: Vec<Vec<u8>>,
    /// Set once the connection is ending.
    pub end: Option<End>,
    /// The client has closed its side.
    pub hung_up: bool,
    /// The relay has shut its side.
    pub shut: bool,
    /// The relay has had the socket closed.
    pub cut: bool,
}

/// Something that takes effect when its last byte arrives.
#[derive(Clone, Debug)]
pub enum Unit {
    Message(Frame),
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong,
    Close,
    /// Breaks the protocol: this close code answers it.
    Violation(u16),
}

impl Client {
    pub fn new(id: ClientId, channel: usize, origin: String, now: Time) -> Client {
        Client {
            id,
            channel,
            to_relay: Vec::new(),
            units: Vec::new(),
            in_flight: None,
            stalled: false,
            part: Vec::new(),
            is_upgraded: false,
            frames: Vec::new(),
            got_len: 0,
            window: None,
            compressed: 0,
            heard_at: now,
            joined_at: now,
            may_miss: false,
            expected: Vec::new(),
            fresh_len: 0,
            last_fresh_len: 0,
            has_streams: false,
            origin,
            has_asked: false,
            left_out: 0,
            pongs: Vec::new(),
            end: None,
            hung_up: false,
            shut: false,
            cut: false,
        }
    }

    /// Whether what it sends still counts.
    pub fn is_open(&self) -> bool {
        self.end.is_none() && !self.hung_up && !self.cut
    }

    pub fn queue(&mut self, bytes: &[u8], unit: Unit) {
        self.queue_early(bytes, bytes.len(), unit);
    }

    /// Queues `bytes`, of which the first `effective` are enough for `unit` to take effect.
    pub fn queue_early(&mut self, bytes: &[u8], effective: usize, unit: Unit) {
        self.units.push((self.to_relay.len() + effective, unit));
        self.to_relay.extend_from_slice(bytes);
    }

    /// The first `len` bytes on the way, and the units that end in them.
    pub fn take(&mut self, len: usize) -> (Vec<u8>, Vec<Unit>) {
        let bytes = self.to_relay.drain(..len).collect();
        let ended = self.units.iter().take_while(|(end, _)| *end <= len).count();
        let units = self.units.drain(..ended).map(|(_, unit)| unit).collect();
        self.units.iter_mut().for_each(|(end, _)| *end -= len);
        (bytes, units)
    }

    /// The bytes that were sent to it arrive; says how many pings of the relay were among them.
    pub fn take_in(&mut self, bytes: &[u8], response: &[u8]) -> usize {
        self.part.extend_from_slice(bytes);
        self.got_len += bytes.len() as u64;
        if !self.is_upgraded {
            let shown = self.part.len().min(response.len());
            assert_eq!(self.part[..shown], response[..shown], "the answer to the upgrade comes first");
            if shown < response.len() {
                return 0;
            }
            self.is_upgraded = true;
            self.part.drain(..shown);
        }
        let (frames, rest_len) = parse(&self.part);
        self.part.drain(..self.part.len() - rest_len);
        let pings = frames.iter().filter(|(first, _)| first & 0x0f == 9).count();
        for (first, payload) in frames {
            let payload = if first & 0x40 == 0 {
                payload
            } else {
                assert!(self.window.is_some() && first & 0x0f < 8, "it came compressed");
                self.compressed += 1;
                let mut message = Vec::new();
                Inflater::new()
                    .inflate(&payload, u64::from(u16::MAX), &mut message)
                    .expect("it was compressed for itself");
                assert!(payload.len() < message.len(), "it is better off compressed");
                message
            };
            self.frames.push((first & 0x0f, payload));
        }
        pings
    }

    /// Compares what it got with what it was to get. `complete` = all that was sent has arrived.
    pub fn check(&self, complete: bool) {
        let frames = &self.frames;
        // Who is silent is cut without a word, wherever it is.
        let is_cut_off = self.end == Some(End::None) && !self.hung_up;
        let whole = complete && !self.stalled && !is_cut_off;
        assert!(self.part.is_empty() || !whole, "{:?}: half a frame at the end ({:?})", self.id, self.end);
        let mut closes = frames.iter().filter(|(opcode, _)| *opcode == 8);
        let close = closes.next();
        assert!(closes.next().is_none(), "one close frame");
        if close.is_some() {
            assert_eq!(frames.last().map(|(opcode, _)| *opcode), Some(8), "nothing follows a close frame");
        }
        let data: Vec<&Frame> = frames.iter().filter(|(opcode, _)| *opcode < 8).collect();
        let pongs: Vec<&Vec<u8>> =
            frames.iter().filter(|(opcode, _)| *opcode == 10).map(|(_, payload)| payload).collect();
        self.check_streams(&data);
        assert!(pongs.len() <= self.pongs.len() && pongs.iter().zip(&self.pongs).all(|(got, due)| *got == due));
        let code = close.map(|(_, payload)| u16::from_be_bytes([payload[0], payload[1]]));
        match self.end {
            None => assert_eq!(code, None, "{:?} was closed without a reason", self.id),
            Some(End::AfterAll(due) | End::Early(due)) => {
                assert!(code.is_none_or(|code| code == due), "{code:?} {due}")
            }
            Some(End::Answer) => assert!(code.is_none_or(|code| code == 1000)),
            Some(End::None) => {}
        }
        if !whole {
            return;
        }
        match self.end {
            None | Some(End::AfterAll(_)) => {
                assert!(self.may_miss || data.len() == self.expected.len(), "{:?} misses messages", self.id);
                assert_eq!(pongs.len(), self.pongs.len());
                assert_eq!(code.is_some(), self.end.is_some());
            }
            Some(End::Early(_) | End::Answer) => assert!(code.is_some(), "{:?} misses its close frame", self.id),
            Some(End::None) => {}
        }
    }
}

impl Client {
    /// It is to get this.
    pub fn expect(&mut self, due: Due) {
        self.fresh_len += due.len;
        self.expected.push(due);
    }

    /// Whether what it got is, stream by stream, a beginning of what it was to get.
    fn check_streams(&self, data: &[&Frame]) {
        // A connection that ends early may miss a part of one stream and yet get what was already on its way of another.
        let may_miss =
            self.may_miss || (self.has_streams && matches!(self.end, Some(End::Early(_) | End::Answer | End::None)));
        let mut streams: BTreeMap<usize, VecDeque<&Frame>> = BTreeMap::new();
        for due in &self.expected {
            streams.entry(due.stream).or_default().push_back(&due.frame);
        }
        for got in data {
            let at_front = streams.values_mut().find(|stream| stream.front() == Some(got));
            if let Some(stream) = at_front {
                stream.pop_front();
                continue;
            }
            let later = streams.values_mut().find(|stream| may_miss && stream.contains(got));
            let Some(stream) = later else {
                panic!("{:?} got {got:?}, which is not the next of any of {streams:?}", self.id);
            };
            while stream.pop_front() != Some(got) {}
        }
    }
}

/// The whole unmasked frames in `bytes`, each with its first byte, and how many bytes are left.
fn parse(mut bytes: &[u8]) -> (Vec<Frame>, usize) {
    let mut frames = Vec::new();
    loop {
        let [first, second, rest @ ..] = bytes else { return (frames, bytes.len()) };
        assert_eq!(first & 0xb0, 0x80, "an unfragmented frame, perhaps compressed");
        let (len, rest) = match second {
            126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 if rest.len() >= 8 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            126 | 127 => return (frames, bytes.len()),
            len => (usize::from(*len), rest),
        };
        if rest.len() < len {
            return (frames, bytes.len());
        }
        frames.push((*first, rest[..len].to_vec()));
        bytes = &rest[len..];
    }
}

/// How long a frame is, as the relay sends it.
pub fn frame_len(payload_len: usize) -> u64 {
    payload_len as u64 + if payload_len < 126 { 2 } else { 4 }
}

/// A masked frame, as clients send it.
pub fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0xfe);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0xff);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
