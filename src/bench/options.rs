//! What `ringrelay bench` can be told, and the checked plan that comes of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::error::Failure;
use super::payload::{Encoding, PAYLOAD_BYTES_MAX, STAMP_BYTES};
use super::request::{AROUND_BODY_BYTES, REQUEST_BYTES_MIN};
use super::target::{self, RoomTarget, Server};
use super::trust::Trust;

/// The settings of one run.
#[derive(Args, Clone, Debug)]
pub struct BenchConfig {
    /// A ringrelay: the rooms are channels, created over REST before the run and deleted after it.
    #[arg(long, value_name = "HTTP_URL", conflicts_with = "url")]
    pub server: Option<String>,

    /// Any WebSocket server; `{room}` in it is replaced by the number of the room.
    #[arg(long, value_name = "WS_URL")]
    pub url: Option<String>,

    /// The certificates that the server's is checked against, in PEM (with https:// or wss://).
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,

    /// Takes any certificate of the server for its own (with https:// or wss://).
    #[arg(long)]
    pub insecure: bool,

    /// What the rooms do with a message. With `echo` every connection sends, and gets what it sent.
    #[arg(long, value_enum, default_value_t = Pattern::PubSub)]
    pub pattern: Pattern,

    /// What is spoken over the connections; `nats` is for push-pull and fan-in-out.
    #[arg(long, value_enum, default_value_t = Dialect::Websocket, conflicts_with = "server")]
    pub dialect: Dialect,

    /// Connections per room that only receive (with `echo`: all connections of the room).
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub subscribers: u32,

    /// Connections per room that send; they receive too: with pub-sub their own as well, with push-pull and fan-in-out
    /// those of the others.
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub publishers: u32,

    /// Rooms, each with its own subscribers and publishers.
    #[arg(long, value_name = "R", default_value_t = 1)]
    pub rooms: u32,

    /// Ids for the channels instead of generated ones, one per room (with --server).
    #[arg(long, value_name = "ID,…", value_delimiter = ',', requires = "server")]
    pub ids: Vec<String>,

    /// Payload of a message, with fan-in-out of a request, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub size: usize,

    /// Closed loop: messages of each publisher in flight, until the last of its receivers has it, with fan-in-out until
    /// the reply is back.
    #[arg(long, value_name = "W", default_value_t = 1, conflicts_with = "rate")]
    pub window: u32,

    /// Look for deliveries without ever sleeping, as with --rate: the generator's wake-ups are not in the figures.
    #[arg(long)]
    pub spin: bool,

    /// Fixed schedule instead: messages per second of each publisher. Latency counts from the scheduled time. The
    /// generator spins, so that its own wake-ups are not in the latency.
    #[arg(long, value_name = "PER_S")]
    pub rate: Option<f64>,

    /// Connect only, hold for the duration, and report the server's memory per connection (needs --server-pid).
    #[arg(long, conflicts_with_all = ["window", "rate"], requires = "server_pid")]
    pub idle: bool,

    /// Text frames with printable ASCII instead of binary ones; fan-in-out is always text.
    #[arg(long)]
    pub text: bool,

    /// Seconds of load before the measured interval.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub warmup: f64,

    /// Seconds of the measured interval.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub duration: f64,

    /// The server's process (several: separated by commas), to read its CPU time and memory.
    #[arg(long, value_name = "PID,…", value_delimiter = ',')]
    pub server_pid: Vec<u32>,

    /// Pins the generator to this core.
    #[arg(long, value_name = "CORE")]
    pub cpu: Option<usize>,

    /// Seconds that one connection may take to be established.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub connect_timeout: f64,

    /// Prints one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,

    /// Shows the progress on stderr even if it is not a terminal.
    #[arg(long)]
    pub progress: bool,
}

/// What a room does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Everyone in the room gets it, its sender too.
    PubSub,
    /// Its sender gets it.
    Echo,
    /// One of the others gets it, in turns.
    PushPull,
    /// It is a request that one of the others gets, in turns, and answers.
    FanInOut,
}

impl Pattern {
    /// The word of the REST interface.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::PubSub => "pub-sub",
            Pattern::Echo => "echo",
            Pattern::PushPull => "push-pull",
            Pattern::FanInOut => "fan-in-out",
        }
    }

    /// Whether a message is answered by whoever gets it.
    pub fn has_replies(self) -> bool {
        self == Pattern::FanInOut
    }

    /// Whether each message goes to one of the others.
    fn is_in_turns(self) -> bool {
        matches!(self, Pattern::PushPull | Pattern::FanInOut)
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// A message is a message.
    Websocket,
    /// The client protocol of NATS: queue groups, and requests with an inbox for the replies.
    Nats,
}

/// When publishers send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So that this many messages of each are in flight.
    Window(u32),
    /// This many per second each, on a schedule.
    Rate(f64),
    /// Never.
    Idle,
}

/// What to do, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The URL as given, for the report.
    pub target: String,
    /// Where the channels are created; `None`: the rooms exist by themselves, at `room_targets`.
    pub server: Option<Server>,
    /// With TLS: whose certificate is believed.
    pub trust: Option<Trust>,
    pub room_targets: Vec<RoomTarget>,
    pub channel_ids: Vec<String>,
    pub pattern: Pattern,
    pub dialect: Dialect,
    pub rooms: u32,
    pub subscribers: u32,
    /// Of each room. With `echo`: none beside the subscribers, who all send.
    pub publishers: u32,
    /// `STAMP_BYTES <= payload_bytes <= PAYLOAD_BYTES_MAX`
    pub payload_bytes: usize,
    pub text: bool,
    pub pace: Pace,
    /// The closed loop never sleeps.
    pub spin: bool,
    pub warmup: Duration,
    pub duration: Duration,
    pub server_pids: Vec<u32>,
    pub core: Option<usize>,
    pub connect_timeout: Duration,
    pub progress: bool,
}

