//! The core in virtual time, one behaviour a test.

mod ending;

use std::num::NonZeroU64;
use std::time::Duration;

use ringrelay::channel::{AdmitError, ChannelId, ChannelSpec, ClientId, Pattern, Rights, SlowPolicy, Token};
use ringrelay::chunk::{Piece, Pieces};
use ringrelay::relay::{Input, Limits, Output, Relay, Terms};
use ringrelay::time::Time;

const LAG_MAX: u64 = 10_000;
const TERMS: Terms = Terms { rights: Rights::ALL, ends_at: None, window: None };

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

fn relay() -> Relay {
    Relay::new(3, Limits::new(1000, LAG_MAX))
}

fn spec(id: &str, pattern: Pattern) -> ChannelSpec {
    ChannelSpec {
        id: ChannelId::parse(id).unwrap(),
        token: Token::new("secret"),
        pattern,
        client_limit: None,
        timeout: None,
        exclude_sender: false,
        history: 0,
        slow_consumers: SlowPolicy::Disconnect,
        permit: None,
    }
}

/// A relay with one pub-sub channel and `count` clients whose upgrades have been answered.
fn with_clients(spec: ChannelSpec, count: usize) -> (Relay, Vec<ClientId>) {
    let mut relay = relay();
    let id = spec.id.clone();
    relay.create(at(0), spec).unwrap();
    let clients = (0..count).map(|_| join(&mut relay, &id)).collect();
    complete_all(&mut relay, at(0));
    (relay, clients)
}

fn join(relay: &mut Relay, id: &ChannelId) -> ClientId {
    let place = relay.admit(id, Some("secret")).unwrap();
    relay.join(at(0), place, b"101", TERMS)
}

fn drain(relay: &mut Relay, now: Time) -> Vec<Output> {
    let mut outputs = Vec::new();
    relay.drain(now, |output| outputs.push(output));
    outputs
}

/// Completes sends until there are none; returns what each client was sent, in order of the sends.
fn complete_all(relay: &mut Relay, now: Time) -> Vec<(ClientId, Vec<u8>)> {
    let mut sent = Vec::new();
    loop {
        let outputs = drain(relay, now);
        if outputs.is_empty() {
            return sent;
        }
        for output in outputs {
            match output {
                Output::Send(client, pieces) => {
                    let bytes = bytes(&pieces);
                    relay.handle(now, client, Input::Sent(bytes.len()));
                    sent.push((client, bytes));
                }
                Output::Cut(client) => relay.handle(now, client, Input::Closed),
                Output::Submit | Output::Forget(_) | Output::CancelSend(_) | Output::ShutWrite(_) => {}
            }
        }
    }
}

fn bytes(pieces: &Pieces) -> Vec<u8> {
    pieces.iter().flat_map(Piece::to_vec).collect()
}

fn say(relay: &mut Relay, now: Time, client: ClientId, payload: &[u8]) {
    let mut frame = vec![0x82];
    if payload.len() < 126 {
        frame.push(0x80 | payload.len() as u8);
    } else {
        frame.push(0xfe);
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    relay.receive(now, client, &mut frame);
}

fn sends(outputs: Vec<Output>) -> Vec<(ClientId, Pieces)> {
    let send = |output| match output {
        Output::Send(client, pieces) => (client, pieces),
        other => panic!("{other:?}"),
    };
    outputs.into_iter().map(send).collect()
}

#[test]
fn a_broadcast_is_the_same_memory_for_all() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 3);
    say(&mut relay, at(1), clients[0], b"hello");
    let sends = sends(drain(&mut relay, at(1)));
    assert_eq!(sends.len(), 3);
    for (_, pieces) in &sends {
        assert_eq!(bytes(pieces), b"\x82\x05hello");
        assert_eq!(pieces[0].cells().as_ptr(), sends[0].1[0].cells().as_ptr());
    }
}

#[test]
fn what_comes_during_a_send_goes_out_with_the_next() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 1);
    say(&mut relay, at(1), clients[0], b"0");
    let first = sends(drain(&mut relay, at(1)));
    assert_eq!(bytes(&first[0].1), b"\x82\x010");
    for i in b'1'..=b'9' {
        say(&mut relay, at(1), clients[0], &[i]);
        assert!(drain(&mut relay, at(1)).is_empty(), "one send in flight at a time");
    }
    relay.handle(at(1), clients[0], Input::Sent(3));
    let second = sends(drain(&mut relay, at(1)));
    assert_eq!(second[0].1.len(), 1, "one run of bytes");
    assert_eq!(bytes(&second[0].1).len(), 9 * 3);
}

