//! The flags of the table: what clap is told, and what it found.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::origin::{Given, Origin};
use super::setting::{Kind, Setting};
use super::{Refusal, SETTINGS};

/// `command` with a flag for every setting.
pub fn with_settings(command: Command) -> Command {
    command.args(SETTINGS.iter().map(flag))
}

/// All settings, one per line, for the help of the program itself.
pub fn summary() -> String {
    let mut text = String::from("Settings of `ringrelay serve`, and of `ringrelay config`, which shows them:\n");
    for setting in SETTINGS {
        let flags = format!("{} <{}>", setting.flag(), setting.value_name());
        text.push_str(&format!("  {flags:<34} {}\n", setting.help));
    }
    text
}

/// The flag of a setting. Its value stays text here, so that one check serves all sources.
fn flag(setting: &'static Setting) -> Arg {
    let variables: Vec<String> = setting.variables().collect();
    let details = format!(
        "{}\n\n[allowed: {}] [default: {}] [env: {}]",
        setting.help,
        setting.allowed(),
        setting.default.words(),
        variables.join(", ")
    );
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .visible_aliases(setting.further_flags)
        .value_name(setting.value_name())
        .value_parser(value_parser!(OsString))
        .action(ArgAction::Set)
        .help(setting.help)
        .long_help(details);
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.kind {
        Kind::Bool => arg.num_args(0..=1).default_missing_value("true"),
        // So that `--max-lag -1` is refused as a value, and not as a flag that nobody knows.
        Kind::Integer { .. } => arg.allow_negative_numbers(true),
        _ => arg,
    }
}

/// What the command line says of a setting.
pub(super) fn given(matches: &ArgMatches, setting: &Setting) -> Option<Result<Given, Refusal>> {
    let value: &OsString = matches.get_one(setting.name)?;
    Some(match value.to_str() {
        Some(text) => Ok(Given { text: text.to_owned(), origin: Origin::Flag(setting.flag()) }),
        None => Err(Refusal::NotUtf8 { name: setting.flag() }),
    })
}
