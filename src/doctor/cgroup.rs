//! What the control group allows, of either version.

use super::finding::Outcome;
use super::host::Host;

pub(super) fn cpu_quota(host: &Host) -> Outcome {
    let Some(cores) = host.cores() else { return Outcome::unknown("the cores of the process cannot be read") };
    if host.text_of_process("cgroup").is_none() {
        return Outcome::unknown(NO_GROUP);
    }
    let quotas = folders(host, "cpu").into_iter().filter_map(|folder| Some((quota(host, &folder)?, folder)));
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
    if host.text_of_process("cgroup").is_none() {
        return Outcome::unknown(NO_GROUP);
    }
    let limits = folders(host, "memory").into_iter().filter_map(|folder| {
        let number = |name: &str| host.number(&format!("{folder}/{name}"));
        number("memory.max").or_else(|| number("memory.limit_in_bytes"))
    });
    let Some(limit) = limits.min().filter(|limit| *limit < memory) else {
        return Outcome::ok("none below the host's memory");
    };
    let found = format!("{limit} of {memory} bytes");
    let wanted = "no limit, or --shard-memory set to fit";
    // By default messages may take half of the host's memory.
    let outcome = match limit <= memory / 2 {
        true => Outcome::problem(found, wanted),
        false => Outcome::advice(found, wanted),
    };
    match host.cores() {
        Some(shards @ 1..) => outcome.fix(format!("ringrelay serve --shard-memory {}", limit / 2 / shards)),
        _ => outcome,
    }
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

/// The folders of the process's group and of those above it, that hold what `controller` is told.
fn folders(host: &Host, controller: &str) -> Vec<String> {
    let groups = host.text_of_process("cgroup").unwrap_or_default();
    let mut folders = Vec::new();
    for line in groups.lines() {
        // Number, controllers, path; version 2 has the number 0 and no controllers.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let mount = match controllers {
            "" => "sys/fs/cgroup".to_owned(),
            names if names.split(',').any(|name| name == controller) => format!("sys/fs/cgroup/{names}"),
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            folders.push(format!("{mount}{path}"));
            let Some((above, _)) = path.rsplit_once('/') else { break };
            path = above;
        }
    }
    folders
}

/// A number behind its name, one pair a line.
fn field(host: &Host, path: &str, name: &str) -> Option<u64> {
    let text = host.text(path)?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

const NO_GROUP: &str = "the control group of the process cannot be read";
