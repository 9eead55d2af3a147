//! What `ringrelay serve` can be told: flags over variables over a TOML file over defaults (requirements, section 4).
//!
//! [`SETTINGS`] is the one table of what there is. The flags and their help ([`command_line`]), the variables, the keys of
//! a file, the checks, what `ringrelay config` prints and the README's table all come from it. [`load`] asks the sources
//! in order, and either refuses all that is wrong at once or gives a [`ServeConfig`], whose every value is in its range.

mod allowed;
pub mod command_line;
mod effective;
mod environment;
mod environment_file;
mod file;
mod markdown;
mod nearest;
mod origin;
mod refusal;
mod resolve;
mod secret;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::Rules;
use crate::cgroup;
use crate::channel::SlowPolicy;
use crate::http::Origins;

pub use effective::{Effective, to_json, to_text};
pub use environment::Environment;
pub use environment_file::environment_file;
pub use file::read_text;
pub use markdown::markdown;
pub use origin::Origin;
pub use refusal::Refusal;
pub use resolve::{Loaded, load};
pub use secret::Secret;
pub use setting::{DefaultValue, Kind, Setting, Unit, Value};
pub use table::SETTINGS;

/// The settings of one relay, checked: every value here is in its range. The table says what each is for.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Where to listen.
    pub host: IpAddr,
    /// 0 = the system chooses.
    pub port: u16,
    /// The port that clients see; `None` = the one that is listened on.
    pub public_port: Option<u16>,
    /// Host name or address that clients see. An IPv6 address has no brackets here.
    pub domain: String,
    /// Clients see `https` and `wss`.
    pub public_ssl: bool,
    /// `None` = no TLS.
    pub ssl: Option<SslConfig>,
    /// Who seals what is sent with TLS.
    pub ktls: Ktls,
    /// Those whose word on a client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Trusted proxies begin each connection with a PROXY header.
    pub proxy_protocol: bool,
    /// `1..=SHARDS_MAX`; `None` = one per core.
    pub shards: Option<NonZeroUsize>,
    /// What shards and fronts run on.
    pub driver: Driver,
    /// Bytes.
    pub max_message_size: u64,
    /// Bytes, per connection.
    pub max_lag: u64,
    /// For channels that do not say.
    pub slow_consumers: SlowPolicy,
    /// Bytes, per shard; `None` = half of the memory that there is for all shards together.
    pub shard_memory: Option<u64>,
    /// Of the whole relay; `None` = as many as there are open files for.
    pub max_connections: Option<u64>,
    /// Most connections at once that are no WebSocket, or not yet; `None` = see the setting.
    pub max_http_connections: Option<u64>,
    /// `None` = no limit.
    pub max_connections_per_address: Option<NonZeroU64>,
    /// Of the whole relay.
    pub max_channels: u64,
    /// `None` = no limit.
    pub max_channels_per_address: Option<NonZeroU64>,
    /// Messages per second and client; `None` = no limit.
    pub message_rate: Option<NonZeroU64>,
    /// Bytes per second and client; `None` = no limit.
    pub byte_rate: Option<NonZeroU64>,
    /// Connections per second and address; `None` = no limit.
    pub connection_rate: Option<NonZeroU64>,
    /// HTTP requests per second and address; `None` = no limit.
    pub request_rate: Option<NonZeroU64>,
    /// Milliseconds.
    pub head_timeout: u64,
    /// Milliseconds, of TLS.
    pub handshake_timeout: u64,
    /// Milliseconds between two requests of a connection.
    pub idle_timeout: u64,
    /// Bytes.
    pub max_uri_size: usize,
    /// Bytes.
    pub max_head_size: usize,
    /// Bytes.
    pub max_body_size: usize,
    /// `None` = clients are not pinged.
    pub ping_interval: Option<Duration>,
    /// Messages are compressed for clients that ask for it.
    pub deflate: bool,
    /// `None` = JSON Web Tokens are not taken.
    pub jwt: Option<JwtConfig>,
    /// Microseconds; 0 = not at all.
    pub spin: u64,
    /// Seconds.
    pub drain: u64,
    /// Hexadecimal digits, four random bits each: `32..=256`.
    pub token_length: usize,
    /// Characters of each half of a generated id: `4..=31`, so that both and the hyphen fit an id's 64.
    pub id_length: usize,
    /// `None` = the API is open to everyone.
    pub auth: Option<AuthConfig>,
    /// Channels can be created and deleted with GET too.
    pub browser_only: bool,
    /// The text of the guide, in Markdown; `None` = the built-in one.
    pub readme: Option<Arc<str>>,
    /// The origins whose pages may use the API.
    pub cors_origins: Origins,
    /// Directives of a `tracing_subscriber::EnvFilter`; mostly one level.
    pub log_level: String,
    pub log_format: LogFormat,
}

