//! Whole runs against a small NATS: just enough of the protocol, behind tungstenite, which cuts what it sends into frames
//! where it hurts.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use super::super::end_to_end_tests::bench;

#[derive(Default)]
struct Server {
    clients: Vec<WebSocket<TcpStream>>,
    /// Who subscribed to a subject, and with which subscription id; the one whose turn it is first.
    subjects: HashMap<String, Vec<(usize, String)>>,
    is_silent: bool,
}

fn serve(is_silent: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Mutex::new(Server { is_silent, ..Server::default() }));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let server = Arc::clone(&server);
            std::thread::spawn(move || connection(&server, stream.unwrap()));
        }
    });
    address
}

fn connection(server: &Mutex<Server>, stream: TcpStream) {
    // Parts of a message leave one by one, and each would wait for the acknowledgement of the one before.
    stream.set_nodelay(true).unwrap();
    let writer = stream.try_clone().unwrap();
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    let client = {
        let mut server = server.lock().unwrap();
        server.clients.push(WebSocket::from_raw_socket(writer, Role::Server, None));
        let client = server.clients.len() - 1;
        server.send(client, b"INFO {\"server_id\":\"test\"}\r\n");
        client
    };
    let mut protocol = Vec::new();
    while let Ok(message) = socket.read() {
        if message.is_close() {
            return;
        }
        assert!(message.is_binary());
        protocol.extend_from_slice(&message.into_data());
        let mut server = server.lock().unwrap();
        while let Some(taken) = server.operation(client, &protocol) {
            protocol.drain(..taken);
        }
    }
}

impl Server {
    /// Does what `protocol` starts with; returns its length, `None` if it is not whole.
    fn operation(&mut self, client: usize, protocol: &[u8]) -> Option<usize> {
        let end = protocol.iter().position(|byte| *byte == b'\n')? + 1;
        let line = std::str::from_utf8(&protocol[..end]).unwrap().trim_end();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["CONNECT", options] => {
                assert!(options.contains(r#""echo":false"#) && options.contains(r#""verbose":false"#))
            }
            ["PING"] if self.is_silent => {}
            ["PING"] => self.send(client, b"PONG\r\n"),
            ["SUB", subject, .., id] => {
                self.subjects.entry(subject.to_owned()).or_default().push((client, id.to_owned()));
            }
            ["PUB", subject, ref reply_to @ .., bytes] => {
                let bytes: usize = bytes.parse().unwrap();
                let payload = protocol.get(end..end + bytes + 2)?;
                self.publish(client, subject, reply_to, payload);
                return Some(end + bytes + 2);
            }
            _ => panic!("{line}"),
        }
        Some(end)
    }

    fn publish(&mut self, sender: usize, subject: &str, reply_to: &[&str], payload: &[u8]) {
        let subscribers = self.subjects.get_mut(subject).unwrap();
        let next = subscribers.iter().position(|(client, _)| *client != sender).unwrap();
        let (client, id) = subscribers.remove(next);
        let reply_to = reply_to.first().map(|subject| format!(" {subject}")).unwrap_or_default();
        let head = format!("MSG {subject} {id}{reply_to} {}\r\n", payload.len() - 2);
        subscribers.push((client, id));
        self.send(client, &[head.as_bytes(), payload].concat());
    }

    /// In three frames, none of which is whole.
    fn send(&mut self, client: usize, protocol: &[u8]) {
        for part in protocol.chunks(protocol.len() / 2 - 1) {
            // A client that left is not waited for.
            let _ = self.clients[client].send(Message::binary(part.to_vec()));
        }
    }
}

#[test]
fn queue_groups_and_round_trips_get_a_clean_report() {
    for (arguments, has_replies) in [
        ("--pattern push-pull --window 1", false),
        ("--pattern push-pull --window 16 --publishers 2 --size 5000", false),
        ("--pattern push-pull --rate 500 --text", false),
        ("--pattern fan-in-out --window 16 --publishers 2", true),
        ("--pattern fan-in-out --window 1 --size 3000", true),
    ] {
        let url = format!("--url ws://{}/ --dialect nats", serve(false));
        let report = bench(&format!("{url} --subscribers 3 --warmup 0.1 --duration 0.3 {arguments}")).unwrap();
        assert!(report.is_clean() && report.oddity.is_none(), "{arguments}: {report:?}");
        assert!(report.delivered > 50 && !report.text, "{arguments}: {report:?}");
        assert_eq!(report.round_trips.is_some_and(|round_trips| round_trips > 25), has_replies, "{report:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_told() {
    let arguments = "--pattern push-pull --subscribers 1 --connect-timeout 0.3";
    let failure = bench(&format!("--url ws://{}/ --dialect nats {arguments}", serve(true))).unwrap_err().to_string();
    assert!(failure.contains("no PONG came"), "{failure}");
}
