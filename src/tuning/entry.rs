//! One piece of advice: what it is about, and what an operator should know before following it.

use super::sysctl::Sysctl;

/// What belongs together, with a heading in the guide and in the sysctl file.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub title: &'static str,
    pub entries: &'static [Entry],
}

/// One line of the table. Each text is one or a few sentences.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name of the sysctl, or short words with hyphens.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What a kernel or a distribution has there when nobody sets it.
    pub default: &'static str,
    /// What we want there, and why.
    pub ours: &'static str,
    /// What that costs.
    pub cost: &'static str,
    /// How to see that it helped.
    pub sign: &'static str,
    /// When not to follow it.
    pub unless: &'static str,
    /// What is set or looked at.
    pub subject: Subject,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Sysctl(Sysctl),
    Limit(Limit),
    /// Something that is looked at, and is not one number of the kernel's.
    Host(Observation),
}

/// How bad it is when a host has something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The relay runs, and could run better or has less room.
    Advice,
    /// The relay does not start, refuses clients or loses packets.
    Problem,
}

/// A limit of a process.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub resource: Resource,
    /// What the files of limits say.
    pub value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    OpenFiles,
    /// Bytes.
    LockedMemory,
}

/// What the doctor looks at beside sysctls and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    ClockSource,
    Conntrack,
    CpuQuota,
    Governor,
    HostFiles,
    HugePages,
    Interrupts,
    IoUring,
    Kernel,
    KernelTls,
    ListenQueue,
    MemoryLimit,
    PacketQueue,
    ProcessFiles,
    ReceiveQueues,
    Seccomp,
    TcpMemory,
    TimeWait,
}
