//! The command line: `ringrelay serve`, `ringrelay config`, `ringrelay health`, `ringrelay bench`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use ringrelay::bench::BenchConfig;
use ringrelay::config::{self, Environment, Loaded, command_line};
use ringrelay::health::{Inquiry, Probe};
use ringrelay::server::StartError;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command().get_matches().subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("config", matches)) => show_config(matches),
        Some(("health", matches)) => health(matches),
        Some(("bench", matches)) => match BenchConfig::from_arg_matches(matches) {
            Ok(config) => ringrelay::bench::run(&config),
            Err(error) => error.exit(),
        },
        _ => unreachable!("a command is required, and these are all"),
    }
}

fn command() -> Command {
    let serve = Command::new("serve").about("Runs the relay.");
    let config = Command::new("config")
        .about("Shows the settings that serve would run with, and where each comes from.")
        .arg(switch("json", "Prints one JSON object instead of columns."))
        .arg(switch("markdown", "Prints the README's table of settings.").hide(true));
    let health = Command::new("health")
        .about("Asks the relay that runs with these settings whether it takes requests: status 0, or 1.")
        .arg(Arg::new("url").long("url").value_name("URL").help("Asks here instead, without any token."))
        .arg(switch("live", "Asks /healthz, whether it lives, instead of /readyz.").conflicts_with("url"));
    // After its flags, whose documentation would take this place.
    let bench = BenchConfig::augment_args(Command::new("bench"))
        .about("Measures a WebSocket server: throughput, latency, loss and order.");
    Command::new(env!("CARGO_PKG_NAME"))
        .about("A WebSocket relay: create a channel over REST, connect, exchange messages.")
        .after_long_help(command_line::summary())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(command_line::with_settings(serve))
        .subcommand(command_line::with_settings(config))
        .subcommand(command_line::with_settings(health))
        .subcommand(bench)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// Exit status 0 after a shutdown in order, 1 if the relay could not start, 2 if a setting is wrong or a file that it names.
fn serve(matches: &ArgMatches) -> ExitCode {
    let Some(loaded) = load(matches) else { return ExitCode::from(WRONG_SETTING) };
    start_log(&loaded.config.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match ringrelay::server::run(&loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringrelay: {error}");
            match error {
                StartError::File(_) => ExitCode::from(WRONG_SETTING),
                StartError::System(_) => ExitCode::FAILURE,
            }
        }
    }
}

/// Exit status 0, or 2 if a setting is wrong.
fn show_config(matches: &ArgMatches) -> ExitCode {
    if matches.get_flag("markdown") {
        return print(&config::markdown());
    }
    let Some(loaded) = load(matches) else { return ExitCode::from(WRONG_SETTING) };
    for warning in &loaded.warnings {
        eprintln!("ringrelay: warning: {warning}");
    }
    let json = matches.get_flag("json");
    print(&if json { config::to_json(&loaded.settings) } else { config::to_text(&loaded.settings) })
}

/// Exit status 0 if the relay is well, else 1, for settings that are wrong too: 2 has no meaning to those who ask.
fn health(matches: &ArgMatches) -> ExitCode {
    let inquiry = match matches.get_one::<String>("url") {
        Some(url) => Inquiry::of_url(url),
        None => {
            let Some(loaded) = load(matches) else { return ExitCode::FAILURE };
            let probe = if matches.get_flag("live") { Probe::Live } else { Probe::Ready };
            Inquiry::of_settings(&loaded.config, probe)
        }
    };
    match inquiry.and_then(|inquiry| inquiry.ask(PATIENCE)) {
        Ok(answer) => print(&format!("{answer}\n")),
        Err(unwell) => {
            eprintln!("ringrelay: {unwell}");
            ExitCode::FAILURE
        }
    }
}

/// The settings; `None` after saying what is wrong with them.
fn load(matches: &ArgMatches) -> Option<Loaded> {
    match config::load(matches, &Environment::of_process(), &config::read_text) {
        Ok(loaded) => Some(loaded),
        Err(refusals) => {
            for refusal in refusals {
                eprintln!("ringrelay: {refusal}");
            }
            None
        }
    }
}

/// Logs to standard output, in colours if a person reads it there.
fn start_log(level: &str) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_ansi(colours).init();
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("ringrelay: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// How long a relay may take to say how it is: a shard that is stuck does not keep its front from answering.
const PATIENCE: Duration = Duration::from_secs(3);

/// The exit status of clap's own refusals too.
const WRONG_SETTING: u8 = 2;
