use super::super::ledger::Tally;
use super::*;
use std::time::Duration;

const RUN: u64 = 0xABCDEF;
const NOW_NS: u64 = 5_000;
const SIZE: usize = 64;

fn plan(pattern: Pattern, dialect: Dialect, subscribers: u32, publishers: u32) -> Plan {
    Plan {
        target: String::new(),
        server: None,
        trust: None,
        room_targets: Vec::new(),
        channel_ids: Vec::new(),
        pattern,
        dialect,
        rooms: 1,
        subscribers,
        publishers,
        payload_bytes: SIZE,
        text: pattern.has_replies() && dialect == Dialect::Websocket,
        pace: Pace::Window(1000),
        spin: false,
        warmup: Duration::ZERO,
        duration: Duration::ZERO,
        server_pids: Vec::new(),
        core: None,
        connect_timeout: Duration::ZERO,
        progress: false,
    }
}

/// A room as it connects, with this many messages of each publisher under way.
fn room(plan: &Plan, sent: u64) -> (Rotation, Vec<Inbox>) {
    let mut rotation = Rotation::new(plan, RUN, plan.publishers as usize, Filler::new(plan.body_bytes()));
    let inboxes = super::super::topology::seats(plan).into_iter().map(|seat| rotation.inbox(seat)).collect();
    (0..plan.publishers as usize).for_each(|publisher| assert_eq!(rotation.journeys.send(publisher, sent), 0));
    (rotation, inboxes)
}

fn body(plan: &Plan, publisher: u64, sequence: u64) -> Vec<u8> {
    let stamp = Stamp { origin: RUN << 24 | publisher, sequence, sent_ns: 1_000 };
    [plan.encoding().encode(&stamp).as_slice(), Filler::new(plan.body_bytes()).bytes()].concat()
}

fn framed(plan: &Plan, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put_header(&mut bytes, if plan.text { frame::TEXT } else { frame::BINARY }, payload.len(), false);
    bytes.extend_from_slice(payload);
    bytes
}

fn message(plan: &Plan, publisher: u64, sequence: u64) -> Vec<u8> {
    framed(plan, &body(plan, publisher, sequence))
}

