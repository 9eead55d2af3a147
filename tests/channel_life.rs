//! The ends of things: channels that expire or are deleted, clients that leave in good order or not at all, readers that
//! do not read, and a relay that is told to go.

mod support;

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use socket2::SockRef;
use support::client::Client;
use support::frame::{BINARY, CLOSE, Frame};
use support::http::HttpClient;
use support::raw::{RawClient, upgrade};
use support::relay::{Channel, Relay};
use support::{PATIENCE, eventually, noise};

// Channels

#[test]
fn expired_channel_closes_its_clients_with_4410() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "timeout": 3000}));
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(&relay, &channel)).collect();
    for client in &mut clients {
        assert_eq!(client.expect_close(4410), "channel expired");
    }
    assert_eq!(relay.look_up(&channel), None);
}

#[test]
fn deleted_channel_closes_its_clients_with_4404() {
    let relay = Relay::start();
    let (deleted, kept) = (relay.pub_sub(), relay.pub_sub());
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(&relay, &deleted)).collect();
    let mut other = Client::connect(&relay, &kept);
    assert_eq!(relay.delete(&deleted).status, 200);
    for client in &mut clients {
        client.expect_close(4404);
    }
    other.send("still here");
    other.expect("still here");
}

#[test]
fn client_that_does_not_answer_the_close_is_cut() {
    let relay = Relay::start();
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    let idle_files = relay.open_files() - 1;
    relay.delete(&channel);
    client.expect_close(4404);
    // It sends on as if nothing had been: none of it is answered, and its connection does not stay.
    client.try_send_bytes(&Frame::text("hello?").encode());
    client.expect_end();
    eventually("the connection is given back", || (relay.open_files() <= idle_files).then_some(()));
}

#[test]
fn id_of_a_deleted_channel_is_a_new_channel() {
    let relay = Relay::start();
    let spec = json!({"pattern": "pub-sub", "id": "again"});
    let old = relay.create(spec.clone());
    let mut before = RawClient::connect(&relay, &old);
    relay.delete(&old);
    let new = relay.create(spec);
    assert_ne!(old.token, new.token);
    let mut after = RawClient::connect(&relay, &new);
    after.send(&Frame::text("who is here?"));
    after.expect_text("who is here?");
    before.expect_close(4404);
    assert_eq!(relay.clients(&new), 1);
    // The old token opens the new channel to nobody.
    let mut http = support::http::HttpClient::connect(relay.address());
    http.send(upgrade(&old.target()));
    http.response().assert_refusal(401);
}

#[test]
fn client_limit_holds_when_all_come_at_once() {
    const LIMIT: u64 = 5;
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "clientLimit": LIMIT}));
    let answers: Vec<_> = thread::scope(|scope| {
        let attempts: Vec<_> = (0..30)
            .map(|_| {
                scope.spawn(|| {
                    let mut http = support::http::HttpClient::connect(relay.address());
                    http.send(upgrade(&channel.target()));
                    (http.response().status, http)
                })
            })
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().expect("answered")).collect()
    });
    let count = |status| answers.iter().filter(|(given, _)| *given == status).count() as u64;
    assert_eq!((count(101), count(403)), (LIMIT, 30 - LIMIT));
    assert_eq!(relay.clients(&channel), LIMIT);
    drop(answers);
    relay.await_clients(&channel, 0);
}

#[test]
fn deletion_under_load_closes_everyone() {
    const PAIRS: usize = 3;
    let relay = Relay::start();
    let spec = json!({"pattern": "pub-sub", "id": "busy"});
    for _ in 0..2 {
        let channel = relay.create(spec.clone());
        let flowing = AtomicU64::new(0);
        thread::scope(|scope| {
            let mut clients = Vec::new();
            for _ in 0..PAIRS {
                let mut sender = RawClient::connect(&relay, &channel);
                let mut listener = RawClient::connect(&relay, &channel);
                let mut reader = sender.split();
                clients.push(scope.spawn(move || reader.drain()));
                scope.spawn(move || {
                    let burst = Frame::binary(noise(700)).encode().repeat(10);
                    while sender.try_send_bytes(&burst) {}
                });
                let flowing = &flowing;
                clients.push(scope.spawn(move || {
                    let mut code = None;
                    while let Some(frame) = listener.frame_or_end() {
                        match frame.opcode {
                            BINARY => assert_eq!(frame.payload, noise(700)),
                            _ => code = Some(frame.payload),
                        }
                        flowing.fetch_add(1, Ordering::Relaxed);
                    }
                    code.map(|payload| u16::from_be_bytes([payload[0], payload[1]]))
                }));
            }
            eventually("messages flow", || (flowing.load(Ordering::Relaxed) > 1_000).then_some(()));
            assert_eq!(relay.delete(&channel).status, 200);
            for client in clients {
                // A sender that goes on sending may find its connection reset before it reads why.
                let code = client.join().expect("read to the end");
                assert!(matches!(code, None | Some(4404 | 4408)), "closed with {code:?}");
            }
        });
        assert_eq!(relay.look_up(&channel), None);
    }
    let channel = relay.create(spec);
    let mut client = Client::connect(&relay, &channel);
    client.send("quiet now");
    client.expect("quiet now");
}

