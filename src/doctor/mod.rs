//! `ringrelay doctor`: holds a host against the table of [`tuning`](crate::tuning), and says what it lacks.
//!
//! Everything is read below one root, by [`Host`], so that tests can play any host; what cannot be read is
//! [`Unknown`](Verdict::Unknown), and never an error. Nothing is changed.

mod cgroup;
mod files;
mod finding;
mod host;
mod kernel;
mod limit;
mod nic;
mod processor;
mod queues;
mod report;
mod sysctl;
mod tcp;
#[cfg(test)]
mod tests;

use crate::tuning::{Entry, Observation, Subject, entries};

pub use finding::{Finding, Verdict};
pub use host::Host;
pub use report::{to_json, to_text, worst};

/// What is found, in the order of the table.
pub fn examine(host: &Host) -> Vec<Finding> {
    entries().filter_map(|entry| examine_entry(entry, host)).collect()
}

/// `None` = nothing is asked of it by itself.
fn examine_entry(entry: &'static Entry, host: &Host) -> Option<Finding> {
    let outcome = match entry.subject {
        Subject::Sysctl(sysctl) => sysctl::check(entry.id, &sysctl, host)?,
        Subject::Limit(limit) => limit::check(&limit, host),
        Subject::Host(observation) => observe(observation, host),
    };
    Some(Finding { entry, outcome })
}

fn observe(observation: Observation, host: &Host) -> finding::Outcome {
    match observation {
        Observation::ClockSource => processor::clock_source(host),
        Observation::Conntrack => queues::conntrack(host),
        Observation::CpuQuota => cgroup::cpu_quota(host),
        Observation::Governor => processor::governor(host),
        Observation::HostFiles => files::of_host(host),
        Observation::HugePages => processor::huge_pages(host),
        Observation::Interrupts => nic::interrupts(host),
        Observation::IoUring => kernel::io_uring(host),
        Observation::Kernel => kernel::version(host),
        Observation::KernelTls => kernel::tls(host),
        Observation::ListenQueue => queues::listen(host),
        Observation::MemoryLimit => cgroup::memory_limit(host),
        Observation::PacketQueue => queues::packets(host),
        Observation::ProcessFiles => files::of_process(host),
        Observation::ReceiveQueues => nic::receive_queues(host),
        Observation::Seccomp => kernel::seccomp(host),
        Observation::TcpMemory => tcp::memory(host),
        Observation::TimeWait => tcp::time_wait(host),
    }
}
