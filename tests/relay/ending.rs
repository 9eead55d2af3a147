//! The end of the relay: who is closed when, and what still reaches them.

use std::time::Duration;

use ringrelay::channel::{CreateError, Pattern};
use ringrelay::relay::{Input, Output};

use super::{at, complete_all, drain, say, sends, spec, with_clients};

#[test]
fn a_shutdown_closes_all_and_cuts_who_does_not_answer() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 3);
    relay.shut_down(at(10), Duration::ZERO);
    let sent = complete_all(&mut relay, at(10));
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|(_, bytes)| bytes[2..4] == 1012u16.to_be_bytes()));
    // One answers, and then closes its side too.
    relay.receive(at(20), clients[0], &mut [0x88, 0x80, 0, 0, 0, 0]);
    assert!(matches!(drain(&mut relay, at(20))[..], [Output::ShutWrite(_)]));
    relay.handle(at(21), clients[0], Input::Hangup);
    complete_all(&mut relay, at(21));
    assert!(relay.has_clients());
    assert!(relay.next_deadline().is_some_and(|deadline| deadline <= at(5010)), "the driver wakes in time");
    assert_eq!(drain(&mut relay, at(5009)).len(), 0);
    assert_eq!(relay.next_deadline(), Some(at(5010)));
    assert_eq!(drain(&mut relay, at(5010)).len(), 2);
    let refused = relay.create(at(11), spec("d", Pattern::Echo)).unwrap_err();
    assert_eq!(refused, CreateError::ShuttingDown);
}

#[test]
fn a_shutdown_is_spread_and_until_its_turn_a_client_is_served() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 100);
    relay.shut_down(at(0), Duration::from_secs(10));
    let mut closed = Vec::new();
    for second in 0..10 {
        let (mut count, time) = (0, at(second * 1000 + 999));
        for (client, bytes) in complete_all(&mut relay, time) {
            if bytes.ends_with(&close_frame()) {
                count += 1;
                closed.push(client);
            }
        }
        assert!((9..=11).contains(&count), "{count} in second {second}");
        // Who is still there talks to the others who are, and to nobody else.
        let left: Vec<_> = clients.iter().filter(|client| !closed.contains(client)).copied().collect();
        assert_eq!(left.len(), left.iter().filter(|client| relay.is_open(**client)).count());
        if let Some(speaker) = left.first() {
            say(&mut relay, time, *speaker, b"still here");
            let sent = complete_all(&mut relay, time);
            assert!(sent.len() == left.len() && sent.iter().all(|(to, _)| left.contains(to)));
        }
    }
    assert_eq!(closed.len(), 100);
}

/// What a client of an ending relay is sent last.
fn close_frame() -> Vec<u8> {
    let reason = b"relay is shutting down, connect again";
    [&[0x88, 2 + reason.len() as u8], &1012_u16.to_be_bytes()[..], reason].concat()
}

#[test]
fn what_was_said_before_its_close_reaches_a_client_of_an_ending_relay() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::PubSub), 2);
    say(&mut relay, at(1), clients[0], b"last words");
    relay.shut_down(at(1), Duration::ZERO);
    let sent = complete_all(&mut relay, at(1));
    for client in &clients {
        let bytes: Vec<u8> = sent.iter().filter(|(to, _)| to == client).flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(bytes, [b"\x82\x0alast words", &close_frame()[..]].concat());
    }
}

#[test]
fn those_who_are_being_sent_something_are_closed_last() {
    let (mut relay, clients) = with_clients(spec("c", Pattern::Echo), 4);
    say(&mut relay, at(1), clients[0], b"slowly");
    assert_eq!(sends(drain(&mut relay, at(1))).len(), 1);
    relay.shut_down(at(1), Duration::from_secs(4));
    for second in 0..3 {
        drain(&mut relay, at(1 + second * 1000 + 999));
        assert!(relay.is_open(clients[0]), "second {second}");
    }
    drain(&mut relay, at(4001));
    assert!(!relay.is_open(clients[0]));
}