#[test]
fn messages_of_one_turn_leave_in_one_send() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 2);
    (0..20).for_each(|_| say(&mut relay, at(1), clients[0], b"x"));
    assert_eq!(sends(drain(&mut relay, at(1))).len(), 2);
}

#[test]
fn a_channel_expires_to_the_millisecond_and_a_message_renews_it() {
    let mut spec = spec("c", Pattern::PubSub);
    spec.timeout = Some(Duration::from_millis(100));
    let id = spec.id.clone();
    let (mut relay, clients) = with_clients(spec, 1);
    say(&mut relay, at(60), clients[0], b"x");
    complete_all(&mut relay, at(60));
    let before = Time::ZERO + Duration::from_micros(159_999);
    complete_all(&mut relay, before);
    let countdown = relay.read(before, &id).expect("it was renewed").countdown;
    assert_eq!(countdown, Some(Duration::from_micros(1)));
    assert!(relay.next_deadline().is_some_and(|deadline| deadline <= at(160)), "the driver wakes in time");
    let sent = complete_all(&mut relay, at(160));
    assert_eq!(sent, [(clients[0], b"\x88\x11\x11\x3achannel expired".to_vec())]);
    assert!(relay.read(at(160), &id).is_none());
}

#[test]
fn a_timeout_beyond_all_clocks_never_comes() {
    let mut spec = spec("c", Pattern::Echo);
    spec.timeout = Some(Duration::from_millis(1 << 53));
    let id = spec.id.clone();
    let (relay, _) = with_clients(spec, 0);
    assert_eq!(relay.read(at(5), &id).unwrap().countdown, Some(Duration::from_millis((1 << 53) - 5)));
}

#[test]
fn a_slow_consumer_gets_whole_frames_and_4408_and_the_others_everything() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 2);
    let payload = [7; 500];
    say(&mut relay, at(1), clients[0], &payload);
    // The second client's send does not end; the first one's do.
    let stuck = sends(drain(&mut relay, at(1))).pop().unwrap();
    relay.handle(at(1), clients[0], Input::Sent(504));
    let mut fast = 1;
    let cancelled = loop {
        assert!(fast < 100, "the slow one is found");
        say(&mut relay, at(1), clients[0], &payload);
        let mut cancelled = false;
        for output in drain(&mut relay, at(1)) {
            match output {
                Output::Send(client, pieces) => {
                    assert_eq!((client, bytes(&pieces).len()), (clients[0], 504));
                    relay.handle(at(1), client, Input::Sent(504));
                    fast += 1;
                }
                Output::CancelSend(client) => cancelled = client == clients[1],
                other => panic!("{other:?}"),
            }
        }
        if cancelled {
            break fast;
        }
    };
    assert!((cancelled as u64 - 2) * 504 <= LAG_MAX + 504 && cancelled as u64 * 504 > LAG_MAX);
    relay.handle(at(1), clients[1], Input::Sent(100));
    let rest = complete_all(&mut relay, at(1));
    let [(client, bytes_of_record), (_, close)] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(*client, clients[1]);
    assert_eq!(*bytes_of_record, bytes(&stuck.1)[100..]);
    assert_eq!(close[..4], [0x88, 15, 0x11, 0x38]);
    assert_eq!(relay.read(at(1), &ChannelId::parse("c").unwrap()).unwrap().clients, 1);
    // It never answers, and is cut.
    assert!(!complete_all(&mut relay, at(1)).iter().any(|(client, _)| *client == clients[1]));
    assert!(matches!(drain(&mut relay, at(60_000))[..], [Output::Cut(client)] if client == clients[1]));
}

#[test]
fn a_reader_that_never_reads_an_echo_is_closed_too() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::Echo), 1);
    for _ in 0..100 {
        say(&mut relay, at(1), clients[0], &[7; 500]);
        drain(&mut relay, at(1));
    }
    assert_eq!(relay.read(at(1), &ChannelId::parse("c").unwrap()).unwrap().clients, 0);
}

