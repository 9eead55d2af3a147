//! Slow clients of a channel that takes them to the newest message.

use proptest::prelude::*;
use ringrelay::channel::{ChannelId, SlowPolicy};
use ringrelay::time::Time;

use super::rig::{CHANNEL, Rig, numbers};

const LAG_MAX: u64 = 2_000;

fn rig(exclude_sender: bool) -> Rig {
    let mut rig = Rig::new(LAG_MAX, |spec| {
        spec.slow_consumers = SlowPolicy::Skip;
        spec.exclude_sender = exclude_sender;
    });
    (0..3).for_each(|_| rig.join(None));
    rig.settle();
    rig
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

proptest! {
    #[test]
    fn slow_clients_get_whole_messages_in_order_and_the_newest(steps in steps(), exclude_sender in any::<bool>()) {
        let mut rig = rig(exclude_sender);
        let mut lens: Vec<u64> = Vec::new();
        for step in steps {
            match step {
                Step::Publish { count, len } => {
                    for _ in 0..count {
                        rig.publish(len);
                        lens.push(4 + len.max(126) as u64);
                    }
                    rig.drain();
                }
                Step::Send { client, len } => rig.send(client, len),
            }
        }
        rig.settle();
        rig.publish(126);
        lens.push(130);
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
            missing += all - (reader.got.len() - 3) as u64;
        }
        prop_assert_eq!(rig.skipped_len, missing, "what is not sent is counted");
    }
}

/// Over TLS, what has been sealed of a cancelled send goes out all the same, wherever that ends, and is reported as sent
/// only then.
#[test]
fn a_cancelled_send_that_went_out_in_part_is_followed_by_whole_messages() {
    let (mut sealed, mut len) = (0, usize::MAX);
    while sealed <= len {
        let mut rig = rig(false);
        let mut sent_len = 0;
        while !rig.readers[2].is_cancelled {
            rig.publish(900);
            sent_len += 904;
            rig.drain();
            rig.send(0, usize::MAX);
            rig.send(1, usize::MAX);
        }
        len = rig.readers[2].in_flight.as_ref().map_or(0, Vec::len);
        assert!(len > 0, "it was cancelled in the middle of a send");
        // What comes until the report is skipped.
        for _ in 0..3 {
            rig.publish(900);
            sent_len += 904;
            rig.drain();
        }
        rig.send(2, sealed);
        rig.settle();
        rig.publish(126);
        sent_len += 130;
        rig.drain();
        rig.settle();
        let numbers = numbers(&rig.readers[2].got);
        let whole = (sealed.min(len)).div_ceil(904);
        let expected: Vec<u32> = (1..=whole as u32).chain([rig.published]).collect();
        assert_eq!(numbers, expected, "with {sealed} of {len} bytes");
        assert_eq!(rig.skipped_len, (sent_len - (rig.readers[2].got.len() - 3)) as u64);
        sealed += 113;
    }
    assert!(sealed > len);
}

/// Nothing of the log is held for a client that does not read at all.
#[test]
fn a_client_that_never_reads_costs_its_bound() {
    let mut rig = rig(false);
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
    assert_eq!(rig.relay.read(Time::ZERO, &ChannelId::parse(CHANNEL).unwrap()).unwrap().clients, 3);
}
