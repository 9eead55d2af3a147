use super::super::ledger::Tally;
use super::super::options::{Dialect, Pattern};
use super::super::payload::PAYLOAD_BYTES_MAX;
use super::*;
use std::time::Duration;

const RUN: u64 = 0xABCDEF;
const NOW_NS: u64 = 5_000;

fn plan(payload_bytes: usize, text: bool, window: u32) -> Plan {
    assert!(payload_bytes <= PAYLOAD_BYTES_MAX);
    Plan {
        target: String::new(),
        server: None,
        trust: None,
        room_targets: Vec::new(),
        channel_ids: Vec::new(),
        pattern: Pattern::PubSub,
        dialect: Dialect::Websocket,
        rooms: 1,
        subscribers: 0,
        publishers: 2,
        payload_bytes,
        text,
        pace: Pace::Window(window),
        spin: false,
        warmup: Duration::ZERO,
        duration: Duration::ZERO,
        server_pids: Vec::new(),
        core: None,
        connect_timeout: Duration::ZERO,
        progress: false,
    }
}

/// Two connections, both publishers; this many messages of each are under way.
fn receiver(plan: &Plan, sent: u64) -> (Broadcast, [Inbox; 2]) {
    let mut receiver = Broadcast::new(plan, RUN, 2, Filler::new(plan.payload_bytes));
    let seat = |index| Seat { room: 0, publishes: Some(index), first_publisher: 0, publisher_count: 2 };
    let inboxes = [receiver.inbox(seat(0)), receiver.inbox(seat(1))];
    for publisher in 0..2 {
        (0..sent).for_each(|sequence| assert_eq!(receiver.windows.send(publisher), sequence));
    }
    (receiver, inboxes)
}

fn message(plan: &Plan, publisher: u64, sequence: u64) -> Vec<u8> {
    let stamp = Stamp { origin: RUN << 24 | publisher, sequence, sent_ns: 1_000 };
    let mut bytes = Vec::new();
    frame::put_header(&mut bytes, if plan.text { frame::TEXT } else { frame::BINARY }, plan.payload_bytes, false);
    bytes.extend_from_slice(&if plan.text { stamp.encode::<true>() } else { stamp.encode::<false>() });
    bytes.extend_from_slice(Filler::new(plan.payload_bytes).bytes());
    bytes
}

fn clean(delivered: u64) -> Tally {
    Tally { delivered, ..Tally::default() }
}

#[test]
fn whole_frames_are_taken_and_the_partial_one_left_wherever_the_cut_is() {
    for (payload_bytes, text) in [(24, false), (64, false), (64, true), (1024, false), (70_000, true)] {
        let plan = plan(payload_bytes, text, 4);
        let bytes: Vec<u8> = (0..3).flat_map(|sequence| message(&plan, 1, sequence)).collect();
        let frame_bytes = bytes.len() / 3;
        for cut in (0..bytes.len()).step_by(if payload_bytes > 100 { 97 } else { 1 }) {
            let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
            let taken = receiver.take(0, &mut inbox, &bytes[..cut], NOW_NS).unwrap();
            assert_eq!(taken, cut / frame_bytes * frame_bytes);
            assert_eq!(receiver.take(0, &mut inbox, &bytes[taken..], NOW_NS).unwrap(), bytes.len() - taken);
            assert_eq!(receiver.ledger.tally, clean(3));
            assert_eq!(receiver.missing(&inbox), 1 + 4);
            assert_eq!((receiver.ledger.latency.len(), receiver.ledger.latency.max() / 100), (3, 40));
        }
    }
}

#[test]
fn a_window_moves_once_all_receivers_have_its_oldest_message() {
    let plan = plan(64, false, 2);
    let (mut receiver, [mut first, mut second]) = receiver(&plan, 2);
    receiver.take(0, &mut first, &[message(&plan, 1, 0), message(&plan, 1, 1)].concat(), NOW_NS).unwrap();
    assert!(receiver.ledger.moved.is_empty());
    receiver.take(1, &mut second, &message(&plan, 1, 0), NOW_NS).unwrap();
    assert_eq!((receiver.ledger.moved.as_slice(), receiver.windows.vacancy(1)), ([1].as_slice(), 1));
    let mut moved = Vec::new();
    receiver.ledger.take_moved(&mut moved);
    assert_eq!((moved.as_slice(), receiver.ledger.moved.as_slice()), ([1].as_slice(), [].as_slice()));
}

