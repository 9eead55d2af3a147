//! The kernel: its version, and whether it gives rings and TLS.

use crate::ring::Refusal;

use super::finding::Outcome;
use super::host::Host;
use super::sysctl::set;

/// What a shard's ring is made of, and the versions that brought it.
const FEATURES: &[((u32, u32), &str)] = &[
    ((5, 19), "buffer rings (5.19)"),
    ((6, 0), "multishot receives and rings of one thread (6.0)"),
    ((6, 1), "deferred task work (6.1)"),
];

pub(super) fn version(host: &Host) -> Outcome {
    let (Some(release), Some(kernel)) = (host.text("proc/sys/kernel/osrelease"), host.kernel()) else {
        return Outcome::unknown("the version cannot be read");
    };
    match missing(kernel) {
        missing if missing.is_empty() => Outcome::ok(release),
        // The relay has another driver for these.
        missing => Outcome::advice(format!("{release}, without {missing}"), "6.1 or newer"),
    }
}

/// What a kernel of this version does not have, in words; empty = it has all.
fn missing(kernel: (u32, u32)) -> String {
    let features = FEATURES.iter().filter(|(since, _)| kernel < *since).map(|(_, name)| *name);
    features.collect::<Vec<_>>().join(", ")
}

/// The refusal says why; what mends it is said here.
pub(super) fn io_uring(host: &Host) -> Outcome {
    let Err(refusal) = host.ring() else { return Outcome::ok("a ring was made") };
    let refused = Outcome::advice(format!("refused: {refusal}"), "a ring; without one shards use epoll");
    match refusal {
        Refusal::Disabled(1) => {
            refused.fix(format!("{}  # or start the relay in that group", set("kernel.io_uring_disabled", "0")))
        }
        Refusal::Disabled(_) => refused.fix(set("kernel.io_uring_disabled", "0")),
        Refusal::Memory => Outcome { wanted: format!("{}; see locked-memory", refused.wanted), ..refused },
        // No command makes another kernel, or loosens a filter from within.
        Refusal::Absent | Refusal::Forbidden | Refusal::TooOld | Refusal::Lacks(_) | Refusal::Other(_) => refused,
    }
}

pub(super) fn seccomp(host: &Host) -> Outcome {
    match (is_filtered(host), host.ring()) {
        (Some(false), _) => Outcome::ok("no filter"),
        // The ring was made by this process, which another's filter does not bind.
        (Some(true), Ok(())) if !host.watches_another() => Outcome::ok("a filter that lets io_uring through"),
        (Some(true), Ok(())) => {
            Outcome::unknown("the relay runs under a filter; its log says whether it got its rings")
        }
        (Some(true), Err(Refusal::Absent | Refusal::Forbidden)) => {
            Outcome::advice("a filter", "none, or one that lets io_uring_setup, _enter and _register through")
        }
        (
            Some(true),
            Err(Refusal::Disabled(_) | Refusal::TooOld | Refusal::Lacks(_) | Refusal::Memory | Refusal::Other(_)),
        ) => Outcome::unknown("a filter, and io_uring is refused for another reason"),
        (None, _) => Outcome::unknown("the status of the process cannot be read"),
    }
}

fn is_filtered(host: &Host) -> Option<bool> {
    Some(host.status("Seccomp")? != "0")
}

pub(super) fn tls(host: &Host) -> Outcome {
    match host.text("proc/sys/net/ipv4/tcp_available_ulp") {
        Some(names) if names.split_ascii_whitespace().any(|name| name == "tls") => Outcome::ok("there is"),
        Some(_) => Outcome::advice("not loaded", "the module tls, if the relay speaks TLS itself").fix("modprobe tls"),
        None => Outcome::unknown("tcp_available_ulp cannot be seen from this network namespace"),
    }
}
