//! `ringrelay doctor` on this machine: what it finds is there, and what it prints to mend it does.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use ringrelay::tuning::{Emission, Line, Scope, Subject, Sysctl, entries};
use serde_json::Value;

use support::relay::ringrelay;

#[test]
fn what_it_emits_is_in_the_repository() {
    for emission in Emission::ALL {
        let output = doctor(&["--emit", emission.word()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(emission.path());
        assert!(output.stdout == fs::read(&path).expect("a file"), "{} is not what is emitted", path.display());
    }
}

#[test]
fn status_is_that_of_the_worst_line() {
    let output = doctor(&["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    let any = |verdict: &str| checks.iter().any(|check| check["verdict"] == verdict);
    let (verdict, status) = match () {
        () if any("problem") => ("problem", 3),
        () if any("advice") => ("advice", 1),
        () => ("ok", 0),
    };
    assert_eq!(report["verdict"], verdict);
    assert_eq!(output.status.code(), Some(status));
    assert_eq!(doctor(&[]).status.code(), Some(status));
    for check in checks {
        for field in ["id", "verdict", "found", "wanted", "why"] {
            assert!(check[field].is_string(), "{field} of {check}");
        }
        assert!(check["fix"].is_null() || check["fix"].is_string(), "{check}");
    }
}

#[test]
fn what_it_finds_is_what_the_kernel_says() {
    let report: Value = serde_json::from_slice(&doctor(&["--json"]).stdout).expect("JSON");
    let found = |id: &str| {
        let check = report["checks"].as_array().expect("checks").iter().find(|check| check["id"] == id);
        check.unwrap_or_else(|| panic!("no line {id}"))["found"].as_str().expect("text").to_owned()
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    assert!(found("kernel").starts_with(release.trim()));
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("Linux");
    assert_eq!(found("net.core.somaxconn"), somaxconn.trim());
    // The tests of the relay need a ring, so there is one.
    assert_eq!(found("io-uring"), "a ring was made");
}

#[test]
fn process_that_is_not_there_is_refused() {
    let output = doctor(&["--pid", "4294967295"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("pid"), "{output:?}");
    assert_eq!(doctor(&["--emit", "sysctl", "--json"]).status.code(), Some(2));
    assert_eq!(doctor(&["--emit", "table"]).status.code(), Some(2));
}

#[test]
fn limits_are_those_of_the_process_that_is_named() {
    let mut limited = Command::new("sh")
        .args(["-c", "ulimit -n 77; echo; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(limited.stdout.take().expect("a pipe")).read_line(&mut line).expect("the limit is set");
    let pid = limited.id().to_string();
    let output = doctor(&["--json", "--pid", &pid]);
    limited.kill().expect("it runs");
    limited.wait().expect("it ends");
    let checks = checks(&String::from_utf8_lossy(&output.stdout));
    let check = &checks["open-files"];
    assert_eq!((check.verdict.as_str(), check.found.as_str()), ("advice", "77"));
    assert_eq!(check.fix.as_deref(), Some(format!("prlimit --pid {pid} --nofile=1048576:1048576").as_str()));
    assert_eq!(checks["process-files"].verdict, "ok");
}

/// Values that are not wanted, of all sysctls that a namespace has of its own and that something is asked of.
const BAD: &[(&str, &str)] = &[
    ("net.core.somaxconn", "16"),
    ("net.ipv4.tcp_max_syn_backlog", "64"),
    ("net.ipv4.tcp_syncookies", "0"),
    ("net.ipv4.ip_local_port_range", "32768 60999"),
    ("net.ipv4.tcp_tw_reuse", "0"),
    ("net.ipv4.tcp_max_tw_buckets", "1024"),
    ("net.ipv4.tcp_notsent_lowat", "4294967295"),
    ("net.ipv4.tcp_slow_start_after_idle", "1"),
];

#[test]
fn each_command_that_it_prints_turns_its_line_green() {
    let asked: Vec<&str> = sysctls()
        .filter(|(_, sysctl)| sysctl.scope == Scope::Namespace && sysctl.wanted.is_some())
        .map(|(id, _)| id)
        .collect();
    let mut bad: Vec<&str> = BAD.iter().map(|(id, _)| *id).collect();
    bad.sort_by_key(|id| asked.iter().position(|other| other == id));
    assert_eq!(bad, asked, "every sysctl of a namespace is tried");

    let Some(mut namespace) = Namespace::new() else { return };
    namespace.spoil();
    let before = checks(&namespace.doctor());
    for (id, value) in BAD {
        assert_eq!(before[*id].found, *value);
        assert!(["advice", "problem"].contains(&before[*id].verdict.as_str()), "{id}: {:?}", before[*id]);
    }
    for (id, _) in BAD {
        let fix = before[*id].fix.as_deref().unwrap_or_else(|| panic!("{id} says how to mend it"));
        namespace.run(fix);
        let after = &checks(&namespace.doctor())[*id];
        assert_eq!(after.verdict, "ok", "{id} after {fix}: {after:?}");
    }
}

#[test]
fn sysctl_file_turns_the_lines_of_a_namespace_green() {
    let Some(mut namespace) = Namespace::new() else { return };
    namespace.spoil();
    let binary = ringrelay().get_program().to_string_lossy().into_owned();
    // What the host has once cannot be seen from here, which -e lets pass.
    namespace.run(&format!("'{binary}' doctor --emit sysctl | sysctl -e -p /dev/stdin"));
    let after = checks(&namespace.doctor());
    let set = sysctls().filter(|(_, sysctl)| sysctl.scope == Scope::Namespace && sysctl.line == Line::Set);
    let mut count = 0;
    for (id, sysctl) in set {
        assert_eq!((after[id].verdict.as_str(), after[id].found.as_str()), ("ok", sysctl.value), "{id}");
        count += 1;
    }
    assert!(count > 5, "the file sets sysctls of a namespace");
}

#[test]
fn each_sysctl_belongs_to_whom_the_table_says() {
    let Some(mut namespace) = Namespace::new() else { return };
    for (id, sysctl) in sysctls().filter(|(id, _)| id.starts_with("net.")) {
        let path = format!("/proc/sys/{}", id.replace('.', "/"));
        // Not every kernel has every one.
        if !Path::new(&path).exists() {
            continue;
        }
        // Its own value is written back.
        let written = namespace.run(&format!("cat {path} > {path} && echo written"));
        let is_own = written.contains("written");
        assert_eq!(is_own, sysctl.scope == Scope::Namespace, "{id} in a network namespace");
    }
}

#[test]
fn too_little_locked_memory_is_told_and_mended() {
    let binary = ringrelay().get_program().to_string_lossy().into_owned();
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0"));
    // Root's locked memory is not counted; nobody's is.
    let mut shell = match is_root {
        true => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--bounding-set=-all",
                "sh",
            ]);
            setpriv
        }
        false => Command::new("sh"),
    };
    // Nobody may not be allowed into the folder of the build.
    let copy = std::env::temp_dir().join(format!("ringrelay-doctor-{}", std::process::id()));
    fs::copy(&binary, &copy).expect("a copy");
    let script = format!(
        "ulimit -S -l 0; '{0}' doctor --json; echo; echo =====; ulimit -S -l {1} && '{0}' doctor --json",
        copy.display(),
        384 * std::thread::available_parallelism().map_or(1, usize::from)
    );
    let output = shell.args(["-c", &script]).output().expect("a shell");
    fs::remove_file(&copy).expect("the copy");
    let text = String::from_utf8_lossy(&output.stdout);
    let (before, after) = text.split_once("=====").unwrap_or_else(|| panic!("{output:?}"));
    let (before, after) = (checks(before), checks(after));
    assert_eq!(before["locked-memory"].verdict, "problem", "{:?}", before["locked-memory"]);
    assert!(before["io-uring"].found.contains("may be locked"), "{:?}", before["io-uring"]);
    assert_eq!((after["locked-memory"].verdict.as_str(), after["io-uring"].verdict.as_str()), ("ok", "ok"));
}

/// One line of the report.
#[derive(Debug)]
struct Check {
    verdict: String,
    found: String,
    fix: Option<String>,
}

fn checks(json: &str) -> BTreeMap<String, Check> {
    let report: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let check = |check: &Value| {
        let (verdict, found) = (text(&check["verdict"])?, text(&check["found"])?);
        Some((text(&check["id"])?, Check { verdict, found, fix: text(&check["fix"]) }))
    };
    report["checks"].as_array().expect("checks").iter().map(|line| check(line).expect("a check")).collect()
}

fn sysctls() -> impl Iterator<Item = (&'static str, Sysctl)> {
    entries().filter_map(|entry| match entry.subject {
        Subject::Sysctl(sysctl) => Some((entry.id, sysctl)),
        Subject::Limit(_) | Subject::Host(_) => None,
    })
}

fn doctor(arguments: &[&str]) -> Output {
    ringrelay().arg("doctor").args(arguments).output().expect("the binary starts")
}

/// A shell in a network namespace of its own, where sysctls can be set without anyone else's noticing.
struct Namespace {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Namespace {
    /// `None` after saying so = this user may not make one.
    fn new() -> Option<Namespace> {
        for flags in [&["--net"][..], &["--map-root-user", "--net"]] {
            let mut shell = Command::new("unshare")
                .args(flags)
                .arg("sh")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("unshare is part of util-linux");
            let (input, output) = (shell.stdin.take().expect("a pipe"), shell.stdout.take().expect("a pipe"));
            let mut namespace = Namespace { shell, input, output: BufReader::new(output) };
            if namespace.run("sysctl -w net.core.somaxconn=17").contains("= 17") {
                return Some(namespace);
            }
        }
        eprintln!("not tried: this user may not make a network namespace and set its sysctls");
        None
    }

    /// What a command prints, as far as it goes to standard output.
    fn run(&mut self, command: &str) -> String {
        let mut text = String::new();
        // Without a shell at the other end there is nothing to read either.
        let _ = writeln!(self.input, "{command}\necho\necho {MARK}");
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).expect("text") == 0 || line.trim_end() == MARK {
                return text;
            }
            text.push_str(&line);
        }
    }

    fn spoil(&mut self) {
        for (id, value) in BAD {
            self.run(&format!("sysctl -w {id}='{value}'"));
        }
    }

    /// What the doctor finds here.
    fn doctor(&mut self) -> String {
        let binary = ringrelay().get_program().to_string_lossy().into_owned();
        self.run(&format!("'{binary}' doctor --json"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Ends what a command prints.
const MARK: &str = "that is all";
