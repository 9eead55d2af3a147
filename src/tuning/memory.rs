//! Advice on the memory that the kernel holds for connections.

use super::entry::{Entry, Observation, Subject, Weight};
use super::sysctl::{Line, Scope, Sysctl, Wanted};

/// Where the buffers of a single connection need a bound.
const UNDER_PRESSURE: Line =
    Line::Commented("where `tcp-memory` is short although `net.ipv4.tcp_notsent_lowat` is set");

/// Where only programs that ask for buffers gain.
const NOT_ASKED_FOR: Line = Line::Commented("the relay never asks for a size");

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "net.ipv4.tcp_notsent_lowat",
        what: "How many bytes the kernel takes from the relay for one connection before they can be sent.",
        default: "4294967295: as many as the send buffer holds.",
        ours: "131072. A client that does not read shall wait in the relay's log, which all clients share and `--max-lag` \
               bounds, and not in a copy of its own in the kernel. Measured with 100 clients that read nothing (Linux 6.18, \
               loopback): 3.8 MiB of the kernel's memory for each by default, 0.1 MiB with this.",
        cost: "The relay is woken more often for a client that takes more than 128 KiB at a time. In runs of 50 subscribers \
               and 16 KiB messages on loopback no loss stood out from the spread of the runs.",
        sign: "`cat /proc/net/sockstat` (`mem`, in pages) stays low while clients are slow.",
        unless: "Other programs on the host send bulk data and poll for room; it is for all of its TCP sockets.",
        subject: Subject::Sysctl(Sysctl {
            value: "131072",
            scope: Scope::Namespace,
            line: Line::Set,
            wanted: Some(Wanted::AtMost(131_072)),
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.ipv4.tcp_wmem",
        what: "Bytes of a connection's send buffer: least, at first, most. The kernel grows it by itself.",
        default: "4096 16384 4194304.",
        ours: "Left as it is: `net.ipv4.tcp_notsent_lowat` bounds what waits. Without that, 4096 16384 1048576 brought a \
               client that does not read from 3.8 down to 1.0 MiB.",
        cost: "What is under way to a client in one round trip is less than its send buffer: 1 MiB over 100 ms is less than \
               10 MiB/s.",
        sign: "`ss -tm` shows the buffers (`tb`).",
        unless: "Clients far away take much each.",
        subject: Subject::Sysctl(Sysctl {
            value: "4096 16384 1048576",
            scope: Scope::Namespace,
            line: UNDER_PRESSURE,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.ipv4.tcp_rmem",
        what: "Bytes of a connection's receive buffer: least, at first, most. It fills when a shard is busier than its senders \
               are fast, which holds them up.",
        default: "4096 131072 6291456; the last is 33554432 in newer kernels (seen in 6.18).",
        ours: "Left as it is: the kernel grows it only for a sender that is read from fast.",
        cost: "A lower bound keeps a sender far away from sending fast.",
        sign: "`ss -tm` shows the buffers (`rb`).",
        unless: "Senders far away send much each.",
        subject: Subject::Sysctl(Sysctl {
            value: "4096 131072 1048576",
            scope: Scope::Namespace,
            line: UNDER_PRESSURE,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.rmem_max",
        what: "The largest receive buffer that a program may ask for by `SO_RCVBUF`.",
        default: "212992; 4194304 in newer kernels (seen in 6.18).",
        ours: "Left as it is: the relay does not ask, as that would end the kernel's own sizing.",
        cost: "-",
        sign: "-",
        unless: "-",
        subject: Subject::Sysctl(Sysctl {
            value: "212992",
            scope: Scope::Host,
            line: NOT_ASKED_FOR,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.wmem_max",
        what: "The largest send buffer that a program may ask for by `SO_SNDBUF`.",
        default: "212992; 4194304 in newer kernels (seen in 6.18).",
        ours: "Left as it is, for the same reason.",
        cost: "-",
        sign: "-",
        unless: "-",
        subject: Subject::Sysctl(Sysctl {
            value: "212992",
            scope: Scope::Host,
            line: NOT_ASKED_FOR,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.ipv4.tcp_mem",
        what: "Pages that all TCP connections may hold: below the first nobody is bothered, above the second each gets less, \
               above the third nothing.",
        default: "Computed from memory at boot: 4.7, 6.2 and 9.3 per cent of a host with 24 GB.",
        ours: "An eighth, a sixth and a quarter of memory, where `tcp-memory` says that it is short; the doctor prints the \
               numbers for its host. An idle connection holds none of it.",
        cost: "That memory is not there for the relay's own messages: by default these may take half (`--shard-memory`).",
        sign: "`nstat -az TcpExtTCPMemoryPressures` stands still.",
        unless: "The host has other uses for its memory.",
        subject: Subject::Sysctl(Sysctl {
            value: "524288 699050 1048576",
            scope: Scope::Host,
            line: Line::Commented("where `tcp-memory` is short; these are for 16 GiB and pages of 4 KiB"),
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "tcp-memory",
        what: "Pages that TCP connections hold now, of those at which the kernel begins to save, and how often it has begun to.",
        default: "-",
        ours: "Less than half, and never begun.",
        cost: "-",
        sign: "`cat /proc/net/sockstat` (`mem`).",
        unless: "-",
        subject: Subject::Host(Observation::TcpMemory),
    },
    Entry {
        id: "fs.file-max",
        what: "Most open files of the host.",
        default: "A tenth of memory in KiB: 2.4 million on a host with 24 GB. systemd raises it as far as it goes.",
        ours: "2097152 or more: a relay's files, and as many for everyone else.",
        cost: "Nothing until they are opened.",
        sign: "`host-files` stays below a half.",
        unless: "It is higher already: the line would lower it.",
        subject: Subject::Sysctl(Sysctl {
            value: "2097152",
            scope: Scope::Host,
            line: Line::Commented("only where it is less: the line would lower what systemd has raised"),
            wanted: Some(Wanted::AtLeast(2_097_152)),
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "fs.nr_open",
        what: "Most open files that a process can be allowed.",
        default: "1048576. systemd raises it on some distributions.",
        ours: "1048576 or more, as the unit asks for as many: below that, `LimitNOFILE=` is cut down to it.",
        cost: "Nothing until they are opened.",
        sign: "`open-files` is what the unit asks for.",
        unless: "It is higher already: the line would lower it.",
        subject: Subject::Sysctl(Sysctl {
            value: "1048576",
            scope: Scope::Host,
            line: Line::Commented("only where it is less: the line would lower what systemd has raised"),
            wanted: Some(Wanted::AtLeast(super::process::OPEN_FILES)),
            weight: Weight::Problem,
        }),
    },
    Entry {
        id: "host-files",
        what: "Files that are open on the host now, of those that may be.",
        default: "-",
        ours: "Less than half.",
        cost: "-",
        sign: "`cat /proc/sys/fs/file-nr`.",
        unless: "-",
        subject: Subject::Host(Observation::HostFiles),
    },
];
