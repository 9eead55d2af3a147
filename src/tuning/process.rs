//! Advice on the kernel, and on what it lets the relay's process do.

use super::entry::{Entry, Limit, Observation, Resource, Subject};

/// Open files that the unit asks for: one for each client, one for each HTTP connection.
pub const OPEN_FILES: u64 = 1 << 20;

/// Bytes that a shard and its front lock for their rings: measured as 376 KiB on Linux 6.18, the same with 1, 2 and 8
/// shards, for a user without privileges.
pub const LOCKED_MEMORY_PER_SHARD: u64 = 384 << 10;

/// Bytes of locked memory that the unit asks for: enough for 1024 shards, the most there can be.
pub const LOCKED_MEMORY: u64 = 512 << 20;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "kernel",
        what: "The version of Linux.",
        default: "-",
        ours: "6.1 or newer: buffer rings came with 5.19, multishot receives with 6.0, deferred task work with 6.1.",
        cost: "-",
        sign: "`uname -r`.",
        unless: "-",
        subject: Subject::Host(Observation::Kernel),
    },
    Entry {
        id: "io-uring",
        what: "Whether the kernel gives this user a ring as the shards need it. The doctor makes one to find out.",
        default: "Allowed; many container engines and some distributions forbid it.",
        ours: "Allowed. `kernel.io_uring_disabled` (Linux 6.6) says whether it is: 0 for everyone, 1 for the group \
               `kernel.io_uring_group`, 2 for nobody; a seccomp filter can forbid it too.",
        cost: "More of the kernel can be reached by whoever may use it.",
        sign: "The relay's log says `io_uring` where it names its driver when it starts.",
        unless: "The host's rules forbid it.",
        subject: Subject::Host(Observation::IoUring),
    },
    Entry {
        id: "seccomp",
        what: "Whether a filter decides on system calls.",
        default: "None; container engines and `SystemCallFilter=` set one.",
        ours: "None, or one that lets `io_uring_setup`, `io_uring_enter` and `io_uring_register` through.",
        cost: "-",
        sign: "`grep Seccomp: /proc/self/status`: 0 = none, 2 = a filter.",
        unless: "-",
        subject: Subject::Host(Observation::Seccomp),
    },
    Entry {
        id: "open-files",
        what: "Open files that the process may have: one for each client, and some for the relay itself. It takes as many as the \
               hard limit lets it, and lets in no more clients than they are enough for: who is above that is told so (503).",
        default: "1024, at most 4096 or 524288, by the distribution.",
        ours: "1048576: the number of clients shall be bound by `--max-connections` and memory. For itself the relay keeps 25, 9 \
               for each shard, and for those who are told that they are refused a 64th, at most 256 for each shard.",
        cost: "Nothing until they are opened.",
        sign: "`ringrelay doctor --pid $(pidof ringrelay)` sees the limit of the running relay.",
        unless: "-",
        subject: Subject::Limit(Limit { resource: Resource::OpenFiles, value: OPEN_FILES }),
    },
    Entry {
        id: "locked-memory",
        what: "Bytes that the process may lock in memory. The kernel counts io_uring's rings there: 376 KiB for each shard and \
               its front, measured on Linux 6.18.",
        default: "8388608 since Linux 5.16: enough for 21 shards.",
        ours: "384 KiB for each shard; the files say 536870912, which is enough for 1024. Root, and whoever has CAP_IPC_LOCK, is \
               not counted.",
        cost: "Nothing beyond the rings.",
        sign: "The relay's log names `io_uring` as its driver when it starts. With too little it says `ENOMEM`, and shards use epoll.",
        unless: "-",
        subject: Subject::Limit(Limit { resource: Resource::LockedMemory, value: LOCKED_MEMORY }),
    },
    Entry {
        id: "process-files",
        what: "Files that the process has open now, of those that it may.",
        default: "-",
        ours: "Less than four fifths.",
        cost: "-",
        sign: "`ringrelay doctor --pid $(pidof ringrelay)`, and `ringrelay_accept_pauses_total` stands still.",
        unless: "-",
        subject: Subject::Host(Observation::ProcessFiles),
    },
    Entry {
        id: "kernel-tls",
        what: "Whether the kernel can encrypt TLS records itself (kTLS).",
        default: "A module, `tls`, that nobody has loaded.",
        ours: "Loaded, where the relay speaks TLS itself: without it, records are encrypted by the relay.",
        cost: "More of the kernel can be reached.",
        sign: "`cat /proc/sys/net/ipv4/tcp_available_ulp` names tls.",
        unless: "The relay speaks plain HTTP, behind a proxy.",
        subject: Subject::Host(Observation::KernelTls),
    },
];