#[test]
fn a_gap_is_lost_and_what_comes_late_is_reordered() {
    let plan = plan(64, false, 4);
    let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
    for sequence in [0, 3, 1, 3] {
        receiver.take(0, &mut inbox, &message(&plan, 0, sequence), NOW_NS).unwrap();
    }
    assert_eq!(receiver.ledger.tally, Tally { delivered: 2, lost: 2, reordered: 2, ..Tally::default() });
    assert!(receiver.ledger.oddity.is_some());
    assert_eq!(receiver.missing(&inbox), 4);
}

#[test]
fn damage_is_counted_and_does_not_stop_the_run() {
    let plan = plan(64, false, 64);
    let (mut receiver, [mut inbox, _]) = receiver(&plan, 3);
    let mut filler = message(&plan, 0, 0);
    *filler.last_mut().unwrap() ^= 1;
    let mut stamp = message(&plan, 0, 1);
    stamp[2 + 7] = 0xFF;
    let foreign = message(&plan, 7, 1);
    let invented = message(&plan, 0, 50);
    let good = message(&plan, 0, 1);
    receiver.take(0, &mut inbox, &[filler, stamp, foreign, invented, good].concat(), NOW_NS).unwrap();
    assert_eq!(receiver.ledger.tally, Tally { delivered: 2, corrupt: 4, ..Tally::default() });
}

#[test]
fn frames_that_nobody_sent_are_skipped_even_if_larger_than_a_read() {
    let plan = plan(64, false, 4);
    let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
    let mut bytes = Vec::new();
    frame::put_header(&mut bytes, frame::TEXT, 1000, false);
    bytes.resize(bytes.len() + 1000, b'x');
    bytes.extend(message(&plan, 0, 0));
    let mut tail = Vec::new();
    for read in bytes.chunks(100) {
        tail.extend_from_slice(read);
        let taken = receiver.take(0, &mut inbox, &tail, NOW_NS).unwrap();
        tail.drain(..taken);
        assert!(tail.len() < 66, "bytes to be skipped are not kept");
    }
    assert_eq!(receiver.ledger.tally, Tally { delivered: 1, corrupt: 1, ..Tally::default() });
}

#[test]
fn pings_between_messages_are_answered() {
    let plan = plan(64, false, 4);
    let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
    let mut bytes = message(&plan, 0, 0);
    frame::put_header(&mut bytes, frame::PING, 2, false);
    bytes.extend_from_slice(b"hi");
    bytes.extend(message(&plan, 0, 1));
    assert_eq!(receiver.take(0, &mut inbox, &bytes, NOW_NS).unwrap(), bytes.len());
    assert_eq!(receiver.ledger.tally, clean(2));
    let mut pong = Vec::new();
    frame::put_client_frame(&mut pong, frame::PONG, b"hi");
    assert_eq!(receiver.ledger.replies, pong);
}

#[test]
fn a_close_frame_ends_the_run_with_its_code() {
    let plan = plan(64, false, 4);
    let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
    let mut bytes = Vec::new();
    frame::put_header(&mut bytes, frame::CLOSE, 6, false);
    bytes.extend_from_slice(&4408u16.to_be_bytes());
    bytes.extend_from_slice(b"slow");
    let failure = receiver.take(3, &mut inbox, &bytes, NOW_NS).unwrap_err();
    assert!(matches!(failure, Failure::Closed { connection: 3, code: Some(4408), ref reason } if reason == "slow"));
}

#[test]
fn masked_and_compressed_frames_are_violations() {
    let plan = plan(64, false, 4);
    for first_bytes in [[0x82, 0x80 | 64], [0xC2, 64]] {
        let (mut receiver, [mut inbox, _]) = receiver(&plan, 4);
        let mut bytes = first_bytes.to_vec();
        bytes.resize(70, 0);
        assert!(matches!(receiver.take(0, &mut inbox, &bytes, NOW_NS), Err(Failure::Protocol { .. })));
    }
}
