//! What the tests of the front stand on: a running front, a shard that is a table, and a client that writes bytes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Bound;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use ringrelay::budget::Budget;
use ringrelay::channel::{ChannelSpec, ChannelView, SlowPolicy, Survey};
use ringrelay::driver::Kind;
use ringrelay::front::{self, FrontHandle, FrontSettings, Listener};
use ringrelay::handoff::{AdmitError, CreateError, Join, Mailbox, Place, Seat, ShardHandle, ToShard};
use ringrelay::http::{ChunkedDecoder, Origins};
use ringrelay::pages::render_guide;
use ringrelay::peer::{AddressLimits, Addresses, TrustedProxies};
use ringrelay::registry::Registry;
use rustix::event::{PollFd, PollFlags, poll};

/// Longer than anything that is awaited takes; what is reached when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn settings() -> FrontSettings {
    FrontSettings {
        public_port: 8080,
        public_url: "http://relay.example:8080".to_owned(),
        readme: render_guide("# The guide\n").into(),
        cors: Origins::ALL,
        browser_only: false,
        deflate: false,
        tls: None,
        handshake_timeout: PATIENCE,
        slow_consumers: SlowPolicy::Disconnect,
        auth: None,
        jwt: None,
        token_len: 32,
        id_half_len: 4,
        uri_len_max: 8 << 10,
        head_len_max: 16 << 10,
        body_len_max: 64 << 10,
        idle_timeout: PATIENCE,
        head_timeout: PATIENCE,
        body_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        // Whether a front has stopped is tried by connecting, and nobody is to give way to that.
        connections_max: 1 << 20,
        connections: Budget::new(usize::MAX),
        refusals_max: 64,
        channels: Budget::new(usize::MAX),
        addresses: Addresses::new(AddressLimits::default()),
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: false,
        speaks_tls: false,
        stop_grace: Duration::from_millis(200),
        metrics: Arc::default(),
    }
}

/// The driver that all tests are to be run with; io_uring, if nobody says.
fn driver() -> Kind {
    match std::env::var("RINGRELAY_DRIVER").as_deref() {
        Ok("epoll") => Kind::Epoll,
        _ => Kind::Uring,
    }
}

/// A running front and its shards. Stopped when dropped, and then its thread must end without an error.
pub struct Rig {
    pub address: SocketAddr,
    /// The sockets that were handed over.
    pub joined: mpsc::Receiver<Join>,
    stop: Option<FrontHandle>,
    front: Option<JoinHandle<std::io::Result<()>>>,
    shards: Vec<(ShardHandle, JoinHandle<()>)>,
}

impl Rig {
    pub fn start() -> Rig {
        Rig::with(settings())
    }

    pub fn with(settings: FrontSettings) -> Rig {
        let (to_test, joined) = mpsc::channel();
        let shards: Vec<_> = (0..2).map(|_| start_shard(to_test.clone())).collect();
        let registry = Registry::new(shards.iter().map(|(handle, _)| handle.clone()).collect());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, control) = front::control();
        let listeners = vec![Listener { socket: listener, is_inherited: false }];
        let front = thread::spawn(move || front::run(listeners, driver(), registry, settings, control, || ()));
        Rig { address, joined, stop: Some(stop), front: Some(front), shards }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request on a connection of its own and returns the answer.
    pub fn ask(&self, request: &str) -> Response {
        let mut client = self.client();
        client.send(request);
        client.response()
    }

    /// Stops the front, and returns when it has ended.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(front) = self.front.take() {
            front.join().expect("the front does not panic").expect("the front ends well");
        }
    }

    /// Begins to stop the front, and returns when its listener is closed: it is draining. The thread returned ends with it.
    pub fn stop_in_background(mut self) -> JoinHandle<Rig> {
        let address = self.address;
        let stopping = thread::spawn(move || {
            self.stop();
            self
        });
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "the listener stays open");
        }
        stopping
    }

    /// Ends the shards: their mailboxes are gone.
    pub fn end_shards(&mut self) {
        for (handle, thread) in self.shards.drain(..) {
            handle.send(ToShard::Shutdown { spread: Duration::ZERO });
            thread.join().expect("the shard does not panic");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
        self.end_shards();
    }
}

/// A shard without rings and relays. It drops questions about the channel `mute`, and keeps those about `slow`.
fn start_shard(joined: mpsc::Sender<Join>) -> (ShardHandle, JoinHandle<()>) {
    let (handle, mailbox) = Mailbox::new().unwrap();
    let own = handle.clone();
    let thread = thread::spawn(move || {
        let mut channels = BTreeMap::new();
        let mut unanswered = Vec::new();
        while let Some(message) = receive(&mailbox) {
            match message {
                ToShard::Create { spec, reply } => {
                    let answer = create(&mut channels, spec);
                    let _ = reply.send(answer);
                }
                ToShard::Read { id, reply } => match id.as_str() {
                    "mute" => {}
                    "slow" => unanswered.push(reply),
                    id => {
                        let _ = reply.send(channels.get(id).map(view));
                    }
                },
                ToShard::List { after, max, reply } => {
                    let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_string()));
                    let page = channels.range((start, Bound::Unbounded)).take(max);
                    let _ = reply.send(page.map(|(_, spec)| view(spec)).collect());
                }
                ToShard::Delete { id, reply } => {
                    let _ = reply.send(channels.remove(id.as_str()).is_some());
                }
                ToShard::Reset { reply } => {
                    let _ = reply.send(channels.len() as u64);
                    channels.clear();
                }
                ToShard::Busiest { reply, .. } => drop(reply.send(Survey { found: Vec::new(), next: None })),
                ToShard::Slowest { reply, .. } => drop(reply.send(Survey { found: Vec::new(), next: None })),
                ToShard::Admit { id, credentials, reply } => {
                    let seat = || Seat::new(Place { slot: 1, generation: 1 }, own.clone());
                    let _ = reply.send(admit(channels.get(id.as_str()), credentials.token()).map(|()| seat()));
                }
                ToShard::Check { id, credentials, reply } => {
                    let _ = reply.send(admit(channels.get(id.as_str()), credentials.token()));
                }
                ToShard::Join(join) => {
                    let _ = joined.send(join);
                }
                ToShard::Leave { .. } => {}
                ToShard::Shutdown { .. } => return,
                ToShard::Beat(beat) => beat.answer(),
            }
        }
    });
    (handle, thread)
}

