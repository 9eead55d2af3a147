//! The command line: `ringrelay serve`, `ringrelay bench`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ringrelay::bench::BenchConfig;
use ringrelay::config::ServeConfig;
use tracing_subscriber::EnvFilter;

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
        Command::Serve(config) => serve(&config),
        Command::Bench(config) => ringrelay::bench::run(&config),
    }
}

/// Exit status 0 after a shutdown in order, 1 if the relay could not start.
fn serve(config: &ServeConfig) -> ExitCode {
    tracing_subscriber::fmt().with_env_filter(log_filter()).init();
    match ringrelay::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringrelay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG`, or what an operator should see.
fn log_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}
