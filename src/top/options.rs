//! What `ringrelay top` can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Which relay is shown, and how.
#[derive(Args, Clone)]
pub struct TopConfig {
    /// The relay.
    #[arg(long, value_name = "HTTP_URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,

    /// The API token, where the relay asks for one; better given by the variable, which others cannot see.
    #[arg(short, long, value_name = "TOKEN", env = "RINGRELAY_AUTH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// The certificates that the relay's is checked against, in PEM (with https://).
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,

    /// Takes any certificate of the relay for its own (with https://).
    #[arg(long)]
    pub insecure: bool,

    /// Between two looks at the relay.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,

    /// Prints one view of 80 by 24 after one interval, and ends.
    #[arg(long)]
    pub once: bool,
}

impl TopConfig {
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }
}