// Clients

#[test]
fn a_thousand_clients_that_came_and_went_leave_nothing_behind() {
    let relay = Relay::start();
    let channels = [relay.pub_sub(), relay.echo()];
    // A stranger's connections and those of the kernel's making are open already.
    relay.await_clients(&channels[0], 0);
    let before = relay.open_files();
    for number in 0..1_000 {
        let channel = &channels[number % 2];
        let mut client = RawClient::connect(&relay, channel);
        match number % 5 {
            0 => {
                client.send(&Frame::close(1000, ""));
                client.expect_close(1000);
                client.expect_end();
            }
            1 => client.send(&Frame::text("and gone")),
            2 => SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).expect("a TCP socket"),
            3 => client.send_bytes(&Frame::text("half a fra").encode()[..9]),
            _ => {}
        }
    }
    for channel in &channels {
        relay.await_clients(channel, 0);
    }
    eventually("no connection is left open", || (relay.open_files() <= before).then_some(()));
}

#[test]
fn clients_that_leave_between_admission_and_hand_off_are_not_counted() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "clientLimit": 3}));
    for _ in 0..200 {
        let mut http = support::http::HttpClient::connect(relay.address());
        http.send(upgrade(&channel.target()));
        // Gone before the answer can be read: by a reset, so that the relay's next write fails.
        let (stream, _) = http.into_parts();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
    // The relay may still meet some of them, and each has a place until its hand-off has failed.
    let find_place = || {
        let mut http = support::http::HttpClient::connect(relay.address());
        http.send(upgrade(&channel.target()));
        (http.response().status == 101).then(|| RawClient::over(http))
    };
    let _full = [(); 3].map(|()| support::eventually("a place for a client", find_place));
    relay.await_clients(&channel, 3);
}

#[test]
fn killed_client_in_the_middle_of_a_frame_harms_nobody() {
    let relay = Relay::start();
    let channel = relay.pub_sub();
    let (mut alice, mut bob) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    for reset in [false, true] {
        let mut killed = RawClient::connect(&relay, &channel);
        killed.send(&Frame::text("whole"));
        killed.send_bytes(&Frame::binary(noise(100_000)).encode()[..60_000]);
        alice.expect("whole");
        bob.expect("whole");
        if reset {
            SockRef::from(killed.stream()).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
        }
        drop(killed);
        relay.await_clients(&channel, 2);
        alice.send("who was that?");
        bob.expect("who was that?");
        alice.expect("who was that?");
    }
}

#[test]
fn killed_client_in_the_middle_of_being_sent_to_harms_nobody() {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let mut sender = Client::connect(&relay, &channel);
    let mut listener = Client::connect(&relay, &channel);
    for round in 0..20_u32 {
        let killed = RawClient::connect(&relay, &channel);
        for number in 0..40_u32 {
            sender.send(noise(20_000));
            if number == 20 {
                SockRef::from(killed.stream()).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
                killed.stream().shutdown(Shutdown::Both).expect("a TCP socket");
            }
            listener.expect(noise(20_000));
        }
        drop(killed);
        sender.send(format!("round {round}"));
        listener.expect(format!("round {round}"));
        relay.await_clients(&channel, 2);
    }
}

// Slow consumers

