//! The relay under test: a child process on a free port.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringrelay::channel::ChannelId;
use ringrelay::handoff::Mailbox;
use ringrelay::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::http::{HttpClient, Response};
use super::{PATIENCE, eventually};

/// A running `ringrelay serve`. When it is dropped it gets SIGTERM and has to end with status 0 and without a panic in
/// any of its threads, so every test is also one of a clean end.
pub struct Relay {
    child: Child,
    address: SocketAddr,
    /// The announcement and the log, as far as they have come.
    said: Arc<Mutex<String>>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// A channel as its creator knows it.
#[derive(Clone, Debug)]
pub struct Channel {
    pub id: String,
    pub token: String,
}

impl Channel {
    /// What a client asks for to connect.
    pub fn target(&self) -> String {
        format!("/channels/{}/connect?token={}", self.id, self.token)
    }
}

/// How the process ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// From the signal to the end.
    pub after: Duration,
    /// The announcement and the log.
    pub stdout: String,
    pub stderr: String,
}

impl Relay {
    /// Two shards, and one second for those who do not answer the close at the end.
    pub fn start() -> Relay {
        Relay::start_with(&[])
    }

    /// The same with further flags.
    pub fn start_with(flags: &[&str]) -> Relay {
        Relay::start_in(&[], flags)
    }

    /// The same with variables in its environment.
    pub fn start_in(environment: &[(&str, &str)], flags: &[&str]) -> Relay {
        let mut command = ringrelay();
        command.envs(serve_variables()).envs(environment.iter().copied());
        command.args(serve_arguments(flags)).stdin(Stdio::null()).stderr(Stdio::piped());
        Relay::spawn(command)
    }

    /// Starts what becomes `ringrelay serve` with [`serve_arguments`].
    pub fn spawn(mut command: Command) -> Relay {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");

        let (announce, announced) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let stdout = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    // Nobody listens any more after the first.
                    let _ = announce.send(address);
                }
                let mut all = heard.lock().expect("nobody panics with it");
                all.push_str(&line);
                all.push('\n');
            }
            heard.lock().expect("nobody panics with it").clone()
        });
        let err = child.stderr.take();
        let stderr = std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = err.map(|mut err| err.read_to_end(&mut all));
            String::from_utf8_lossy(&all).into_owned()
        });

        match announced.recv_timeout(PATIENCE) {
            Ok(address) => Relay { child, address, said, stdout: Some(stdout), stderr: Some(stderr) },
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().expect("the child can be waited for");
                let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
                panic!("the relay did not announce its URL ({status})\nstdout:\n{stdout}\nstderr:\n{stderr}");
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output until now.
    pub fn stdout_so_far(&self) -> String {
        self.said.lock().expect("nobody panics with it").clone()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process exists");
    }

    /// Signals the process and waits for its end.
    pub fn end(mut self, signal: Signal) -> Ended {
        let started = Instant::now();
        self.signal(signal);
        self.wait(started)
    }

    /// Waits for the end of a process that has been signalled.
    pub fn await_end(mut self) -> Ended {
        self.wait(Instant::now())
    }

    fn wait(&mut self, started: Instant) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            if started.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("the relay did not end within {PATIENCE:?} of the signal\n{}", self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let after = started.elapsed();
        let stdout = self.stdout.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Ended { status, after, stdout, stderr: self.stderr() }
    }

    /// All it wrote to stderr; waits for its end.
    fn stderr(&mut self) -> String {
        let _ = self.stdout.take().map(JoinHandle::join);
        self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }

    // REST

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        HttpClient::connect(self.address).request(method, target, body)
    }

    /// Creates a channel.
    ///
    /// # Panics
    /// If the relay refuses it.
    pub fn create(&self, spec: Value) -> Channel {
        let response = self.request("POST", "/channels", Some(&spec));
        assert_eq!(response.status, 201, "{spec} was refused: {response:?}");
        let body = response.json();
        let text = |value: &Value| value.as_str().expect("id and token are strings").to_owned();
        Channel { id: text(&body["data"]["id"]), token: text(&body["token"]) }
    }

    pub fn echo(&self) -> Channel {
        self.create(json!({"pattern": "echo"}))
    }

    pub fn pub_sub(&self) -> Channel {
        self.create(json!({"pattern": "pub-sub"}))
    }

    /// Two channels, one for each of the relay's two shards, created with these fields and an id.
    pub fn channels_on_both_shards(&self, spec: &Value) -> [Channel; 2] {
        let mailboxes: Vec<_> = (0..2).map(|_| Mailbox::new().expect("an eventfd")).collect();
        let registry = Registry::new(mailboxes.iter().map(|(handle, _)| handle.clone()).collect());
        [0, 1].map(|shard| {
            let owned = |id: &String| {
                std::ptr::eq(registry.owner(&ChannelId::parse(id).expect("an id")), &registry.shards()[shard])
            };
            let mut spec = spec.clone();
            spec["id"] =
                (0..).map(|number| format!("room-{number}")).find(owned).expect("some id falls on each").into();
            self.create(spec)
        })
    }

    /// What the relay says of a channel; `None` = there is none.
    pub fn look_up(&self, channel: &Channel) -> Option<Value> {
        let response = self.request("GET", &format!("/channels/{}", channel.id), None);
        match response.status {
            200 => Some(response.json()["data"].clone()),
            404 => None,
            _ => panic!("unexpected: {response:?}"),
        }
    }

    pub fn delete(&self, channel: &Channel) -> Response {
        self.request("DELETE", &format!("/channels/{}", channel.id), None)
    }

    /// How many clients the relay counts on a channel that exists.
    pub fn clients(&self, channel: &Channel) -> u64 {
        let data = self.look_up(channel).expect("the channel exists");
        data["clients"].as_u64().expect("clients is a number")
    }

    /// Waits until the relay counts `wanted` clients.
    pub fn await_clients(&self, channel: &Channel, wanted: u64) {
        eventually(&format!("{wanted} clients on {}", channel.id), || (self.clients(channel) == wanted).then_some(()));
    }

    // What the kernel says of the process

    /// Memory in use now, in bytes.
    pub fn memory(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// Checks that the relay never held much more than `before`, an earlier [`memory`](Self::memory): that there was a
    /// bound to what was kept.
    #[track_caller]
    pub fn assert_bounded(&self, before: u64) {
        // The receive buffers of a shard, touched one after the other (16 MiB), twice what a connection may be behind
        // (4 MiB), and room for what the allocator holds back.
        const GROWTH_MAX: u64 = 48 << 20;
        let grown = (self.status_kib("VmHWM:") * 1024).saturating_sub(before);
        assert!(grown < GROWTH_MAX, "the relay grew by {} MiB", grown >> 20);
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field exists");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Open file descriptors.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process runs").count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Already ended and judged by the test.
        if self.stderr.is_none() {
            return;
        }
        let ended_early = self.child.try_wait().ok().flatten().is_some();
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            eprintln!("stderr of the relay:\n{}", self.stderr());
            return;
        }
        let started = Instant::now();
        if !ended_early {
            self.signal(Signal::TERM);
        }
        let ended = self.wait(started);
        assert!(!ended_early, "the relay ended during the test: {ended:?}");
        ended.assert_clean();
    }
}

