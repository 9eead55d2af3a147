//! The limits of the process.

use crate::tuning::{LOCKED_MEMORY_PER_SHARD, Limit, Resource};

use super::finding::Outcome;
use super::host::Host;

pub(super) fn check(limit: &Limit, host: &Host) -> Outcome {
    match limit.resource {
        Resource::OpenFiles => open_files(limit.value, host),
        Resource::LockedMemory => locked_memory(limit.value, host),
    }
}

/// The hard limit counts: the relay raises the soft one to it.
fn open_files(wanted: u64, host: &Host) -> Outcome {
    let Some(hard) = hard_limit("Max open files", host) else { return Outcome::unknown(NO_LIMITS) };
    if hard >= wanted {
        return Outcome::ok(words(hard));
    }
    let command = match host.watches_another() {
        true => format!("prlimit --pid {} --nofile={wanted}:{wanted}", host.process()),
        false => format!("ulimit -n {wanted}"),
    };
    Outcome::advice(words(hard), format!("at least {wanted}")).fix(command)
}

/// The soft limit counts: nobody raises it.
fn locked_memory(wanted: u64, host: &Host) -> Outcome {
    if has_capability(CAP_IPC_LOCK, host) == Some(true) {
        return Outcome::ok("not counted for whoever has CAP_IPC_LOCK");
    }
    let name = "Max locked memory";
    let (Some(soft), Some(hard)) = (soft_limit(name, host), hard_limit(name, host)) else {
        return Outcome::unknown(NO_LIMITS);
    };
    let Some(cores) = host.cores() else { return Outcome::unknown("the cores of the process cannot be read") };
    let needed = cores * LOCKED_MEMORY_PER_SHARD;
    if soft >= needed {
        return Outcome::ok(words(soft));
    }
    // Whatever the hard limit lets pass needs no rights.
    let target = if hard >= needed { hard.min(wanted) } else { wanted };
    let command = match host.watches_another() {
        true => format!("prlimit --pid {} --memlock={target}:{}", host.process(), target.max(hard)),
        false => format!("ulimit -l {}", target >> 10),
    };
    Outcome::problem(words(soft), format!("at least {needed} for {cores} shards")).fix(command)
}

fn soft_limit(name: &str, host: &Host) -> Option<u64> {
    limit(name, 0, host)
}

pub(super) fn hard_limit(name: &str, host: &Host) -> Option<u64> {
    limit(name, 1, host)
}

/// A column of the process's limits; `u64::MAX` = no limit.
fn limit(name: &str, column: usize, host: &Host) -> Option<u64> {
    let limits = host.text_of_process("limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_ascii_whitespace().nth(column)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn has_capability(number: u32, host: &Host) -> Option<bool> {
    let set = u64::from_str_radix(&host.status("CapEff")?, 16).ok()?;
    Some(set >> number & 1 == 1)
}

fn words(limit: u64) -> String {
    if limit == u64::MAX { "no limit".to_owned() } else { limit.to_string() }
}

const NO_LIMITS: &str = "the limits of the process cannot be read";

/// The capability whose owners' locked memory is not counted.
const CAP_IPC_LOCK: u32 = 14;
