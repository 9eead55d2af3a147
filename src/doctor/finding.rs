//! What came of one check.

use crate::tuning::{Entry, Weight};

/// What was found, and the advice that it was held against.
#[derive(Clone, Debug)]
pub struct Finding {
    pub entry: &'static Entry,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// What the host has; of `Unknown`, why it cannot be told.
    pub found: String,
    /// What is good enough; empty = what was found.
    pub wanted: String,
    /// The command that mends it, or that says more, if there is one.
    pub fix: Option<String>,
}

/// The better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// It cannot be told from here.
    Unknown,
    Advice,
    Problem,
}

impl Outcome {
    pub(super) fn ok(found: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Ok, found: found.into(), wanted: String::new(), fix: None }
    }

    pub(super) fn unknown(why: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Unknown, found: why.into(), wanted: String::new(), fix: None }
    }

    pub(super) fn advice(found: impl Into<String>, wanted: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Advice, found: found.into(), wanted: wanted.into(), fix: None }
    }

    pub(super) fn problem(found: impl Into<String>, wanted: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Problem, ..Outcome::advice(found, wanted) }
    }

    /// Mended by this command.
    pub(super) fn fix(self, command: impl Into<String>) -> Outcome {
        Outcome { fix: Some(command.into()), ..self }
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unknown => "unknown",
            Verdict::Advice => "advice",
            Verdict::Problem => "problem",
        }
    }
}

impl From<Weight> for Verdict {
    fn from(weight: Weight) -> Verdict {
        match weight {
            Weight::Advice => Verdict::Advice,
            Weight::Problem => Verdict::Problem,
        }
    }
}
