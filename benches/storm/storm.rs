//! The load that `benches/storm/run` puts beside a live channel: clients that come in floods, shake hands and go, or read
//! slowly. It measures nothing but how much of it there was.
//!
//! ```sh
//! storm handshakes --url ws://127.0.0.1:8080/… --rate 2000 --seconds 20    # connects, upgrades, leaves
//! storm flood --url ws://… --url ws://… --clients 4000 --seconds 20        # connects, stays and reads to the end
//! storm slow --url ws://… --clients 1 --seconds 20                         # reads one byte a second
//! ```
//!
//! With `wss://` and `--ca FILE`, which is the server's certificate, every connection shakes hands in full.
//!
//! One thread, so that it can be kept to one core.

mod stream;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;

use stream::Stream;

fn main() -> ExitCode {
    // `cargo bench` runs every bench with this flag alone: this one needs a server.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        println!("storm: run by benches/storm/run");
        return ExitCode::SUCCESS;
    }
    match Options::parse().run() {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("storm: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Handshakes,
    Flood,
    Slow,
}

#[derive(Parser)]
struct Options {
    kind: Kind,
    /// Where to connect; several are taken in turns.
    #[arg(long, required = true)]
    url: Vec<String>,
    /// The certificate that the server has, for URLs of wss://.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Handshakes per second.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Connections that stay.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn run(&self) -> Outcome<String> {
        let sessions = self.ca.as_deref().map(stream::sessions).transpose()?;
        let parse = |url: &String| Target::parse(url, sessions.as_ref());
        let targets: Vec<Target> = self.url.iter().map(parse).collect::<Outcome<_>>()?;
        let end = Instant::now() + Duration::from_secs_f64(self.seconds);
        match self.kind {
            Kind::Handshakes => handshakes(&targets, self.rate, end),
            Kind::Flood => flood(&targets, self.clients, end),
            Kind::Slow => slow(&targets, self.clients, end),
        }
    }
}

/// Who to connect to, and what to ask for.
struct Target {
    address: SocketAddr,
    request: Vec<u8>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Target {
    fn parse(url: &str, sessions: Option<&Arc<ClientConfig>>) -> Outcome<Target> {
        let scheme = if sessions.is_some() { "wss://" } else { "ws://" };
        let rest = url.strip_prefix(scheme).ok_or("a URL begins with ws://, or with --ca with wss://")?;
        let at = rest.find('/').ok_or("a URL has a path")?;
        let (authority, path) = rest.split_at(at);
        let address = authority.to_socket_addrs()?.next().ok_or("no such host")?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
        let tls = match sessions {
            None => None,
            Some(sessions) => Some((Arc::clone(sessions), ServerName::try_from(host)?)),
        };
        Ok(Target { address, request: request.into_bytes(), tls })
    }

    /// Connected, and the request to upgrade is sent, or with TLS the begin of the handshake.
    fn ask(&self) -> Outcome<Stream> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Stream::ask(socket, self.tls.as_ref().map(|(sessions, name)| (sessions, name)), &self.request)
    }
}

/// Reads the answer; what comes behind it is dropped.
fn answered(stream: &mut Stream) -> Outcome<()> {
    let mut answer = [0; 1024];
    let len = stream.read(&mut answer)?;
    if answer[..len].starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    let line = String::from_utf8_lossy(&answer[..len]).lines().next().unwrap_or("nothing").to_owned();
    Err(format!("an upgrade was answered {line}").into())
}

/// Connects, upgrades and leaves, on a schedule. Some are under way at once, so that waiting for answers does not slow
/// it down.
fn handshakes(targets: &[Target], rate: f64, end: Instant) -> Outcome<String> {
    const UNDER_WAY: usize = 64;
    let started = Instant::now();
    let mut asked = VecDeque::with_capacity(UNDER_WAY);
    // With TLS a connection waits twice: for the server's part of the handshake, and for the answer.
    let mut shaken = VecDeque::with_capacity(UNDER_WAY);
    let (mut count, mut answers) = (0_u64, 0_u64);
    while Instant::now() < end {
        let due = started + Duration::from_secs_f64(count as f64 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if asked.len() == UNDER_WAY {
            shake_hands(&mut asked, &mut shaken)?;
        }
        if shaken.len() == UNDER_WAY {
            leave(shaken.pop_front(), &mut answers)?;
        }
        asked.push_back(targets[count as usize % targets.len()].ask()?);
        count += 1;
    }
    while !asked.is_empty() {
        shake_hands(&mut asked, &mut shaken)?;
    }
    while !shaken.is_empty() {
        leave(shaken.pop_front(), &mut answers)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!("{{\"handshakes_per_s\": {:.0}}}", answers as f64 / seconds))
}

fn shake_hands(asked: &mut VecDeque<Stream>, shaken: &mut VecDeque<Stream>) -> Outcome<()> {
    let Some(mut stream) = asked.pop_front() else { return Ok(()) };
    stream.shake_hands()?;
    shaken.push_back(stream);
    Ok(())
}

fn leave(stream: Option<Stream>, answers: &mut u64) -> Outcome<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    answered(&mut stream)?;
    *answers += 1;
    // With a reset, or the ports of the connections that wait out their time would be used up.
    SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))?;
    Ok(())
}

/// Connects as fast as it goes, and then reads all that comes, as subscribers do.
fn flood(targets: &[Target], clients: usize, end: Instant) -> Outcome<String> {
    let started = Instant::now();
    let mut streams = Vec::with_capacity(clients);
    for number in 0..clients {
        let mut stream = targets[number % targets.len()].ask()?;
        answered(&mut stream)?;
        stream.socket().set_nonblocking(true)?;
        streams.push(stream);
    }
    let connected = started.elapsed();
    let (mut bytes, mut buffer) = (0, vec![0; 64 * 1024]);
    while Instant::now() < end {
        for stream in &mut streams {
            match stream.read(&mut buffer) {
                Ok(0) => return Err("a subscriber was cut off".into()),
                Ok(len) => bytes += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        thread::sleep(READ_PAUSE);
    }
    Ok(format!(
        "{{\"clients\": {clients}, \"connects_per_s\": {:.0}, \"bytes\": {bytes}}}",
        clients as f64 / connected.as_secs_f64()
    ))
}

/// Stays, and reads a byte a second; whoever is cut off comes again.
fn slow(targets: &[Target], clients: usize, end: Instant) -> Outcome<String> {
    let join = |number: usize| -> Outcome<Stream> {
        let mut stream = targets[number % targets.len()].ask()?;
        SockRef::from(stream.socket()).set_recv_buffer_size(4096)?;
        answered(&mut stream)?;
        stream.socket().set_nonblocking(true)?;
        Ok(stream)
    };
    let mut streams = (0..clients).map(join).collect::<Outcome<Vec<_>>>()?;
    let mut cut = 0;
    while Instant::now() < end {
        for (number, stream) in streams.iter_mut().enumerate() {
            match stream.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    cut += 1;
                    *stream = join(number)?;
                }
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(format!("{{\"clients\": {clients}, \"cut_off\": {cut}}}"))
}

const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Long enough that reading is cheap beside what is measured, and short enough that nobody falls behind.
const READ_PAUSE: Duration = Duration::from_millis(50);
