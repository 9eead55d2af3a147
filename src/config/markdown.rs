//! The table of settings for the README.

use super::SETTINGS;
use super::setting::{DefaultValue, Kind, Setting};

/// The README's table: flag, meaning, what is allowed, default, and further names.
pub fn markdown() -> String {
    let mut table = String::from("| flag | | allowed | default | also |\n| --- | --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let cells = [flags(setting), setting.help.to_owned(), allowed(setting), default(setting), also(setting)];
        table.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    table
}

fn flags(setting: &Setting) -> String {
    let short = setting.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let further: String = setting.further_flags.iter().map(|flag| format!("`--{flag}`, ")).collect();
    let value = match setting.kind {
        Kind::Bool => String::new(),
        _ => format!(" {}", setting.value_name()),
    };
    format!("{short}{further}`{}{value}`", setting.flag())
}

fn allowed(setting: &Setting) -> String {
    // An asterisk is markup outside of code.
    setting.allowed().replace('*', "\\*")
}

fn default(setting: &Setting) -> String {
    match setting.default {
        DefaultValue::Text(text) => format!("`{text}`"),
        DefaultValue::Unset(words) | DefaultValue::Computed(words, _) => words.to_owned(),
    }
}

fn also(setting: &Setting) -> String {
    let variables: Vec<String> = setting.further_variables.iter().map(|name| format!("`{name}`")).collect();
    variables.join(", ")
}
