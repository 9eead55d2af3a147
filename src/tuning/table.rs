//! The table. Each of its groups has a file of its own.

use super::entry::{Entry, Group};
use super::{connections, machine, memory, packets, process};

/// All advice, in the order in which it is shown.
pub const GROUPS: &[Group] = &[
    Group { title: "What the relay runs on", entries: process::ENTRIES },
    Group { title: "Connections", entries: connections::ENTRIES },
    Group { title: "Memory of the network", entries: memory::ENTRIES },
    Group { title: "Packets", entries: packets::ENTRIES },
    Group { title: "The machine", entries: machine::ENTRIES },
];

/// All entries, group by group.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    GROUPS.iter().flat_map(|group| group.entries)
}
