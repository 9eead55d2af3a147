//! A sysctl: its value, whom it is for, and what else would do.

use super::entry::Weight;

#[derive(Clone, Copy, Debug)]
pub struct Sysctl {
    /// What the sysctl file says.
    pub value: &'static str,
    pub scope: Scope,
    pub line: Line,
    /// What is good enough; `None` = nothing is asked of it by itself.
    pub wanted: Option<Wanted>,
    /// When it is not.
    pub weight: Weight,
}

/// Whom a sysctl is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each network namespace has its own: a container is not served by what its host has.
    Namespace,
    /// The host has one, which a container can at most read.
    Host,
}

/// How it stands in the sysctl file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Set,
    /// Behind a `#`, with the reason why it is not set everywhere.
    Commented(&'static str),
}

/// What is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    AtLeast(u64),
    AtMost(u64),
    Exactly(u64),
    /// Two numbers, of which the first is at most and the second at least this.
    Span(u64, u64),
}

impl Wanted {
    /// Whether a sysctl that reads like this is good enough; `None` = these are no such numbers.
    pub fn is_met_by(self, text: &str) -> Option<bool> {
        let numbers: Vec<u64> = text.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        match (self, numbers.as_slice()) {
            (Wanted::AtLeast(least), [number]) => Some(*number >= least),
            (Wanted::AtMost(most), [number]) => Some(*number <= most),
            (Wanted::Exactly(wanted), [number]) => Some(*number == wanted),
            (Wanted::Span(from, to), [first, last]) => Some(*first <= from && *last >= to),
            (Wanted::AtLeast(_) | Wanted::AtMost(_) | Wanted::Exactly(_) | Wanted::Span(..), _) => None,
        }
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Wanted::AtLeast(least) => format!("at least {least}"),
            Wanted::AtMost(most) => format!("at most {most}"),
            Wanted::Exactly(wanted) => wanted.to_string(),
            Wanted::Span(from, to) => format!("{from} {to}, or more"),
        }
    }
}

impl Scope {
    /// In words, for the guide.
    pub fn words(self) -> &'static str {
        match self {
            Scope::Namespace => "each network namespace has its own",
            Scope::Host => "one for the host",
        }
    }
}
