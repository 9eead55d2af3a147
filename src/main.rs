//! The command line: `ringrelay serve`, `ringrelay bench`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ringrelay::bench::BenchConfig;
use ringrelay::config::ServeConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WebSocket relay: create a channel over REST, connect, exchange messages.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the relay.
    Serve(ServeConfig),
    /// Measures a WebSocket server: throughput, latency, loss and order.
    Bench(BenchConfig),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(_config) => ExitCode::SUCCESS,
        Command::Bench(config) => ringrelay::bench::run(&config),
    }
}
