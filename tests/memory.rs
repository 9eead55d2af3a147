//! The bound of a shard's memory: in virtual time, who is closed for it and who is not; and what the running relay takes.

mod support;

use std::time::Duration;

use ringrelay::channel::{
    AdmitError, ChannelId, ChannelSpec, ClientId, CreateError, Pattern, Rights, SlowPolicy, Token,
};
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;
use ringrelay::ws::CloseCode;
use serde_json::{Value, json};
use support::raw::RawClient;
use support::relay::{Channel, Relay as RunningRelay};

const TERMS: Terms = Terms { rights: Rights::ALL, ends_at: None, window: None };
const MEMORY_MAX: u64 = 1 << 20;
const MESSAGE_LEN_MAX: usize = 60_000;

struct Rig {
    relay: Relay,
    now: Time,
    /// The slot of the client that does not read, and what it has in flight.
    deaf: Option<(u32, Option<usize>)>,
    /// Those whose records in part were to be forgotten.
    forgotten: Vec<ClientId>,
}

impl Rig {
    fn new() -> Rig {
        let limits = Limits { memory_max: MEMORY_MAX, ..Limits::new(MESSAGE_LEN_MAX as u64, 1 << 40) };
        Rig { relay: Relay::new(0, limits), now: Time::ZERO, deaf: None, forgotten: Vec::new() }
    }

    fn create(&mut self, id: &str, history: u32) -> Result<(), CreateError> {
        self.create_with(id, history, false)
    }

    fn create_with(&mut self, id: &str, history: u32, exclude_sender: bool) -> Result<(), CreateError> {
        let spec = ChannelSpec {
            id: ChannelId::parse(id).unwrap(),
            token: Token::new("secret"),
            pattern: Pattern::PubSub,
            client_limit: None,
            timeout: None,
            exclude_sender,
            history,
            slow_consumers: SlowPolicy::Disconnect,
            permit: None,
        };
        self.relay.create(self.now, spec).map(drop)
    }

    fn join(&mut self, id: &str) -> ClientId {
        self.join_with(id, Rights::ALL)
    }

    fn join_with(&mut self, id: &str, rights: Rights) -> ClientId {
        let place = self.relay.admit(&ChannelId::parse(id).unwrap(), Some("secret")).unwrap();
        let client = self.relay.join(self.now, place, b"101", Terms { rights, ..TERMS });
        self.run();
        client
    }

    /// Lets a little time pass; everyone but the deaf one reads all that they are sent.
    fn run(&mut self) {
        for _ in 0..3 {
            self.now = self.now + Duration::from_millis(20);
            loop {
                let mut outputs = Vec::new();
                self.relay.drain(self.now, |output| outputs.push(output));
                if outputs.is_empty() {
                    break;
                }
                for output in outputs {
                    self.complete(output);
                }
            }
        }
    }

    fn complete(&mut self, output: Output) {
        match output {
            Output::Send(client, pieces) => {
                let len = pieces.iter().map(|piece| piece.len()).sum();
                match &mut self.deaf {
                    Some((slot, in_flight)) if *slot == client.slot => *in_flight = Some(len),
                    _ => self.relay.handle(self.now, client, Input::Sent(len)),
                }
            }
            Output::CancelSend(client) => {
                if let Some((_, in_flight)) = &mut self.deaf
                    && in_flight.take().is_some()
                {
                    self.relay.handle(self.now, client, Input::Sent(0));
                }
            }
            Output::Cut(client) => self.relay.handle(self.now, client, Input::Closed),
            Output::Forget(client) => self.forgotten.push(client),
            Output::Submit | Output::ShutWrite(_) => {}
        }
    }

