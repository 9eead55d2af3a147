//! The relay, its clients and the model, moved on by random steps.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ringrelay::channel::{
    AdmitError, ChannelId, ChannelSpec, ClientId, ORIGIN_MEMBER_LEN_MAX, Origin, Pattern, Rights, SlowPolicy, Token,
};
use ringrelay::chunk::Piece;
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;
use ringrelay::ws::deflate::{Compressor, Window};

use super::client::{Client, Due, End, Frame, Unit, frame_len, masked};
use super::compressed::CompressedLens;
use super::seen::Seen;

/// Largest message; small, so that the bound is met often.
const MESSAGE_LEN_MAX: u64 = 3000;
pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
/// The largest message, with its header and an origin: a lag bound below it counts as this.
const FRAME_LEN_MAX: u64 = MESSAGE_LEN_MAX + 10 + ORIGIN_MEMBER_LEN_MAX as u64;
/// More than the relay's own patience with connections that are closing.
const LONG: Duration = Duration::from_secs(10);

pub(super) struct Channel {
    id: ChannelId,
    pub(super) pattern: Pattern,
    pub(super) exclude_sender: bool,
    slow_consumers: SlowPolicy,
    pub(super) history: usize,
    limit: Option<u64>,
    timeout: Option<Duration>,
    pub(super) active_at: Time,
    alive: bool,
    /// Every broadcast so far.
    pub(super) sequence: Vec<(u8, Vec<u8>)>,
    /// Indices of its clients in the order of their turns; those that have gone are dropped when a turn is taken.
    pub(super) queue: VecDeque<usize>,
}

