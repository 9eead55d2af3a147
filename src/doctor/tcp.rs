//! What TCP holds: memory, and sockets in TIME-WAIT.

use super::finding::Outcome;
use super::host::Host;
use super::sysctl::set;

pub(super) fn memory(host: &Host) -> Outcome {
    let Some(held) = host.tcp_sockets("mem") else { return Outcome::unknown("/proc/net/sockstat cannot be read") };
    let Some(pressure) = host.text("proc/sys/net/ipv4/tcp_mem").and_then(|text| second(&text)) else {
        return Outcome::unknown(
            "net.ipv4.tcp_mem belongs to the host, and cannot be seen from this network namespace",
        );
    };
    let pressures = host.counter("TcpExt", "TCPMemoryPressures").unwrap_or(0);
    let found = format!("{held} of {pressure} pages, short {pressures} times");
    let wanted = "less than half, and never short";
    let outcome = match () {
        () if held >= pressure => Outcome::problem(found, wanted),
        () if held.saturating_mul(2) >= pressure || pressures > 0 => Outcome::advice(found, wanted),
        () => return Outcome::ok(found),
    };
    match host.memory() {
        Some(bytes) => outcome.fix(set("net.ipv4.tcp_mem", &more_pages(bytes / host.page()))),
        None => outcome,
    }
}

/// An eighth, a sixth and a quarter of memory.
fn more_pages(pages: u64) -> String {
    format!("{} {} {}", pages / 8, pages / 6, pages / 4)
}

pub(super) fn time_wait(host: &Host) -> Outcome {
    let (Some(waiting), Some(most)) = (host.tcp_sockets("tw"), host.number("proc/sys/net/ipv4/tcp_max_tw_buckets"))
    else {
        return Outcome::unknown("/proc/net/sockstat or net.ipv4.tcp_max_tw_buckets cannot be read");
    };
    let forgotten = host.counter("TcpExt", "TCPTimeWaitOverflow").unwrap_or(0);
    let found = format!("{waiting} of {most}, {forgotten} forgotten early");
    if waiting.saturating_mul(2) < most && forgotten == 0 {
        return Outcome::ok(found);
    }
    let more = set("net.ipv4.tcp_max_tw_buckets", &most.saturating_mul(2).to_string());
    Outcome::advice(found, "less than half, and none forgotten").fix(more)
}

fn second(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}
