//! The command line: `ringrelay serve`, `config`, `bench`, `install` and `uninstall`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _, value_parser};
use ringrelay::bench::BenchConfig;
use ringrelay::config::{self, Environment, Loaded, command_line};
use ringrelay::install::{InstallError, Installation};
use ringrelay::server::StartError;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command().get_matches().subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("config", matches)) => show_config(matches),
        Some(("bench", matches)) => match BenchConfig::from_arg_matches(matches) {
            Ok(config) => ringrelay::bench::run(&config),
            Err(error) => error.exit(),
        },
        Some(("install", matches)) => install(matches),
        Some(("uninstall", matches)) => end_of(installation_of(matches).uninstall(&mut say)),
        _ => unreachable!("a command is required, and these are all"),
    }
}

fn command() -> Command {
    let serve = Command::new("serve").about("Runs the relay.");
    let config = Command::new("config")
        .about("Shows the settings that serve would run with, and where each comes from.")
        .arg(switch("json", "Prints one JSON object instead of columns."))
        .arg(switch("markdown", "Prints the README's table of settings.").hide(true))
        .arg(switch("environment-file", "Prints a file of variables for a service manager, all commented out."));
    // After its flags, whose documentation would take this place.
    let bench = BenchConfig::augment_args(Command::new("bench"))
        .about("Measures a WebSocket server: throughput, latency, loss and order.");
    let install = installation("install")
        .about("Installs this program as a systemd service, and says what to run next.")
        .after_help(
            "Writes /usr/local/bin/ringrelay, its unit, socket unit and user, and /etc/ringrelay.env with every setting. That \
             file is kept if it exists.",
        );
    let uninstall =
        installation("uninstall").about("Takes back what install has written; settings that were changed are kept.");
    Command::new(env!("CARGO_PKG_NAME"))
        .about("A WebSocket relay: create a channel over REST, connect, exchange messages.")
        .after_long_help(command_line::summary())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(command_line::with_settings(serve))
        .subcommand(command_line::with_settings(config))
        .subcommand(bench)
        .subcommand(install)
        .subcommand(uninstall)
}

/// A command about what is installed.
fn installation(name: &'static str) -> Command {
    let prefix = Arg::new("prefix")
        .long("prefix")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .default_value("/")
        .help("Folder that everything goes below, as for a package or an image.");
    Command::new(name).arg(switch("dry-run", "Says what it would do, and does nothing.")).arg(prefix)
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
                StartError::File(_) | StartError::KernelTls(_) | StartError::Inherited(_) => {
                    ExitCode::from(WRONG_SETTING)
                }
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
    if matches.get_flag("environment-file") {
        return print(&config::environment_file());
    }
    let Some(loaded) = load(matches) else { return ExitCode::from(WRONG_SETTING) };
    for warning in &loaded.warnings {
        eprintln!("ringrelay: warning: {warning}");
    }
    let json = matches.get_flag("json");
    print(&if json { config::to_json(&loaded.settings) } else { config::to_text(&loaded.settings) })
}

/// Exit status 0, or 1 if a file could not be written.
fn install(matches: &ArgMatches) -> ExitCode {
    let binary = match std::env::current_exe() {
        Ok(binary) => binary,
        Err(error) => {
            eprintln!("ringrelay: cannot find this program: {error}");
            return ExitCode::FAILURE;
        }
    };
    end_of(installation_of(matches).install(&binary, &mut say))
}

fn installation_of(matches: &ArgMatches) -> Installation {
    let prefix = matches.get_one::<PathBuf>("prefix").cloned().unwrap_or_else(|| PathBuf::from("/"));
    Installation { prefix, dry_run: matches.get_flag("dry-run") }
}

/// A line for whoever installs. That it cannot be read is no reason to stop halfway.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn end_of(outcome: Result<(), InstallError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringrelay: {error}");
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

/// The exit status of clap's own refusals too.
const WRONG_SETTING: u8 = 2;
