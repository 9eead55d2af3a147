//! Clients that compress beside clients that do not: all of them get the same.

use std::time::Duration;

use proptest::prelude::*;
use ringrelay::channel::{ChannelId, Rights, SlowPolicy};
use ringrelay::relay::Input;
use ringrelay::time::Time;
use ringrelay::ws::deflate::Window;

use super::rig::{CHANNEL, Rig, numbers};

#[derive(Clone, Debug)]
enum Step {
    /// The first client publishes this many messages of this size.
    Publish { count: usize, len: usize },
    /// What the client has in flight goes out, up to so many bytes.
    Send { client: usize, len: usize },
    /// A client comes.
    Join(Option<Window>),
    /// The last client that came goes.
    Leave,
}

fn windows() -> impl Strategy<Value = Option<Window>> {
    prop_oneof![Just(None), Just(Some(Window::Full)), Just(Some(Window::Small))]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1usize..6, 4usize..900).prop_map(|(count, len)| Step::Publish { count, len }),
        6 => (0usize..8, prop_oneof![Just(usize::MAX), 0usize..1500])
            .prop_map(|(client, len)| Step::Send { client, len }),
        2 => windows().prop_map(Step::Join),
        1 => Just(Step::Leave),
    ];
    prop::collection::vec(step, 0..100)
}

fn run(rig: &mut Rig, steps: Vec<Step>) {
    perform(rig, steps);
    rig.drain();
    rig.settle();
}

fn perform(rig: &mut Rig, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Publish { count, len } => {
                // Some are not drained at once: clients come and go between a message and its flush.
                (0..count).for_each(|_| rig.publish(len));
                if len % 3 > 0 {
                    rig.drain();
                }
            }
            Step::Send { client, len } => rig.send(client % rig.readers.len(), len),
            Step::Join(window) => rig.join(window),
            Step::Leave if rig.readers.len() > 1 => rig.leave(),
            Step::Leave => {}
        }
    }
}

proptest! {
    #[test]
    fn everyone_gets_everything_in_order(
        first in windows(), steps in steps(), exclude_sender in any::<bool>(), history in 0u32..20,
    ) {
        let mut rig = Rig::new(1 << 30, |spec| {
            spec.exclude_sender = exclude_sender;
            spec.history = history;
        });
        rig.join(first);
        run(&mut rig, steps);
        for (client, reader) in rig.readers.iter().enumerate() {
            let expected: Vec<u32> = match (client, exclude_sender) {
                (0, true) => Vec::new(),
                _ => (reader.from.saturating_sub(history) + 1..=rig.published).collect(),
            };
            prop_assert_eq!(numbers(&reader.got), expected, "client {} with {:?}", client, reader.window);
        }
    }

    #[test]
    fn slow_clients_get_whole_messages_in_order_and_the_newest(
        first in windows(), steps in steps(), exclude_sender in any::<bool>(), history in 0u32..20,
    ) {
        let mut rig = Rig::new(1_100, |spec| {
            spec.slow_consumers = SlowPolicy::Skip;
            spec.exclude_sender = exclude_sender;
            spec.history = history;
        });
        rig.join(first);
        run(&mut rig, steps);
        rig.publish(126);
        rig.drain();
        rig.settle();
        for (client, reader) in rig.readers.iter().enumerate() {
            let numbers = numbers(&reader.got);
            prop_assert!(numbers.is_sorted_by(|one, other| one < other), "{:?}", numbers);
            if !(client == 0 && exclude_sender) {
                prop_assert_eq!(numbers.last().copied(), Some(rig.published));
            }
        }
    }

    #[test]
    fn a_channel_that_is_deleted_says_so_to_everyone(first in windows(), steps in steps(), history in 0u32..20) {
        let mut rig = Rig::new(1 << 30, |spec| spec.history = history);
        rig.join(first);
        run(&mut rig, steps);
        rig.publish(200);
        rig.relay.delete(Time::ZERO, &ChannelId::parse(CHANNEL).unwrap());
        rig.drain();
        rig.settle();
        for reader in &mut rig.readers {
            let close = b"\x88\x11\x11\x34channel deleted";
            prop_assert!(reader.got.ends_with(close));
            reader.got.truncate(reader.got.len() - close.len());
            prop_assert_eq!(numbers(&reader.got).last().copied(), Some(rig.published), "what was said before comes first");
        }
    }
}

