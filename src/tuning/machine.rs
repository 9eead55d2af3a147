//! Advice on the processor, its clock, and what a container is allowed of it.

use super::entry::{Entry, Observation, Subject};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "governor",
        what: "How the processor chooses its frequency.",
        default: "schedutil or powersave, by the driver.",
        ours: "performance: a shard sleeps between two batches, and a core that slowed down meanwhile answers later.",
        cost: "Power.",
        sign: "`p99` of `ringrelay bench` at a fixed `--rate` comes closer to `p50`.",
        unless: "Power counts for more than delay. Guests of a hypervisor have no say in it.",
        subject: Subject::Host(Observation::Governor),
    },
    Entry {
        id: "clock-source",
        what: "Where the kernel reads the time.",
        default: "tsc, or the hypervisor's.",
        ours: "One that is read without a system call: tsc, or the clock of a hypervisor. A shard reads the time in each turn.",
        cost: "-",
        sign: "`cat /sys/devices/system/clocksource/clocksource0/current_clocksource`.",
        unless: "The kernel calls tsc unstable (in its log): then it is right to use another.",
        subject: Subject::Host(Observation::ClockSource),
    },
    Entry {
        id: "huge-pages",
        what: "Whether memory comes in pages of 2 MiB by itself.",
        default: "madvise or always.",
        ours: "As it is: the relay turns them off for itself, because what closed connections gave back would stay (1.9 to \
               2.3 KB for each idle connection instead of 0.7).",
        cost: "-",
        sign: "`grep THP_enabled /proc/$(pidof ringrelay)/status` is 0.",
        unless: "-",
        subject: Subject::Host(Observation::HugePages),
    },
    Entry {
        id: "cpu-quota",
        what: "How much time of the processor the control group may use, and how often it was stopped for it.",
        default: "No limit.",
        ours: "No quota, but whole cores (`AllowedCPUs=`, `cpuset`): the relay has a shard on each core that it may run on, and \
               with a quota all of them stop for the rest of a period together.",
        cost: "-",
        sign: "`nr_throttled` in the group's `cpu.stat` stands still.",
        unless: "The quota is as large as the cores are many.",
        subject: Subject::Host(Observation::CpuQuota),
    },
    Entry {
        id: "memory-limit",
        what: "How much memory the control group may use.",
        default: "No limit.",
        ours: "32 MiB for each shard, or more: by default messages take half of what the group may use, or of what the host has if \
               that is less, and a shard at least 16 MiB. The other half is for connections and the kernel's buffers for them.",
        cost: "-",
        sign: "`oom_kill` in the group's `memory.events` stays 0.",
        unless: "`--shard-memory` says what messages may take.",
        subject: Subject::Host(Observation::MemoryLimit),
    },
];
