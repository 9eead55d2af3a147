//! A thread of the relay that does nothing. It is stopped from outside, as a debugger would: the program needs no way to be
//! told to hang.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::eventually;
use super::relay::Relay;

/// A thread that does nothing until this is dropped.
pub struct Stalled(Pid);

impl Stalled {
    pub fn thread(relay: &Relay, name: &str) -> Stalled {
        let folder = format!("/proc/{}/task", relay.pid());
        let threads = std::fs::read_dir(folder).expect("the process runs").filter_map(Result::ok);
        let named = |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let path = threads.map(|entry| entry.path()).find(|path| named(path)).expect("a thread of that name");
        let id = path.file_name().and_then(|id| id.to_str()).and_then(|id| id.parse().ok()).expect("a thread id");
        let thread = Pid::from_raw(id);
        ptrace::seize(thread, ptrace::Options::empty()).expect("a child may be traced");
        ptrace::interrupt(thread).expect("it is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Stalled(thread)
    }

    pub fn go_on(self) {
        drop(self);
    }

    /// Waits for the end of the thread, which comes with that of its process: that has not ended for its parent before.
    pub fn await_end(self) {
        eventually("the stalled thread ends with its process", || {
            match waitpid(self.0, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => Some(()),
                Ok(_) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = ptrace::detach(self.0, None);
    }
}
