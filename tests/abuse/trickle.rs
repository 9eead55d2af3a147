//! Clients that read a byte now and then, for ever: they cost what they may, and no more.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use rustls::version::TLS13;
use serde_json::{Value, json};
use socket2::SockRef;
use tungstenite::{Message, WebSocket};

use crate::rig::{Rig, TlsStream};
use crate::support::relay::{Channel, Relay};
use crate::support::{PATIENCE, eventually, noise};
use crate::{relay, rig};

const READERS: usize = 20;

/// Two records of TLS.
const MESSAGE_LEN: usize = 32 << 10;

/// 64 MiB: what they would cost if their lag had no bound.
const MESSAGES: usize = 2_048;

const LAG_MAX: &str = "1048576";

/// What a shard may hold for messages meanwhile: the lag, the chunks of the log that it begins and ends in, and of each reader
/// the message that it was sent in part.
const HELD_MAX: u64 = (1 << 20) + 2 * (256 << 10) + (READERS * 2 * MESSAGE_LEN) as u64;

/// Of each reader with TLS: eight records that are sealed and on their way.
const SEALED_MAX: u64 = READERS as u64 * 8 * (17 << 10);

/// What the allocator holds back.
const SLACK: u64 = 4 << 20;

#[test]
fn readers_of_a_byte_now_and_then_are_closed_and_cost_their_bound() {
    cost_their_bound(&relay(&["--max-lag", LAG_MAX, "--max-message-size", "65536"]), "disconnect");
}

#[test]
fn readers_of_a_byte_now_and_then_who_skip_cost_their_bound() {
    cost_their_bound(&relay(&["--max-lag", LAG_MAX, "--max-message-size", "65536"]), "skip");
}

#[test]
fn readers_of_a_byte_now_and_then_with_tls_are_closed_and_cost_their_bound() {
    cost_their_bound(&rig(&["--max-lag", LAG_MAX, "--max-message-size", "65536"]), "disconnect");
}

#[test]
fn readers_of_a_byte_now_and_then_with_tls_who_skip_cost_their_bound() {
    cost_their_bound(&rig(&["--max-lag", LAG_MAX, "--max-message-size", "65536"]), "skip");
}

fn cost_their_bound<H: Host>(host: &H, policy: &str) {
    let spec = json!({"pattern": "pub-sub", "excludeSender": true, "slowConsumers": policy});
    let channel = host.create(&spec);
    let mut live =
        Live { publisher: host.connect(&channel), subscriber: host.connect(&channel), payload: noise(MESSAGE_LEN) };
    // So that the receive buffers and all that is needed without slow readers are there.
    (0..MESSAGES / 4).for_each(|_| live.pass());
    let (files, memory) = (host.relay().open_files(), host.relay().memory());

    let mut readers: Vec<_> = (0..READERS).map(|_| Reader::over::<H>(host.connect(&channel))).collect();
    let mut held_most = 0;
    for number in 0..MESSAGES {
        live.pass();
        if number % 16 == 0 {
            readers.iter_mut().for_each(Reader::read_a_byte);
            held_most = held_most.max(host.metric("ringrelay_shard_memory_bytes"));
        }
    }
    assert!(readers.iter().all(|reader| reader.bytes > 0), "they read");
    assert!(held_most > 0 && held_most <= HELD_MAX, "{} KiB were held for messages", held_most >> 10);
    let grown = host.relay().memory_peak().saturating_sub(memory);
    assert!(grown <= HELD_MAX + SEALED_MAX + SLACK, "{READERS} readers took {} KiB", grown >> 10);
    let found_slow = host.metric(&format!("ringrelay_slow_consumers_total{{action=\"{policy}\"}}"));
    assert!(found_slow >= READERS as u64, "{found_slow} were found slow");

    if policy == "skip" {
        assert_eq!(host.clients(&channel), READERS as u64 + 2, "who skips stays");
        readers.clear();
    }
    // Who is closed reads on as before, and is cut all the same.
    eventually("the readers are gone", || {
        readers.iter_mut().for_each(Reader::read_a_byte);
        (host.clients(&channel) == 2 && host.relay().open_files() <= files).then_some(())
    });
    live.pass();
}

/// One who publishes and one who reads all of it at once.
struct Live<S> {
    publisher: WebSocket<S>,
    subscriber: WebSocket<S>,
    payload: Vec<u8>,
}

impl<S: Read + Write> Live<S> {
    fn pass(&mut self) {
        self.publisher.send(Message::from(self.payload.clone())).expect("the relay reads");
        assert!(self.subscriber.read().expect("a message") == Message::from(self.payload.clone()), "another message");
    }
}

/// Reads what is on the wire, sealed or not, a byte at a time.
struct Reader<S> {
    socket: WebSocket<S>,
    wire: fn(&S) -> &TcpStream,
    /// How many it has got.
    bytes: usize,
}

impl<S> Reader<S> {
    fn over<H: Host<Stream = S>>(socket: WebSocket<S>) -> Reader<S> {
        let wire = H::wire(socket.get_ref());
        wire.set_nonblocking(true).expect("a TCP socket");
        // Little of what is sent waits in the kernel.
        SockRef::from(wire).set_recv_buffer_size(8 << 10).expect("a TCP socket");
        Reader { socket, wire: H::wire, bytes: 0 }
    }

    /// One that is cut has nothing to read any more.
    fn read_a_byte(&mut self) {
        match (self.wire)(self.socket.get_ref()).read(&mut [0]) {
            Ok(len) => self.bytes += len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A relay, and how it is spoken to.
trait Host {
    type Stream: Read + Write;
    fn relay(&self) -> &Relay;
    fn create(&self, spec: &Value) -> Channel;
    fn connect(&self, channel: &Channel) -> WebSocket<Self::Stream>;
    /// What is below what seals.
    fn wire(stream: &Self::Stream) -> &TcpStream;
    /// The body of the answer to GET.
    fn get(&self, target: &str) -> String;

    fn clients(&self, channel: &Channel) -> u64 {
        let body: Value = serde_json::from_str(&self.get(&format!("/channels/{}", channel.id))).expect("JSON");
        body["data"]["clients"].as_u64().expect("a count")
    }

    /// The sum of a metric's samples whose names begin like this.
    fn metric(&self, begin: &str) -> u64 {
        let text = self.get("/metrics");
        let values = text.lines().filter(|line| line.starts_with(begin)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().expect("a number") as u64).sum()
    }
}

impl Host for Relay {
    type Stream = TcpStream;

    fn relay(&self) -> &Relay {
        self
    }

    fn create(&self, spec: &Value) -> Channel {
        Relay::create(self, spec.clone())
    }

    fn connect(&self, channel: &Channel) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(self.address()).expect("the relay accepts connections");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        tungstenite::client(format!("ws://localhost{}", channel.target()), stream).expect("the relay upgrades").0
    }

    fn wire(stream: &TcpStream) -> &TcpStream {
        stream
    }

    fn get(&self, target: &str) -> String {
        String::from_utf8(self.request("GET", target, None).body).expect("UTF-8")
    }
}

impl Host for Rig {
    type Stream = TlsStream;

    fn relay(&self) -> &Relay {
        &self.relay
    }

    fn create(&self, spec: &Value) -> Channel {
        Rig::create(self, spec)
    }

    fn connect(&self, channel: &Channel) -> WebSocket<TlsStream> {
        self.websocket(channel, &TLS13)
    }

    fn wire(stream: &TlsStream) -> &TcpStream {
        &stream.sock
    }

    fn get(&self, target: &str) -> String {
        self.request(self.config(&TLS13), "GET", target, "").1
    }
}