impl Ended {
    /// Status 0, and no thread panicked.
    pub fn assert_clean(&self) {
        assert!(!self.stderr.contains("panicked"), "a thread of the relay panicked:\n{}", self.stderr);
        assert_eq!(self.status.code(), Some(0), "the relay did not end with status 0: {self:?}");
    }
}

/// Why a relay says that it does not start: in the last line of its log, an error, and nowhere else.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    let log = String::from_utf8_lossy(&output.stdout);
    let line = log.lines().last().unwrap_or_else(|| panic!("nothing was said: {output:?}"));
    let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {output:?}"));
    assert_eq!(event["level"], "ERROR", "{output:?}");
    assert!(output.stderr.is_empty(), "it is said once: {output:?}");
    event["message"].as_str().expect("a message").to_owned()
}

/// Two shards on a free port, and the rest from `flags`.
pub fn serve_arguments<'f>(flags: &[&'f str]) -> Vec<&'f str> {
    let mut arguments = vec!["serve"];
    for (flag, value) in [("--host", "127.0.0.1"), ("--port", "0"), ("--shards", "2"), ("--drain", "1")] {
        if !flags.contains(&flag) {
            arguments.extend([flag, value]);
        }
    }
    arguments.extend(flags);
    arguments
}

/// No pings and no rates, which tests that are about them ask for; and the driver that all tests are to be run with.
pub fn serve_variables() -> Vec<(&'static str, OsString)> {
    let mut variables = vec![("RINGRELAY_PING_INTERVAL", "0".into()), ("RINGRELAY_REQUEST_RATE", "0".into())];
    variables.extend(std::env::var_os(DRIVER).map(|driver| (DRIVER, driver)));
    variables
}

/// The binary under test, with nothing set by the environment.
pub fn ringrelay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringrelay"));
    let is_ours = |name: &str| name.starts_with("RINGRELAY_") || name.starts_with("WRS_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Says which driver the relays under test have.
const DRIVER: &str = "RINGRELAY_DRIVER";

/// The address in `ringrelay listens on http://127.0.0.1:8080`, or https.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listens on http")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://")?;
    let address = rest.split(|c: char| c.is_whitespace() || c == '/' || c == '"').next()?;
    address.parse().ok()
}
