//! What `ringrelay serve` can be told: flags over variables over a TOML file over defaults (requirements, section 4).
//!
//! [`SETTINGS`] is the one table of what there is. The flags and their help ([`command_line`]), the variables, the keys of
//! a file, the checks, what `ringrelay config` prints and the README's table all come from it. [`load`] asks the sources
//! in order, and either refuses all that is wrong at once or gives a [`ServeConfig`], whose every value is in its range.

mod allowed;
pub mod command_line;
mod effective;
mod environment;
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
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

pub use effective::{Effective, to_json, to_text};
pub use environment::Environment;
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
    pub host: IpAddr,
    /// 0 = the system chooses.
    pub port: u16,
    /// The port that clients see; `None` = the one that is listened on.
    pub public_port: Option<u16>,
    /// Host name or address that clients see. An IPv6 address has no brackets here.
    pub domain: String,
    /// Clients see `https` and `wss`.
    pub public_ssl: bool,
    /// `1..=SHARDS_MAX`; `None` = one per core.
    pub shards: Option<NonZeroUsize>,
    pub driver: Driver,
    /// Bytes.
    pub max_message_size: u64,
    /// Bytes, per connection.
    pub max_lag: u64,
    /// Of the whole relay; `None` = as many as open files allow.
    pub max_connections: Option<u64>,
    /// Of the whole relay.
    pub max_channels: u64,
    /// Milliseconds.
    pub head_timeout: u64,
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
    pub browser_only: bool,
    /// The text of the guide, in Markdown; `None` = the built-in one.
    pub readme: Option<Arc<str>>,
    /// `*`, `none`, or origins separated by spaces or commas.
    pub cors_origins: String,
    /// Directives of a `tracing_subscriber::EnvFilter`; mostly one level.
    pub log_level: String,
}

/// What guards the API.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    pub token: Secret,
    /// `METHOD:path-regex` entries separated by spaces; empty = everything.
    pub resources: String,
}

/// How shards talk to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The best that this kernel has; in this version that is io_uring.
    Auto,
    Uring,
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

    pub fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout)
    }

    pub fn spin(&self) -> Duration {
        Duration::from_micros(self.spin)
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}

/// The shard count in a client id is 16 bits wide; no host has more cores than this.
pub const SHARDS_MAX: usize = 1024;
