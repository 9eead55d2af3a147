//! The keys of a TOML file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::origin::{Given, Origin};
use super::setting::{Kind, Setting};
use super::table::CONFIG;
use super::{Refusal, SETTINGS};

/// What a file says, by the settings' names.
pub(super) type FileSettings = BTreeMap<&'static str, Given>;

/// Reads a file of settings. `path` is only for what is said about it. Everything that is wrong with its keys and types
/// comes back, together with what is right.
pub(super) fn parse(path: &str, text: &str) -> (FileSettings, Vec<Refusal>) {
    let mut settings = FileSettings::new();
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ", ");
            return (settings, vec![Refusal::Syntax { at: format!("{path}:{line}:{column}"), message }]);
        }
    };
    let mut keys: Vec<_> = table.iter().collect();
    // The table is sorted by name; people read a file from above.
    keys.sort_by_key(|(key, _)| key.span().start);
    let mut refusals = Vec::new();
    for (key, value) in keys {
        let (line, column) = position(text, key.span().start);
        let at = format!("{path}:{line}:{column}");
        let key = key.get_ref().to_string();
        let name = key.replace('_', "-");
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let nearest = nearest(&name, SETTINGS.iter().map(|setting| setting.name).filter(|name| *name != CONFIG));
            refusals.push(Refusal::UnknownKey { at, key, nearest });
            continue;
        };
        if setting.name == CONFIG {
            refusals.push(Refusal::NotInFile { at, key });
            continue;
        }
        let Some(given) = as_text(setting, value.get_ref()) else {
            refusals.push(Refusal::Type { at, key, is: value.get_ref().type_str(), allowed: setting.allowed() });
            continue;
        };
        let origin = Origin::File { path: path.to_owned(), line, column };
        if settings.insert(setting.name, Given { text: given, origin }).is_some() {
            refusals.push(Refusal::RepeatedKey { at, key });
        }
    }
    (settings, refusals)
}

/// A TOML value as the text that a flag would have. Quotes always do; a bare number or word has to be of the setting's
/// own type, so that a number without quotes is no text. `None` = of another type.
fn as_text(setting: &Setting, value: &DeValue<'_>) -> Option<String> {
    match (value, setting.kind) {
        (DeValue::String(text), _) => Some(text.to_string()),
        (DeValue::Boolean(value), Kind::Bool | Kind::Ignored { .. }) => Some(value.to_string()),
        (DeValue::Integer(number), Kind::Integer { .. } | Kind::Ignored { .. }) => {
            let digits = number.as_str();
            // What does not fit is out of every range; the check says so.
            Some(i64::from_str_radix(digits, number.radix()).map_or_else(|_| number.to_string(), |n| n.to_string()))
        }
        (DeValue::Array(items), Kind::List { .. }) => {
            let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            Some(items?.join(" "))
        }
        _ => None,
    }
}

/// Line and column of a byte, from 1; columns count characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The text of a file that a setting names, up to 1 MiB.
///
/// # Errors
/// The file cannot be read, is no UTF-8, or is larger.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {FILE_LEN_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

const FILE_LEN_MAX: u64 = 1 << 20;
