//! A relay with one pub-sub channel, and what its clients are sent.

use std::time::Duration;

use ringrelay::channel::{ChannelId, ChannelSpec, ClientId, Pattern, Rights, SlowPolicy, Token};
use ringrelay::chunk::Piece;
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;
use ringrelay::ws::deflate::{Inflater, Window};

pub const CHANNEL: &str = "a";
const RESPONSE: &[u8] = b"101";

/// One client of the relay, as its driver and its reader see it.
pub struct Reader {
    pub id: ClientId,
    pub window: Option<Window>,
    /// What had been published when it came.
    pub from: u32,
    /// The send in flight.
    pub in_flight: Option<Vec<u8>>,
    pub is_cancelled: bool,
    pub got: Vec<u8>,
}

/// One channel and its clients, of which the first publishes.
pub struct Rig {
    pub relay: Relay,
    pub readers: Vec<Reader>,
    pub published: u32,
    pub skipped_len: u64,
}

impl Rig {
    pub fn new(lag_max: u64, change: impl FnOnce(&mut ChannelSpec)) -> Rig {
        Rig::with_limits(Limits::new(1000, lag_max), change)
    }

    pub fn with_limits(limits: Limits, change: impl FnOnce(&mut ChannelSpec)) -> Rig {
        let mut relay = Relay::new(0, limits);
        let mut spec = ChannelSpec {
            id: ChannelId::parse(CHANNEL).unwrap(),
            token: Token::new("secret"),
            pattern: Pattern::PubSub,
            client_limit: None,
            timeout: None,
            exclude_sender: false,
            history: 0,
            slow_consumers: SlowPolicy::Disconnect,
            permit: None,
        };
        change(&mut spec);
        relay.create(Time::ZERO, spec).unwrap();
        Rig { relay, readers: Vec::new(), published: 0, skipped_len: 0 }
    }

    /// A client comes; what it has to be sent first is sent.
    pub fn join(&mut self, window: Option<Window>) {
        self.join_with(window, Rights::ALL);
    }

    pub fn join_with(&mut self, window: Option<Window>, rights: Rights) {
        let place = self.relay.admit(&ChannelId::parse(CHANNEL).unwrap(), Some("secret")).unwrap();
        let terms = Terms { rights, ends_at: None, window };
        let id = self.relay.join(self.now(), place, RESPONSE, terms);
        let from = self.published;
        self.readers.push(Reader { id, window, from, in_flight: None, is_cancelled: false, got: Vec::new() });
        self.drain();
    }

    fn now(&self) -> Time {
        Time::ZERO + Duration::from_micros(u64::from(self.published))
    }

    pub fn publish(&mut self, len: usize) {
        self.publish_from(0, len);
    }

    pub fn publish_from(&mut self, client: usize, len: usize) {
        while self.relay.turn_is_full() {
            self.drain();
        }
        self.published += 1;
        let mut frame = vec![0x82, 0xfe];
        frame.extend((len.max(126) as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(self.published.to_be_bytes());
        frame.resize(8 + len.max(126), 0);
        let taken = self.relay.receive(self.now(), self.readers[client].id, &mut frame);
        assert_eq!(taken, frame.len());
    }

    pub fn drain(&mut self) {
        let (now, mut outputs) = (self.now(), Vec::new());
        self.relay.drain(now, |output| outputs.push(output));
        let mut is_leaving = false;
        for output in outputs {
            match output {
                Output::Send(client, pieces) => {
                    let bytes: Vec<u8> = pieces.iter().flat_map(Piece::to_vec).collect();
                    match self.readers.get_mut(client.slot as usize) {
                        Some(reader) => {
                            assert!(reader.in_flight.is_none(), "one send at a time");
                            reader.in_flight = Some(bytes);
                        }
                        None => {
                            self.relay.handle(now, client, Input::Sent(bytes.len()));
                            is_leaving = true;
                        }
                    }
                }
                Output::CancelSend(client) => {
                    if let Some(reader) = self.readers.get_mut(client.slot as usize) {
                        reader.is_cancelled = true;
                    }
                }
                Output::Submit | Output::Forget(_) | Output::ShutWrite(_) => {}
                Output::Cut(client) => {
                    assert!(client.slot as usize >= self.readers.len(), "nobody else is cut");
                    self.relay.handle(now, client, Input::Closed);
                }
            }
        }
        self.skipped_len += self.relay.take_tally().map_or(0, |tally| tally.skipped_len);
        if is_leaving {
            self.drain();
        }
    }

    pub fn send(&mut self, client: usize, len: usize) {
        let reader = &mut self.readers[client];
        let Some(bytes) = reader.in_flight.take() else { return };
        let len = len.min(bytes.len());
        reader.got.extend(&bytes[..len]);
        reader.is_cancelled = false;
        let (now, id) = (self.now(), self.readers[client].id);
        self.relay.handle(now, id, Input::Sent(len));
        self.drain();
    }

    /// The last client that came goes, in the middle of what it is being sent.
    pub fn leave(&mut self) {
        let reader = self.readers.pop().expect("there is one");
        let now = self.now();
        self.relay.handle(now, reader.id, Input::Hangup);
        if let Some(bytes) = reader.in_flight {
            self.relay.handle(now, reader.id, Input::Sent(bytes.len() / 2));
        }
        self.drain();
    }

    /// Everything that is in flight, or was cancelled, comes to its end.
    pub fn settle(&mut self) {
        while self.readers.iter().any(|reader| reader.in_flight.is_some()) {
            for client in 0..self.readers.len() {
                self.send(client, usize::MAX);
            }
        }
    }
}

/// The numbers in what a client got behind the answer to its upgrade, in frames that all have to be whole.
pub fn numbers(got: &[u8]) -> Vec<u32> {
    let (mut numbers, mut rest) = (Vec::new(), got.strip_prefix(RESPONSE).expect("the answer comes first"));
    let mut inflater = Inflater::new();
    while !rest.is_empty() {
        let (header_len, len) = match rest[1] {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            len => (2, usize::from(len)),
        };
        let payload = &rest[header_len..header_len + len];
        let message = match rest[0] {
            0x82 => payload.to_vec(),
            0xc2 => {
                let mut message = Vec::new();
                inflater.inflate(payload, 2000, &mut message).expect("it was compressed for itself");
                message
            }
            other => panic!("no frame begins with {other:x}"),
        };
        numbers.push(u32::from_be_bytes(message[..4].try_into().unwrap()));
        rest = &rest[header_len + len..];
    }
    numbers
}
