//! The bound of a shard's memory: what is held counts, however little of it is still to be read.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ringrelay::channel::{ChannelId, ChannelSpec, ClientId, Pattern, Rights, SlowPolicy, Token};
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;

const TERMS: Terms = Terms { rights: Rights::ALL, ends_at: None, window: None };
const MEMORY_MAX: u64 = 1 << 20;
const MESSAGE_LEN_MAX: u64 = 60_000;

/// Channels with one publisher each, which reads all, and readers, which read what they are told to.
struct Shard {
    relay: Relay,
    now: Time,
    publishers: Vec<ClientId>,
    readers: Vec<ClientId>,
    /// Lengths of the readers' sends.
    in_flight: BTreeMap<u32, usize>,
    /// Clients closed for lack of memory.
    reclaimed: u64,
}

impl Shard {
    fn new(channels: usize, readers_per_channel: usize, history: u32) -> Shard {
        let limits = Limits { memory_max: MEMORY_MAX, ..Limits::new(MESSAGE_LEN_MAX, 1 << 40) };
        let mut shard = Shard {
            relay: Relay::new(0, limits),
            now: Time::ZERO,
            publishers: Vec::new(),
            readers: Vec::new(),
            in_flight: BTreeMap::new(),
            reclaimed: 0,
        };
        for index in 0..channels {
            let id = ChannelId::parse(&format!("channel-{index}")).unwrap();
            let spec = ChannelSpec {
                id: id.clone(),
                token: Token::new("secret"),
                pattern: Pattern::PubSub,
                client_limit: None,
                timeout: None,
                exclude_sender: false,
                history,
                slow_consumers: SlowPolicy::Disconnect,
                permit: None,
            };
            shard.relay.create(shard.now, spec).unwrap();
            for member in 0..=readers_per_channel {
                let place = shard.relay.admit(&id, Some("secret")).unwrap();
                let client = shard.relay.join(shard.now, place, b"101", TERMS);
                if member == 0 { shard.publishers.push(client) } else { shard.readers.push(client) }
            }
        }
        shard.drain();
        (0..shard.readers.len()).for_each(|reader| shard.read(reader, usize::MAX));
        shard
    }

    fn publish(&mut self, channel: usize, len: usize) {
        let mut frame = vec![0x82, 0xfe];
        frame.extend((len as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(8 + len, 0);
        if self.relay.is_open(self.publishers[channel]) {
            self.relay.receive(self.now, self.publishers[channel], &mut frame);
        }
    }

    /// What a reader has in flight goes out, or so many bytes of it.
    fn read(&mut self, reader: usize, len: usize) {
        let client = self.readers[reader];
        if let Some(in_flight) = self.in_flight.remove(&client.slot) {
            self.relay.handle(self.now, client, Input::Sent(len.min(in_flight)));
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            let has_room = self.relay.memory_len() <= MEMORY_MAX;
            let mut outputs = Vec::new();
            self.relay.drain(self.now, |output| outputs.push(output));
            let reclaimed = self.relay.take_tally().map_or(0, |tally| tally.reclaimed);
            assert!(reclaimed == 0 || !has_room, "nobody is closed while there is room");
            self.reclaimed += reclaimed;
            let mut goes_on = false;
            for output in outputs {
                match output {
                    Output::Send(client, pieces) => {
                        let len = pieces.iter().map(|piece| piece.len()).sum();
                        if self.readers.contains(&client) {
                            self.in_flight.insert(client.slot, len);
                        } else {
                            self.relay.handle(self.now, client, Input::Sent(len));
                            goes_on = true;
                        }
                    }
                    Output::CancelSend(client) => {
                        if self.in_flight.remove(&client.slot).is_some() {
                            self.relay.handle(self.now, client, Input::Sent(0));
                            goes_on = true;
                        }
                    }
                    Output::Cut(client) => {
                        self.in_flight.remove(&client.slot);
                        self.relay.handle(self.now, client, Input::Closed);
                    }
                    Output::Submit | Output::Forget(_) | Output::ShutWrite(_) => {}
                }
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Nobody sends or reads for so long.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.now = self.now + Duration::from_millis(50);
            self.drain();
        }
    }
}

/// 50 bytes are all that each of them is still to get, and a chunk lies around them: of 16, 64 or 256 KiB.
#[test]
fn who_holds_the_largest_chunk_is_closed_first_when_nobody_is_far_behind() {
    const MESSAGES: [usize; 4] = [3_000, 10_000, 50_000, 59_000];
    let mut shard = Shard::new(30, 1, 0);
    let held = |reader: usize| [16 << 10, 64 << 10, 256 << 10][reader % 3];
    for channel in 0..30 {
        let messages = &MESSAGES[..2 + channel % 3];
        let before: Vec<usize> = (0..channel).filter(|reader| shard.relay.is_open(shard.readers[*reader])).collect();
        messages.iter().for_each(|len| shard.publish(channel, *len));
        shard.drain();
        let len: usize = messages.iter().map(|len| len + 4).sum();
        shard.read(channel, len - 50);
        shard.pass(100);
        // The reader that has just come holds nothing until it is sent something.
        let is_open = |reader: &usize| shard.relay.is_open(shard.readers[*reader]);
        let (open, closed): (Vec<usize>, Vec<usize>) = before.into_iter().partition(is_open);
        if let (Some(least), Some(most)) = (closed.into_iter().map(held).min(), open.into_iter().map(held).max()) {
            assert!(least >= most, "one with {least} bytes was closed, and one with {most} was not");
        }
        assert!(shard.relay.memory_len() <= MEMORY_MAX, "{}", shard.relay.memory_len());
    }
    assert!(shard.reclaimed > 0 && shard.reclaimed < 30, "{} of 30", shard.reclaimed);
}

#[derive(Clone, Debug)]
enum Step {
    Publish { channel: usize, len: usize },
    Read { reader: usize, len: usize },
    Pass,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..12, prop_oneof![126usize..1_000, 20_000usize..60_000])
            .prop_map(|(channel, len)| Step::Publish { channel, len }),
        4 => (0usize..36, prop_oneof![Just(usize::MAX), 0usize..70_000])
            .prop_map(|(reader, len)| Step::Read { reader, len }),
        1 => Just(Step::Pass),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_memory_gets_under_its_bound_whoever_reads_how_much(steps in steps(), history in prop_oneof![Just(0u32), 1u32..50]) {
        let mut shard = Shard::new(12, 3, history);
        for step in steps {
            match step {
                Step::Publish { channel, len } => shard.publish(channel, len),
                Step::Read { reader, len } => shard.read(reader, len),
                Step::Pass => shard.pass(50),
            }
            shard.drain();
        }
        // Longer than a connection may take to close.
        shard.pass(6_000);
        prop_assert!(shard.relay.memory_len() <= MEMORY_MAX, "{}", shard.relay.memory_len());
        prop_assert!(shard.publishers.iter().all(|client| shard.relay.is_open(*client)), "they read all");
    }
}
