//! Queues and tables that drop what they have no room for.

use super::finding::Outcome;
use super::host::Host;
use super::sysctl::set;

pub(super) fn listen(host: &Host) -> Outcome {
    let counters = [host.counter("TcpExt", "ListenOverflows"), host.counter("TcpExt", "ListenDrops")];
    let [Some(overflows), Some(drops)] = counters else {
        return Outcome::unknown("/proc/net/netstat cannot be read");
    };
    let found = format!("{overflows} overflows and {drops} drops since the host has started");
    match overflows + drops {
        0 => Outcome::ok(found),
        _ => Outcome::advice(found, "none, or no more than before")
            .fix("nstat -az TcpExtListenOverflows TcpExtListenDrops  # again later: do they grow?"),
    }
}

pub(super) fn conntrack(host: &Host) -> Outcome {
    let folder = "proc/sys/net/netfilter";
    let (Some(count), Some(most)) =
        (host.number(&format!("{folder}/nf_conntrack_count")), host.number(&format!("{folder}/nf_conntrack_max")))
    else {
        return Outcome::ok("nothing tracks connections");
    };
    let drops = conntrack_drops(host);
    let found = format!("{count} of {most}, {drops} dropped");
    let wanted = "less than half full, and none dropped";
    let outcome = match () {
        () if count.saturating_mul(10) >= most.saturating_mul(9) => Outcome::problem(found, wanted),
        () if count.saturating_mul(2) >= most || drops > 0 => Outcome::advice(found, wanted),
        () => return Outcome::ok(found),
    };
    outcome.fix(set("net.netfilter.nf_conntrack_max", &most.saturating_mul(2).to_string()))
}

/// Connections that were not remembered for lack of room: of all cores, in hexadecimal, in the columns that the first line
/// names.
fn conntrack_drops(host: &Host) -> u64 {
    let Some(text) = host.text("proc/net/stat/nf_conntrack") else { return 0 };
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let columns: Vec<usize> =
        names.iter().enumerate().filter(|(_, name)| ["drop", "early_drop"].contains(name)).map(|(at, _)| at).collect();
    lines.map(|line| columns.iter().filter_map(|column| hexadecimal(line, *column)).sum::<u64>()).sum()
}

pub(super) fn packets(host: &Host) -> Outcome {
    let Some(text) = host.text("proc/net/softnet_stat") else {
        return Outcome::unknown("/proc/net/softnet_stat cannot be read");
    };
    let sum = |column| text.lines().filter_map(|line| hexadecimal(line, column)).sum::<u64>();
    let (packets, drops, early) = (sum(0), sum(1), sum(2));
    let found = format!("{drops} dropped, {early} early ends in {packets} packets");
    let wanted = "none dropped, and less than one early end in 10 000 packets";
    match () {
        () if drops > 0 => {
            let most = host.number("proc/sys/net/core/netdev_max_backlog").unwrap_or(BACKLOG_DEFAULT);
            let more = set("net.core.netdev_max_backlog", &most.saturating_mul(2).to_string());
            Outcome::advice(found, wanted).fix(more)
        }
        () if early.saturating_mul(EARLY_END_SHARE) > packets => {
            Outcome::advice(found, wanted).fix(set("net.core.netdev_budget", "600"))
        }
        () => Outcome::ok(found),
    }
}

fn hexadecimal(line: &str, column: usize) -> Option<u64> {
    u64::from_str_radix(line.split_ascii_whitespace().nth(column)?, 16).ok()
}

/// One early end in as many packets is not worth a word.
const EARLY_END_SHARE: u64 = 10_000;

/// What a kernel has.
const BACKLOG_DEFAULT: u64 = 1000;