#[test]
fn an_echo_may_be_read_as_late_as_one_likes_by_who_has_no_more_than_the_bound_on_its_way() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::Echo), 1);
    for _ in 0..LAG_MAX / 1004 {
        say(&mut relay, at(1), clients[0], &[7; 1000]);
        drain(&mut relay, at(1));
    }
    drain(&mut relay, at(1));
    assert!(relay.is_open(clients[0]));
    for _ in 0..2 {
        say(&mut relay, at(1), clients[0], &[7; 1000]);
        drain(&mut relay, at(1));
    }
    assert!(!relay.is_open(clients[0]));
}

#[test]
fn one_message_of_the_largest_size_fits_whatever_the_lag_bound() {
    let mut relay = Relay::new(0, Limits::new(1000, 1));
    let spec = spec("c", Pattern::PubSub);
    let id = spec.id.clone();
    relay.create(at(0), spec).unwrap();
    let clients: Vec<ClientId> = (0..2).map(|_| join(&mut relay, &id)).collect();
    complete_all(&mut relay, at(0));
    say(&mut relay, at(1), clients[0], &[0; 1000]);
    drain(&mut relay, at(1));
    say(&mut relay, at(1), clients[0], b"x");
    assert!(drain(&mut relay, at(1)).is_empty());
}

#[test]
fn the_client_limit_counts_reservations() {
    let mut spec = spec("c", Pattern::PubSub);
    spec.client_limit = Some(2);
    let id = spec.id.clone();
    let (mut relay, _) = with_clients(spec, 1);
    let place = relay.admit(&id, Some("secret")).unwrap();
    assert_eq!(relay.admit(&id, Some("secret")).unwrap_err(), AdmitError::Full);
    assert_eq!(relay.admit(&id, Some("wrong")).unwrap_err(), AdmitError::WrongToken, "the token comes first");
    relay.leave(place);
    let place = relay.admit(&id, Some("secret")).unwrap();
    relay.join(at(0), place, b"101", TERMS);
    assert_eq!(relay.admit(&id, Some("secret")).unwrap_err(), AdmitError::Full);
}

#[test]
fn a_place_in_a_deleted_channel_fits_no_other() {
    let mut relay = relay();
    let first = spec("first", Pattern::Echo);
    let id = first.id.clone();
    relay.create(at(0), first).unwrap();
    let place = relay.admit(&id, Some("secret")).unwrap();
    assert!(relay.delete(at(0), &id) && !relay.delete(at(0), &id));
    relay.create(at(0), spec("second", Pattern::Echo)).unwrap();
    let client = relay.join(at(0), place, b"101", TERMS);
    let sent = complete_all(&mut relay, at(0));
    assert_eq!(sent.iter().flat_map(|(_, bytes)| bytes.clone()).take(7).collect::<Vec<_>>(), b"101\x88\x11\x11\x34");
    assert!(sent.iter().all(|(to, _)| *to == client));
    assert_eq!(relay.read(at(0), &ChannelId::parse("second").unwrap()).unwrap().clients, 0);
}

#[test]
fn what_was_said_before_a_deletion_still_arrives() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 2);
    say(&mut relay, at(1), clients[0], b"last words");
    relay.delete(at(1), &ChannelId::parse("c").unwrap());
    let sent = complete_all(&mut relay, at(1));
    let to_second: Vec<u8> =
        sent.iter().filter(|(to, _)| *to == clients[1]).flat_map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(to_second[..16], *b"\x82\x0alast words\x88\x11\x11\x34");
}

#[test]
fn a_client_that_is_stuck_behind_its_own_messages_is_closed() {
    let mut spec = spec("c", Pattern::PubSub);
    spec.exclude_sender = true;
    let (mut relay, clients) = with_clients(spec, 2);
    say(&mut relay, at(1), clients[1], b"for the first, who never takes it");
    drain(&mut relay, at(1));
    for _ in 0..100 {
        say(&mut relay, at(1), clients[0], &[7; 500]);
        for (client, pieces) in drain(&mut relay, at(1)).into_iter().filter_map(|output| match output {
            Output::Send(client, pieces) if client == clients[1] => Some((client, pieces)),
            _ => None,
        }) {
            relay.handle(at(1), client, Input::Sent(bytes(&pieces).len()));
        }
    }
    assert!(!relay.is_open(clients[0]) && relay.is_open(clients[1]));
}

