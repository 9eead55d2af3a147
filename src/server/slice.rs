//! How long a thread wants to run at a stretch, said to the kernel's scheduler. The only unsafe code of the server, as no crate
//! has the call.

use std::io;
use std::time::Duration;

/// Asks for slices of that length for the calling thread; its policy and its niceness stay (sched(7); slices that a thread
/// asks for are heard since Linux 6.12).
///
/// # Errors
/// The call is forbidden, or the thread's policy is not one that has slices.
#[allow(unsafe_code)]
pub(super) fn request(slice: Duration) -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: rustix::process::getpriority_process(None)?,
        sched_priority: 0,
        sched_runtime: slice.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which live until the call is over, and writes nothing. Thread 0
    // is the calling one.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
