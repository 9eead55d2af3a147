//! The load generator behind `ringrelay bench`.

use clap::Args;

/// What `ringrelay bench` can be told.
#[derive(Args, Clone, Debug)]
pub struct BenchConfig {}
