//! Why the relay does not start: what an operator has to change.

use std::{fmt, io};

/// One thing that is wrong with what was given. Its text names the setting as it was given, what it was (no secrets), and
/// what is allowed.
#[derive(Debug)]
pub enum Refusal {
    /// A value that its setting does not allow.
    Value {
        /// The setting as its source calls it.
        name: String,
        /// `None` = a secret.
        value: Option<String>,
        /// What is wrong with it, if that is not plain from what is allowed.
        fault: Option<String>,
        allowed: String,
    },
    /// A variable or a flag whose value is no UTF-8.
    NotUtf8 { name: String },
    /// A `RINGRELAY_…` variable that no setting has.
    UnknownVariable { name: String, nearest: Option<String> },
    /// A key of a file that no setting has.
    UnknownKey { at: String, key: String, nearest: Option<String> },
    /// Both spellings of a key in one file.
    RepeatedKey { at: String, key: String },
    /// A key that only makes sense outside of a file.
    NotInFile { at: String, key: String },
    /// A TOML value of another type than its setting's.
    Type { at: String, key: String, is: &'static str, allowed: String },
    /// A file that is no TOML.
    Syntax { at: String, message: String },
    /// A file that cannot be read.
    Unreadable { name: String, path: String, error: io::Error },
    /// A setting without which another makes no sense.
    Missing {
        /// What asks for it, as its source calls it.
        by: String,
        /// The flag and the variable that give it.
        flag: String,
        variable: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Value { name, value, fault, allowed } => {
                match value {
                    Some(value) => write!(f, "{name} is '{}'", value.escape_debug())?,
                    None => write!(f, "{name} (not shown, as it is secret) is wrong")?,
                }
                if let Some(fault) = fault {
                    write!(f, ": {fault}")?;
                }
                write!(f, "; allowed: {allowed}")
            }
            Refusal::NotUtf8 { name } => write!(f, "{name} is not UTF-8; allowed: text in UTF-8"),
            Refusal::UnknownVariable { name, nearest } => {
                write!(f, "{name} is no setting{}", Hint(nearest))
            }
            Refusal::UnknownKey { at, key, nearest } => {
                write!(f, "{at}: '{}' is no setting{}", key.escape_debug(), Hint(nearest))
            }
            Refusal::RepeatedKey { at, key } => write!(f, "{at}: {key} is set twice, in both spellings; allowed: once"),
            Refusal::NotInFile { at, key } => {
                write!(f, "{at}: {key} cannot be set in a file; allowed: as a flag or a variable")
            }
            Refusal::Type { at, key, is, allowed } => write!(f, "{at}: {key} is a TOML {is}; allowed: {allowed}"),
            Refusal::Syntax { at, message } => write!(f, "{at}: {message}; allowed: TOML"),
            Refusal::Unreadable { name, path, error } => {
                write!(f, "{name} is '{}': {error}; allowed: a readable file", path.escape_debug())
            }
            Refusal::Missing { by, flag, variable } => write!(f, "{by} is true, which needs {flag} or {variable}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// `; did you mean port?`, or where to look.
struct Hint<'a>(&'a Option<String>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => f.write_str("; ringrelay serve --help lists all"),
        }
    }
}
