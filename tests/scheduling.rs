//! Shards go before fronts: how the kernel's scheduler sees the threads of a running relay.

mod support;

use std::fs;

use support::eventually;
use support::relay::Relay;

#[test]
fn shards_go_before_fronts() {
    let relay = Relay::start();
    let threads = eventually("all threads are there", || {
        let threads = threads(&relay);
        let count = |kind: &str| threads.iter().filter(|thread| thread.name.starts_with(kind)).count();
        (count("shard-") == 2 && count("front-") == 2).then_some(threads)
    });
    let own = niceness("/proc/self/stat").expect("this process runs");
    for thread in threads {
        if thread.name.starts_with("shard-") {
            assert_eq!(thread.niceness, own, "{thread:?}");
            // Kernels before 6.12 tell of no slice.
            assert!(matches!(thread.slice_ns, None | Some(100_000)), "{thread:?}");
        } else if thread.name.starts_with("front-") {
            assert_eq!(thread.niceness, (own + 10).min(19), "{thread:?}");
            assert_ne!(thread.slice_ns, Some(100_000), "{thread:?}");
        }
    }
}

#[derive(Debug)]
struct Thread {
    name: String,
    niceness: i32,
    /// `None` = the kernel does not tell.
    slice_ns: Option<u64>,
}

fn threads(relay: &Relay) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{}/task", relay.pid())).expect("the relay runs");
    tasks.filter_map(|task| thread(task.ok()?.path().to_str()?)).collect()
}

/// `None` = it has ended meanwhile.
fn thread(task: &str) -> Option<Thread> {
    let name = fs::read_to_string(format!("{task}/comm")).ok()?.trim().to_owned();
    let niceness = niceness(&format!("{task}/stat"))?;
    // Where the kernel was built to tell.
    let sched = fs::read_to_string(format!("{task}/sched")).unwrap_or_default();
    let slice = sched.lines().find(|line| line.starts_with("se.slice"));
    let slice_ns = slice.and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
    Some(Thread { name, niceness, slice_ns })
}

/// Field 19 of proc_pid_stat(5), counted from behind the name in parentheses, which is the second.
fn niceness(stat: &str) -> Option<i32> {
    let stat = fs::read_to_string(stat).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19 - 3)?.parse().ok()
}
