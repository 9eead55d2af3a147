//! What `ringrelay serve` can be told: flags over `RINGRELAY_…` variables over defaults (requirements, section 4).

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

/// The settings of one relay, checked: every value here is in its range.
#[derive(Args, Clone, Debug)]
pub struct ServeConfig {
    /// Address to listen on.
    #[arg(long, env = "RINGRELAY_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub host: IpAddr,

    /// Port to listen on; 0 lets the system choose (the chosen one is printed).
    #[arg(long, short, env = "RINGRELAY_PORT", default_value_t = 8080)]
    pub port: u16,

    /// Shards: threads that relay, one io_uring each [default: the cores this process may use].
    #[arg(long, env = "RINGRELAY_SHARDS", value_name = "COUNT", value_parser = shards)]
    pub shards: Option<NonZeroUsize>,

    /// Largest message, in bytes; a larger one closes its sender with 1009.
    #[arg(long, env = "RINGRELAY_MAX_MESSAGE_SIZE", value_name = "BYTES", default_value_t = 1 << 20,
          value_parser = clap::builder::RangedU64ValueParser::<u64>::new().range(1..=1 << 30))]
    pub max_message_size: u64,

    /// How far behind a connection may fall, in bytes; over it, it is closed with 4408. One message always fits.
    #[arg(long, env = "RINGRELAY_MAX_LAG", value_name = "BYTES", default_value_t = 4 << 20,
          value_parser = clap::builder::RangedU64ValueParser::<u64>::new().range(1..=1 << 40))]
    pub max_lag: u64,

    /// How long a shard looks for work before it sleeps, in microseconds. Wakes faster under load, and keeps its core busy
    /// for as long after each message; 50 is a good value for a core of its own.
    #[arg(long, env = "RINGRELAY_SPIN", value_name = "MICROS", default_value_t = 0,
          value_parser = clap::builder::RangedU64ValueParser::<u64>::new().range(0..=1000))]
    pub spin: u64,

    /// How long an HTTP head may take to arrive, in milliseconds; then the connection is closed.
    #[arg(long, env = "RINGRELAY_HEAD_TIMEOUT", value_name = "MS", default_value_t = 10_000,
          value_parser = clap::builder::RangedU64ValueParser::<u64>::new().range(1..=3_600_000))]
    pub head_timeout: u64,

    /// How long connections get to close on SIGTERM or SIGINT, in seconds; then they are cut.
    #[arg(long, env = "RINGRELAY_DRAIN", value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::builder::RangedU64ValueParser::<u64>::new().range(0..=3_600))]
    pub drain: u64,
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

fn shards(text: &str) -> Result<NonZeroUsize, String> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|count| count.get() <= SHARDS_MAX)
        .ok_or_else(|| format!("allowed: 1 to {SHARDS_MAX}"))
}
