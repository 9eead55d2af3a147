//! How a host is to be set up for a relay: one table of advice.
//!
//! [`GROUPS`] is that table. The sysctl file, the limits for systemd and for login sessions, the guide
//! ([`emission`](Emission)) and the checks of `ringrelay doctor` all come from it, so that they cannot disagree. The files
//! in `tuning/` are what it emits; a test compares them. This module knows no host: what is found is judged here, and read
//! elsewhere.

mod connections;
mod emission;
mod entry;
mod guide;
mod limits_file;
mod machine;
mod memory;
mod packets;
mod process;
mod sysctl;
mod sysctl_file;
mod table;
#[cfg(test)]
mod tests;

pub use emission::Emission;
pub use entry::{Entry, Group, Limit, Observation, Resource, Subject, Weight};
pub use process::{LOCKED_MEMORY, LOCKED_MEMORY_PER_SHARD, OPEN_FILES};
pub use sysctl::{Line, Scope, Sysctl, Wanted};
pub use table::{GROUPS, entries};
