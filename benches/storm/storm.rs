//! The load that `benches/storm/run` puts beside a live channel: clients that come in floods, shake hands and go, or read
//! slowly. It measures nothing but how much of it there was.
//!
//! ```sh
//! storm handshakes --url ws://127.0.0.1:8080/… --rate 2000 --seconds 20    # connects, upgrades, leaves
//! storm flood --url ws://… --url ws://… --clients 4000 --seconds 20        # all connect, stay, leave at once, again
//! storm slow --url ws://… --clients 10 --publish --seconds 20              # read one byte a second
//! storm visits --url ws://… --rate 50 --seconds 5                          # as handshakes, one by one: how long each takes
//! ```
//!
//! With `wss://` and `--tls` every connection shakes hands in full. The server's certificate is not looked at: whoever wants
//! to harm a server does not spend time on that.
//!
//! One thread, so that it can be kept to one core.

mod stream;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rustix::time::ClockId;
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
    Visits,
}

#[derive(Parser)]
struct Options {
    kind: Kind,
    /// Where to connect; several are taken in turns.
    #[arg(long, required = true)]
    url: Vec<String>,
    /// The URLs begin with wss://.
    #[arg(long)]
    tls: bool,
    /// Handshakes per second.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Connections that stay.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Somebody publishes where others read slowly.
    #[arg(long)]
    publish: bool,
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn run(&self) -> Outcome<String> {
        let sessions = self.tls.then(stream::sessions).transpose()?;
        let parse = |url: &String| Target::parse(url, sessions.as_ref());
        let targets: Vec<Target> = self.url.iter().map(parse).collect::<Outcome<_>>()?;
        let end = Instant::now() + Duration::from_secs_f64(self.seconds);
        match self.kind {
            Kind::Handshakes => handshakes(&targets, self.rate, end),
            Kind::Flood => flood(&targets, self.clients, end),
            Kind::Slow => slow(&targets, self.clients, self.publish, end),
            Kind::Visits => visits(&targets, self.rate, end),
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
        let rest = url.strip_prefix(scheme).ok_or("a URL begins with ws://, or with --tls with wss://")?;
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
    Ok(connections(answers, seconds))
}

/// How many there were, and what they cost this process.
fn connections(count: u64, seconds: f64) -> String {
    let cpu = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    format!("{{\"connections\": {count}, \"seconds\": {seconds:.3}, \"cpu_s\": {cpu_s:.4}}}")
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
    reset_on_drop(&stream)
}

/// All connect as fast as it goes, read all that comes for a while, as subscribers do, leave at once, and begin again.
fn flood(targets: &[Target], clients: usize, end: Instant) -> Outcome<String> {
    let started = Instant::now();
    let mut count = 0;
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < end {
        let mut streams = Vec::with_capacity(clients);
        for number in 0..clients {
            if Instant::now() >= end {
                break;
            }
            let mut stream = targets[number % targets.len()].ask()?;
            answered(&mut stream)?;
            stream.socket().set_nonblocking(true)?;
            streams.push(stream);
            count += 1;
        }
        let leave = end.min(Instant::now() + STAY);
        while Instant::now() < leave {
            for stream in &mut streams {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err("a subscriber was cut off".into()),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            thread::sleep(READ_PAUSE);
        }
        for stream in &streams {
            reset_on_drop(stream)?;
        }
    }
    Ok(connections(count, started.elapsed().as_secs_f64()))
}

/// Connects, upgrades and leaves, one by one, and tells how long that took.
fn visits(targets: &[Target], rate: f64, end: Instant) -> Outcome<String> {
    let started = Instant::now();
    let mut ms = Vec::new();
    while Instant::now() < end {
        let due = started + Duration::from_secs_f64(ms.len() as f64 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        let mut stream = targets[ms.len() % targets.len()].ask()?;
        stream.shake_hands()?;
        answered(&mut stream)?;
        ms.push(begun.elapsed().as_secs_f64() * 1e3);
        reset_on_drop(&stream)?;
    }
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms.get((ms.len() as f64 * part) as usize).copied().ok_or("nobody came");
    Ok(format!(
        "{{\"visits\": {}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"longest_ms\": {:.3}}}",
        ms.len(),
        at(0.5)?,
        at(0.99)?,
        ms.last().ok_or("nobody came")?
    ))
}

/// Leaves with a reset, or the ports of the connections that wait out their time would be used up.
fn reset_on_drop(stream: &Stream) -> Outcome<()> {
    Ok(SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))?)
}

/// Stays, and reads a byte a second; whoever is cut off comes again. With `publishes` there is something to be read.
fn slow(targets: &[Target], clients: usize, publishes: bool, end: Instant) -> Outcome<String> {
    let started = Instant::now();
    let join = |number: usize| -> Outcome<Stream> {
        let mut stream = targets[number % targets.len()].ask()?;
        SockRef::from(stream.socket()).set_recv_buffer_size(4096)?;
        answered(&mut stream)?;
        stream.socket().set_nonblocking(true)?;
        Ok(stream)
    };
    let mut publisher = publishes.then(|| Publisher::join(&targets[0])).transpose()?;
    let mut streams = (0..clients).map(join).collect::<Outcome<Vec<_>>>()?;
    let mut cut = 0;
    let mut next_read = started;
    while Instant::now() < end {
        if let Some(publisher) = &mut publisher {
            publisher.publish()?;
        }
        thread::sleep(PUBLISH_PAUSE);
        if Instant::now() < next_read {
            continue;
        }
        next_read += Duration::from_secs(1);
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
    }
    Ok(format!("{{\"clients\": {clients}, \"cut_off\": {cut}, \"seconds\": {:.3}}}", started.elapsed().as_secs_f64()))
}

/// Says the same long message again and again, on a channel that does not send it back.
struct Publisher {
    stream: Stream,
    frame: Vec<u8>,
}

impl Publisher {
    fn join(target: &Target) -> Outcome<Publisher> {
        let mut stream = target.ask()?;
        stream.shake_hands()?;
        answered(&mut stream)?;
        // Final, binary, masked with zeros, its length in 16 bits (RFC 6455, section 5.2).
        let mut frame = vec![0x82, 0x80 | 126];
        frame.extend(MESSAGE_LEN.to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(frame.len() + usize::from(MESSAGE_LEN), b'x');
        Ok(Publisher { stream, frame })
    }

    fn publish(&mut self) -> Outcome<()> {
        Ok(self.stream.write_all(&self.frame)?)
    }
}

const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a flood stays.
const STAY: Duration = Duration::from_secs(1);

/// Long enough that reading is cheap beside what is measured, and short enough that nobody falls behind.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// With [`MESSAGE_LEN`] some 3 MB/s: who reads a byte a second is over the default lag (4 MiB) in two seconds.
const PUBLISH_PAUSE: Duration = Duration::from_millis(20);
const MESSAGE_LEN: u16 = 60_000;