impl BenchConfig {
    /// Checks the settings against each other.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let least = if self.pattern.has_replies() { REQUEST_BYTES_MIN } else { STAMP_BYTES };
        if !(least..=PAYLOAD_BYTES_MAX).contains(&self.size) {
            let what =
                if self.pattern.has_replies() { "sender, number, time and JSON" } else { "sender, number and time" };
            return Err(setting("--size", format!("{least} to {PAYLOAD_BYTES_MAX} bytes ({what} take {least})")));
        }
        let publishers = if self.pattern == Pattern::Echo { 0 } else { self.publishers };
        let pace = match self.rate {
            _ if self.idle => Pace::Idle,
            Some(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e8 => Pace::Rate(rate),
            Some(_) => return Err(setting("--rate", "above 0, at most 100000000 messages per second".into())),
            None if (1..=1 << 20).contains(&self.window) => Pace::Window(self.window),
            None => return Err(setting("--window", "1 to 1048576 messages".into())),
        };
        if self.rooms == 0 {
            return Err(setting("--rooms", "at least 1".into()));
        }
        if publishers == 0 && pace != Pace::Idle && self.pattern != Pattern::Echo {
            return Err(setting("--publishers", "at least 1, unless with --idle".into()));
        }
        if self.pattern == Pattern::Echo && self.subscribers == 0 {
            return Err(setting("--subscribers", "at least 1 with --pattern echo".into()));
        }
        if self.pattern.is_in_turns() && u64::from(self.subscribers) + u64::from(publishers) < 2 {
            let allowed =
                format!("at least 1 with --pattern {}, unless there are several publishers", self.pattern.name());
            return Err(setting("--subscribers", allowed));
        }
        if self.dialect == Dialect::Nats && !self.pattern.is_in_turns() {
            let allowed =
                format!("websocket with --pattern {}; nats is for push-pull and fan-in-out", self.pattern.name());
            return Err(setting("--dialect", allowed));
        }
        let connections = u64::from(self.rooms) * (u64::from(self.subscribers) + u64::from(publishers));
        if connections > CONNECTIONS_MAX {
            return Err(setting("--rooms", format!("at most {CONNECTIONS_MAX} connections in all, not {connections}")));
        }
        if !self.ids.is_empty() && self.ids.len() != self.rooms as usize {
            return Err(setting("--ids", format!("as many as --rooms, which is {}", self.rooms)));
        }
        let (server, (room_targets, is_tls), target) = match (&self.server, &self.url) {
            (Some(url), _) => {
                let (server, is_tls) = target::http(url)?;
                (Some(server), (Vec::new(), is_tls), url.clone())
            }
            (None, Some(url)) => (None, target::rooms(url, self.rooms)?, url.clone()),
            (None, None) => return Err(setting("--server", "this or --url is needed: the server to measure".into())),
        };
        let trust = match (is_tls, &self.ca, self.insecure) {
            (true, Some(path), _) => Some(Trust::in_file(path)?),
            (true, None, true) => Some(Trust::in_anyone()?),
            (true, None, false) => return Err(setting("--ca", "this or --insecure is needed with TLS".into())),
            (false, Some(_), _) => return Err(setting("--ca", "a URL of https:// or wss:// beside it".into())),
            (false, None, true) => return Err(setting("--insecure", "a URL of https:// or wss:// beside it".into())),
            (false, None, false) => None,
        };
        if is_tls && self.dialect == Dialect::Nats {
            return Err(setting("--dialect", "websocket with TLS".into()));
        }
        Ok(Plan {
            target,
            server,
            trust,
            room_targets,
            channel_ids: self.ids.clone(),
            pattern: self.pattern,
            dialect: self.dialect,
            rooms: self.rooms,
            subscribers: self.subscribers,
            publishers,
            payload_bytes: self.size,
            text: self.dialect == Dialect::Websocket && (self.text || self.pattern.has_replies()),
            pace,
            spin: self.spin,
            warmup: seconds("--warmup", self.warmup, 0.0)?,
            duration: seconds("--duration", self.duration, 0.1)?,
            server_pids: self.server_pid.clone(),
            core: self.cpu,
            connect_timeout: seconds("--connect-timeout", self.connect_timeout, 0.1)?,
            progress: self.progress || std::io::IsTerminal::is_terminal(&std::io::stderr()),
        })
    }
}

impl Plan {
    /// How a message carries its stamp.
    pub fn encoding(&self) -> Encoding {
        match (self.pattern, self.text) {
            (Pattern::FanInOut, _) => Encoding::Json,
            (_, true) => Encoding::Text,
            (_, false) => Encoding::Binary,
        }
    }

    /// Stamp and filler: the payload, without what a request has around them.
    pub fn body_bytes(&self) -> usize {
        if self.pattern.has_replies() { self.payload_bytes - AROUND_BODY_BYTES } else { self.payload_bytes }
    }
}

/// A publisher's index has to fit the 24 bits that a message has for it.
const CONNECTIONS_MAX: u64 = 1 << 24;

/// A run ends before its clock outgrows the 48 bits that a message has for it (78 hours of nanoseconds).
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(name: &'static str, value: f64, least: f64) -> Result<Duration, Failure> {
    if (least..=SECONDS_MAX).contains(&value) {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(setting(name, format!("{least} to {SECONDS_MAX} seconds")))
    }
}

fn setting(name: &'static str, allowed: String) -> Failure {
    Failure::Setting { name, allowed }
}
