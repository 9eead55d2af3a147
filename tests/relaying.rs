//! How messages travel: to whom, in which order, unchanged, and on whichever shard.

mod support;

use std::net::Shutdown;
use std::thread;

use serde_json::json;
use support::client::Client;
use support::frame::{BINARY, Frame, TEXT};
use support::noise;
use support::raw::RawClient;
use support::relay::{Channel, Relay};
use tungstenite::Message;

#[test]
fn pub_sub_goes_to_everyone_and_to_its_sender() {
    let relay = Relay::start();
    let channel = relay.pub_sub();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&relay, &channel)).collect();
    for sender in 0..clients.len() {
        clients[sender].send(format!("from {sender}"));
        for client in &mut clients {
            client.expect(format!("from {sender}"));
        }
    }
}

#[test]
fn exclude_sender_leaves_out_the_sender_alone() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    for (sender, client) in clients.iter_mut().enumerate() {
        client.send(format!("from {sender}"));
    }
    // The order of two senders is open, so each is asked for the set; its own would be the third.
    for (number, client) in clients.iter_mut().enumerate() {
        let mut seen = [client.message(), client.message()].map(|message| message.to_string());
        seen.sort();
        let others: Vec<String> =
            (0..3).filter(|other| *other != number).map(|other| format!("from {other}")).collect();
        assert_eq!(seen.to_vec(), others);
    }
    // Nothing else is on its way.
    clients[0].send("the last");
    clients[1].expect("the last");
    clients[2].expect("the last");
    clients[1].send("an answer");
    clients[0].expect("an answer");
    clients[2].expect("an answer");
}

#[test]
fn excluded_sender_alone_hears_nothing() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let mut alone = RawClient::connect(&relay, &channel);
    alone.send_all(&[Frame::text("anyone?"), Frame::ping("")]);
    // The answer to the ping is the first thing that comes.
    alone.expect_pong(b"");
    let mut late = RawClient::connect(&relay, &channel);
    late.expect_open();
    alone.send(&Frame::text("now?"));
    late.expect_text("now?");
}

#[test]
fn history_is_sent_to_who_joins_later() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "history": 3}));
    let mut early = RawClient::connect(&relay, &channel);
    for number in 0..5 {
        early.send(&Frame::text(format!("message {number}")));
        early.expect_text(&format!("message {number}"));
    }
    let mut late = RawClient::connect(&relay, &channel);
    for number in 2..5 {
        late.expect_text(&format!("message {number}"));
    }
    early.send(&Frame::binary("live"));
    late.expect_binary(b"live");
    early.expect_binary(b"live");
}

#[test]
fn without_history_nobody_gets_what_was_before_them() {
    let relay = Relay::start();
    let channel = relay.pub_sub();
    let mut early = RawClient::connect(&relay, &channel);
    early.send(&Frame::text("before"));
    early.expect_text("before");
    let mut late = RawClient::connect(&relay, &channel);
    early.send(&Frame::text("after"));
    late.expect_text("after");
}

#[test]
fn text_stays_text_and_binary_stays_binary() {
    let relay = Relay::start();
    for channel in [relay.echo(), relay.pub_sub()] {
        let mut client = RawClient::connect(&relay, &channel);
        for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            let text = "t".repeat(len);
            client.send_all(&[Frame::text(text.clone()), Frame::binary(text.clone()), Frame::binary(noise(len))]);
            assert_eq!(client.message(), (TEXT, text.clone().into_bytes()));
            assert_eq!(client.message(), (BINARY, text.into_bytes()));
            assert_eq!(client.message(), (BINARY, noise(len)));
        }
    }
}

#[test]
fn messages_arrive_whole_whatever_their_fragments() {
    let relay = Relay::start();
    let channel = relay.pub_sub();
    let (mut sender, mut other) = (RawClient::connect(&relay, &channel), RawClient::connect(&relay, &channel));
    let mut third = RawClient::connect(&relay, &channel);
    // Another's messages come between the fragments, and never inside the message.
    sender.send(&Frame::text("half").unfinished());
    sender.expect_open();
    other.send(&Frame::text("in between"));
    third.expect_text("in between");
    sender.send(&Frame::continuation(" and half"));
    third.expect_text("half and half");
}

