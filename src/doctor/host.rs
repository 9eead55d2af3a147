//! A host, as far as its files tell.

use std::fs;
use std::path::PathBuf;

use crate::cgroup;
use crate::ring::{self, Refusal};

/// Where a host is read.
#[derive(Debug)]
pub struct Host {
    /// What `proc` and `sys` are below of.
    root: PathBuf,
    /// The process whose limits count, a folder of `proc`.
    process: String,
    /// Whether the kernel gives rings as shards need them.
    ring: Result<(), Refusal>,
    /// Bytes of a page of memory.
    page: u64,
}

impl Host {
    /// The host that this runs on. `pid` is the relay's, if one runs; otherwise this process stands for it.
    pub fn local(pid: Option<u32>) -> Host {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        Host { root: "/".into(), process, ring: ring::probe(), page: rustix::param::page_size() as u64 }
    }

    /// One that a test plays.
    #[cfg(test)]
    pub(super) fn played(root: PathBuf, ring: Result<(), Refusal>) -> Host {
        Host { root, process: "self".to_owned(), ring, page: 4096 }
    }

    /// Whether the process that stands for the relay is there.
    pub fn has_process(&self) -> bool {
        self.root.join("proc").join(&self.process).is_dir()
    }

    /// Whether it is not this process.
    pub(super) fn watches_another(&self) -> bool {
        self.process != "self"
    }

    /// What its commands call it.
    pub(super) fn process(&self) -> &str {
        &self.process
    }

    pub(super) fn ring(&self) -> Result<(), &Refusal> {
        self.ring.as_ref().copied()
    }

    pub(super) fn page(&self) -> u64 {
        self.page
    }

    /// A file's text without the white space around it; `None` = it cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        // Not all of them are UTF-8: interrupts and processes are named by others.
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// The names in a folder, in order; none if there is no such folder.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        names.sort();
        names
    }

    pub(super) fn is_there(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// A file of the process that stands for the relay.
    pub(super) fn text_of_process(&self, name: &str) -> Option<String> {
        self.text(&format!("proc/{}/{name}", self.process))
    }

    /// A field of the process's `status`.
    pub(super) fn status(&self, field: &str) -> Option<String> {
        field_of(&self.text_of_process("status")?, field)
    }

    /// How many cores the process may run on.
    pub(super) fn cores(&self) -> Option<u64> {
        Some(list(&self.status("Cpus_allowed_list")?).len() as u64)
    }

    /// Bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        let kib = field_of(&self.text("proc/meminfo")?, "MemTotal")?;
        kib.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Bytes that the control group leaves the process; `None` = as many as there are.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        cgroup::memory_limit(&self.root, &self.process)
    }

    /// Major and minor number of the kernel's version.
    pub(super) fn kernel(&self) -> Option<(u32, u32)> {
        let release = self.text("proc/sys/kernel/osrelease")?;
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// A counter of `/proc/net/netstat`, where each group has a line of names and one of numbers.
    pub(super) fn counter(&self, group: &str, name: &str) -> Option<u64> {
        let text = self.text("proc/net/netstat")?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
        let (names, numbers) = (lines.next()?, lines.next()?);
        let at = names.split_ascii_whitespace().position(|other| other == name)?;
        numbers.split_ascii_whitespace().nth(at)?.parse().ok()
    }

    /// A number of the line `TCP:` of `/proc/net/sockstat`.
    pub(super) fn tcp_sockets(&self, name: &str) -> Option<u64> {
        let line = field_of(&self.text("proc/net/sockstat")?, "TCP")?;
        let mut words = line.split_ascii_whitespace();
        words.find(|word| *word == name)?;
        words.next()?.parse().ok()
    }
}

/// What follows `name:` at the beginning of a line.
fn field_of(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The numbers of a list such as `0-3,8`; at most as many as there are cores of any host.
pub(super) fn list(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<u32>(), to.trim().parse::<u32>()) else { continue };
        numbers.extend((from..=to).take(CORES_MAX - numbers.len().min(CORES_MAX)));
    }
    numbers
}

/// More than any host has.
const CORES_MAX: usize = 65_536;
