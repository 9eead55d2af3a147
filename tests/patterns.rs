//! The five patterns over real sockets: who gets what, under load and while clients come and go; and what a message that
//! breaks the rules of requests and replies is answered.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::client::Client;
use support::frame::{BINARY, Frame, TEXT};
use support::raw::RawClient;
use support::relay::{Channel, Relay};

/// Messages of one run: no multiple of the number of receivers.
const MESSAGES: usize = 5003;
const RECEIVERS: usize = 5;

fn channel(relay: &Relay, pattern: &str) -> Channel {
    relay.create(json!({"pattern": pattern}))
}

fn connect_all(relay: &Relay, channel: &Channel, count: usize) -> Vec<RawClient> {
    let clients: Vec<RawClient> = (0..count).map(|_| RawClient::connect(relay, channel)).collect();
    relay.await_clients(channel, count as u64);
    clients
}

/// Sends from a thread of its own, so that what comes back can be read meanwhile.
fn send_in_background(client: &mut RawClient, messages: Vec<String>) -> thread::JoinHandle<()> {
    let mut hand = client.split();
    thread::spawn(move || {
        for some in messages.chunks(100) {
            hand.send_all(&some.iter().map(|message| Frame::text(message.as_str())).collect::<Vec<_>>());
        }
    })
}

fn text(client: &mut RawClient) -> String {
    let (opcode, payload) = client.message();
    assert_eq!(opcode, TEXT);
    String::from_utf8(payload).expect("text")
}

fn json_of(client: &mut RawClient) -> Value {
    serde_json::from_str(&text(client)).expect("JSON")
}

