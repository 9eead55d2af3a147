//! What the control group allows, of either version.

use crate::cgroup;
use crate::config::{SHARD_MEMORY_MIN, default_shard_memory};

use super::finding::Outcome;
use super::host::Host;

pub(super) fn cpu_quota(host: &Host) -> Outcome {
    let Some(cores) = host.cores() else { return Outcome::unknown("the cores of the process cannot be read") };
    let Some(groups) = host.text_of_process("cgroup") else { return Outcome::unknown(NO_GROUP) };
    let quotas = cgroup::folders(&groups, "cpu").into_iter().filter_map(|folder| Some((quota(host, &folder)?, folder)));
    // The tightest of the group's own and those above it.
    let tightest = quotas.min_by(|(left, _), (right, _)| left.hundredths().cmp(&right.hundredths()));
    let Some((quota, folder)) = tightest.filter(|(quota, _)| quota.hundredths() < cores * 100) else {
        return Outcome::ok("none below the cores");
    };
    let stopped = field(host, &format!("{folder}/cpu.stat"), "nr_throttled").unwrap_or(0);
    let hundredths = quota.hundredths();
    let found =
        format!("{}.{:02} of {cores} cores, stopped for it {stopped} times", hundredths / 100, hundredths % 100);
    Outcome::advice(found, "whole cores, and no quota").fix(format!(
        "systemctl set-property ringrelay.service CPUQuota= AllowedCPUs=0-{}",
        (hundredths / 100).max(1) - 1
    ))
}

pub(super) fn memory_limit(host: &Host) -> Outcome {
    let Some(memory) = host.memory() else { return Outcome::unknown("/proc/meminfo cannot be read") };
    let Some(shards @ 1..) = host.cores() else {
        return Outcome::unknown("the cores of the process cannot be read");
    };
    if host.text_of_process("cgroup").is_none() {
        return Outcome::unknown(NO_GROUP);
    }
    let Some(limit) = host.memory_limit().filter(|limit| *limit < memory) else {
        return Outcome::ok("none below the host's memory");
    };
    // What a relay takes that is not told anything else; a shard takes some in any case.
    let messages = default_shard_memory(limit, shards) * shards;
    let found = format!("{limit} of {memory} bytes, and {messages} of them for messages by default");
    if messages <= limit / 2 {
        return Outcome::ok(found);
    }
    let enough = SHARD_MEMORY_MIN * 2 * shards;
    let wanted = format!("at least {enough} for {shards} shards, or fewer of them (--shards)");
    let outcome = match messages < limit {
        true => Outcome::advice(found, wanted),
        false => Outcome::problem(found, wanted),
    };
    outcome.fix(format!("systemctl set-property ringrelay.service MemoryMax={enough}"))
}

/// Processor time for each period.
#[derive(Clone, Copy, Debug)]
struct Quota {
    /// Microseconds.
    time: u64,
    /// Microseconds, not 0.
    period: u64,
}

impl Quota {
    /// Hundredths of a core.
    fn hundredths(self) -> u64 {
        self.time.saturating_mul(100) / self.period
    }
}

/// `None` = no quota.
fn quota(host: &Host, folder: &str) -> Option<Quota> {
    let (time, period) = match host.text(&format!("{folder}/cpu.max")) {
        Some(text) => {
            let (time, period) = text.split_once(' ')?;
            (time.parse().ok()?, period.parse().ok()?)
        }
        // Version 1; -1 = no quota.
        None => {
            (host.number(&format!("{folder}/cpu.cfs_quota_us"))?, host.number(&format!("{folder}/cpu.cfs_period_us"))?)
        }
    };
    (period > 0).then_some(Quota { time, period })
}

/// A number behind its name, one pair a line.
fn field(host: &Host, path: &str, name: &str) -> Option<u64> {
    let text = host.text(path)?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

const NO_GROUP: &str = "the control group of the process cannot be read";