#[test]
fn messages_between_ones_own_leave_in_one_send() {
    let mut spec = spec("c", Pattern::PubSub);
    spec.exclude_sender = true;
    let (mut relay, clients) = with_clients(spec, 3);
    for i in b'0'..b'3' {
        say(&mut relay, at(1), clients[0], &[i]);
        say(&mut relay, at(1), clients[1], &[i + 16]);
    }
    let sends = sends(drain(&mut relay, at(1)));
    let sent: Vec<Vec<u8>> = sends.iter().map(|(_, pieces)| bytes(pieces)).collect();
    assert_eq!(sent[0], b"\x82\x01@\x82\x01A\x82\x01B");
    assert_eq!(sent[1], b"\x82\x010\x82\x011\x82\x012");
    assert_eq!(sent[2].len(), 6 * 3);
}

/// The payloads that each client was sent, behind headers of two bytes.
fn payloads(sent: &[(ClientId, Vec<u8>)], client: ClientId) -> Vec<u8> {
    sent.iter().filter(|(to, _)| *to == client).flat_map(|(_, bytes)| bytes.iter().copied()).collect()
}

#[test]
fn push_pull_counts_differ_by_at_most_one() {
    for receivers in 1..8 {
        let (mut relay, clients) = with_clients(spec("c", Pattern::PushPull), receivers + 1);
        let mut counts = vec![0; receivers];
        for number in 0..100 {
            say(&mut relay, at(number), clients[0], b"job");
            let sent = complete_all(&mut relay, at(number));
            let [(to, _)] = sent.as_slice() else { panic!("one client gets it: {sent:?}") };
            let index = clients.iter().position(|client| client == to).unwrap();
            assert_ne!(index, 0, "the sender is skipped");
            counts[index - 1] += 1;
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }
}

#[test]
fn what_breaks_the_rules_does_not_keep_a_channel_alive() {
    let spec = ChannelSpec { timeout: Some(Duration::from_millis(100)), ..spec("c", Pattern::ReqRepl) };
    let id = spec.id.clone();
    let (mut relay, clients) = with_clients(spec, 2);
    say(&mut relay, at(60), clients[0], b"nonsense");
    assert!(payloads(&complete_all(&mut relay, at(60)), clients[0]).ends_with(b"}"));
    assert!(relay.read(at(99), &id).is_some());
    say(&mut relay, at(99), clients[0], br#"{"type":"request"}"#);
    complete_all(&mut relay, at(199 - 1));
    assert!(relay.read(at(198), &id).is_some(), "a request does");
    complete_all(&mut relay, at(199));
    assert!(relay.read(at(199), &id).is_none());
}

#[test]
fn a_request_to_everyone_is_the_same_memory_for_all_of_them() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::ReqRepl), 4);
    say(&mut relay, at(1), clients[0], br#"{"type":"request"}"#);
    let sends = sends(drain(&mut relay, at(1)));
    assert_eq!(sends.iter().map(|(client, _)| *client).collect::<Vec<_>>(), clients[1..]);
    for (_, pieces) in &sends {
        assert_eq!(bytes(pieces), b"\x82\x23{\"origin\":\"3-0-1\",\"type\":\"request\"}");
        assert_eq!(pieces[0].cells().as_ptr(), sends[0].1[0].cells().as_ptr());
    }
}

