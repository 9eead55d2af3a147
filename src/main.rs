//! The command line: `ringrelay serve`, `config`, `doctor`, `health`, `bench`, `top`, `install` and `uninstall`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _, value_parser};
use ringrelay::bench::BenchConfig;
use ringrelay::config::{self, Environment, Loaded, command_line};
use ringrelay::doctor::{self, Host, Verdict};
use ringrelay::health::{Inquiry, Probe};
use ringrelay::install::{InstallError, Installation};
use ringrelay::log;
use ringrelay::server::StartError;
use ringrelay::top::{self, TopConfig};
use ringrelay::tuning::Emission;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command().get_matches().subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("config", matches)) => show_config(matches),
        Some(("doctor", matches)) => doctor(matches),
        Some(("health", matches)) => health(matches),
        Some(("bench", matches)) => match BenchConfig::from_arg_matches(matches) {
            Ok(config) => ringrelay::bench::run(&config),
            Err(error) => error.exit(),
        },
        Some(("top", matches)) => match TopConfig::from_arg_matches(matches) {
            Ok(config) => top::run(&config),
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
    let doctor = Command::new("doctor")
        .about("Says what this host lacks for a relay, and the commands that mend it.")
        .arg(switch("json", "Prints one JSON object: version, verdict, and checks with id, verdict, found, wanted, fix, why."))
        .arg(
            Arg::new("pid")
                .long("pid")
                .value_name("PID")
                .value_parser(value_parser!(u32).range(1..))
                .help("Looks at the limits of this running relay, instead of those of the shell."),
        )
        .arg(
            Arg::new("emit")
                .long("emit")
                .value_name("FILE")
                .value_parser(Emission::ALL.map(Emission::word))
                .conflicts_with_all(["json", "pid"])
                .help(
                    "Checks nothing, and prints the file of sysctls, of limits for systemd or sessions, the guide, or the script \
                     for network cards.",
                ),
        )
        .after_help(
            "Verdicts: ok, advice (it could run better or has less room), problem (it does not start, refuses clients or \
             loses packets), unknown (it cannot be told from here).\n\
             Exit status: 0 if there is neither advice nor a problem, 1 for advice, 3 for problems; 2 if the command line \
             is wrong.",
        );
    let health = Command::new("health")
        .about("Asks the relay that runs with these settings whether it takes requests: status 0, or 1.")
        .arg(Arg::new("url").long("url").value_name("URL").help("Asks here instead, without any token."))
        .arg(switch("live", "Asks /healthz, whether it lives, instead of /readyz.").conflicts_with("url"));
    // After its flags, whose documentation would take this place.
    let bench = BenchConfig::augment_args(Command::new("bench"))
        .about("Measures a WebSocket server: throughput, latency, loss and order.");
    let top = TopConfig::augment_args(Command::new("top"))
        .about("Shows a running relay: shards, the busiest channels, the slowest clients, and what is refused.");
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
        .subcommand(doctor)
        .subcommand(command_line::with_settings(health))
        .subcommand(bench)
        .subcommand(top)
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

/// Exit status 0 after a shutdown in order, 1 if the relay could not start, 2 if it would not either if it were tried again: a
/// setting is wrong, a file that it names, or asks for what this system does not give.
fn serve(matches: &ArgMatches) -> ExitCode {
    let Some(loaded) = load(matches) else { return ExitCode::from(WRONG_SETTING) };
    let level = log::start(loaded.config.log_format, &loaded.config.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match ringrelay::server::run(&loaded.config, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::complain(&error.to_string());
            match error {
                StartError::File(_)
                | StartError::KernelTls(_)
                | StartError::Inherited(_)
                | StartError::Driver(_)
                | StartError::OpenFiles(_) => ExitCode::from(WRONG_SETTING),
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

/// Exit status 0, 1 for advice, 3 for problems, 2 if the command line is wrong.
fn doctor(matches: &ArgMatches) -> ExitCode {
    if let Some(emission) = matches.get_one::<String>("emit").and_then(|word| Emission::of_word(word)) {
        return print(&emission.text());
    }
    let host = Host::local(matches.get_one("pid").copied());
    if !host.has_process() {
        eprintln!("ringrelay: pid: there is no such process");
        return ExitCode::from(WRONG_SETTING);
    }
    let findings = doctor::examine(&host);
    let json = matches.get_flag("json");
    let printed = print(&if json { doctor::to_json(&findings) } else { doctor::to_text(&findings) });
    match doctor::worst(&findings) {
        Verdict::Ok | Verdict::Unknown => printed,
        Verdict::Advice => ExitCode::from(ADVICE),
        Verdict::Problem => ExitCode::from(PROBLEM),
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

/// Of the doctor's.
const ADVICE: u8 = 1;

/// Of the doctor's: 2 is for wrong command lines.
const PROBLEM: u8 = 3;
