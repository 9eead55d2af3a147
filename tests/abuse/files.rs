//! No more open files: connections wait in the backlog until there are some again.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::live::Live;
use crate::relay;
use crate::support::eventually;
use crate::support::http::HttpClient;
use crate::support::relay::Relay;

#[test]
fn without_files_accepting_waits_and_goes_on_later() {
    /// Connections that fit, and those that wait.
    const SPARE: usize = 20;
    const WAITING: usize = 40;
    let relay = relay(&[]);
    let live = Live::start(&relay);
    live.assert_goes_on(10);

    // Taken away at run time: the relay has counted on more.
    let limit = relay.open_files() + SPARE;
    let before = limit_files(&relay, limit);
    let mut held: Vec<TcpStream> = Vec::new();
    eventually("all files are taken", || {
        held.push(TcpStream::connect(relay.address()).expect("the backlog has room"));
        (relay.open_files() >= limit).then_some(())
    });
    let mut waiting: Vec<HttpClient> = (0..WAITING).map(|_| HttpClient::connect(relay.address())).collect();
    for http in &mut waiting {
        http.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    live.assert_goes_on(100);
    live.finish();
    assert_rests(&relay);

    // Who leaves makes room for who waits, with the limit as it is. In whatever order the fronts take them: there are not
    // files for all at once, so that each leaves as soon as it has its answer.
    held.clear();
    let answers = waiting.into_iter().map(|mut http| thread::spawn(move || http.response().status));
    for answer in answers.collect::<Vec<_>>() {
        assert_eq!(answer.join().expect("an answer"), 200);
    }
    limit_files(&relay, before);
    let live = Live::start(&relay);
    live.assert_goes_on(10);
    live.finish();
}

/// Sets how many files the process may have open; gives the limit before.
fn limit_files(relay: &Relay, most: usize) -> usize {
    let pid = i32::try_from(relay.pid()).ok().and_then(Pid::from_raw);
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(most as u64), maximum };
    let before = prlimit(pid, Resource::Nofile, limit).expect("a child of this process");
    before.current.map_or(usize::MAX, |files| files as usize)
}

/// Checks that the process takes next to no CPU time: it does not try again and again.
fn assert_rests(relay: &Relay) {
    const WATCHED: Duration = Duration::from_secs(2);
    let (started, before) = (Instant::now(), cpu_ms(relay));
    while started.elapsed() < WATCHED {
        thread::sleep(Duration::from_millis(50));
    }
    let used = cpu_ms(relay) - before;
    assert!(used < 300, "{used} ms of CPU time in {WATCHED:?} with nothing to do");
}

/// User and system time of the process.
fn cpu_ms(relay: &Relay) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", relay.pid())).expect("the process runs");
    // proc_pid_stat(5): the name ends with the last parenthesis, and fields 14 and 15 are ticks of 10 ms.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = |field: usize| fields.split_whitespace().nth(field - 3).and_then(|ticks| ticks.parse::<u64>().ok());
    (ticks(14).expect("utime") + ticks(15).expect("stime")) * 10
}