    /// A whole message, or the beginning of one that never ends.
    fn send(&mut self, client: ClientId, len: usize, whole: bool) {
        let mut frame = vec![if whole { 0x82 } else { 0x02 }, 0xfe];
        frame.extend((len as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(8 + len, 0);
        self.relay.receive(self.now, client, &mut frame);
        self.run();
    }
}

#[test]
fn who_lets_messages_pile_up_in_part_is_closed_with_1013() {
    let mut rig = Rig::new();
    rig.create("a", 0).unwrap();
    let reader = rig.join("a");
    let clients: Vec<ClientId> = (0..100).map(|_| rig.join("a")).collect();
    for client in &clients {
        rig.send(*client, MESSAGE_LEN_MAX - 1, false);
        assert!(rig.relay.memory_len() <= MEMORY_MAX + 2 * MESSAGE_LEN_MAX as u64, "{}", rig.relay.memory_len());
    }
    let open = clients.iter().filter(|client| rig.relay.is_open(**client)).count();
    assert!((10..20).contains(&open), "as many as fit: {open}");
    assert!(rig.relay.is_open(reader), "who holds nothing is not closed");
    let tally = rig.relay.take_tally().unwrap();
    assert_eq!(tally.reclaimed, 100 - open as u64);
    assert!(tally.closes.iter().all(|(code, _)| *code == CloseCode::OutOfMemory), "{tally:?}");
}

#[test]
fn the_slowest_is_closed_first() {
    let mut rig = Rig::new();
    rig.create("a", 0).unwrap();
    let (publisher, reader) = (rig.join("a"), rig.join("a"));
    let deaf = rig.join("a");
    rig.deaf = Some((deaf.slot, None));
    let mut count = 0;
    while rig.relay.is_open(deaf) {
        rig.send(publisher, 50_000, true);
        count += 1;
        assert!(count < 40, "it holds more than there is");
    }
    assert!(count > 15, "it was closed before the memory was used up");
    assert!(rig.relay.is_open(publisher) && rig.relay.is_open(reader));
    rig.run();
    assert!(rig.relay.memory_len() < MEMORY_MAX / 2, "{}", rig.relay.memory_len());
    assert_eq!(rig.relay.take_tally().unwrap().closes, [(CloseCode::SlowConsumer, 1)]);
}

#[test]
fn history_is_given_up_before_clients_that_read() {
    let mut rig = Rig::new();
    let mut publishers = Vec::new();
    for index in 0..20 {
        let id = format!("channel-{index}");
        rig.create(&id, 1000).unwrap();
        publishers.push(rig.join(&id));
    }
    for _ in 0..50 {
        for publisher in &publishers {
            rig.send(*publisher, 10_000, true);
        }
        // A chunk of a log is up to 256 KiB, and only whole ones are given back.
        assert!(rig.relay.memory_len() <= MEMORY_MAX + (20 << 18), "{}", rig.relay.memory_len());
    }
    assert!(publishers.iter().all(|publisher| rig.relay.is_open(*publisher)));
    assert!(rig.relay.take_tally().unwrap().histories_cut > 0);
}

#[test]
fn nobody_is_let_in_while_there_is_no_memory() {
    let mut rig = Rig::new();
    rig.create("a", 0).unwrap();
    let clients: Vec<ClientId> = (0..20).map(|_| rig.join("a")).collect();
    for client in clients {
        let mut frame = vec![0x02, 0xfe, 0xea, 0x5f, 0, 0, 0, 0];
        frame.resize(8 + MESSAGE_LEN_MAX - 1, 0);
        rig.relay.receive(rig.now, client, &mut frame);
    }
    assert_eq!(rig.create("b", 0), Err(CreateError::OutOfMemory));
    let admission = rig.relay.admit(&ChannelId::parse("a").unwrap(), Some("secret"));
    assert_eq!(admission.unwrap_err(), AdmitError::OutOfMemory);
    rig.run();
    rig.create("b", 0).unwrap();
    rig.join("b");
}

#[test]
fn who_may_only_send_holds_no_history() {
    let mut rig = Rig::new();
    rig.create("a", 10).unwrap();
    let publisher = rig.join("a");
    rig.send(publisher, 1_000, true);
    rig.join_with("a", Rights { publish: true, subscribe: false });
    for _ in 0..50 {
        rig.send(publisher, 50_000, true);
    }
    // The history is 500 000 bytes, and only whole chunks are given back.
    assert!(rig.relay.memory_len() <= MEMORY_MAX + (1 << 18), "{}", rig.relay.memory_len());
}

#[test]
fn a_history_that_is_given_up_leaves_no_memory_behind() {
    let mut rig = Rig::new();
    let publish = |rig: &mut Rig, index: usize| {
        let id = format!("channel-{index}");
        rig.create(&id, 1000).unwrap();
        let publisher = rig.join(&id);
        rig.send(publisher, 50_000, true);
    };
    (0..20).for_each(|index| publish(&mut rig, index));
    // Long enough for a look at each channel, which has to leave its history.
    (0..100).for_each(|_| rig.run());
    let before = rig.relay.memory_len();
    assert!(before > 900_000 && before <= MEMORY_MAX, "{before}");
    (20..23).for_each(|index| publish(&mut rig, index));
    (0..100).for_each(|_| rig.run());
    assert!(rig.relay.take_tally().unwrap().histories_cut >= 20);
    assert!(rig.relay.memory_len() < 200_000, "{}", rig.relay.memory_len());
}

#[test]
fn who_does_not_read_the_history_is_closed_before_others() {
    let mut rig = Rig::new();
    rig.create("a", 1000).unwrap();
    let publisher = rig.join("a");
    (0..10).for_each(|_| rig.send(publisher, 50_000, true));
    rig.deaf = Some((1, None));
    let deaf = rig.join("a");
    assert_eq!(deaf.slot, 1);
    let clients: Vec<ClientId> = (0..12).map(|_| rig.join("a")).collect();
    for client in &clients {
        rig.send(*client, MESSAGE_LEN_MAX - 1, false);
    }
    assert!(!rig.relay.is_open(deaf), "it holds the history");
}

#[test]
fn who_stops_inside_a_tls_record_is_closed_with_1013_and_that_is_forgotten() {
    /// What a record takes at the most.
    const RECORD_LEN: usize = 16_640;
    let mut rig = Rig::new();
    rig.create("a", 0).unwrap();
    let reader = rig.join("a");
    let clients: Vec<ClientId> = (0..100).map(|_| rig.join("a")).collect();
    let idle = rig.relay.memory_len();
    // One goes on with its record.
    rig.relay.hold_part(clients[0], RECORD_LEN);
    assert_eq!(rig.relay.memory_len(), idle + RECORD_LEN as u64);
    rig.relay.hold_part(clients[0], 0);
    assert_eq!(rig.relay.memory_len(), idle);
    for client in &clients {
        rig.relay.hold_part(*client, RECORD_LEN);
        rig.run();
        assert!(rig.relay.memory_len() <= MEMORY_MAX, "{}", rig.relay.memory_len());
    }
    let closed: Vec<ClientId> = clients.into_iter().filter(|client| !rig.relay.is_open(*client)).collect();
    assert!((40..60).contains(&closed.len()), "as many as do not fit: {}", closed.len());
    assert!(rig.relay.is_open(reader), "who holds nothing is not closed");
    rig.forgotten.sort_by_key(|client| client.slot);
    assert_eq!(rig.forgotten, closed);
    let tally = rig.relay.take_tally().unwrap();
    assert!(tally.closes.iter().all(|(code, _)| *code == CloseCode::OutOfMemory), "{tally:?}");
}

/// Two senders that take turns: for each of the empty messages of its own, one that does not read is noted 16 bytes.
fn take_turns(rig: &mut Rig, senders: [ClientId; 2], turns: usize) {
    for turn in 0..turns {
        for sender in senders {
            rig.relay.receive(rig.now, sender, &mut [0x82, 0x80, 0, 0, 0, 0]);
        }
        if turn % 1000 == 999 {
            rig.run();
        }
    }
    rig.run();
}

/// A rig with a deaf client and another one, in a channel whose senders do not get their own messages.
fn deaf_sender() -> (Rig, [ClientId; 2]) {
    let mut rig = Rig::new();
    rig.create_with("a", 0, true).unwrap();
    let senders = [rig.join("a"), rig.join("a")];
    rig.deaf = Some((senders[0].slot, None));
    (rig, senders)
}

#[test]
fn notes_on_own_messages_count_and_are_given_back() {
    let (mut rig, senders) = deaf_sender();
    let idle = rig.relay.memory_len();
    take_turns(&mut rig, senders, 20_000);
    let held = rig.relay.memory_len() - idle;
    assert!(held > 20_000 * 16, "the notes count: {held}");
    assert!(rig.relay.is_open(senders[0]));
    // It reads on.
    let (_, in_flight) = rig.deaf.take().unwrap();
    rig.relay.handle(rig.now, senders[0], Input::Sent(in_flight.unwrap()));
    (0..30).for_each(|_| rig.run());
    assert_eq!(rig.relay.memory_len(), 0);
}

#[test]
fn who_has_notes_pile_up_is_closed_and_they_are_forgotten_at_once() {
    let (mut rig, senders) = deaf_sender();
    let mut turns = 0;
    while rig.relay.is_open(senders[0]) {
        take_turns(&mut rig, senders, 1000);
        turns += 1000;
        // Notes double their room.
        assert!(rig.relay.memory_len() <= 2 * MEMORY_MAX, "{}", rig.relay.memory_len());
        assert!(turns < 100_000, "it holds more than there is");
    }
    assert!(rig.relay.is_open(senders[1]), "who reads is not closed");
    // The last chunk of the log is left, for the next message.
    assert!(rig.relay.memory_len() < MEMORY_MAX / 2, "{}", rig.relay.memory_len());
    assert_eq!(rig.relay.take_tally().unwrap().closes, [(CloseCode::SlowConsumer, 1)]);
}

/// An empty message is two bytes of a history; whatever else were kept of each would be several times that.
#[test]
fn histories_of_empty_messages_take_no_more_memory_than_counts() {
    const SHARD_MEMORY: u64 = 16 << 20;
    /// The receive buffers of the shard, and room for what the allocator holds back.
    const OTHER_GROWTH_MAX: u64 = (16 << 20) + (8 << 20);
    const CHANNELS: usize = 100;
    const MESSAGES: usize = 60_000;

    let relay = RunningRelay::start_with(&["--shards", "1", "--shard-memory", &SHARD_MEMORY.to_string()]);
    let before = relay.memory();
    let messages = [0x82, 0x80, 0, 0, 0, 0].repeat(MESSAGES);
    let mut most = 0;
    for _ in 0..CHANNELS {
        let channel = support::eventually("there is memory for a channel", || {
            let spec = json!({"pattern": "pub-sub", "history": 65_536, "excludeSender": true, "timeout": -1});
            let response = relay.request("POST", "/channels", Some(&spec));
            let body = (response.status == 201).then(|| response.json())?;
            let text = |value: &Value| value.as_str().expect("a string").to_owned();
            Some(Channel { id: text(&body["data"]["id"]), token: text(&body["token"]) })
        });
        let mut client = RawClient::connect(&relay, &channel);
        client.send_bytes(&messages);
        client.expect_open();
        most = most.max(relay.memory());
    }
    let metrics = String::from_utf8(relay.request("GET", "/metrics", None).body).expect("text");
    let line = "ringrelay_histories_cut_for_memory_total";
    let cut = metrics.lines().find_map(|found| found.strip_prefix(line)).expect("it is counted");
    assert_ne!(cut.trim(), "0", "the bound was reached");
    let grown = most - before;
    assert!(grown < SHARD_MEMORY + OTHER_GROWTH_MAX, "{CHANNELS} channels took {} KiB", grown >> 10);
}
