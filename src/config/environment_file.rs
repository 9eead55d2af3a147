//! The table of settings as a file of variables, for a service manager.

use super::SETTINGS;
use super::setting::{DefaultValue, Kind, Setting};

/// Every setting as a variable that is commented out, with what it is for.
pub fn environment_file() -> String {
    let mut text = String::from(INTRODUCTION);
    // What is ignored is not worth a line.
    for setting in SETTINGS.iter().filter(|setting| !matches!(setting.kind, Kind::Ignored { .. })) {
        text.push_str(&format!("\n# {}\n# Allowed: {}", setting.help, setting.allowed()));
        let value = match setting.default {
            DefaultValue::Text(value) => value,
            DefaultValue::Unset(words) | DefaultValue::Computed(words, _) => {
                text.push_str(&format!("\n# Default: {words}"));
                ""
            }
        };
        text.push_str(&format!("\n#{}={}\n", setting.variable(), quoted(setting, value)));
    }
    text
}

/// As systemd reads it (systemd.exec(5), EnvironmentFile=): a list has spaces, and spaces at the ends would go.
fn quoted(setting: &Setting, value: &str) -> String {
    match setting.kind {
        Kind::List { .. } | Kind::Text { .. } | Kind::Secret { .. } => format!("\"{value}\""),
        Kind::Bool | Kind::Integer { .. } | Kind::Address | Kind::Choice(_) | Kind::Path | Kind::Ignored { .. } => {
            value.to_owned()
        }
    }
}

const INTRODUCTION: &str = "\
# The settings of the ringrelay service: what is commented out is at its default. After a change:
# systemctl restart ringrelay. What is wrong is refused at start, and `systemctl status ringrelay` says what.
";
