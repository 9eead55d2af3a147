//! What became of a file.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It is new, or other than it was.
    Written,
    /// It is as it should be.
    Unchanged,
    /// It is the operator's.
    Kept,
    /// It was there, and is not any more.
    Removed,
    /// It was not there.
    Absent,
}

impl Step {
    pub(super) fn words(self, is_dry: bool) -> &'static str {
        match (self, is_dry) {
            (Step::Written, false) => "wrote",
            (Step::Written, true) => "would write",
            (Step::Unchanged, _) => "as it should be:",
            (Step::Kept, false) => "kept, with its settings:",
            (Step::Kept, true) => "would keep, with its settings:",
            (Step::Removed, false) => "removed",
            (Step::Removed, true) => "would remove",
            (Step::Absent, _) => "not there:",
        }
    }
}
