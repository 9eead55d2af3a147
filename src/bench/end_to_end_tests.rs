//! Whole runs against a server of another make: tungstenite behind a thread per connection, with faults on demand.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::{Args, Command, FromArgMatches};
use serde_json::Value;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::options::Pattern;
use super::*;

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Leaves out every hundredth message.
    Drop,
    /// Swaps every hundredth message with the next one.
    Swap,
    /// Closes with 4408 after a hundred messages.
    Close,
    /// Changes the last byte of every hundredth message.
    Damage,
    /// Answers upgrades with 403.
    Refuse,
    /// Gives every hundredth message to the same member, out of turn.
    Favour,
    /// Sends every hundredth reply to another client.
    Misroute,
}

#[derive(Default)]
struct Room {
    members: Vec<WebSocket<TcpStream>>,
    /// The members, the one whose turn it is first.
    queue: VecDeque<usize>,
    held_back: Option<Message>,
    count: usize,
}

struct Server {
    fault: Fault,
    pattern: Pattern,
    room: Mutex<Room>,
    channels: AtomicUsize,
}

/// One room for all paths.
fn serve(fault: Fault, pattern: Pattern) -> (SocketAddr, Arc<Server>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server { fault, pattern, room: Mutex::default(), channels: AtomicUsize::new(0) });
    let shared = Arc::clone(&server);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let server = Arc::clone(&shared);
            std::thread::spawn(move || server.connection(stream.unwrap()));
        }
    });
    (address, server)
}

impl Server {
    fn connection(&self, mut stream: TcpStream) {
        let mut head = [0; 4];
        // The bench writes a request at once, so its first bytes are there together.
        stream.peek(&mut head).unwrap();
        if &head != b"GET " {
            return self.rest(stream);
        }
        if self.fault == Fault::Refuse {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nfull").unwrap();
            // Closing with the request unread would reset the connection and take the answer with it.
            let _ = stream.read(&mut [0; 4096]);
            return;
        }
        let member = stream.try_clone().unwrap();
        let (mut socket, sender) = {
            // Before the room is free again, its members are those that have been told so.
            let mut room = self.room.lock().unwrap();
            let Ok(socket) = tungstenite::accept(stream) else { return };
            let member = WebSocket::from_raw_socket(member, tungstenite::protocol::Role::Server, None);
            let sender = room.members.len();
            room.members.push(member);
            room.queue.push_back(sender);
            (socket, sender)
        };
        while let Ok(message) = socket.read() {
            if message.is_binary() || message.is_text() {
                self.message(sender, message);
            }
        }
    }

    fn message(&self, sender: usize, mut message: Message) {
        let mut room = self.room.lock().unwrap();
        room.count += 1;
        let is_hundredth = room.count.is_multiple_of(100);
        match self.fault {
            Fault::Drop if is_hundredth => return,
            Fault::Swap if is_hundredth => return room.held_back = Some(message),
            Fault::Damage if is_hundredth => {
                let mut payload = message.into_data().to_vec();
                *payload.last_mut().unwrap() ^= 1;
                message = Message::binary(payload);
            }
            Fault::Close if is_hundredth => {
                message = Message::Close(Some(CloseFrame { code: 4408.into(), reason: "slow consumer".into() }));
            }
            _ => {}
        }
        let messages = std::iter::once(message).chain(room.held_back.take()).collect::<Vec<_>>();
        // Members that left are not taken out: nobody waits for them.
        match self.pattern {
            Pattern::PubSub | Pattern::Echo => {
                for member in &mut room.members {
                    messages.iter().for_each(|message| _ = member.send(message.clone()));
                }
            }
            Pattern::PushPull => {
                for message in messages {
                    let is_out_of_turn = self.fault == Fault::Favour && is_hundredth;
                    let receiver = if is_out_of_turn { (sender + 1) % room.members.len() } else { room.turn(sender) };
                    let _ = room.members[receiver].send(message);
                }
            }
            Pattern::FanInOut => {
                let mut json: Value = serde_json::from_slice(&messages[0].clone().into_data()).unwrap();
                let receiver = if json["type"] == "request" {
                    json["origin"] = sender.into();
                    room.turn(sender)
                } else if self.fault == Fault::Misroute && is_hundredth {
                    (json["origin"].as_u64().unwrap() as usize + 1) % room.members.len()
                } else {
                    json["origin"].as_u64().unwrap() as usize
                };
                let _ = room.members[receiver].send(Message::text(json.to_string()));
            }
        }
    }

