//! Advice on the way of packets between the network card and the shards.

use super::entry::{Entry, Observation, Subject, Weight};
use super::sysctl::{Line, Scope, Sysctl, Wanted};

/// Where the kernel stops polling before the card is empty.
const SQUEEZED: Line = Line::Commented("where `packet-queue` says that polling ends early");

/// What depends on where the clients are.
const BY_PATH: Line = Line::Commented("where clients are behind lossy links, after comparing");

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "net.ipv4.tcp_slow_start_after_idle",
        what: "Whether a connection on which nothing was sent for a while begins slowly again.",
        default: "1.",
        ours: "0. Channels are quiet and then busy: a message after a pause leaves as fast as the path took the ones before.",
        cost: "A burst after a pause, on a path that may have become narrower.",
        sign: "`ss -ti` shows a `cwnd` that stays above 10 over a pause.",
        unless: "Clients change their networks often and lose packets after pauses.",
        subject: Subject::Sysctl(Sysctl {
            value: "0",
            scope: Scope::Namespace,
            line: Line::Set,
            wanted: Some(Wanted::Exactly(0)),
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.ipv4.tcp_congestion_control",
        what: "How TCP finds out how fast it may send.",
        default: "cubic.",
        ours: "Left as it is: which one is better depends on the clients' networks, and we have not measured any.",
        cost: "bbr shares a link with others in its own way. It paces by itself; `fq` (below) does it for it.",
        sign: "`ss -ti` shows retransmissions (`retrans`) and the rate for each client.",
        unless: "-",
        subject: Subject::Sysctl(Sysctl {
            value: "bbr",
            scope: Scope::Namespace,
            line: BY_PATH,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.default_qdisc",
        what: "What orders the packets on their way out.",
        default: "pfifo_fast; fq_codel with systemd.",
        ours: "Left as it is; fq along with bbr.",
        cost: "Some work for each packet.",
        sign: "`tc -s qdisc` shows what is dropped.",
        unless: "It is for interfaces that are set up afterwards: the network has to start anew.",
        subject: Subject::Sysctl(Sysctl {
            value: "fq",
            scope: Scope::Host,
            line: BY_PATH,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.netdev_max_backlog",
        what: "Packets that wait for a core, when they come from another core (RPS) or over loopback.",
        default: "1000.",
        ours: "4096. A message to thousands of clients behind a proxy on the same host comes over loopback all at once.",
        cost: "Packets wait rather than be dropped: at most as many on each core.",
        sign: "The second column of `/proc/net/softnet_stat` stands still.",
        unless: "More is fine.",
        subject: Subject::Sysctl(Sysctl {
            value: "4096",
            scope: Scope::Host,
            line: Line::Set,
            wanted: Some(Wanted::AtLeast(4096)),
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "packet-queue",
        what: "Packets dropped because a core's queue was full, and turns of polling that ended before the card was empty, \
               since the host has started.",
        default: "-",
        ours: "None dropped, and less than one early end in 10 000 packets.",
        cost: "-",
        sign: "The second and third columns of `/proc/net/softnet_stat`.",
        unless: "They count since the host has started.",
        subject: Subject::Host(Observation::PacketQueue),
    },
    Entry {
        id: "net.core.netdev_budget",
        what: "Packets that a core takes from its network cards before others get the core.",
        default: "300.",
        ours: "Left as it is; 600 where `packet-queue` says that polling ends early.",
        cost: "The shard on that core waits for longer.",
        sign: "The third column of `/proc/net/softnet_stat` grows less.",
        unless: "Delay counts for more than throughput.",
        subject: Subject::Sysctl(Sysctl {
            value: "600",
            scope: Scope::Host,
            line: SQUEEZED,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.netdev_budget_usecs",
        what: "The same in microseconds.",
        default: "Two ticks of the kernel's clock: 8000 at 250 a second.",
        ours: "Left as it is; twice as many where `packet-queue` says that polling ends early.",
        cost: "The shard on that core waits for longer.",
        sign: "The third column of `/proc/net/softnet_stat` grows less.",
        unless: "Delay counts for more than throughput.",
        subject: Subject::Sysctl(Sysctl {
            value: "16000",
            scope: Scope::Host,
            line: SQUEEZED,
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.busy_poll",
        what: "Microseconds that poll, select and epoll look at the card themselves before they sleep.",
        default: "0.",
        ours: "0. Shards wait in io_uring, which this is not for; `--spin` is the relay's own, and costs nobody else.",
        cost: "More power, says the kernel's documentation, and time of every program that polls sockets.",
        sign: "-",
        unless: "-",
        subject: Subject::Sysctl(Sysctl {
            value: "0",
            scope: Scope::Host,
            line: Line::Commented("the kernel's own value serves"),
            wanted: Some(Wanted::Exactly(0)),
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "net.core.rps_sock_flow_entries",
        what: "How many connections the kernel remembers the core of, so that packets go there (RFS).",
        default: "0: off.",
        ours: "32768 on a card with fewer queues than cores; the script of `ringrelay doctor --emit nic` sets the \
               queues' part of it.",
        cost: "A look-up for each packet.",
        sign: "Shards' cores spend their time evenly (`mpstat -P ALL 1`).",
        unless: "The card has a queue for each core.",
        subject: Subject::Sysctl(Sysctl {
            value: "32768",
            scope: Scope::Host,
            line: Line::Commented("where `receive-queues` asks for it"),
            wanted: None,
            weight: Weight::Advice,
        }),
    },
    Entry {
        id: "interrupts",
        what: "The cores that a network card's interrupts go to.",
        default: "Where the kernel put them, or irqbalance.",
        ours: "Spread over as many cores as there are, so that no shard's core takes the packets of all.",
        cost: "irqbalance has to leave them alone.",
        sign: "`grep eth0 /proc/interrupts` grows on all cores (the names are the driver's).",
        unless: "One core is kept for interrupts alone (`CPUAffinity=` in the unit leaves it to them).",
        subject: Subject::Host(Observation::Interrupts),
    },
    Entry {
        id: "receive-queues",
        what: "The queues of a network card, and whether packets of a card with few are passed on to other cores (RPS).",
        default: "As many as the driver chose, and RPS off.",
        ours: "One for each core, or RPS over all of them: `ringrelay doctor --emit nic | bash -s -- eth0` shows what it would do, \
               `--apply eth0` does it.",
        cost: "RPS wakes another core for packets.",
        sign: "`mpstat -P ALL 1` shows `%soft` on more than one core.",
        unless: "The traffic is less than what one core takes.",
        subject: Subject::Host(Observation::ReceiveQueues),
    },
];