/// What guards the API.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// What a client has to know: visible ASCII, not empty. `None` = only JSON Web Tokens open what is guarded.
    pub token: Option<Secret>,
    /// What it guards.
    pub resources: Rules,
}

/// Where the certificate is.
#[derive(Clone, Debug)]
pub struct SslConfig {
    /// A chain in PEM.
    pub cert_path: PathBuf,
    /// A private key in PEM.
    pub key_path: PathBuf,
}

/// What JSON Web Tokens are checked with; at least one of the paths is there.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// A public key in PEM, or a secret.
    pub key_path: Option<PathBuf>,
    /// A JWK set.
    pub jwks_path: Option<PathBuf>,
    /// What `iss` has to be; `None` = anything.
    pub issuer: Option<String>,
    /// What `aud` has to be or contain; `None` = nobody asks.
    pub audience: Option<String>,
}

/// How the relay talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring, or epoll where that is refused.
    Auto,
    /// io_uring for shards, or no start at all.
    Uring,
    Epoll,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// What its reader is likely to want.
    Auto,
    Text,
    Json,
    /// Text with the priorities of systemd's journal.
    Journald,
}

/// Whether the kernel seals the records of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ktls {
    /// Where it can do everything that is needed.
    Auto,
    /// All that it can, or no start at all.
    On,
    Off,
}

impl Default for ServeConfig {
    /// All settings at their defaults, as the table has them.
    fn default() -> ServeConfig {
        resolve::defaults()
    }
}

impl ServeConfig {
    /// The number of shards: the setting, or one per core that this process may run on.
    pub fn shard_count(&self) -> usize {
        self.shards.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(SHARDS_MAX)
    }

    /// How long an HTTP head may take to arrive.
    pub fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout)
    }

    /// How long a TLS handshake may take.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout)
    }

    /// How long an HTTP connection may wait for its next request.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout)
    }

    /// Most bytes of one shard for messages: the setting, or its share of half of the memory that there is.
    pub fn shard_memory(&self) -> u64 {
        self.shard_memory.unwrap_or_else(|| default_shard_memory(memory(), self.shard_count() as u64))
    }

    /// How long a shard looks for work before it sleeps; zero = not at all.
    pub fn spin(&self) -> Duration {
        Duration::from_micros(self.spin)
    }

    /// How long clients get to close at a shutdown.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}

/// Most bytes of one of so many shards for messages if nobody says: its share of half of `memory`.
pub fn default_shard_memory(memory: u64, shards: u64) -> u64 {
    (memory / 2 / shards.max(1)).max(SHARD_MEMORY_MIN)
}

/// Bytes of memory that this process may use: the host's, or those of its control group if these are less.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    let host = info.totalram as u64 * u64::from(info.mem_unit.max(1));
    cgroup::memory_limit(Path::new("/"), "self").map_or(host, |limit| limit.min(host))
}

/// Less would not hold a shard's buffers and one large message.
pub const SHARD_MEMORY_MIN: u64 = 16 << 20;

/// The shard count in a client id is 16 bits wide; no host has more cores than this.
pub const SHARDS_MAX: usize = 1024;
