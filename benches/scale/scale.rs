//! The clients that `benches/scale/run` puts on a server: many that are idle, and say when a message has reached all of them.
//!
//! ```sh
//! scale --url ws://127.0.0.1:8080/… --clients 9500 --source 127.0.0.2
//! ```
//!
//! One thread, so that it can be kept to one core. It prints a line of JSON when all clients are connected, and one for each
//! message that has reached all of them; times are those of `CLOCK_MONOTONIC`, which all processes of a host share. It ends
//! when its standard input does.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use rustix::time::{ClockId, Timespec, clock_gettime};

fn main() -> ExitCode {
    // `cargo bench` runs every bench with this flag alone: this one needs a server.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        println!("scale: run by benches/scale/run");
        return ExitCode::SUCCESS;
    }
    match Options::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
struct Options {
    /// Where to connect.
    #[arg(long)]
    url: String,
    #[arg(long)]
    clients: usize,
    /// The address to connect from: each has some 28 000 ports of its own.
    #[arg(long)]
    source: Ipv4Addr,
    /// Only connects, and does not ask for a WebSocket: what a connection costs the kernel without a server.
    #[arg(long)]
    bare: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn run(&self) -> Outcome<()> {
        let rest = self.url.strip_prefix("ws://").ok_or("a URL begins with ws://")?;
        let (authority, path) = rest.split_at(rest.find('/').ok_or("a URL has a path")?);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let address = authority.to_socket_addrs()?.next().ok_or("no such host")?;
        let mut crowd = Crowd::new(self.clients, address, self.source, request.into_bytes(), self.bare)?;
        crowd.connect()?;
        crowd.listen()
    }
}

/// All clients of this process.
struct Crowd {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    wanted: usize,
    clients: Vec<Client>,
    address: SocketAddr,
    source: Ipv4Addr,
    request: Vec<u8>,
    bare: bool,
    /// Bytes pass through here; none stay.
    buffer: Vec<u8>,
    open: usize,
    /// Of the message under way: whom it has reached, and when it reached the first.
    reached: usize,
    first_ns: u64,
}

struct Client {
    socket: OwnedFd,
    phase: Phase,
    /// The begin of an answer or of a frame, whose rest has not come.
    part: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Asked,
    Open,
}