    fn rest(&self, mut stream: TcpStream) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if buffer[..count].starts_with(b"POST /channels ") {
                self.channels.fetch_add(1, Ordering::SeqCst);
            } else {
                assert!(buffer[..count].starts_with(b"DELETE /channels/a-b "));
                self.channels.fetch_sub(1, Ordering::SeqCst);
            }
            let body = r#"{"token":"t","data":{"id":"a-b"}}"#;
            write!(stream, "HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    }
}

impl Room {
    /// Whose turn it is: never the sender's.
    fn turn(&mut self, sender: usize) -> usize {
        loop {
            let receiver = self.queue.pop_front().unwrap();
            self.queue.push_back(receiver);
            if receiver != sender {
                return receiver;
            }
        }
    }
}

pub(super) fn bench(arguments: &str) -> Result<Report, Failure> {
    let command = BenchConfig::augment_args(Command::new("bench").no_binary_name(true));
    let matches = command.get_matches_from(arguments.split_whitespace());
    measure(&BenchConfig::from_arg_matches(&matches).unwrap().plan()?)
}

fn short_run(fault: Fault, arguments: &str) -> Result<Report, Failure> {
    run_pattern(fault, Pattern::PubSub, arguments)
}

fn run_pattern(fault: Fault, pattern: Pattern, arguments: &str) -> Result<Report, Failure> {
    let (address, _) = serve(fault, pattern);
    let subscribers = if arguments.contains("--subscribers") { "" } else { "--subscribers 3" };
    let pattern = pattern.name();
    bench(&format!(
        "--url ws://{address}/{{room}} --pattern {pattern} {subscribers} --warmup 0.1 --duration 0.3 {arguments}"
    ))
}

#[test]
fn a_sound_server_gets_a_clean_report_in_every_mode() {
    for arguments in [
        "--window 1",
        "--window 16 --publishers 3",
        "--window 4 --size 24 --text",
        "--window 2 --size 100000",
        "--rate 500 --publishers 2 --text",
    ] {
        let report = short_run(Fault::None, arguments).unwrap();
        assert!(report.is_clean() && report.oddity.is_none(), "{arguments}: {report:?}");
        assert!(report.delivered > 100, "{arguments}: {report:?}");
        let latency = report.latency_us.unwrap();
        assert!(latency.p50 <= latency.p99 && latency.p99 <= latency.max && latency.samples >= report.delivered);
    }
}

#[test]
fn a_fixed_rate_is_kept() {
    let report = short_run(Fault::None, "--rate 1000").unwrap();
    assert!((500.0..1500.0).contains(&report.sent_per_s), "{report:?}");
}

#[test]
fn lost_swapped_and_damaged_messages_are_counted() {
    let report = short_run(Fault::Drop, "--window 16").unwrap();
    assert!(report.lost > 0 && report.reordered == 0 && report.corrupt == 0, "{report:?}");
    let report = short_run(Fault::Swap, "--window 16").unwrap();
    assert!(report.reordered > 0 && report.corrupt == 0, "{report:?}");
    let report = short_run(Fault::Damage, "--window 16").unwrap();
    assert!(report.corrupt > 0 && report.reordered == 0, "{report:?}");
    assert!(!report.is_clean());
}

#[test]
fn messages_in_turns_get_a_clean_report_and_even_counts() {
    for arguments in ["--window 1", "--window 16", "--window 8 --size 24 --text", "--rate 500"] {
        let report = run_pattern(Fault::None, Pattern::PushPull, arguments).unwrap();
        assert!(report.is_clean() && report.oddity.is_none(), "{arguments}: {report:?}");
        assert!(report.spread.unwrap() <= 1 && report.delivered > 100, "{arguments}: {report:?}");
        assert!(report.round_trips.is_none());
    }
    let report = run_pattern(Fault::None, Pattern::PushPull, "--window 16 --publishers 3 --size 70000").unwrap();
    assert!(report.is_clean() && report.spread.is_none() && report.delivered > 100, "{report:?}");
}

#[test]
fn round_trips_get_a_clean_report() {
    for arguments in ["--window 1", "--window 16 --publishers 3", "--window 4 --size 52", "--rate 300 --size 5000"] {
        let report = run_pattern(Fault::None, Pattern::FanInOut, arguments).unwrap();
        assert!(report.is_clean() && report.oddity.is_none(), "{arguments}: {report:?}");
        let round_trips = report.round_trips.unwrap();
        assert!(round_trips > 50 && report.delivered >= round_trips * 2 - 100, "{arguments}: {report:?}");
        assert!(report.text && report.latency_us.unwrap().samples >= round_trips);
    }
}

#[test]
fn faults_of_turns_and_replies_are_counted() {
    let report = run_pattern(Fault::Drop, Pattern::PushPull, "--window 64").unwrap();
    assert!(report.lost > 0 && report.reordered == 0 && report.corrupt == 0, "{report:?}");
    // Two messages swap their receivers as well, so that each of those may still see its own in order.
    let report = run_pattern(Fault::Swap, Pattern::PushPull, "--window 64 --subscribers 1").unwrap();
    assert!(report.reordered > 0 && report.corrupt == 0, "{report:?}");
    let report = run_pattern(Fault::Damage, Pattern::PushPull, "--window 16").unwrap();
    assert!(report.corrupt > 0 && report.reordered == 0 && report.lost == 0, "{report:?}");
    let report = run_pattern(Fault::Misroute, Pattern::FanInOut, "--window 64 --publishers 2").unwrap();
    assert!(report.corrupt > 0 && report.lost > 0, "{report:?}");
    assert!(report.oddity.unwrap().contains("another client"));
}

#[test]
fn uneven_turns_are_a_violation_where_exact_ones_are_promised() {
    let report = run_pattern(Fault::Favour, Pattern::PushPull, "--window 16").unwrap();
    assert!(report.spread.unwrap() > 1 && report.is_clean() && report.oddity.is_none(), "{report:?}");
    let (address, _) = serve(Fault::Favour, Pattern::PushPull);
    let arguments = "--pattern push-pull --subscribers 3 --window 16 --warmup 0.1 --duration 0.3";
    let report = bench(&format!("--server http://{address} {arguments}")).unwrap();
    assert!(report.uneven && !report.is_clean() && report.lost == 0, "{report:?}");
    assert!(report.table().contains("at most 1 is promised"));
}

#[test]
fn a_close_and_a_refusal_are_told_with_their_codes() {
    let failure = short_run(Fault::Close, "--window 16").unwrap_err().to_string();
    assert!(failure.contains("4408") && failure.contains("slow consumer"), "{failure}");
    let failure = short_run(Fault::Refuse, "").unwrap_err().to_string();
    assert!(failure.contains("403") && failure.contains("full"), "{failure}");
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = bench(&format!("--url ws://{address}/")).unwrap_err().to_string();
    assert!(failure.contains(&address.to_string()) && failure.contains("refused"), "{failure}");
}

#[test]
fn channels_are_created_and_deleted_even_if_the_run_fails() {
    for (fault, is_ok) in [(Fault::None, true), (Fault::Close, false)] {
        let (address, server) = serve(fault, Pattern::PubSub);
        let arguments = "--subscribers 2 --window 8 --warmup 0 --duration 0.2";
        let result = bench(&format!("--server http://{address} {arguments}"));
        assert_eq!(result.is_ok(), is_ok, "{result:?}");
        assert_eq!(server.channels.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    for (arguments, name) in [
        ("--size 23", "--size"),
        ("--window 0", "--window"),
        ("--rate 0", "--rate"),
        ("--publishers 0", "--publishers"),
        ("--rooms 0", "--rooms"),
        ("--rooms 2", "--url"),
        ("--duration 0", "--duration"),
        ("--server-pid 4294967295", "--server-pid"),
        ("--pattern fan-in-out --size 51", "--size"),
        ("--pattern push-pull --subscribers 0", "--subscribers"),
        ("--pattern push-pull --publishers 0", "--publishers"),
        ("--dialect nats", "--dialect"),
    ] {
        let failure = bench(&format!("--url ws://127.0.0.1:1/ {arguments}")).unwrap_err().to_string();
        assert!(failure.contains(name), "{arguments}: {failure}");
    }
}