proptest! {
    /// However far each has come: in the history, behind it, in the middle of a record.
    #[test]
    fn all_that_was_said_before_a_deletion_arrives(
        first in windows(), before in steps(), after in steps(), exclude_sender in any::<bool>(), history in 0u32..20,
    ) {
        let mut rig = Rig::new(1 << 30, |spec| {
            spec.exclude_sender = exclude_sender;
            spec.history = history;
        });
        rig.join(first);
        for steps in [before, after] {
            perform(&mut rig, steps);
            rig.join(Some(Window::Full));
            rig.publish(200);
        }
        rig.relay.delete(Time::ZERO, &ChannelId::parse(CHANNEL).unwrap());
        rig.drain();
        rig.settle();
        for (client, reader) in rig.readers.iter_mut().enumerate() {
            let close = b"\x88\x11\x11\x34channel deleted";
            prop_assert!(reader.got.ends_with(close));
            reader.got.truncate(reader.got.len() - close.len());
            let expected: Vec<u32> = match (client, exclude_sender) {
                (0, true) => Vec::new(),
                _ => (reader.from.saturating_sub(history) + 1..=rig.published).collect(),
            };
            prop_assert_eq!(numbers(&reader.got), expected, "client {} with {:?}", client, reader.window);
        }
    }
}

/// It reads the history plain, and then what it said itself must not come to it in that form either.
#[test]
fn what_a_client_said_while_it_read_the_history_is_not_sent_to_it_when_its_channel_is_deleted() {
    let mut rig = Rig::new(1 << 30, |spec| {
        spec.exclude_sender = true;
        spec.history = 10;
    });
    rig.join(None);
    (0..10).for_each(|_| rig.publish(900));
    rig.drain();
    rig.join(Some(Window::Full));
    rig.send(1, 100);
    rig.publish(200);
    rig.publish_from(1, 200);
    rig.drain();
    rig.publish(200);
    rig.publish_from(1, 200);
    rig.relay.delete(Time::ZERO, &ChannelId::parse(CHANNEL).unwrap());
    rig.drain();
    rig.settle();
    let reader = &mut rig.readers[1];
    reader.got.truncate(reader.got.len() - b"\x88\x11\x11\x34channel deleted".len());
    assert_eq!(numbers(&reader.got), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]);
}

/// Of two own messages in a row, the first may have been flushed and the second not.
#[test]
fn a_client_is_sent_nothing_for_its_own_messages_when_another_comes_between_them() {
    let mut rig = Rig::new(1 << 30, |spec| spec.exclude_sender = true);
    rig.join(Some(Window::Full));
    rig.publish(200);
    rig.drain();
    rig.publish(200);
    let answer = rig.readers[0].in_flight.take().expect("the answer to its upgrade is on its way");
    rig.readers[0].got.extend(&answer);
    rig.relay.handle(Time::ZERO, rig.readers[0].id, Input::Sent(answer.len()));
    rig.join(None);
    assert_eq!(rig.readers[0].in_flight, None);
    rig.publish_from(1, 200);
    rig.drain();
    rig.settle();
    assert_eq!(numbers(&rig.readers[0].got), [3]);
}

#[test]
fn who_may_only_send_is_not_sent_the_history() {
    for window in [None, Some(Window::Full), Some(Window::Small)] {
        let mut rig = Rig::new(1 << 30, |spec| spec.history = 10);
        rig.join(None);
        (0..5).for_each(|_| rig.publish(200));
        rig.drain();
        rig.join_with(window, Rights { publish: true, subscribe: false });
        rig.publish(200);
        rig.drain();
        rig.settle();
        assert_eq!(numbers(&rig.readers[1].got), [0; 0], "with {window:?}");
    }
}

