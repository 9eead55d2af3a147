//! What the relay talks to the kernel with: what is asked for, or what there is.

mod support;

use std::io;
use std::thread;

use rustix::io::Errno;
use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use support::client::Client;
use support::relay::{Relay, complaint, ringrelay};

#[test]
fn epoll_takes_over_where_io_uring_is_forbidden_and_says_why() {
    for (errno, reason) in
        [(Errno::PERM, "EPERM: a seccomp filter forbids it"), (Errno::NOSYS, "ENOSYS: this kernel has none")]
    {
        let relay = without_io_uring(errno, || Relay::start_with(&["--driver", "auto"]));
        assert_relays(&relay);
        assert_eq!(rings(&relay), 0);
        let ended = relay.end(Signal::TERM);
        ended.assert_clean();
        let said: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("io_uring is refused here")).collect();
        assert_eq!(said.len(), 1, "{}", ended.stdout);
        assert!(said[0].contains(reason) && said[0].contains("shards use epoll"), "{said:?}");
        assert_eq!(driver_in(&ended.stdout), "epoll");
    }
}

#[test]
fn io_uring_that_is_asked_for_and_forbidden_is_an_error() {
    let serve = || ringrelay().args(["serve", "--port", "0", "--driver", "uring"]).output().expect("the binary starts");
    let output = without_io_uring(Errno::PERM, serve);
    assert_eq!(output.status.code(), Some(2), "it would be refused again: {output:?}");
    let said = complaint(&output);
    assert!(said.contains("driver is uring") && said.contains("seccomp"), "{said}");
}

#[test]
fn epoll_that_is_asked_for_makes_no_ring() {
    let relay = Relay::start_with(&["--driver", "epoll"]);
    assert_relays(&relay);
    assert_eq!(rings(&relay), 0);
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    assert!(!ended.stdout.contains("refused"), "nothing was asked for in vain: {}", ended.stdout);
    assert_eq!(driver_in(&ended.stdout), "epoll");
}

#[test]
fn io_uring_is_taken_where_it_is_allowed() {
    for driver in ["auto", "uring"] {
        let relay = Relay::start_with(&["--driver", driver]);
        assert_relays(&relay);
        assert_eq!(rings(&relay), 4, "one for each of two shards and two fronts");
        let ended = relay.end(Signal::TERM);
        ended.assert_clean();
        assert_eq!(driver_in(&ended.stdout), "io_uring");
    }
}

/// A message goes from one client to another, on either shard.
fn assert_relays(relay: &Relay) {
    for channel in relay.channels_on_both_shards(&serde_json::json!({"pattern": "pub-sub"})) {
        let mut clients = [Client::connect(relay, &channel), Client::connect(relay, &channel)];
        clients[0].send("hello");
        for client in &mut clients {
            client.expect("hello");
        }
    }
}

/// The rings that the process holds.
fn rings(relay: &Relay) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", relay.pid())).expect("the process runs");
    let is_ring = |path: io::Result<std::path::PathBuf>| path.is_ok_and(|path| path.ends_with("anon_inode:[io_uring]"));
    files.filter(|file| is_ring(std::fs::read_link(file.as_ref().expect("a file").path()))).count()
}

/// What the log says that the relay was started with.
fn driver_in(log: &str) -> &str {
    let started = log.lines().find(|line| line.contains("driver")).expect("the log says with what it was started");
    ["io_uring", "epoll"].into_iter().find(|name| started.contains(name)).expect("one of the drivers")
}

/// Runs this in a thread whose children cannot set up an io_uring: they are told `errno`.
fn without_io_uring<T: Send>(errno: Errno, run: impl FnOnce() -> T + Send) -> T {
    let filter = SeccompFilter::new(
        [(libc::SYS_io_uring_setup, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.raw_os_error() as u32),
        std::env::consts::ARCH.try_into().expect("a known architecture"),
    );
    let filter: BpfProgram = filter.and_then(BpfProgram::try_from).expect("a filter");
    thread::scope(|scope| {
        let filtered = scope.spawn(move || {
            seccompiler::apply_filter(&filter).expect("every process may filter itself");
            run()
        });
        filtered.join().expect("it does not panic")
    })
}
