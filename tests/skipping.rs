//! A pub-sub channel whose slow clients are taken to the newest message: what they get, for any order of events.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use ringrelay::channel::{ChannelId, ChannelSpec, ClientId, Pattern, Rights, SlowPolicy, Token};
use ringrelay::chunk::Piece;
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;

const LAG_MAX: u64 = 2_000;
const TERMS: Terms = Terms { rights: Rights::ALL, ends_at: None };

/// One client of the relay, as its driver and its reader see it.
#[derive(Default)]
struct Reader {
    /// The send in flight.
    in_flight: Option<Vec<u8>>,
    is_cancelled: bool,
    got: Vec<u8>,
}

struct Rig {
    relay: Relay,
    clients: Vec<ClientId>,
    readers: Vec<Reader>,
    published: u32,
    skipped_len: u64,
}

#[derive(Clone, Debug)]
enum Step {
    /// The first client publishes this many messages of this size.
    Publish { count: usize, len: usize },
    /// What the client has in flight goes out, up to so many bytes.
    Send { client: usize, len: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1usize..6, 4usize..900).prop_map(|(count, len)| Step::Publish { count, len }),
        2 => (0usize..3, prop_oneof![Just(usize::MAX), 0usize..1500]).prop_map(|(client, len)| Step::Send { client, len }),
    ];
    prop::collection::vec(step, 0..120)
}

impl Rig {
    fn new(exclude_sender: bool) -> Rig {
        let mut relay = Relay::new(0, Limits::new(1000, LAG_MAX));
        let id = ChannelId::parse("a").unwrap();
        let spec = ChannelSpec {
            id: id.clone(),
            token: Token::new("secret"),
            pattern: Pattern::PubSub,
            client_limit: None,
            timeout: None,
            exclude_sender,
            history: 0,
            slow_consumers: SlowPolicy::Skip,
            permit: None,
        };
        relay.create(Time::ZERO, spec).unwrap();
        let clients: Vec<ClientId> = (0..3)
            .map(|_| {
                let place = relay.admit(&id, Some("secret")).unwrap();
                relay.join(Time::ZERO, place, b"", TERMS)
            })
            .collect();
        let readers = clients.iter().map(|_| Reader::default()).collect();
        Rig { relay, clients, readers, published: 0, skipped_len: 0 }
    }

    fn now(&self) -> Time {
        Time::ZERO + Duration::from_micros(u64::from(self.published))
    }

    fn publish(&mut self, len: usize) {
        self.published += 1;
        let mut frame = vec![0x82, 0xfe];
        frame.extend((len.max(126) as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(self.published.to_be_bytes());
        frame.resize(8 + len.max(126), 0);
        let taken = self.relay.receive(self.now(), self.clients[0], &mut frame);
        assert_eq!(taken, frame.len());
    }

    fn drain(&mut self) {
        let (now, mut outputs) = (self.now(), Vec::new());
        self.relay.drain(now, |output| outputs.push(output));
        for output in outputs {
            match output {
                Output::Send(client, pieces) => {
                    let reader = &mut self.readers[client.slot as usize];
                    assert!(reader.in_flight.is_none(), "one send at a time");
                    reader.in_flight = Some(pieces.iter().flat_map(Piece::to_vec).collect());
                }
                Output::CancelSend(client) => self.readers[client.slot as usize].is_cancelled = true,
                Output::ShutWrite(_) | Output::Cut(_) => panic!("nobody is closed"),
            }
        }
        self.skipped_len += self.relay.take_tally().map_or(0, |tally| tally.skipped_len);
    }

    fn send(&mut self, client: usize, len: usize) {
        let reader = &mut self.readers[client];
        let Some(bytes) = reader.in_flight.take() else { return };
        let len = len.min(bytes.len());
        reader.got.extend(&bytes[..len]);
        reader.is_cancelled = false;
        let (now, client) = (self.now(), self.clients[client]);
        self.relay.handle(now, client, Input::Sent(len));
        self.drain();
    }

    /// Everything that is in flight, or was cancelled, comes to its end.
    fn settle(&mut self) {
        while self.readers.iter().any(|reader| reader.in_flight.is_some()) {
            for client in 0..3 {
                self.send(client, usize::MAX);
            }
        }
    }
}

/// The numbers in a client's frames, which all have to be whole.
fn numbers(got: &[u8]) -> Vec<u32> {
    let (mut numbers, mut rest) = (Vec::new(), got);
    while !rest.is_empty() {
        assert_eq!(rest[..2], [0x82, 126], "a frame begins here");
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        numbers.push(u32::from_be_bytes(rest[4..8].try_into().unwrap()));
        rest = &rest[4 + len..];
    }
    numbers
}

proptest! {
    #[test]
    fn slow_clients_get_whole_messages_in_order_and_the_newest(steps in steps(), exclude_sender in any::<bool>()) {
        let mut rig = Rig::new(exclude_sender);
        rig.drain();
        rig.settle();
        for reader in &mut rig.readers {
            reader.got.clear();
        }
        let mut lens: VecDeque<u64> = VecDeque::new();
        for step in steps {
            match step {
                Step::Publish { count, len } => {
                    for _ in 0..count {
                        rig.publish(len);
                        lens.push_back(4 + len.max(126) as u64);
                    }
                    rig.drain();
                }
                Step::Send { client, len } => rig.send(client, len),
            }
        }
        rig.settle();
        rig.publish(126);
        lens.push_back(130);
        rig.drain();
        rig.settle();
        let mut missing = 0;
        for (client, reader) in rig.readers.iter().enumerate() {
            let numbers = numbers(&reader.got);
            prop_assert!(numbers.is_sorted_by(|one, other| one < other), "{:?}", numbers);
            if client == 0 && exclude_sender {
                prop_assert!(numbers.is_empty());
                continue;
            }
            prop_assert_eq!(numbers.last().copied(), Some(rig.published), "the newest comes to everyone");
            let all: u64 = lens.iter().sum();
            missing += all - reader.got.len() as u64;
        }
        prop_assert_eq!(rig.skipped_len, missing, "what is not sent is counted");
    }
}

/// Nothing of the log is held for a client that does not read at all.
#[test]
fn a_client_that_never_reads_costs_its_bound() {
    let mut rig = Rig::new(false);
    rig.drain();
    rig.settle();
    for _ in 0..10_000 {
        rig.publish(900);
        rig.drain();
        rig.send(0, usize::MAX);
        rig.send(1, usize::MAX);
        // The kernel ends the send of a cancelled client without having got rid of anything.
        if rig.readers[2].is_cancelled {
            rig.send(2, 0);
        }
    }
    let held = rig.readers[2].in_flight.as_ref().map_or(0, Vec::len);
    assert!(held as u64 <= LAG_MAX * 2 + 1000, "{held}");
    assert!(rig.skipped_len > 8_000_000, "{}", rig.skipped_len);
    assert_eq!(rig.relay.read(Time::ZERO, &ChannelId::parse("a").unwrap()).unwrap().clients, 3);
}
