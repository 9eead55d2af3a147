//! systemd's part of running a service: its notification socket, the sockets that it passes on, its watchdog.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::relay::{Relay, ringrelay, serve_arguments, serve_variables};

/// Who is told how the relay is doing.
pub struct Manager {
    socket: UnixDatagram,
    /// The value of `NOTIFY_SOCKET`.
    pub address: String,
    path: Option<PathBuf>,
}

impl Manager {
    /// With a socket in the file system.
    pub fn new() -> Manager {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.socket", name()));
        let socket = UnixDatagram::bind(&path).expect("the target folder can be written to");
        Manager { socket, address: path.to_str().expect("a path in UTF-8").to_owned(), path: Some(path) }
    }

    /// With an abstract socket.
    pub fn abstract_socket() -> Manager {
        let name = name();
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let socket = UnixDatagram::bind_addr(&address).expect("a free name");
        Manager { socket, address: format!("@{name}"), path: None }
    }

    /// Starts a relay that is to tell this.
    pub fn start(&self, environment: &[(&str, &str)], flags: &[&str]) -> Relay {
        let environment = [&[("NOTIFY_SOCKET", self.address.as_str())], environment].concat();
        Relay::start_in(&environment, flags)
    }

    /// What comes next, within `time`; a state per line.
    pub fn message_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).expect("a socket");
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(len) => Some(String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message that has this line.
    pub fn await_line(&self, line: &str) -> String {
        self.await_message(line, |message| message.lines().any(|said| said == line))
    }

    /// The next message that is wanted.
    pub fn await_message(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Some(message) = self.message_within(deadline.saturating_duration_since(Instant::now())) {
            if is_wanted(&message) {
                return message;
            }
            others.push(message);
        }
        panic!("within {PATIENCE:?} it was not told: {what}; but {others:?}");
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A relay that inherits one or two sockets, as those behind `LISTEN_FDS`.
pub fn start_with_inherited(sockets: Vec<OwnedFd>, flags: &[&str]) -> Relay {
    Relay::spawn(inheriting(sockets, flags))
}

/// What becomes a relay that inherits one or two sockets. A shell moves them to where they have to be and learns the
/// process id that the relay is to have; the second takes the way by stderr, which the relay then shares with stdout.
pub fn inheriting(sockets: Vec<OwnedFd>, flags: &[&str]) -> Command {
    let count = sockets.len();
    let mut sockets = sockets.into_iter().map(Stdio::from);
    let moves = match count {
        1 => "exec 3<&0 </dev/null",
        2 => "exec 3<&0 4<&2 </dev/null 2>&1",
        _ => panic!("one or two"),
    };
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(serve_variables());
    command.args(["-c", &format!("{moves}; LISTEN_FDS={count} LISTEN_PID=$$ exec \"$0\" \"$@\"")]);
    command.arg(ringrelay().get_program()).args(serve_arguments(flags));
    command.stdin(sockets.next().expect("one or two"));
    command.stderr(sockets.next().unwrap_or_else(Stdio::piped));
    command
}

/// A listener as systemd has it.
pub fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).expect("a free port")
}

/// A name that no other test uses.
fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ringrelay-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