fn receive(mailbox: &Mailbox) -> Option<ToShard> {
    loop {
        match mailbox.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if mailbox.fall_asleep() {
            let eventfd = mailbox.eventfd();
            poll(&mut [PollFd::from_borrowed_fd(eventfd, PollFlags::IN)], None).unwrap();
            rustix::io::read(eventfd, &mut [0; 8]).unwrap();
            mailbox.wake_up();
        }
    }
}

fn admit(channel: Option<&ChannelSpec>, token: Option<&str>) -> Result<(), AdmitError> {
    match channel {
        None => Err(AdmitError::NoSuchChannel),
        Some(spec) if token.is_some_and(|token| !spec.token.matches(token)) => Err(AdmitError::WrongToken),
        Some(spec) if spec.client_limit == Some(0) => Err(AdmitError::Full),
        Some(_) => Ok(()),
    }
}

fn create(channels: &mut BTreeMap<String, ChannelSpec>, spec: ChannelSpec) -> Result<ChannelView, CreateError> {
    if channels.contains_key(spec.id.as_str()) {
        return Err(CreateError::IdTaken);
    }
    let view = view(&spec);
    channels.insert(spec.id.to_string(), spec);
    Ok(view)
}

fn view(spec: &ChannelSpec) -> ChannelView {
    ChannelView {
        id: spec.id.clone(),
        pattern: spec.pattern,
        client_limit: spec.client_limit,
        timeout: spec.timeout,
        countdown: spec.timeout,
        exclude_sender: spec.exclude_sender,
        history: spec.history,
        slow_consumers: spec.slow_consumers,
        clients: 0,
    }
}

/// A client that speaks no HTTP of its own.
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, received: Vec::new() }
    }

    /// A second handle to the same connection.
    pub fn another(&self) -> Client {
        Client { stream: self.stream.try_clone().unwrap(), received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn receive(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        let len = self.stream.read(&mut buffer).expect("an answer or an end, not a reset or silence");
        self.received.extend_from_slice(&buffer[..len]);
        len
    }

    /// The next answer, which must have a length.
    pub fn response(&mut self) -> Response {
        let response = self.head();
        let len = response.header("content-length").map_or(0, |len| len.parse().unwrap());
        while self.received.len() < len {
            assert_ne!(self.receive(), 0, "the body is cut short after {:?}", response.head);
        }
        let body = String::from_utf8(self.received.drain(..len).collect()).unwrap();
        Response { body, ..response }
    }

    /// The next answer, which must come in chunks.
    pub fn chunked_response(&mut self) -> Response {
        let response = self.head();
        assert_eq!(response.header("transfer-encoding"), Some("chunked"), "{response:?}");
        let mut decoder = ChunkedDecoder::new(usize::MAX, usize::MAX);
        let mut body = Vec::new();
        loop {
            let progress = decoder.decode(&self.received, &mut body).unwrap();
            self.received.drain(..progress.taken);
            if progress.done {
                return Response { body: String::from_utf8(body).unwrap(), ..response };
            }
            assert_ne!(self.receive(), 0, "the body is cut short after {:?}", response.head);
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.receive() > 0 {}
        String::from_utf8(self.received.split_off(0)).unwrap()
    }

    /// Asserts that the front closes now without a word. What it has not read makes that a reset.
    pub fn assert_closed_or_reset(&mut self) {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not closed but: {other:?}"),
        }
    }

    /// The next answer, which must have no body.
    pub fn head(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert_ne!(
                self.receive(),
                0,
                "closed before an answer, after {:?}",
                String::from_utf8_lossy(&self.received)
            );
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Response { status, head, body: String::new() }
    }

    /// Asserts that the front closes now, in order and with nothing more to say.
    pub fn assert_closed(&mut self) {
        let len = self.receive();
        assert_eq!(len, 0, "not closed but: {:?}", String::from_utf8_lossy(&self.received));
        assert!(self.received.is_empty(), "{:?}", String::from_utf8_lossy(&self.received));
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code in the body of an error.
    pub fn error_code(&self) -> String {
        let body = self.json();
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A request with `Host`, further lines, and a body with its length.
pub fn request(line: &str, lines: &[&str], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nHost: relay\r\n");
    for line in lines {
        request += &format!("{line}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

pub fn get(path: &str) -> String {
    request(&format!("GET {path}"), &[], "")
}

pub fn post(body: &str) -> String {
    request("POST /channels", &["Content-Type: application/json"], body)
}

/// A request that opens a WebSocket; the key is the example of RFC 6455.
pub fn upgrade(path: &str) -> String {
    request(
        &format!("GET {path}"),
        &[
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ],
        "",
    )
}