/// The error that a client is told, which has to say what to do.
fn error_of(client: &mut RawClient) -> String {
    let error = json_of(client);
    assert_eq!(error["type"], "error", "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(' ')), "{error}");
    error["error"].as_str().expect("a code").to_owned()
}

/// Reads what a client still gets, up to the answer to a ping.
fn rest(client: &mut RawClient) -> Vec<String> {
    client.send(&Frame::ping("the end?"));
    let mut messages = Vec::new();
    loop {
        let frame = client.frame();
        match frame.opcode {
            TEXT => messages.push(String::from_utf8(frame.payload).expect("text")),
            _ => return messages,
        }
    }
}

fn numbers() -> Vec<String> {
    (0..MESSAGES).map(|number| number.to_string()).collect()
}

#[test]
fn echo_returns_5003_messages_in_order() {
    let relay = Relay::start();
    let channel = channel(&relay, "echo");
    let mut clients = connect_all(&relay, &channel, RECEIVERS);
    let senders: Vec<_> = clients.iter_mut().map(|client| send_in_background(client, numbers())).collect();
    for client in &mut clients {
        assert!((0..MESSAGES).all(|number| text(client) == number.to_string()));
    }
    senders.into_iter().for_each(|sender| sender.join().expect("all was sent"));
    assert!(clients.iter_mut().all(|client| rest(client).is_empty()), "and nothing else");
}

#[test]
fn pub_sub_brings_5003_messages_to_5_receivers_in_order() {
    let relay = Relay::start();
    let channel = channel(&relay, "pub-sub");
    let mut clients = connect_all(&relay, &channel, RECEIVERS);
    let sender = send_in_background(&mut clients[0], numbers());
    for client in &mut clients {
        assert!((0..MESSAGES).all(|number| text(client) == number.to_string()));
    }
    sender.join().expect("all was sent");
    assert!(clients.iter_mut().all(|client| rest(client).is_empty()), "and nothing else");
}

#[test]
fn push_pull_spreads_5003_messages_over_5_receivers_evenly() {
    let relay = Relay::start();
    let channel = channel(&relay, "push-pull");
    let mut sender = RawClient::connect(&relay, &channel);
    let mut receivers = connect_all_beside(&relay, &channel, 1, RECEIVERS);
    send_in_background(&mut sender, numbers()).join().expect("all was sent");
    assert!(rest(&mut sender).is_empty(), "the sender is skipped");
    // The answer to the sender's ping came behind all of its messages: they are on their way.
    let got: Vec<Vec<usize>> = receivers
        .iter_mut()
        .map(|receiver| rest(receiver).iter().map(|message| message.parse().expect("a number")).collect())
        .collect();
    // Turns in the order of joining, and so every fifth message each, in order.
    for (index, got) in got.iter().enumerate() {
        assert_eq!(got, &share(index), "receiver {index}");
    }
}

/// The requests of a run, by number.
fn requests() -> Vec<String> {
    (0..MESSAGES).map(|number| format!(r#"{{"type":"request","n":{number}}}"#)).collect()
}

/// In a thread of its own: checks that a responder gets the requests of these numbers, in order, and answers those that
/// `answers` says. Gives what else it got.
fn respond(
    mut responder: RawClient,
    numbers: Vec<usize>,
    answers: impl Fn(usize) -> bool + Send + 'static,
) -> thread::JoinHandle<Vec<String>> {
    thread::spawn(move || {
        for number in numbers {
            let request = json_of(&mut responder);
            assert_eq!(request["n"], number, "requests come in order");
            if answers(number) {
                let reply = json!({"type": "reply", "origin": request["origin"], "n": number});
                responder.send(&Frame::text(reply.to_string()));
            }
        }
        rest(&mut responder)
    })
}

/// Every fifth number, from the one of this receiver.
fn share(index: usize) -> Vec<usize> {
    (0..MESSAGES).filter(|number| number % RECEIVERS == index).collect()
}

#[test]
fn req_repl_brings_5003_requests_to_5_responders_and_each_reply_back() {
    let relay = Relay::start();
    let channel = channel(&relay, "req-repl");
    let mut asker = RawClient::connect(&relay, &channel);
    let responders = connect_all_beside(&relay, &channel, 1, RECEIVERS);
    let sender = send_in_background(&mut asker, requests());
    let every: Vec<usize> = (0..MESSAGES).collect();
    // Every responder gets every request, and one of them answers.
    let responders: Vec<_> = responders
        .into_iter()
        .enumerate()
        .map(|(index, responder)| respond(responder, every.clone(), move |number| number % RECEIVERS == index))
        .collect();
    let replies: Vec<usize> = (0..MESSAGES).map(|_| number_of(&mut asker)).collect();
    for index in 0..RECEIVERS {
        let of_one: Vec<usize> = replies.iter().copied().filter(|number| number % RECEIVERS == index).collect();
        assert_eq!(of_one, share(index), "each once, in the order that its responder sent them");
    }
    sender.join().expect("all was sent");
    for responder in responders {
        assert_eq!(responder.join().expect("it got what it was to get"), Vec::<String>::new(), "no reply to others");
    }
    assert!(rest(&mut asker).is_empty(), "no request of its own comes back");
}

#[test]
fn fan_in_out_spreads_5003_requests_over_5_responders_and_returns_each_reply() {
    let relay = Relay::start();
    let channel = channel(&relay, "fan-in-out");
    let mut asker = RawClient::connect(&relay, &channel);
    let responders = connect_all_beside(&relay, &channel, 1, RECEIVERS);
    let sender = send_in_background(&mut asker, requests());
    let responders: Vec<_> = responders
        .into_iter()
        .enumerate()
        .map(|(index, responder)| respond(responder, share(index), |_| true))
        .collect();
    let mut answered: Vec<usize> = (0..MESSAGES).map(|_| number_of(&mut asker)).collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..MESSAGES).collect::<Vec<_>>(), "every request is answered once");
    sender.join().expect("all was sent");
    for responder in responders {
        assert_eq!(responder.join().expect("it got what it was to get"), Vec::<String>::new());
    }
}

/// The number in the next message.
fn number_of(client: &mut RawClient) -> usize {
    json_of(client)["n"].as_u64().expect("a number") as usize
}

/// Clients that join behind others, one after the other: their turns come in this order.
fn connect_all_beside(relay: &Relay, channel: &Channel, others: usize, count: usize) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for joined in others + 1..=others + count {
        clients.push(RawClient::connect(relay, channel));
        relay.await_clients(channel, joined as u64);
    }
    clients
}

#[test]
fn push_pull_stays_even_while_clients_come_and_go() {
    let relay = Relay::start();
    let channel = channel(&relay, "push-pull");
    let mut sender = RawClient::connect(&relay, &channel);
    let mut stayers = connect_all_beside(&relay, &channel, 1, 3);
    let mut next = 0;
    let mut counts = [0_usize; 3];
    for round in 0..30 {
        let guest = (round % 3 != 2).then(|| connect_all_beside(&relay, &channel, 4, 1).remove(0));
        // No multiple of anything, so that the rounds begin at all places of the queue.
        let messages: Vec<String> = (next..next + 17).map(|number: u32| number.to_string()).collect();
        next += 17;
        send_in_background(&mut sender, messages).join().expect("all was sent");
        assert!(rest(&mut sender).is_empty());
        let got: Vec<usize> = stayers.iter_mut().map(|stayer| rest(stayer).len()).collect();
        for (count, got) in counts.iter_mut().zip(&got) {
            *count += got;
        }
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "round {round}: {counts:?}");
        if let Some(mut guest) = guest {
            assert_eq!(got.iter().sum::<usize>() + rest(&mut guest).len(), 17, "nothing is lost");
            drop(guest);
            relay.await_clients(&channel, 4);
        }
    }
}