#[test]
fn slow_consumer_is_cut_and_the_fast_ones_feel_nothing() {
    const MESSAGES: u64 = 3_000;
    const SIZE: usize = 50_000;
    /// How far the sender may be ahead of a fast reader: far below the lag that a connection is granted.
    const WINDOW: u64 = 20;

    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    // Several, so that some are stopped inside a message.
    let slow: Vec<RawClient> = (0..4).map(|_| RawClient::connect(&relay, &channel)).collect();
    for (reader, number) in slow.iter().zip(1..) {
        SockRef::from(reader.stream()).set_recv_buffer_size(number * 70_000).expect("a TCP socket");
    }
    let mut sender = RawClient::connect(&relay, &channel);
    let readers: Vec<RawClient> = (0..2).map(|_| RawClient::connect(&relay, &channel)).collect();
    let before = relay.memory();
    let received: Vec<AtomicU64> = readers.iter().map(|_| AtomicU64::new(0)).collect();

    thread::scope(|scope| {
        for (mut reader, received) in readers.into_iter().zip(&received) {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    let frame = reader.frame();
                    assert_eq!((frame.opcode, frame.payload.len()), (BINARY, SIZE));
                    assert!(frame.payload.starts_with(&number.to_be_bytes()), "message {number} is missing");
                    received.store(number + 1, Ordering::Relaxed);
                }
                reader.expect_open();
            });
        }
        let mut payload = noise(SIZE);
        for number in 0..MESSAGES {
            eventually("the fast readers follow", || {
                let slowest = received.iter().map(|count| count.load(Ordering::Relaxed)).min().expect("two readers");
                (number - slowest < WINDOW).then_some(())
            });
            payload[..8].copy_from_slice(&number.to_be_bytes());
            sender.send(&Frame::binary(payload.clone()));
        }
    });

    // Of the 150 MB that went past a reader that never read.
    relay.assert_bounded(before);
    // They were cut while they did not read: only what the kernel holds, then 4408 or the end comes to them.
    relay.await_clients(&channel, 1);
    for mut reader in slow {
        let mut whole = 0;
        while let Some(frame) = reader.frame_or_end() {
            match frame.opcode {
                BINARY => {
                    assert!(frame.payload.starts_with(&u64::to_be_bytes(whole)), "what it got is in order");
                    whole += 1;
                }
                CLOSE => assert_eq!(frame.payload[..2], 4408_u16.to_be_bytes()),
                _ => panic!("{frame:?}"),
            }
        }
        assert!(whole < MESSAGES, "it got everything");
    }
}

#[test]
fn publisher_that_never_waits_costs_bounded_memory() {
    const MESSAGES: u64 = 8_000;
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let mut reader = RawClient::connect(&relay, &channel);
    let mut sender = RawClient::connect(&relay, &channel);
    let before = relay.memory();
    thread::scope(|scope| {
        scope.spawn(move || {
            // It may be found too slow for this sender; until then it misses nothing.
            for number in 0..MESSAGES {
                let frame = reader.frame();
                if frame.opcode == CLOSE {
                    assert_eq!(frame.payload[..2], 4408_u16.to_be_bytes());
                    return;
                }
                assert!(frame.payload.starts_with(&number.to_be_bytes()), "message {number} is missing");
            }
        });
        // A mask of zeros lets the number be written into the frame, so that the sender is as fast as can be.
        let mut bytes = Frame { mask: Some([0; 4]), ..Frame::binary(noise(50_000)) }.encode();
        let at = bytes.len() - 50_000;
        for number in 0..MESSAGES {
            bytes[at..at + 8].copy_from_slice(&number.to_be_bytes());
            sender.send_bytes(&bytes);
        }
    });
    relay.assert_bounded(before);
}

#[test]
fn lag_is_a_setting_and_one_message_always_fits() {
    let relay = Relay::start_with(&["--max-lag", "1000"]);
    let channel = relay.pub_sub();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    for _ in 0..5 {
        // A thousand times the lag, one at a time.
        clients[0].send(noise(1 << 20));
        for client in &mut clients {
            client.expect(noise(1 << 20));
        }
    }
    // And over it, the reader that does not read is cut long before the default would.
    let stalled = RawClient::connect(&relay, &channel);
    SockRef::from(stalled.stream()).set_recv_buffer_size(64 * 1024).expect("a TCP socket");
    let started = Instant::now();
    while relay.clients(&channel) == 4 {
        assert!(started.elapsed() < PATIENCE, "a reader that never reads is kept");
        clients[0].send(noise(200_000));
        for client in &mut clients {
            client.expect(noise(200_000));
        }
    }
    assert_eq!(relay.clients(&channel), 3);
}

// The relay

#[test]
fn sigterm_closes_everyone_with_1012_and_ends_with_status_0() {
    end_closes_everyone(Signal::TERM);
}

#[test]
fn sigint_closes_everyone_with_1012_and_ends_with_status_0() {
    end_closes_everyone(Signal::INT);
}

fn end_closes_everyone(signal: Signal) {
    let relay = Relay::start_with(&["--drain", "2"]);
    let channels: [Channel; 4] =
        std::array::from_fn(|number| if number % 2 == 0 { relay.echo() } else { relay.pub_sub() });
    let clients: Vec<Client> =
        channels.iter().cycle().take(12).map(|channel| Client::connect(&relay, channel)).collect();
    let closed: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                client.expect_close(1012);
            })
        })
        .collect();
    let ended = relay.end(signal);
    ended.assert_clean();
    for client in closed {
        client.join().expect("closed with 1012");
    }
    assert!(ended.after < Duration::from_secs(10), "everyone answered, yet it took {:?}", ended.after);
}

