//! Clients that read more slowly than they are sent to: what became of them, and how far behind they were.

use super::Histogram;
use super::label::label_values;

label_values! {
    /// What became of a client over its bound.
    SlowAction {
        Disconnect = "disconnect",
        Skip = "skip",
    }
}

/// How far behind clients were when something was done about it, in bytes.
pub type Behind = Histogram<{ BEHIND_BOUNDS.len() + 1 }>;

/// Powers of four from 64 KiB to 1 GiB, in bytes: the usual lag bound, 4 MiB, is one of them.
pub const BEHIND_BOUNDS: [u64; 8] = [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30];