#[test]
fn push_pull_alone_gets_its_own_back_until_another_comes() {
    let relay = Relay::start();
    let channel = channel(&relay, "push-pull");
    let mut alone = Client::connect(&relay, &channel);
    alone.send("anyone?");
    alone.expect("anyone?");
    alone.send(vec![1, 2]);
    alone.expect(vec![1, 2]);
    let mut other = Client::connect(&relay, &channel);
    relay.await_clients(&channel, 2);
    for _ in 0..3 {
        alone.send("work");
        other.expect("work");
    }
    other.leave();
    relay.await_clients(&channel, 1);
    alone.send("anyone left?");
    alone.expect("anyone left?");
}

#[test]
fn requests_pass_byte_for_byte_but_for_their_origin() {
    let relay = Relay::start();
    for pattern in ["req-repl", "fan-in-out"] {
        let channel = channel(&relay, pattern);
        let mut asker = RawClient::connect(&relay, &channel);
        let mut responder = connect_all_beside(&relay, &channel, 1, 1).remove(0);
        asker.send(&Frame::text(r#"{"type":"request"}"#));
        let origin = json_of(&mut responder)["origin"].as_str().expect("an origin").to_owned();
        for (sent, got) in [
            (
                "{ \"z\":1.50e+2,\t\"type\" : \"request\",\"a\":\"\\u00e9\\/é\" , \"big\":123456789012345678901234567890 }\n",
                "{\"origin\":\"ID\", \"z\":1.50e+2,\t\"type\" : \"request\",\"a\":\"\\u00e9\\/é\" , \"big\":123456789012345678901234567890 }\n",
            ),
            (
                r#"{"origin" : {"mine":1}, "type":"request","origins":[ ]}"#,
                r#"{"origin" : "ID", "type":"request","origins":[ ]}"#,
            ),
            (r#"{"type":"request","origin":"a","x":0,"\u006frigin":"b"}"#, r#"{"type":"request","origin":"ID","x":0}"#),
        ] {
            asker.send(&Frame::text(sent));
            assert_eq!(text(&mut responder), got.replace("ID", &origin), "{pattern}");
        }
        // Replies pass whole.
        let reply = format!("{{\"x\" : [1.0 ,2],\"type\":\"reply\" , \"origin\":\"{origin}\"}} ");
        responder.send(&Frame::text(reply.as_str()));
        assert_eq!(text(&mut asker), reply);
    }
}

#[test]
fn binary_frames_with_json_are_answered_in_kind() {
    let relay = Relay::start();
    for pattern in ["req-repl", "fan-in-out"] {
        let channel = channel(&relay, pattern);
        let mut asker = RawClient::connect(&relay, &channel);
        asker.send(&Frame::binary("\u{fffd}"));
        let (opcode, error) = asker.message();
        assert_eq!(opcode, BINARY);
        assert!(String::from_utf8(error).unwrap().contains("not_json"));
        let mut responder = connect_all_beside(&relay, &channel, 1, 1).remove(0);
        asker.send(&Frame::binary(r#"{"type":"request"}"#));
        let (opcode, request) = responder.message();
        assert_eq!(opcode, BINARY);
        let request: Value = serde_json::from_slice(&request).unwrap();
        let reply = json!({"type": "reply", "origin": request["origin"]}).to_string();
        responder.send(&Frame::binary(reply.as_str()));
        asker.expect_binary(reply.as_bytes());
        asker.send(&Frame::binary(vec![0xff, 0xfe]));
        assert_eq!(asker.message().0, BINARY);
    }
}

#[test]
fn what_breaks_the_rules_is_answered_to_its_sender_alone() {
    let relay = Relay::start();
    for pattern in ["req-repl", "fan-in-out"] {
        let channel = channel(&relay, pattern);
        let mut breaker = RawClient::connect(&relay, &channel);
        let mut other = connect_all_beside(&relay, &channel, 1, 1).remove(0);
        let mut gone = connect_all_beside(&relay, &channel, 2, 1).remove(0);
        gone.send(&Frame::text(r#"{"type":"request"}"#));
        gone.expect_open();
        // In fan-in-out one of the two gets it.
        let requests = [rest(&mut breaker), rest(&mut other)].concat();
        let request: Value = serde_json::from_str(&requests[0]).expect("JSON");
        let origin_of_gone = request["origin"].as_str().expect("an origin").to_owned();
        drop(gone);
        relay.await_clients(&channel, 2);
        // Somebody else has the slot of who left.
        let mut late = connect_all_beside(&relay, &channel, 2, 1).remove(0);
        for (message, code) in [
            ("hello", "not_json"),
            (r#"{"type":"request""#, "not_json"),
            ("[1,2]", "not_an_object"),
            (r#""request""#, "not_an_object"),
            ("{}", "unknown_type"),
            (r#"{"type":"ask"}"#, "unknown_type"),
            (r#"{"type":["request"]}"#, "unknown_type"),
            (r#"{"type":"reply"}"#, "missing_origin"),
            (r#"{"type":"reply","origin":"nobody"}"#, "unknown_origin"),
            (r#"{"type":"reply","origin":5}"#, "unknown_origin"),
            (&format!(r#"{{"type":"reply","origin":"{origin_of_gone}"}}"#), "unknown_origin"),
        ] {
            breaker.send(&Frame::text(message));
            assert_eq!(error_of(&mut breaker), code, "{message}");
        }
        assert!(rest(&mut other).is_empty() && rest(&mut late).is_empty(), "{pattern}");
    }
}

#[test]
fn a_reply_reaches_no_client_of_another_channel() {
    let relay = Relay::start();
    let (one, two) = (channel(&relay, "req-repl"), channel(&relay, "req-repl"));
    let mut asker = RawClient::connect(&relay, &one);
    let mut responder = connect_all_beside(&relay, &one, 1, 1).remove(0);
    asker.send(&Frame::text(r#"{"type":"request"}"#));
    let origin = json_of(&mut responder)["origin"].as_str().unwrap().to_owned();
    let mut stranger = RawClient::connect(&relay, &two);
    stranger.send(&Frame::text(format!(r#"{{"type":"reply","origin":"{origin}"}}"#)));
    assert_eq!(error_of(&mut stranger), "unknown_origin");
    assert!(rest(&mut asker).is_empty());
}

#[test]
fn a_request_that_nobody_can_get_is_answered() {
    let relay = Relay::start();
    for pattern in ["req-repl", "fan-in-out"] {
        let channel = channel(&relay, pattern);
        let mut alone = RawClient::connect(&relay, &channel);
        alone.send(&Frame::text(r#"{"type":"request"}"#));
        assert_eq!(error_of(&mut alone), "no_responders", "{pattern}");
    }
}

/// Requests go through the channel's log and replies through the receiver's own queue, so this could go wrong.
#[test]
fn requests_and_replies_of_one_sender_arrive_in_its_order() {
    const TURNS: usize = 3000;
    let relay = Relay::start();
    for pattern in ["req-repl", "fan-in-out"] {
        let channel = channel(&relay, pattern);
        let mut asker = RawClient::connect(&relay, &channel);
        let mut peer = connect_all_beside(&relay, &channel, 1, 1).remove(0);
        asker.send(&Frame::text(r#"{"type":"request"}"#));
        let origin = json_of(&mut peer)["origin"].as_str().unwrap().to_owned();
        let messages = (0..TURNS)
            .map(|turn| match turn % 3 {
                0 | 1 => format!(r#"{{"type":"request","turn":{turn}}}"#),
                _ => format!(r#"{{"type":"reply","origin":"{origin}","turn":{turn}}}"#),
            })
            .collect();
        let sender = send_in_background(&mut peer, messages);
        for turn in 0..TURNS {
            assert_eq!(json_of(&mut asker)["turn"], turn, "{pattern}");
        }
        sender.join().expect("all was sent");
    }
}

#[test]
fn nesting_to_any_depth_neither_breaks_nor_holds_up_the_relay() {
    let relay = Relay::start();
    let channel = channel(&relay, "req-repl");
    let mut asker = RawClient::connect(&relay, &channel);
    let mut responder = connect_all_beside(&relay, &channel, 1, 1).remove(0);
    let deep = format!(r#"{{"type":"request","deep":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    asker.send(&Frame::text(deep.as_str()));
    assert_eq!(text(&mut responder).len(), deep.len() + r#""origin":"0-0-0","#.len());
    for broken in ["[".repeat(1_000_000), "{\"a\":".repeat(200_000), format!("{{\"type\":{}", "[".repeat(900_000))] {
        asker.send(&Frame::text(broken));
        assert_eq!(error_of(&mut asker), "not_json");
    }
    responder.expect_open();
}