#[test]
fn sigterm_without_clients_ends_at_once() {
    let relay = Relay::start_with(&["--drain", "20"]);
    relay.echo();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.after < Duration::from_secs(5), "it took {:?}", ended.after);
}

#[test]
fn client_that_never_answers_does_not_keep_the_relay() {
    let relay = Relay::start_with(&["--drain", "1"]);
    let channel = relay.pub_sub();
    let mut silent = RawClient::connect(&relay, &channel);
    let mut half_sent = RawClient::connect(&relay, &channel);
    half_sent.send_bytes(&Frame::text("half a fra").encode()[..9]);
    let idle = support::http::HttpClient::connect(relay.address());
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.after < Duration::from_secs(12), "a drain of one second and five to answer took {:?}", ended.after);
    silent.expect_close(1012);
    silent.expect_end();
    drop(idle);
}

#[test]
fn half_a_request_does_not_hold_up_a_shutdown() {
    let relay = Relay::start_with(&["--drain", "20"]);
    let channel = relay.pub_sub();
    let mut client = Client::connect(&relay, &channel);
    let mut half = support::http::HttpClient::connect(relay.address());
    half.send("GET / HT");
    let closed = thread::spawn(move || client.expect_close(1012));
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    closed.join().expect("closed with 1012");
    assert!(ended.after < Duration::from_secs(10), "the front's second would do, and it took {:?}", ended.after);
}

#[test]
fn spinning_relay_relays_as_any_other() {
    let relay = Relay::start_with(&["--spin", "50"]);
    let channel = relay.pub_sub();
    let mut clients = [Client::connect(&relay, &channel), Client::connect(&relay, &channel)];
    for round in 0..100 {
        clients[round % 2].send(format!("round {round}"));
        clients.iter_mut().for_each(|client| client.expect(format!("round {round}")));
    }
}

#[test]
fn client_that_never_reads_does_not_keep_the_relay() {
    let relay = Relay::start_with(&["--drain", "1", "--max-lag", "1073741824"]);
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let stalled = RawClient::connect(&relay, &channel);
    let mut sender = RawClient::connect(&relay, &channel);
    for _ in 0..300 {
        sender.send(&Frame::binary(noise(50_000)));
    }
    sender.expect_open();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(ended.after < Duration::from_secs(12), "a drain of one second and five to answer took {:?}", ended.after);
    drop(stalled);
}

#[test]
fn end_under_load_is_clean() {
    let relay = Relay::start_with(&["--drain", "2"]);
    let channel = relay.pub_sub();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut sender = RawClient::connect(&relay, &channel);
            let mut reader = sender.split();
            scope.spawn(move || reader.drain());
            scope.spawn(|| {
                let mut sender = sender;
                let burst = Frame::binary(noise(300)).encode().repeat(20);
                while sender.try_send_bytes(&burst) && !stop.load(Ordering::Relaxed) {}
            });
        }
        // New ones knock all the time.
        let address = relay.address();
        let stopped = &stop;
        scope.spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(stream) = std::net::TcpStream::connect(address) {
                    drop(stream);
                }
            }
        });
        thread::sleep(Duration::from_millis(300));
        let ended = relay.end(Signal::TERM);
        stop.store(true, Ordering::Relaxed);
        ended.assert_clean();
    });
}

#[test]
fn port_is_free_again_at_once() {
    // An address where nobody else takes ports meanwhile.
    let relay = Relay::start_with(&["--host", "127.0.0.77"]);
    let port = relay.address().port().to_string();
    let channel = relay.echo();
    let _client = RawClient::connect(&relay, &channel);
    relay.end(Signal::TERM).assert_clean();
    let again = Relay::start_with(&["--host", "127.0.0.77", "--port", &port]);
    assert_eq!(again.address().port().to_string(), port);
}

/// A page that asks why it was refused must not be why the next one is.
#[test]
fn a_request_that_does_not_upgrade_takes_no_place() {
    const REQUESTS_AT_ONCE: usize = 50;
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "echo", "clientLimit": 1}));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", channel.target());
                let mut http = HttpClient::connect(relay.address());
                while !done.load(Ordering::Relaxed) {
                    http.send(request.repeat(REQUESTS_AT_ONCE));
                    for _ in 0..REQUESTS_AT_ONCE {
                        let status = http.response().status;
                        assert!(matches!(status, 403 | 426), "{status}");
                    }
                }
            });
        }
        let refusals = (0..50).filter(|_| {
            let mut http = HttpClient::connect(relay.address());
            http.send(upgrade(&channel.target()));
            let is_refused = http.response().status != 101;
            drop(http);
            relay.await_clients(&channel, 0);
            is_refused
        });
        let refusals = refusals.count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(refusals, 0);
    });
}