/// As a relay passes it on.
fn request(plan: &Plan, publisher: u64, sequence: u64, origin: &str) -> Vec<u8> {
    let body = String::from_utf8(body(plan, publisher, sequence)).unwrap();
    framed(plan, format!(r#"{{"origin":{origin},"type":"request","body":"{body}"}}"#).as_bytes())
}

fn reply(plan: &Plan, publisher: u64, sequence: u64, by: u32) -> Vec<u8> {
    let body = String::from_utf8(body(plan, publisher, sequence)).unwrap();
    framed(plan, format!(r#"{{"type":"reply","origin":"c","by":{by},"body":"{body}"}}"#).as_bytes())
}

fn take(rotation: &mut Rotation, inboxes: &mut [Inbox], connection: usize, bytes: &[u8]) {
    assert_eq!(rotation.take(connection, &mut inboxes[connection], bytes, NOW_NS).unwrap(), bytes.len());
}

fn clean(delivered: u64, round_trips: u64) -> Tally {
    Tally { delivered, round_trips, ..Tally::default() }
}

#[test]
fn messages_in_turns_are_counted_wherever_they_arrive() {
    let plan = plan(Pattern::PushPull, Dialect::Websocket, 2, 1);
    let (mut rotation, mut inboxes) = room(&plan, 5);
    take(&mut rotation, &mut inboxes, 1, &message(&plan, 0, 1));
    take(&mut rotation, &mut inboxes, 0, &[message(&plan, 0, 0), message(&plan, 0, 2)].concat());
    assert_eq!((rotation.ledger.tally, rotation.spread()), (clean(3, 0), Some(1)));
    assert_eq!((rotation.journeys.open_total(), rotation.ledger.moved.as_slice()), (2, [0].as_slice()));
    assert_eq!((rotation.ledger.latency.len(), rotation.ledger.latency.max() / 100), (3, 40));
    take(&mut rotation, &mut inboxes, 0, &[message(&plan, 0, 3), message(&plan, 0, 4)].concat());
    assert_eq!(rotation.spread(), Some(3));
    assert!(rotation.ledger.oddity.is_none());
}

#[test]
fn a_frame_is_taken_once_it_is_whole_wherever_the_cut_is() {
    for pattern in [Pattern::PushPull, Pattern::FanInOut] {
        let plan = plan(pattern, Dialect::Websocket, 1, 1);
        let one = |sequence| {
            if pattern.has_replies() { request(&plan, 0, sequence, "1") } else { message(&plan, 0, sequence) }
        };
        let bytes: Vec<u8> = (0..3).flat_map(one).collect();
        for cut in 0..bytes.len() {
            let (mut rotation, mut inboxes) = room(&plan, 3);
            let taken = rotation.take(0, &mut inboxes[0], &bytes[..cut], NOW_NS).unwrap();
            assert_eq!(taken, cut / (bytes.len() / 3) * (bytes.len() / 3));
            take(&mut rotation, &mut inboxes, 0, &bytes[taken..]);
            assert_eq!(rotation.ledger.tally, clean(3, 0));
        }
    }
}

#[test]
fn what_comes_twice_late_or_to_its_sender_is_told() {
    let plan = plan(Pattern::PushPull, Dialect::Websocket, 2, 1);
    let (mut rotation, mut inboxes) = room(&plan, 5);
    take(&mut rotation, &mut inboxes, 0, &message(&plan, 0, 0));
    take(&mut rotation, &mut inboxes, 1, &message(&plan, 0, 0));
    assert_eq!(rotation.ledger.tally, Tally { delivered: 1, reordered: 1, ..Tally::default() });
    assert!(rotation.ledger.oddity.take().unwrap().contains("twice"));
    take(&mut rotation, &mut inboxes, 1, &[message(&plan, 0, 3), message(&plan, 0, 1)].concat());
    assert_eq!(rotation.ledger.tally, Tally { delivered: 2, reordered: 2, ..Tally::default() });
    assert!(rotation.ledger.oddity.take().unwrap().contains("1 came where 4 was due"));
    take(&mut rotation, &mut inboxes, 2, &message(&plan, 0, 2));
    assert_eq!(rotation.ledger.tally, Tally { delivered: 3, reordered: 2, corrupt: 1, ..Tally::default() });
    assert!(rotation.ledger.oddity.take().unwrap().contains("own sender"));
    take(&mut rotation, &mut inboxes, 0, &message(&plan, 0, 5));
    assert!(rotation.ledger.oddity.take().unwrap().contains("never sent"));
}

#[test]
fn what_everyone_has_been_sent_past_is_lost() {
    let plan = plan(Pattern::PushPull, Dialect::Websocket, 2, 1);
    let (mut rotation, mut inboxes) = room(&plan, 1000);
    // 7 and 8 are left out; connection 1 has got nothing after 8 until the last.
    for sequence in (0..600).filter(|sequence| ![7, 8].contains(sequence)) {
        take(&mut rotation, &mut inboxes, 0, &message(&plan, 0, sequence));
    }
    assert_eq!(rotation.ledger.tally, clean(598, 0));
    take(&mut rotation, &mut inboxes, 1, &message(&plan, 0, 600));
    for sequence in 601..900 {
        take(&mut rotation, &mut inboxes, 0, &message(&plan, 0, sequence));
    }
    assert_eq!(rotation.ledger.tally, Tally { delivered: 898, lost: 2, ..Tally::default() });
    assert_eq!(rotation.journeys.open_total(), 100);
}

#[test]
fn damage_is_counted_and_does_not_stop_the_run() {
    let plan = plan(Pattern::PushPull, Dialect::Websocket, 2, 1);
    let (mut rotation, mut inboxes) = room(&plan, 5);
    let mut filler = message(&plan, 0, 0);
    *filler.last_mut().unwrap() ^= 1;
    let mut stamp = message(&plan, 0, 1);
    stamp[2 + 7] = 0xFF;
    let short = framed(&plan, b"short");
    let shortened = framed(&plan, &body(&plan, 0, 1)[..SIZE - 1]);
    let foreign = message(&plan, 1, 1);
    let mut text = Vec::new();
    frame::put_header(&mut text, frame::TEXT, SIZE, false);
    text.resize(text.len() + SIZE, b'x');
    let bytes = [filler, stamp, short, shortened, foreign, text, message(&plan, 0, 2)].concat();
    take(&mut rotation, &mut inboxes, 0, &bytes);
    assert_eq!(rotation.ledger.tally, Tally { delivered: 3, corrupt: 6, ..Tally::default() });
}

#[test]
fn a_frame_that_nobody_sent_is_skipped_even_if_larger_than_a_read() {
    let plan = plan(Pattern::PushPull, Dialect::Websocket, 2, 1);
    let (mut rotation, mut inboxes) = room(&plan, 5);
    let bytes = [framed(&plan, &[b'x'; 1000]), message(&plan, 0, 0)].concat();
    let mut tail = Vec::new();
    for read in bytes.chunks(100) {
        tail.extend_from_slice(read);
        let taken = rotation.take(0, &mut inboxes[0], &tail, NOW_NS).unwrap();
        tail.drain(..taken);
        assert!(tail.len() < SIZE + 2, "bytes to be skipped are not kept");
    }
    assert_eq!(rotation.ledger.tally, Tally { delivered: 1, corrupt: 1, ..Tally::default() });
}

#[test]
fn a_request_is_answered_to_its_origin_and_over_when_the_reply_is_back() {
    let plan = plan(Pattern::FanInOut, Dialect::Websocket, 1, 2);
    let (mut rotation, mut inboxes) = room(&plan, 2);
    take(&mut rotation, &mut inboxes, 2, &request(&plan, 0, 0, r#""id \" 7""#));
    assert_eq!(rotation.ledger.tally, clean(1, 0));
    assert!(rotation.ledger.moved.is_empty() && rotation.ledger.latency.is_empty());
    let answer = std::mem::take(&mut rotation.ledger.replies);
    let header = Header::parse(&answer).unwrap();
    let mut payload = answer[header.header_bytes..].to_vec();
    frame::mask(&mut payload);
    let body = String::from_utf8(body(&plan, 0, 0)).unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        format!(r#"{{"type":"reply","origin":"id \" 7","by":2,"body":"{body}"}}"#)
    );
    assert_eq!((header.masked, header.opcode), (true, frame::TEXT));
    take(&mut rotation, &mut inboxes, 1, &reply(&plan, 0, 0, 2));
    assert_eq!((rotation.ledger.tally, rotation.ledger.moved.as_slice()), (clean(2, 1), [0].as_slice()));
    assert_eq!((rotation.journeys.vacancy(0), rotation.ledger.latency.len()), (999, 1));
}

#[test]
fn replies_to_others_of_nobody_or_of_nothing_are_told() {
    let plan = plan(Pattern::FanInOut, Dialect::Websocket, 1, 2);
    let (mut rotation, mut inboxes) = room(&plan, 3);
    for sequence in 0..2 {
        take(&mut rotation, &mut inboxes, 0, &request(&plan, 0, sequence, "1"));
    }
    for (connection, bytes, told) in [
        (0, reply(&plan, 0, 0, 0), "of another client"),
        (2, reply(&plan, 0, 0, 0), "of another client"),
        (1, reply(&plan, 0, 0, 3), "of nobody"),
        (1, reply(&plan, 0, 2, 0), "before its request"),
        (0, framed(&plan, br#"{"type":"request"}"#), "without a body"),
        (0, framed(&plan, br#"{"type":"error","error":"no_responders","message":"wait"}"#), "no_responders"),
        (0, framed(&plan, b"[]"), "cannot be read"),
    ] {
        take(&mut rotation, &mut inboxes, connection, &bytes);
        let oddity = rotation.ledger.oddity.take().unwrap();
        assert!(oddity.contains(told), "{oddity} does not say {told}");
    }
    assert_eq!(rotation.ledger.tally, Tally { delivered: 2, corrupt: 7, ..Tally::default() });
    take(&mut rotation, &mut inboxes, 1, &[reply(&plan, 0, 1, 0), reply(&plan, 0, 0, 0)].concat());
    assert_eq!(
        rotation.ledger.tally,
        Tally { delivered: 3, round_trips: 2, corrupt: 7, reordered: 1, ..Tally::default() }
    );
}

#[test]
fn a_request_without_an_origin_cannot_be_answered() {
    let plan = plan(Pattern::FanInOut, Dialect::Websocket, 1, 1);
    let (mut rotation, mut inboxes) = room(&plan, 1);
    take(&mut rotation, &mut inboxes, 0, &framed(&plan, &request::request(&body(&plan, 0, 0))));
    assert_eq!(rotation.ledger.tally, Tally { delivered: 1, corrupt: 1, ..Tally::default() });
    assert!(rotation.ledger.replies.is_empty());
}

#[test]
fn nats_requests_are_answered_together_to_their_subjects() {
    let plan = plan(Pattern::FanInOut, Dialect::Nats, 1, 1);
    let (mut rotation, mut inboxes) = room(&plan, 2);
    let mut protocol = b"PING\r\n".to_vec();
    for sequence in 0..2 {
        let payload = request::request(&body(&plan, 0, sequence));
        protocol.extend_from_slice(format!("MSG s 1 in.{sequence} {}\r\n", payload.len()).as_bytes());
        protocol.extend_from_slice(&payload);
        protocol.extend_from_slice(b"\r\n");
    }
    let bytes: Vec<u8> = protocol.chunks(100).flat_map(|part| framed(&plan, part)).collect();
    take(&mut rotation, &mut inboxes, 0, &bytes);
    assert_eq!(rotation.ledger.tally, clean(2, 0));
    let answer = &rotation.ledger.replies;
    let header = Header::parse(answer).unwrap();
    assert_eq!(header.header_bytes as u64 + header.payload_bytes, answer.len() as u64, "one frame");
    let mut payload = answer[header.header_bytes..].to_vec();
    frame::mask(&mut payload);
    let mut expected = b"PONG\r\n".to_vec();
    for sequence in 0..2 {
        let mut reply = Vec::new();
        request::put_reply(&mut reply, None, 0, std::str::from_utf8(&body(&plan, 0, sequence)).unwrap());
        nats::put_publication(&mut expected, format!("in.{sequence}").as_bytes(), None, &reply);
    }
    assert_eq!(String::from_utf8(payload), String::from_utf8(expected));
}