pub struct World {
    pub(super) random: fastrand::Rng,
    pub(super) now: Time,
    relay: Relay,
    pub(super) channels: Vec<Channel>,
    pub(super) clients: Vec<Client>,
    /// Connections that the relay has taken in.
    joined: u32,
    /// Index in `clients` of the connection that has the slot now.
    by_id: HashMap<ClientId, usize>,
    pub(super) messages: u64,
    pub(super) lag_max: u64,
    /// Between two pings of a client; `None` = there are none.
    ping_interval: Option<Duration>,
    /// What clients compress with.
    compressor: Compressor,
    /// What the relay makes of messages for those who compress.
    pub(super) lens: CompressedLens,
    /// The most that came between two drains, in bytes of frames.
    pub(super) turn_len_max: u64,
    pub(super) turn_len: u64,
    pub seen: Seen,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let lag_max = random.u64(1..6_000);
        let ping_interval = (random.u32(0..3) == 0).then(|| Duration::from_millis(random.u64(20..400)));
        let limits = Limits { ping_interval, ..Limits::new(MESSAGE_LEN_MAX, lag_max) };
        let mut world = World {
            random,
            now: Time::ZERO,
            relay: Relay::new(0, limits),
            channels: Vec::new(),
            clients: Vec::new(),
            joined: 0,
            by_id: HashMap::new(),
            messages: 0,
            lag_max: lag_max.max(FRAME_LEN_MAX),
            ping_interval,
            compressor: Compressor::new(Window::Full),
            lens: CompressedLens::new(),
            turn_len_max: 0,
            turn_len: 0,
            seen: Seen::default(),
        };
        for _ in 0..world.random.usize(1..4) {
            world.create();
        }
        world
    }

    pub fn step(&mut self) {
        match self.random.u32(0..100) {
            0 => self.create(),
            1 => self.delete(),
            2..=3 => self.advance_time(),
            4..=9 => self.join(),
            10..=39 => self.speak(),
            40..=64 => self.deliver(),
            65..=89 => self.complete_send(),
            90 => self.hang_up(),
            // Or goes on to read.
            91..=93 => self.stall(),
            _ => {
                self.drain();
            }
        }
    }

    /// Lets everything that is under way arrive, and checks the outcome.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "the relay comes to rest");
            // A send that the relay ends early leaves it something to go on with.
            let mut busy = self.drain();
            for index in 0..self.clients.len() {
                let client = &self.clients[index];
                if !client.cut && !client.to_relay.is_empty() && !client.hung_up {
                    let len = client.to_relay.len();
                    self.deliver_to(index, len);
                    busy = true;
                }
                if self.clients[index].in_flight.is_some() && !self.clients[index].stalled {
                    let len = self.clients[index].in_flight.as_ref().map_or(0, Vec::len);
                    self.complete(index, len);
                    busy = true;
                }
            }
            if !busy {
                break;
            }
        }
        self.check_counts();
        self.clients.iter().for_each(|client| client.check(true));
        self.seen.compressed = self.clients.iter().map(|client| client.compressed).sum();
        // Whoever is closing and does not read is cut in the end; the rest is closed by the shutdown.
        self.relay.shut_down(self.now, Duration::ZERO);
        for client in &mut self.clients {
            client.end.get_or_insert(End::AfterAll(1012));
        }
        self.drain();
        for index in 0..self.clients.len() {
            while let Some(sent) = self.clients[index].in_flight.as_ref().filter(|_| !self.clients[index].stalled) {
                let len = sent.len();
                self.complete(index, len);
                self.drain();
            }
        }
        self.now = self.now + LONG;
        self.drain();
        for index in 0..self.clients.len() {
            assert!(self.clients[index].cut, "{:?} is left", self.clients[index].id);
            self.clients[index].check(true);
        }
        assert!(!self.relay.has_clients());
    }

    fn create(&mut self) {
        let index = self.channels.len();
        let pattern = match self.random.u32(0..10) {
            0 => Pattern::Echo,
            1..=4 => Pattern::PubSub,
            5 => Pattern::PushPull,
            6..=7 => Pattern::ReqRepl,
            _ => Pattern::FanInOut,
        };
        let skips = pattern == Pattern::PubSub && self.random.u32(0..3) > 0;
        let channel = Channel {
            id: ChannelId::parse(&format!("channel-{index}")).unwrap(),
            pattern,
            exclude_sender: pattern == Pattern::PubSub && self.random.bool(),
            slow_consumers: if skips { SlowPolicy::Skip } else { SlowPolicy::Disconnect },
            history: if self.random.u32(0..3) == 0 { self.random.usize(1..10) } else { 0 },
            limit: (self.random.u32(0..4) == 0).then(|| self.random.u64(0..5)),
            timeout: self.random.bool().then(|| Duration::from_millis(self.random.u64(0..300))),
            active_at: self.now,
            alive: true,
            sequence: Vec::new(),
            queue: VecDeque::new(),
        };
        let spec = ChannelSpec {
            id: channel.id.clone(),
            token: Token::new("secret"),
            pattern,
            client_limit: channel.limit,
            timeout: channel.timeout,
            exclude_sender: channel.exclude_sender,
            history: channel.history as u32,
            slow_consumers: channel.slow_consumers,
            permit: None,
        };
        let view = self.relay.create(self.now, spec).expect("the id is new");
        assert_eq!((view.clients, view.countdown), (0, channel.timeout));
        self.channels.push(channel);
    }

    fn delete(&mut self) {
        let index = self.random.usize(..self.channels.len());
        let deleted = self.relay.delete(self.now, &self.channels[index].id);
        assert_eq!(deleted, self.channels[index].alive);
        self.forget(index, 4404);
    }

    /// In the model, a channel is gone.
    fn forget(&mut self, index: usize, code: u16) {
        let alive = std::mem::replace(&mut self.channels[index].alive, false);
        self.seen.deletions += u64::from(alive && code == 4404);
        self.seen.expiries += u64::from(alive && code == 4410);
        for client in self.clients.iter_mut().filter(|client| client.channel == index && client.is_open()) {
            client.end = Some(End::AfterAll(code));
        }
    }

    fn advance_time(&mut self) {
        // A timer of the relay waits for the end of its millisecond.
        let until = self.now + Duration::from_millis(self.random.u64(0..150));
        // A driver wakes whenever the relay has something to do.
        while let Some(next) = self.relay.next_deadline().filter(|next| *next < until) {
            self.now = self.now.max(next);
            self.drain();
        }
        self.now = until;
        self.drain();
    }

    fn join(&mut self) {
        let index = self.random.usize(..self.channels.len());
        let channel = &self.channels[index];
        let connected = self.clients.iter().filter(|client| client.channel == index && client.is_open()).count() as u64;
        let token = if self.random.u32(0..20) == 0 { "wrong" } else { "secret" };
        let place = match self.relay.admit(&channel.id, Some(token)) {
            Err(AdmitError::NoSuchChannel) => return assert!(!channel.alive),
            Err(AdmitError::WrongToken) => return assert_eq!(token, "wrong"),
            Err(AdmitError::Full) => {
                self.seen.full += 1;
                return assert!(channel.limit.is_some_and(|limit| connected >= limit));
            }
            Err(AdmitError::ShuttingDown | AdmitError::OutOfMemory) => unreachable!(),
            Ok(place) => place,
        };
        assert!(channel.alive && token == "secret" && channel.limit.is_none_or(|limit| connected < limit));
        if self.random.u32(0..10) == 0 {
            return self.relay.leave(place);
        }
        let gone = self.random.u32(0..20) == 0;
        if gone {
            self.relay.delete(self.now, &self.channels[index].id.clone());
            self.forget(index, 4404);
        }
        let window = [None, None, None, Some(Window::Full), Some(Window::Small)][self.random.usize(..5)];
        let id = self.relay.join(self.now, place, RESPONSE, Terms { rights: Rights::ALL, ends_at: None, window });
        self.joined += 1;
        let origin = Origin { client: id, serial: self.joined }.text().iter().map(|byte| char::from(*byte)).collect();
        let mut client = Client::new(id, index, origin, self.now);
        client.window = window;
        let channel = &mut self.channels[index];
        client.has_streams = channel.pattern == Pattern::ReqRepl;
        if gone {
            client.end = Some(End::AfterAll(4404));
        } else {
            // Of the patterns, pub-sub alone has a sequence.
            let kept = channel.sequence.len().saturating_sub(channel.history);
            // It is kept plain.
            let due = |frame: &Frame| Due { frame: frame.clone(), stream: 0, len: frame_len(frame.1.len()) };
            client.expected = channel.sequence[kept..].iter().map(due).collect();
            channel.queue.push_back(self.clients.len());
            self.seen.history_joins += u64::from(!client.expected.is_empty());
        }
        self.by_id.insert(id, self.clients.len());
        self.clients.push(client);
    }

    /// A client whose socket is open, if there is one.
    fn pick(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.clients.len()).filter(|index| !self.clients[*index].cut).collect();
        (!open.is_empty()).then(|| open[self.random.usize(..open.len())])
    }

    /// A client writes something.
    fn speak(&mut self) {
        let Some(index) = self.pick().filter(|index| !self.clients[*index].hung_up) else { return };
        if matches!(self.channels[self.clients[index].channel].pattern, Pattern::ReqRepl | Pattern::FanInOut)
            && self.random.u32(0..10) > 0
        {
            return self.ask_or_reply(index);
        }
        let random = &mut self.random;
        let mask = random.u32(..).to_ne_bytes();
        self.messages += 1;
        let len =
            if random.u32(0..3) == 0 { random.usize(..MESSAGE_LEN_MAX as usize - 20) } else { random.usize(..150) };
        // One that is next to nothing when it is compressed, or one of which most is left.
        let text: String =
            if random.bool() { "é".repeat(len / 2) } else { (0..len).map(|_| random.alphanumeric()).collect() };
        let payload = format!("{index}:{}:{text}", self.messages).into_bytes();
        let opcode = random.u8(1..=2);
        let client = &mut self.clients[index];
        match random.u32(0..60) {
            0 => client.queue(&masked(0x88, &1000u16.to_be_bytes(), mask), Unit::Close),
            1 => client.queue_early(&masked(0xf2, b"", mask), 2, Unit::Violation(1002)),
            2 if client.window.is_some() => client.queue(&masked(0xc2, b"\xff\xff", mask), Unit::Violation(1007)),
            2 => client.queue(&masked(0x81, b"\xff", mask), Unit::Violation(1007)),
            3 => {
                let large = vec![0; MESSAGE_LEN_MAX as usize + 1];
                client.queue_early(&masked(0x82, &large, mask), 8, Unit::Violation(1009));
            }
            4..=9 => client.queue(&masked(0x89, &payload[..payload.len().min(125)], mask), {
                Unit::Ping(payload[..payload.len().min(125)].to_vec())
            }),
            10..=19 => {
                let cut = random.usize(..=payload.len());
                client.to_relay.extend(masked(opcode, &payload[..cut], mask));
                if random.bool() {
                    client.queue(&masked(0x89, b"between", mask), Unit::Ping(b"between".to_vec()));
                }
                client.queue(&masked(0x80, &payload[cut..], mask), Unit::Message((opcode, payload)));
            }
            _ => self.queue_message(index, (opcode, payload)),
        }
    }

    /// A client writes a message, compressed if it may.
    pub(super) fn queue_message(&mut self, index: usize, frame: Frame) {
        let (client, mask) = (&mut self.clients[index], self.random.u32(..).to_ne_bytes());
        let mut deflated = Vec::new();
        let compressed = if client.window.is_some() && self.random.bool() {
            self.compressor.compress(&frame.1, &mut deflated)
        } else {
            None
        };
        self.seen.inflated += u64::from(compressed.is_some());
        let bytes = match compressed {
            Some(compressed) => masked(0xc0 | frame.0, compressed, mask),
            None => masked(0x80 | frame.0, &frame.1, mask),
        };
        client.queue(&bytes, Unit::Message(frame));
    }

    fn deliver(&mut self) {
        let Some(index) = self.pick() else { return };
        let waiting = self.clients[index].to_relay.len();
        if waiting > 0 && !self.clients[index].hung_up {
            let len = if self.random.bool() { waiting } else { self.random.usize(1..=waiting) };
            self.deliver_to(index, len);
        }
    }

    /// Bytes arrive, as many as the turn has room for; the others are still on their way.
    fn deliver_to(&mut self, index: usize, len: usize) {
        let client = &mut self.clients[index];
        let mut bytes = client.to_relay[..len].to_vec();
        let taken = self.relay.receive(self.now, client.id, &mut bytes);
        assert!(taken == len || self.relay.turn_is_full());
        client.heard_at = self.now;
        let (_, units) = client.take(taken);
        for unit in units {
            self.apply(index, unit);
        }
    }

    /// What a unit that has arrived means in the model.
    fn apply(&mut self, index: usize, unit: Unit) {
        let client = &mut self.clients[index];
        if !client.is_open() {
            return;
        }
        match unit {
            Unit::Close => client.end = Some(End::Answer),
            Unit::Violation(code) => {
                self.seen.violations += 1;
                client.end = Some(End::Early(code));
            }
            Unit::Ping(payload) => client.pongs.push(payload),
            Unit::Pong => self.seen.answered_pings += 1,
            Unit::Message(frame) => {
                self.turn_len += frame.1.len() as u64 + 4;
                self.route(index, frame);
            }
        }
    }

    fn complete_send(&mut self) {
        let Some(index) = self.pick() else { return };
        let client = &self.clients[index];
        let Some(sending) = client.in_flight.as_ref().map(Vec::len) else { return };
        if !client.stalled {
            let len = if self.random.u32(0..4) == 0 { self.random.usize(..=sending) } else { sending };
            self.complete(index, len);
        }
    }

    fn complete(&mut self, index: usize, len: usize) {
        let client = &mut self.clients[index];
        let sent = client.in_flight.take().expect("a send is in flight");
        let pings = client.take_in(&sent[..len], RESPONSE);
        if client.is_open() {
            // Between two of its frames, wherever those are by now.
            (0..pings).for_each(|_| client.queue(&masked(0x8a, b"", [0; 4]), Unit::Pong));
        }
        self.seen.partial_sends += u64::from(len < sent.len());
        if client.shut {
            panic!("nothing is sent behind the end of the stream");
        }
        self.relay.handle(self.now, client.id, Input::Sent(len));
    }

    fn hang_up(&mut self) {
        let Some(index) = self.pick().filter(|index| !self.clients[*index].hung_up) else { return };
        let client = &mut self.clients[index];
        client.hung_up = true;
        client.to_relay.clear();
        client.units.clear();
        client.end.get_or_insert(End::None);
        self.relay.handle(self.now, client.id, Input::Hangup);
    }

    fn stall(&mut self) {
        if let Some(index) = self.pick() {
            let client = &mut self.clients[index];
            client.stalled = !client.stalled;
        }
    }

    /// Does what the relay says, as a driver would; returns whether it said anything.
    fn drain(&mut self) -> bool {
        self.expire();
        let were_sending: Vec<bool> = self.clients.iter().map(|client| client.in_flight.is_some()).collect();
        let mut outputs = Vec::new();
        self.relay.drain(self.now, |output| outputs.push(output));
        self.find_silent(&outputs);
        self.find_slow();
        let said = !outputs.is_empty();
        for output in outputs {
            match output {
                Output::Submit | Output::Forget(_) => {}
                Output::Send(id, pieces) => {
                    let client = &mut self.clients[self.by_id[&id]];
                    assert!(client.in_flight.is_none() && !client.cut, "one send at a time");
                    let bytes: Vec<u8> = pieces.iter().flat_map(Piece::to_vec).collect();
                    assert!(!bytes.is_empty());
                    self.seen.vectored_sends += u64::from(pieces.len() > 1);
                    client.in_flight = Some(bytes);
                }
                Output::CancelSend(id) => {
                    let index = self.by_id[&id];
                    assert!(self.clients[index].in_flight.is_some());
                    let sending = self.clients[index].in_flight.as_ref().map_or(0, Vec::len);
                    let len = self.random.usize(..=sending);
                    self.complete(index, len);
                }
                Output::ShutWrite(id) => {
                    let index = self.by_id[&id];
                    assert!(!std::mem::replace(&mut self.clients[index].shut, true), "shut once");
                    // The client closes too, sooner or later.
                    if self.random.bool() && !self.clients[index].hung_up {
                        self.clients[index].hung_up = true;
                        self.relay.handle(self.now, id, Input::Hangup);
                    }
                }
                Output::Cut(id) => {
                    let index = self.by_id.remove(&id).expect("a socket is closed once");
                    let client = &mut self.clients[index];
                    client.cut = true;
                    if client.in_flight.take().is_some() {
                        // What the kernel took of it nobody knows.
                        client.stalled = true;
                        self.seen.cuts_with_a_send_in_flight += 1;
                    }
                    self.relay.handle(self.now, id, Input::Closed);
                }
            }
        }
        self.turn_len_max = self.turn_len_max.max(std::mem::take(&mut self.turn_len));
        if said {
            self.clients.iter().for_each(|client| client.check(false));
            self.check_lag();
        }
        self.check_judgement(&were_sending);
        said
    }

    /// Who is cut although its connection is open was silent for two intervals, and who is silent for three is cut.
    fn find_silent(&mut self, outputs: &[Output]) {
        for output in outputs {
            let Output::Cut(id) = output else { continue };
            let client = &mut self.clients[self.by_id[id]];
            if client.is_open() {
                let interval = self.ping_interval.expect("clients are pinged");
                let silent_for = self.now - client.heard_at;
                assert!(silent_for >= interval * 2 - interval / 16, "{id:?} was silent for {silent_for:?} alone");
                client.end = Some(End::None);
                self.seen.silent += 1;
            }
        }
        for client in self.clients.iter().filter(|client| client.is_open()) {
            let silent_for = self.now - client.heard_at;
            let is_heard = self.ping_interval.is_none_or(|interval| silent_for <= interval * 3 + interval / 16);
            assert!(is_heard, "{:?} has been silent for {silent_for:?}", client.id);
        }
    }

    /// Who was closed for no reason that the model knows was too slow, or should have been.
    fn find_slow(&mut self) {
        self.seen.skips += self.relay.take_tally().map_or(0, |tally| u64::from(tally.skipped_len > 0));
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if !client.is_open() {
                continue;
            }
            let pings = self.ping_interval.map_or(0, |interval| {
                let intervals = (self.now - client.joined_at).as_micros() / interval.as_micros() + 1;
                2 * intervals as u64
            });
            // Of its own messages that are left out, the log is held, and notes of 16 bytes.
            let lag = self.lag(index) + client.left_out + pings;
            if self.channels[client.channel].slow_consumers == SlowPolicy::Skip && lag > self.lag_max {
                self.clients[index].may_miss = true;
            }
            let client = &self.clients[index];
            if !self.relay.is_open(client.id) {
                assert!(lag > self.lag_max, "{:?} was called slow at a lag of {lag}", client.id);
                self.clients[index].end = Some(End::Early(4408));
                self.seen.slow_consumers += 1;
            }
        }
    }

    fn expire(&mut self) {
        for index in 0..self.channels.len() {
            let channel = &self.channels[index];
            let due = channel.timeout.is_some_and(|timeout| channel.active_at + timeout <= self.now);
            if channel.alive && due {
                self.forget(index, 4410);
            }
        }
    }

    /// The relay counts the clients that the model counts.
    fn check_counts(&mut self) {
        for (index, channel) in self.channels.iter().enumerate() {
            let view = self.relay.read(self.now, &channel.id);
            assert_eq!(view.is_some(), channel.alive, "{}", channel.id);
            let Some(view) = view else { continue };
            let open = self.clients.iter().filter(|client| client.channel == index && client.is_open()).count();
            assert_eq!(view.clients, open as u64, "{}", channel.id);
        }
    }
}