#[test]
fn what_was_compressed_for_one_who_left_is_given_back() {
    let mut rig = Rig::new(1 << 30, |_| {});
    rig.join(None);
    rig.join(Some(Window::Full));
    rig.settle();
    // It goes between a message and its flush.
    rig.publish(900);
    rig.leave();
    rig.settle();
    rig.relay.drain(Time::ZERO + Duration::from_secs(10), |output| panic!("{output:?}"));
    assert_eq!(rig.relay.memory_len(), 0);
    assert_eq!(rig.relay.next_deadline(), None, "nothing is left to be looked after");
}

/// Who is not to get a message is noted until it has been compressed.
#[test]
fn notes_on_who_is_not_to_get_a_message_count_until_it_is_compressed() {
    const MESSAGES: usize = 1_000;
    let [with, without] = [true, false].map(|exclude_sender| {
        let mut rig = Rig::new(1 << 30, |spec| spec.exclude_sender = exclude_sender);
        rig.join(Some(Window::Full));
        rig.settle();
        for _ in 0..MESSAGES {
            rig.publish(126);
            assert!(!rig.relay.turn_is_full());
        }
        let held = rig.relay.memory_len();
        rig.drain();
        rig.settle();
        rig.relay.drain(Time::ZERO + Duration::from_secs(10), |output| panic!("{output:?}"));
        assert_eq!(rig.relay.memory_len(), 0);
        held
    });
    assert!(with >= without + MESSAGES as u64 * 16, "{with} with notes, {without} without");
}

/// Neither of the history nor of what follows is more held than the bound, for a client that reads nothing at all.
#[test]
fn a_client_that_never_reads_the_history_costs_its_bound() {
    for window in [None, Some(Window::Full)] {
        let mut rig = Rig::new(2_000, |spec| {
            spec.slow_consumers = SlowPolicy::Skip;
            spec.history = 20;
        });
        rig.join(None);
        for _ in 0..20 {
            rig.publish(900);
            rig.drain();
            rig.settle();
        }
        rig.join(window);
        for _ in 0..5_000 {
            rig.publish(900);
            rig.drain();
            rig.send(0, usize::MAX);
            if rig.readers[1].is_cancelled {
                rig.send(1, 0);
            }
        }
        assert!(rig.relay.memory_len() < 1 << 20, "{} with {window:?}", rig.relay.memory_len());
        rig.settle();
        rig.publish(126);
        rig.drain();
        rig.settle();
        let numbers = numbers(&rig.readers[1].got);
        assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
        assert_eq!(numbers.last().copied(), Some(rig.published));
    }
}

/// For what it is to get of the log, and for answers of its own, as anyone.
#[test]
fn who_reads_the_history_is_held_to_one_bound_for_all_that_it_is_sent() {
    const PONG_LEN: usize = 127;
    let messages_until_closed = |pings: usize| {
        let mut rig = Rig::new(2_000, |spec| spec.history = 3);
        rig.join(None);
        (0..3).for_each(|_| rig.publish(900));
        rig.drain();
        rig.settle();
        // It reads nothing from now on.
        rig.join(Some(Window::Full));
        for _ in 0..pings {
            let mut ping = [[0x89, 0xfd, 0, 0, 0, 0].as_slice(), &[0; 125]].concat();
            rig.relay.receive(Time::ZERO, rig.readers[1].id, &mut ping);
            rig.drain();
        }
        (1..1_000).find(|_| {
            rig.publish(900);
            rig.drain();
            rig.send(0, usize::MAX);
            !rig.relay.is_open(rig.readers[1].id)
        })
    };
    let (alone, with_pongs) = (messages_until_closed(0).unwrap(), messages_until_closed(1_500 / PONG_LEN).unwrap());
    assert!(with_pongs * 2 < alone, "{with_pongs} messages fit beside pongs of 1 397 bytes, and {alone} without them");
}
