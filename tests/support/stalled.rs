//! A thread of the relay that is held up from outside, as a debugger would: the program needs no way to be told to hang.

use std::fs;
use std::path::Path;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::relay::Relay;

/// A thread that does nothing until it may go on. Who stopped it has to be the one to let it go.
pub struct Stalled(Pid);

impl Stalled {
    /// Stops the thread of this name.
    pub fn thread(relay: &Relay, name: &str) -> Stalled {
        let folder = format!("/proc/{}/task", relay.pid());
        let threads = fs::read_dir(folder).expect("the process runs").filter_map(Result::ok);
        let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let path = threads.map(|entry| entry.path()).find(|path| named(path)).expect("a thread of that name");
        let id = path.file_name().and_then(|id| id.to_str()).and_then(|id| id.parse().ok()).expect("a thread id");
        let thread = Pid::from_raw(id);
        ptrace::seize(thread, ptrace::Options::empty()).expect("a child may be traced");
        ptrace::interrupt(thread).expect("it is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Stalled(thread)
    }

    pub fn go_on(self) {}
}

impl Drop for Stalled {
    /// A test that fails lets it go too: a process with a traced thread could not be waited for.
    fn drop(&mut self) {
        let detached = ptrace::detach(self.0, None);
        assert!(detached.is_ok() || std::thread::panicking(), "it is stopped: {detached:?}");
    }
}
