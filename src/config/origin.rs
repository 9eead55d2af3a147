//! Where a value came from.

use std::fmt;

/// The source of a value, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has set it.
    Default,
    File {
        /// As it was given.
        path: String,
        /// From 1, as is `column`, which counts characters.
        line: usize,
        column: usize,
    },
    Variable(String),
    /// The setting's first flag, whichever of its flags was given.
    Flag(String),
}

impl Origin {
    /// Whether the source of `self` wins over the source of `other`.
    pub fn is_stronger_than(&self, other: &Origin) -> bool {
        self.strength() > other.strength()
    }

    fn strength(&self) -> u8 {
        match self {
            Origin::Default => 0,
            Origin::File { .. } => 1,
            Origin::Variable(_) => 2,
            Origin::Flag(_) => 3,
        }
    }

    /// The setting `name` as this source calls it: `--port`, `WRS_API_PORT`, `relay.toml:3:1: port`.
    pub fn call(&self, name: &str) -> String {
        match self {
            Origin::Default => name.to_owned(),
            Origin::File { path, line, column } => format!("{path}:{line}:{column}: {name}"),
            Origin::Variable(variable) => variable.clone(),
            Origin::Flag(flag) => flag.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line, .. } => write!(f, "file {path}:{line}"),
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What a source says of a setting, not yet checked.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub text: String,
    pub origin: Origin,
}
