//! What a run costs: CPU time and memory of the server's processes, CPU time of this one.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::error::Failure;
use super::options::Plan;
use super::topology::seats;

/// Memory of one or more processes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages, shared ones too.
    pub rss: u64,
    /// Resident pages that no file backs.
    pub rss_anon: u64,
    /// Resident pages, each divided by the number of processes that share it.
    pub pss: u64,
}

/// Pins this process if asked to, and makes sure that it may open all its sockets.
pub fn prepare(plan: &Plan) -> Result<(), Failure> {
    if let Some(core) = plan.core {
        if core >= CpuSet::MAX_CPU {
            return Err(Failure::Setting { name: "--cpu", allowed: format!("a core below {}", CpuSet::MAX_CPU) });
        }
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores).map_err(|error| Failure::system(format!("pinning to core {core}"), error))?;
    }
    let needed = seats(plan).len() as u64 + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let wanted = Rlimit { current: Some(needed), maximum: limit.maximum.map(|maximum| maximum.max(needed)) };
        setrlimit(Resource::Nofile, wanted).map_err(|error| {
            let current = limit.current.unwrap_or_default();
            Failure::system(format!("{needed} open files are needed, {current} are allowed (ulimit -n)"), error)
        })?;
    }
    server_cpu(&plan.server_pids).and_then(|_| server_memory(&plan.server_pids)).map(|_| ())
}

/// CPU time that this process has used.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// User and system time that the processes have used, all their threads included. Counted in ticks of 10 ms.
pub fn server_cpu(pids: &[u32]) -> Result<Duration, Failure> {
    let mut ticks = 0;
    for pid in pids {
        let stat = read(*pid, "stat")?;
        ticks += cpu_ticks(&stat).ok_or_else(|| malformed(*pid, "stat"))?;
    }
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_s as f64))
}

/// Memory that the processes hold now.
pub fn server_memory(pids: &[u32]) -> Result<Memory, Failure> {
    let mut memory = Memory::default();
    for pid in pids {
        let status = read(*pid, "status")?;
        let rollup = read(*pid, "smaps_rollup")?;
        memory.rss += kilobytes(&status, "VmRSS:").ok_or_else(|| malformed(*pid, "status"))?;
        memory.rss_anon += kilobytes(&status, "RssAnon:").ok_or_else(|| malformed(*pid, "status"))?;
        memory.pss += kilobytes(&rollup, "Pss:").ok_or_else(|| malformed(*pid, "smaps_rollup"))?;
    }
    Ok(memory)
}

/// Standard streams, the epoll, the REST connection, and whatever the parent left open.
const SPARE_FILES: u64 = 32;

fn read(pid: u32, file: &str) -> Result<String, Failure> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| Failure::system(format!("reading {path} (--server-pid)"), error))
}

fn malformed(pid: u32, file: &str) -> Failure {
    Failure::system(format!("reading /proc/{pid}/{file}"), io::Error::from(io::ErrorKind::InvalidData))
}

/// `utime + stime`, the fields 14 and 15; the name of the process (2) may contain spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The value of a line `Name:   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_process_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("12 (cut"), None);
    }

    #[test]
    fn memory_lines_are_kilobytes() {
        assert_eq!(kilobytes("VmRSS:\t    1234 kB\nRssAnon:\t 5 kB\n", "RssAnon:"), Some(5 * 1024));
        assert_eq!(kilobytes("Rss: 1 kB", "Pss:"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = [std::process::id()];
        let memory = server_memory(&own).unwrap();
        assert!(memory.pss > 0 && memory.rss_anon <= memory.rss);
        assert!(server_cpu(&own).is_ok() && server_cpu(&[u32::MAX]).is_err());
        assert!(own_cpu() > Duration::ZERO);
    }
}