impl Crowd {
    fn new(wanted: usize, address: SocketAddr, source: Ipv4Addr, request: Vec<u8>, bare: bool) -> Outcome<Crowd> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = EventFlags::IN | EventFlags::RDHUP;
        epoll::add(&epoll, io::stdin(), EventData::new_u64(STDIN), flags)?;
        Ok(Crowd {
            epoll,
            events: Vec::with_capacity(UNDER_WAY_MAX),
            wanted,
            clients: Vec::with_capacity(wanted),
            address,
            source,
            request,
            bare,
            buffer: vec![0; BUFFER_LEN],
            open: 0,
            reached: 0,
            first_ns: 0,
        })
    }

    /// Connects all, some at a time, and says how long that took.
    fn connect(&mut self) -> Outcome<()> {
        let begun_ns = now_ns();
        while self.open < self.wanted {
            while self.clients.len() < self.wanted && self.clients.len() - self.open < UNDER_WAY_MAX {
                self.start()?;
            }
            if self.turn()? {
                return Err("told to end before all were connected".into());
            }
            if self.events.is_empty() {
                return Err(format!("{} of {} connected, and no more for {WAIT:?}", self.open, self.wanted).into());
            }
        }
        say(&format!("{{\"clients\": {}, \"begun_ns\": {begun_ns}, \"done_ns\": {}}}", self.open, now_ns()))
    }

    /// Reads what comes until standard input ends.
    fn listen(&mut self) -> Outcome<()> {
        while !self.turn()? {}
        Ok(())
    }

    fn start(&mut self) -> Outcome<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        rustix::net::bind(&socket, &SocketAddr::from((self.source, 0)))?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(format!("connecting number {}: {error}", self.clients.len()).into()),
        }
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, EventData::new_u64(self.clients.len() as u64), flags)?;
        self.clients.push(Client { socket, phase: Phase::Connecting, part: Vec::new() });
        Ok(())
    }

    /// Waits once, and takes in what has come; true if standard input has ended.
    fn turn(&mut self) -> Outcome<bool> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&WAIT)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut is_over = false;
        for event in &events {
            match event.data.u64() {
                STDIN => is_over = true,
                number => self.step(number as usize)?,
            }
        }
        self.events = events;
        Ok(is_over)
    }

    fn step(&mut self, number: usize) -> Outcome<()> {
        let client = &mut self.clients[number];
        if client.phase == Phase::Connecting {
            sockopt::socket_error(&client.socket)??;
            if self.bare {
                client.phase = Phase::Open;
                self.open += 1;
                return Ok(());
            }
            match rustix::net::send(&client.socket, &self.request, SendFlags::NOSIGNAL) {
                // A new socket's buffer takes it whole.
                Ok(len) if len == self.request.len() => client.phase = Phase::Asked,
                Ok(_) => return Err("a request was cut in two".into()),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let client = &mut self.clients[number];
            let len = match rustix::net::recv(&client.socket, &mut self.buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(format!("client {number} was cut off").into()),
                Ok((len, _)) => len,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(format!("client {number}: {error}").into()),
            };
            client.part.extend_from_slice(&self.buffer[..len]);
            let mut taken = 0;
            if client.phase == Phase::Asked {
                let Some(head_len) = answered(&client.part)? else { continue };
                (client.phase, taken) = (Phase::Open, head_len);
                self.open += 1;
            }
            while let Some((opcode, payload, len)) = frame(&client.part[taken..])? {
                match opcode {
                    TEXT | BINARY => {
                        if self.reached == 0 {
                            self.first_ns = now_ns();
                        }
                        self.reached += 1;
                    }
                    PING => pong(&client.socket, payload)?,
                    _ => return Err(format!("client {number} was sent a frame of kind {opcode}").into()),
                }
                taken += len;
            }
            client.part.drain(..taken);
            if client.part.is_empty() {
                // An idle client holds nothing.
                client.part = Vec::new();
            }
            // Each message is sent after the one before has reached all.
            if self.reached == self.wanted {
                self.reached = 0;
                say(&format!("{{\"first_ns\": {}, \"last_ns\": {}}}", self.first_ns, now_ns()))?;
            }
        }
    }
}

/// The length of the head, if it is whole, and that of a WebSocket.
fn answered(received: &[u8]) -> Outcome<Option<usize>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    if !received.starts_with(b"HTTP/1.1 101 ") {
        let line = String::from_utf8_lossy(received).lines().next().unwrap_or_default().to_owned();
        return Err(format!("an upgrade was answered {line}").into());
    }
    Ok(Some(end + 4))
}

/// Opcode, payload and length of the frame in front, if it is whole.
fn frame(received: &[u8]) -> Outcome<Option<(u8, &[u8], usize)>> {
    let [first, len, ..] = *received else { return Ok(None) };
    if len > 125 || first & 0x80 == 0 {
        return Err("only short, whole messages are expected here".into());
    }
    let end = 2 + usize::from(len);
    Ok(received.get(2..end).map(|payload| (first & 0xF, payload, end)))
}

fn pong(socket: &OwnedFd, payload: &[u8]) -> Outcome<()> {
    // Masked with zeros, as a client's frames have to be.
    let mut frame = vec![0x80 | PONG, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    rustix::net::send(socket, &frame, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn say(line: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Attempts at a time: less than the backlog of any server here, or the kernel drops some, and each of those waits a second.
const UNDER_WAY_MAX: usize = 128;

const BUFFER_LEN: usize = 64 << 10;

/// Longer than any server here takes for one connection.
const WAIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Not the number of a client.
const STDIN: u64 = u64::MAX;

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
