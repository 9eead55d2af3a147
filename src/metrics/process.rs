//! What the kernel says of this process, under the names that all Prometheus clients use.

use std::fs;

/// One reading of `/proc/self`. A field is `None` where the kernel does not tell.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// User and system time, in clock ticks.
    pub cpu_ticks: Option<u64>,
    /// Pages in memory.
    pub resident_pages: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the name, which may hold anything, state is the first field and utime the twelfth (proc(5)).
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
            .unwrap_or_default();
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        Process {
            cpu_ticks: fields.get(11).zip(fields.get(12)).map(|(user, system)| user + system),
            resident_pages: statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()),
            // Since Linux 6.2 it tells how many there are; older kernels say 0, and to list them all would take long.
            open_files: fs::metadata("/proc/self/fd").ok().map(|folder| folder.len()).filter(|count| *count > 0),
            open_files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }

    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        Some(self.cpu_ticks? as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    pub(super) fn resident_bytes(&self) -> Option<u64> {
        Some(self.resident_pages? * rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_taken_time_memory_and_files() {
        let process = Process::read();
        assert!(process.cpu_seconds().is_some_and(|seconds| seconds < 3600.0));
        assert!(process.resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(process.open_files_max.is_none_or(|max| max >= 3));
        assert!(process.open_files.is_none_or(|count| count >= 3));
    }
}
