//! Where the threads run, and who goes first: shards before fronts.

use std::time::Duration;

use rustix::thread::CpuSet;

use super::slice;

/// The cores that this process may run on, ascending.
pub(super) fn allowed_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// The core of a shard and of the front beside it; with more shards than cores they share.
pub(super) fn core_of(index: usize, cores: &[usize]) -> Option<usize> {
    (!cores.is_empty()).then(|| cores[index % cores.len()])
}

/// Keeps the calling thread on one core, where its caches are. Where that is not allowed it runs anywhere.
pub(super) fn pin(core: Option<usize>) {
    let Some(core) = core else { return };
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "a thread could not be pinned");
    }
}

/// Has the calling thread, a shard's, get its core soon after it has something to do.
pub(super) fn run_soon() {
    // Linux before 6.12 takes the call and knows no slices of threads. Where it is forbidden, nothing is lost but the wait.
    if let Err(error) = slice::request(SHARD_SLICE) {
        tracing::debug!(%error, "a shard could not ask for short slices of CPU time");
    }
}

/// Lowers the calling thread's priority: a storm of handshakes must not slow live traffic.
pub(super) fn yield_to_shards() {
    // On Linux the niceness belongs to the thread; that of the process is what this one was given.
    if let Err(error) = rustix::process::nice(FRONT_NICENESS) {
        tracing::warn!(%error, "a front could not lower its priority");
    }
}

/// More than a shard's. A tenth of its weight: beside one that takes all it can get, a storm of handshakes has so much of the
/// core and no more, and connecting goes on. With TLS and a shard that spins it took 4 ms, and 14 at the 99th percentile, as
/// against 4 and 9 at nice 5, and 14 and 39 at nice 19. A shard that sleeps waited 1.5 µs for the core in a storm (1.7 at
/// nice 5, 0.7 at 19); 7 with fronts as batch work (`SCHED_BATCH`), and 1.8 with nice 5 and a shorter slice for the shard.
const FRONT_NICENESS: i32 = 10;

/// The least that the kernel takes. Who asks for short slices is given the core earlier, and no more of it: a front that is in
/// the middle of a signature is interrupted.
const SHARD_SLICE: Duration = Duration::from_micros(100);