/// Two sends in flight could overtake each other, and so could a request in the log and a reply in the outbox.
#[test]
fn a_reply_leaves_behind_the_requests_that_its_sender_made_before() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::ReqRepl), 2);
    let (asker, peer) = (clients[0], clients[1]);
    let request = |letter: char| format!(r#"{{"type":"request","x":"{letter}"}}"#);
    let reply = |letter: char| format!(r#"{{"type":"reply","origin":"3-0-1","x":"{letter}"}}"#);
    say(&mut relay, at(1), peer, request('a').as_bytes());
    let first = sends(drain(&mut relay, at(1)));
    // While the first is on its way, and comes back short, the two take turns.
    for (kind, letter) in [(0, 'b'), (1, 'c'), (0, 'd'), (1, 'e'), (1, 'f'), (0, 'g')] {
        let message = if kind == 0 { request(letter) } else { reply(letter) };
        say(&mut relay, at(1), peer, message.as_bytes());
    }
    let mut got = bytes(&first[0].1);
    got.truncate(7);
    relay.handle(at(1), asker, Input::Sent(7));
    got.extend(payloads(&complete_all(&mut relay, at(2)), asker));
    let letters: String = String::from_utf8_lossy(&got)
        .split(r#""x":""#)
        .skip(1)
        .map(|rest| rest.chars().next().expect("a letter"))
        .collect();
    assert_eq!(letters, "abcdefg");
}

/// An error is many times as long as what it answers: a turn has to end in the middle of what a client sent, or a client
/// that does read would fall behind.
#[test]
fn a_turn_ends_when_the_errors_of_one_client_fill_it() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::ReqRepl), 1);
    let mut frames = [0x82, 0x80, 0, 0, 0, 0].repeat(10_000);
    let taken = relay.receive(at(1), clients[0], &mut frames);
    assert!(relay.turn_is_full() && taken < frames.len() && taken % 6 == 0, "{taken}");
    assert_eq!(
        relay.receive(at(1), clients[0], &mut frames[taken..]),
        0,
        "before the errors had their chance to be sent"
    );
    drain(&mut relay, at(1));
    assert!(!relay.turn_is_full());
    assert!(relay.receive(at(1), clients[0], &mut frames[taken..]) > 0);
}

fn join_with(relay: &mut Relay, id: &str, terms: Terms) -> ClientId {
    let place = relay.admit(&ChannelId::parse(id).unwrap(), None).unwrap();
    let client = relay.join(at(0), place, b"101", terms);
    complete_all(relay, at(0));
    client
}

const PUBLISHER: Terms = Terms { rights: Rights { publish: true, subscribe: false }, ends_at: None, window: None };

#[test]
fn who_may_only_publish_gets_nothing_of_others_and_no_turns() {
    for pattern in [Pattern::PubSub, Pattern::PushPull] {
        let (mut relay, clients) = with_clients(spec("a", pattern), 2);
        let publisher = join_with(&mut relay, "a", PUBLISHER);
        assert_eq!(relay.read(at(0), &ChannelId::parse("a").unwrap()).unwrap().clients, 3);
        for sender in [publisher, clients[0], clients[1], publisher] {
            say(&mut relay, at(1), sender, b"x");
            let sent = complete_all(&mut relay, at(1));
            assert!(!sent.is_empty() && sent.iter().all(|(client, _)| *client != publisher), "{pattern:?} {sent:?}");
        }
        relay.delete(at(2), &ChannelId::parse("a").unwrap());
        assert_eq!(complete_all(&mut relay, at(2)).len(), 3, "each is told that the channel has gone");
    }
}

#[test]
fn who_may_only_publish_is_told_when_nobody_takes_turns() {
    let (mut relay, _) = with_clients(spec("a", Pattern::PushPull), 0);
    let publisher = join_with(&mut relay, "a", PUBLISHER);
    say(&mut relay, at(1), publisher, b"x");
    let sent = complete_all(&mut relay, at(1));
    assert!(String::from_utf8_lossy(&sent[0].1).contains("no_responders"));
}

#[test]
fn a_publisher_that_hears_nothing_holds_no_log() {
    let mut spec = spec("a", Pattern::PubSub);
    spec.exclude_sender = true;
    let (mut relay, _) = with_clients(spec, 1);
    let publisher = join_with(&mut relay, "a", PUBLISHER);
    for _ in 0..100 {
        say(&mut relay, at(1), publisher, &[b'x'; 900]);
        complete_all(&mut relay, at(1));
    }
    assert!(relay.is_open(publisher), "what it is not to get is no lag");
    relay.handle(at(2), publisher, Input::Hangup);
    assert!(!relay.is_open(publisher));
    complete_all(&mut relay, at(2));
}

#[test]
fn a_subscriber_that_sends_is_closed_with_1008() {
    let (mut relay, _) = with_clients(spec("a", Pattern::PubSub), 1);
    let rights = Rights { publish: false, subscribe: true };
    let subscriber = join_with(&mut relay, "a", Terms { rights, ends_at: None, window: None });
    say(&mut relay, at(1), subscriber, b"x");
    let sent = complete_all(&mut relay, at(1));
    assert_eq!(sent, [(subscriber, b"\x88\x23\x03\xf0the token has no right to publish".to_vec())]);
}

