//! The kernel: its version, and whether it gives rings and TLS.

use rustix::io::Errno;

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

pub(super) fn io_uring(host: &Host) -> Outcome {
    let Err(error) = host.ring() else { return Outcome::ok("a ring was made") };
    let refused =
        |why: String| Outcome::advice(format!("refused ({error}): {why}"), "a ring; without one shards use epoll");
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM) => match host.number("proc/sys/kernel/io_uring_disabled") {
            Some(2) => refused("kernel.io_uring_disabled forbids it to everyone".to_owned())
                .fix(set("kernel.io_uring_disabled", "0")),
            Some(1) => refused("kernel.io_uring_disabled leaves it to the group kernel.io_uring_group".to_owned())
                .fix(format!("{}  # or start the relay in that group", set("kernel.io_uring_disabled", "0"))),
            _ if is_filtered(host) == Some(true) => refused(FILTERED.to_owned()),
            _ => refused("a security module forbids it".to_owned()),
        },
        // Also what some filters answer.
        Some(Errno::NOSYS) if is_filtered(host) == Some(true) => refused(FILTERED.to_owned()),
        Some(Errno::NOSYS) => refused("the kernel was built without it, or is older than 5.1".to_owned()),
        Some(Errno::INVAL) => match host.kernel().map(missing) {
            Some(missing) if !missing.is_empty() => refused(format!("the kernel has no {missing}")),
            _ => refused("the kernel knows it, and not all that a shard needs of it".to_owned()),
        },
        Some(Errno::NOMEM) => refused("the limit of locked memory is used up, see locked-memory".to_owned()),
        Some(Errno::MFILE | Errno::NFILE) => refused("no more files can be opened, see open-files".to_owned()),
        _ => refused("for a reason that is not known here".to_owned()),
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
        (Some(true), Err(_)) => {
            Outcome::advice("a filter", "none, or one that lets io_uring_setup, _enter and _register through")
        }
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

const FILTERED: &str = "a seccomp filter forbids it: let io_uring_setup, io_uring_enter and io_uring_register through";
