//! What the kernel says of one thread of this process.

use std::fs;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// A thread that others may ask the kernel about. It says once which one it is, and has no more to do with it.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// Its number in the kernel (tid); 0 = it has not begun.
    id: AtomicI32,
}

impl Thread {
    /// From now on it is the calling thread.
    pub(super) fn set_current(&self) {
        self.id.store(rustix::thread::gettid().as_raw_pid(), Ordering::Relaxed);
    }

    /// How long it has been on a core, in user mode and in the kernel; `None` = it has hardly begun, has ended, or the kernel does
    /// not tell.
    ///
    /// What runs is counted up to its last tick. This file is read without a lock of the process, as opposed to `stat` beside it,
    /// and counts nanoseconds where that has ticks of 10 ms.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let id = self.id.load(Ordering::Relaxed);
        let line = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
        parse(&line)
    }
}

/// The first number, in nanoseconds. Kernels that do not count say 0; whoever runs has had some.
fn parse(line: &str) -> Option<Duration> {
    let nanos = line.split_whitespace().next()?.parse().ok()?;
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    /// Takes 50 ms of a core, or more, as the kernel counts them.
    fn work() {
        let own = Thread::default();
        own.set_current();
        // Before its first tick a thread has had nothing.
        let before = own.cpu_time().unwrap_or_default();
        let begun = Instant::now();
        while own.cpu_time().unwrap_or_default() < before + Duration::from_millis(50) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the kernel does not count");
        }
    }

    #[test]
    fn a_thread_has_had_what_it_worked_and_not_what_it_slept() {
        let thread = Arc::new(Thread::default());
        assert_eq!(thread.cpu_time(), None, "it has not begun");
        let (of_thread, (worked, has_worked), (end, to_end)) = (thread.clone(), channel(), channel::<()>());
        let running = std::thread::spawn(move || {
            of_thread.set_current();
            work();
            worked.send(()).unwrap();
            let _ = to_end.recv();
        });
        has_worked.recv().unwrap();
        let after = thread.cpu_time().unwrap();
        assert!(after >= Duration::from_millis(50), "{after:?}");
        // This one works now, and that one waits.
        work();
        assert!(thread.cpu_time().unwrap() < after + Duration::from_millis(25), "{after:?}");
        drop(end);
        running.join().unwrap();
    }

    #[test]
    fn a_kernel_that_does_not_count_is_known_by_its_noughts() {
        assert_eq!(parse("1215702 99504 1\n"), Some(Duration::from_nanos(1_215_702)));
        for line in ["0 0 0\n", "", "x 1 2"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
