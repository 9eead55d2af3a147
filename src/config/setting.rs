//! One line of the table: what a setting is called, what it may be, and what it is otherwise.

use std::net::IpAddr;
use std::path::PathBuf;

use super::secret::Secret;
use super::{Refusal, ServeConfig};

/// A setting. Its flag, its variable and its key in a file follow from its name: `max-lag` is `--max-lag`,
/// `RINGRELAY_MAX_LAG`, and `max-lag` or `max_lag`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// In lower case, with hyphens between its words.
    pub name: &'static str,
    /// A flag of one letter.
    pub short: Option<char>,
    /// Further long flags, without their hyphens.
    pub further_flags: &'static [&'static str],
    /// Further variables, the stronger first; `RINGRELAY_…` is stronger than all of them.
    pub further_variables: &'static [&'static str],
    /// What its values are.
    pub kind: Kind,
    /// What it is when nobody sets it.
    pub default: DefaultValue,
    /// One sentence.
    pub help: &'static str,
}

/// What a setting's values are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`; as a flag alone, `true`.
    Bool,
    /// `min..=max`
    Integer { min: u64, max: u64, unit: Unit },
    /// An IPv4 or IPv6 address.
    Address,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// What `check` lets through. `Err` says what is wrong.
    Text { value_name: &'static str, allowed: &'static str, check: fn(&str) -> Result<(), String> },
    /// The same, of items separated by spaces; in a file also an array of strings.
    List { value_name: &'static str, allowed: &'static str, check: fn(&str) -> Result<(), String> },
    /// A path in UTF-8, not empty.
    Path,
    /// As `Text`, and never shown.
    Secret { value_name: &'static str, allowed: &'static str, check: fn(&str) -> Result<(), String> },
    /// Accepted for the sake of those who come from elsewhere, and not used.
    Ignored { value_name: &'static str },
}

/// What an integer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Seconds,
    Milliseconds,
    Microseconds,
    PerSecond,
    Port,
    /// Of what the setting is about.
    Count,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// This, read as if it had been given.
    Text(&'static str),
    /// Nothing, which these words explain.
    Unset(&'static str),
    /// What the other settings or the machine make it, which these words explain.
    Computed(&'static str, fn(&ServeConfig) -> Value),
}

/// A value that its setting allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Integer(u64),
    Address(IpAddr),
    /// Of a text, a list, a choice or an ignored setting.
    Text(String),
    Path(PathBuf),
    Secret(Secret),
}

impl Setting {
    /// The flag that the help shows first: `--max-lag`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The variable of ours: `RINGRELAY_MAX_LAG`.
    pub fn variable(&self) -> String {
        format!("{OUR_PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// All its variables, the strongest first.
    pub fn variables(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::once(self.variable()).chain(self.further_variables.iter().map(|&name| name.to_owned()))
    }

    /// What is allowed, in words.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Bool => "true or false".to_owned(),
            Kind::Integer { min, max, unit } if min == max => format!("{min}{}", unit.words()),
            Kind::Integer { min, max, unit } => format!("{min} to {max}{}", unit.words()),
            Kind::Address => "an IP address such as 127.0.0.1, 0.0.0.0 or ::".to_owned(),
            Kind::Choice(words) => words.join(" or "),
            Kind::Text { allowed, .. } | Kind::List { allowed, .. } | Kind::Secret { allowed, .. } => {
                allowed.to_owned()
            }
            Kind::Path => "a path".to_owned(),
            Kind::Ignored { .. } => "anything".to_owned(),
        }
    }

    /// What stands for its value in the help.
    pub fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "true|false",
            Kind::Integer { unit, .. } => unit.value_name(),
            Kind::Address => "ADDRESS",
            Kind::Choice(_) => "WORD",
            Kind::Text { value_name, .. }
            | Kind::List { value_name, .. }
            | Kind::Secret { value_name, .. }
            | Kind::Ignored { value_name } => value_name,
            Kind::Path => "FILE",
        }
    }

    /// Reads a value; `called` is the setting's name at its source.
    ///
    /// # Errors
    /// It is not allowed.
    pub fn parse(&self, text: &str, called: impl FnOnce() -> String) -> Result<Value, Refusal> {
        self.read(text).map_err(|fault| Refusal::Value {
            name: called(),
            value: (!self.is_secret()).then(|| text.to_owned()),
            fault,
            allowed: self.allowed(),
        })
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }

    /// `Err` says what is wrong, if the words for what is allowed do not.
    fn read(&self, text: &str) -> Result<Value, Option<String>> {
        match self.kind {
            Kind::Bool => text.parse().map(Value::Bool).map_err(|_| None),
            Kind::Integer { min, max, .. } => match text.parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
                _ => Err(None),
            },
            Kind::Address => text.parse().map(Value::Address).map_err(|_| None),
            Kind::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Kind::Choice(_) => Err(None),
            Kind::Text { check, .. } | Kind::List { check, .. } => {
                check(text).map(|()| Value::Text(text.to_owned())).map_err(Some)
            }
            Kind::Path if text.is_empty() => Err(None),
            Kind::Path => Ok(Value::Path(text.into())),
            Kind::Secret { check, .. } => check(text).map(|()| Value::Secret(Secret::new(text))).map_err(Some),
            Kind::Ignored { .. } => Ok(Value::Text(text.to_owned())),
        }
    }
}

impl DefaultValue {
    /// The default in words, for the help.
    pub fn words(&self) -> &'static str {
        match self {
            DefaultValue::Text(words) | DefaultValue::Unset(words) | DefaultValue::Computed(words, _) => words,
        }
    }
}

impl Unit {
    /// What follows a number, with a space before it.
    fn words(self) -> &'static str {
        match self {
            Unit::Bytes => " bytes",
            Unit::Seconds => " seconds",
            Unit::Milliseconds => " milliseconds",
            Unit::Microseconds => " microseconds",
            Unit::PerSecond => " per second",
            Unit::Port | Unit::Count => "",
        }
    }

    fn value_name(self) -> &'static str {
        match self {
            Unit::Bytes => "BYTES",
            Unit::Seconds => "SECONDS",
            Unit::Milliseconds => "MS",
            Unit::Microseconds => "MICROS",
            Unit::PerSecond => "RATE",
            Unit::Port => "PORT",
            Unit::Count => "COUNT",
        }
    }
}

/// What the names of our variables begin with.
pub(super) const OUR_PREFIX: &str = "RINGRELAY_";