#[test]
fn a_client_is_closed_when_its_token_ends() {
    let (mut relay, _) = with_clients(spec("a", Pattern::PubSub), 1);
    let client = join_with(&mut relay, "a", Terms { rights: Rights::ALL, ends_at: Some(at(50)), window: None });
    assert_eq!(relay.next_deadline(), Some(at(50)));
    assert_eq!(complete_all(&mut relay, at(49)), []);
    assert_eq!(complete_all(&mut relay, at(50)), [(client, b"\x88\x0f\x11\x31token expired".to_vec())]);
}

fn relay_with(limits: Limits) -> (Relay, ClientId) {
    let mut relay = Relay::new(3, limits);
    relay.create(at(0), spec("a", Pattern::Echo)).unwrap();
    let client = join(&mut relay, &ChannelId::parse("a").unwrap());
    complete_all(&mut relay, at(0));
    (relay, client)
}

/// Lets time pass, in steps at which something is due; what was sent, and whether the client was cut.
fn pass(relay: &mut Relay, until: Time) -> (Vec<Vec<u8>>, bool) {
    let (mut sent, mut is_cut) = (Vec::new(), false);
    while let Some(next) = relay.next_deadline().filter(|next| *next <= until) {
        for output in drain(relay, next) {
            match output {
                Output::Send(client, pieces) => {
                    relay.handle(next, client, Input::Sent(bytes(&pieces).len()));
                    sent.push(bytes(&pieces));
                }
                Output::Cut(client) => {
                    relay.handle(next, client, Input::Closed);
                    is_cut = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    (sent, is_cut)
}

const PING: &[u8] = b"\x89\x00";

#[test]
fn a_client_that_is_silent_for_two_pings_is_cut_without_a_word() {
    let (mut relay, _) =
        relay_with(Limits { ping_interval: Some(Duration::from_secs(30)), ..Limits::new(1000, LAG_MAX) });
    let (sent, is_cut) = pass(&mut relay, at(60_000));
    assert_eq!((sent, is_cut), (vec![PING.to_vec(); 2], false));
    let (sent, is_cut) = pass(&mut relay, at(90_000));
    assert_eq!((sent, is_cut), (vec![], true));
    assert!(!relay.has_clients() && relay.next_deadline().is_none());
    assert_eq!(relay.take_tally().unwrap().dead, 1);
}

#[test]
fn a_client_that_answers_is_pinged_for_ever() {
    let (mut relay, client) =
        relay_with(Limits { ping_interval: Some(Duration::from_secs(30)), ..Limits::new(1000, LAG_MAX) });
    for round in 1..=20 {
        let (sent, is_cut) = pass(&mut relay, at(round * 30_000));
        assert_eq!((sent, is_cut), (vec![PING.to_vec()], false));
        relay.receive(at(round * 30_000), client, &mut [0x8a, 0x80, 0, 0, 0, 0]);
    }
}

#[test]
fn a_client_over_its_rate_is_closed_with_1008() {
    let closed = b"\x88\x15\x03\xf0rate limit exceeded";
    let messages = Limits { message_rate: NonZeroU64::new(10), ..Limits::new(1000, LAG_MAX) };
    let bytes = Limits { byte_rate: NonZeroU64::new(70), ..Limits::new(10, LAG_MAX) };
    // 50 messages of 7 bytes are what five seconds allow.
    for limits in [messages, bytes] {
        let (mut relay, client) = relay_with(limits);
        for _ in 0..50 {
            say(&mut relay, at(1), client, b"x");
            assert_eq!(complete_all(&mut relay, at(1)).len(), 1);
        }
        // Half a second later there is room for five more.
        for _ in 0..5 {
            say(&mut relay, at(502), client, b"x");
        }
        assert!(relay.is_open(client));
        complete_all(&mut relay, at(502));
        say(&mut relay, at(502), client, b"x");
        let sent = complete_all(&mut relay, at(502));
        assert!(sent.last().unwrap().1.ends_with(closed), "{sent:?}");
    }
}