#[test]
fn messages_of_one_sender_arrive_in_order() {
    const SENDERS: usize = 4;
    const MESSAGES: u32 = 3_000;
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let listeners: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    let senders: Vec<RawClient> = (0..SENDERS).map(|_| RawClient::connect(&relay, &channel)).collect();

    thread::scope(|scope| {
        let reading: Vec<_> = listeners
            .into_iter()
            .map(|mut listener| {
                scope.spawn(move || {
                    let mut next = [0; SENDERS];
                    for _ in 0..SENDERS as u32 * MESSAGES {
                        let (sender, number) = numbered(&listener.message());
                        assert_eq!(number, next[sender], "from sender {sender}");
                        next[sender] += 1;
                    }
                })
            })
            .collect();
        let mut sending = Vec::new();
        for (sender, mut client) in senders.into_iter().enumerate() {
            // Each also reads what the others send, or it would be a slow consumer.
            let mut reader = client.split();
            scope.spawn(move || reader.drain());
            sending.push(scope.spawn(move || {
                for number in 0..MESSAGES {
                    client.send(&Frame::text(format!("{sender} {number}")));
                }
                client
            }));
        }
        let sent: Vec<RawClient> = sending.into_iter().map(|sender| sender.join().expect("sent all")).collect();
        for reader in reading {
            reader.join().expect("received all, in order");
        }
        for client in sent {
            client.stream().shutdown(Shutdown::Both).expect("a TCP socket");
        }
    });
}

#[test]
fn echo_keeps_the_order_of_a_burst() {
    let relay = Relay::start();
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    for round in 0..20_u32 {
        // All lengths up to a few receive buffers, sent in one write.
        let frames: Vec<Frame> =
            (0..200_u32).map(|n| Frame::binary(noise((round * 200 + n) as usize * 7 % 1_500))).collect();
        client.send_all(&frames);
        for frame in &frames {
            client.expect_binary(&frame.payload);
        }
    }
}

#[test]
fn channels_on_different_shards_relay_side_by_side() {
    let relay = Relay::start();
    let [left, right] = relay.channels_on_both_shards(&json!({"pattern": "pub-sub"}));
    let mut clients: Vec<(Client, Client)> = [&left, &right, &left, &right]
        .map(|channel| (Client::connect(&relay, channel), Client::connect(&relay, channel)))
        .into();
    for round in 0..50 {
        for (number, (sender, _)) in clients.iter_mut().enumerate() {
            sender.send(format!("{number} in round {round}"));
        }
        for half in [[0, 2], [1, 3]] {
            for number in half {
                let (first, second) = &mut clients[number];
                for client in [first, second] {
                    let mut seen = [client.message().to_string(), client.message().to_string()];
                    seen.sort();
                    assert_eq!(seen, half.map(|sender| format!("{sender} in round {round}")));
                }
            }
        }
    }
    for channel in [&left, &right] {
        assert_eq!(relay.clients(channel), 4);
    }
    // REST sees both, and each alone.
    assert_eq!(relay.request("GET", "/channels", None).json()["data"].as_array().map(Vec::len), Some(2));
    relay.delete(&left);
    assert_eq!(relay.look_up(&left), None);
    let (sender, receiver) = &mut clients[1];
    sender.send("still here");
    receiver.expect("still here");
}

#[test]
fn every_connection_finds_its_channel_whichever_front_accepts_it() {
    let relay = Relay::start_with(&["--shards", "4"]);
    let channels: Vec<Channel> = (0..8).map(|_| relay.echo()).collect();
    for round in 0..8 {
        for channel in &channels {
            let mut client = RawClient::connect(&relay, channel);
            let text = format!("{} in round {round}", channel.id);
            client.send(&Frame::text(text.as_str()));
            client.expect_text(&text);
        }
    }
}

#[test]
fn one_shard_relays_too() {
    let relay = Relay::start_with(&["--shards", "1"]);
    let channel = relay.pub_sub();
    let (mut alice, mut bob) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    alice.send("hello");
    bob.expect("hello");
    alice.expect("hello");
}

/// Sender and number of a message.
fn numbered(message: &Message) -> (usize, u32) {
    let text = message.to_text().expect("text");
    let (sender, number) = text.split_once(' ').expect("two numbers");
    (sender.parse().expect("a number"), number.parse().expect("a number"))
}
