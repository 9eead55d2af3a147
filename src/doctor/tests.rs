//! Hosts that tests play: a folder with what `proc` and `sys` would say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::finding::Outcome;
use super::host::{Host, list};
use super::{Finding, Verdict, examine, to_json, to_text, worst};
use crate::ring::Refusal;
use crate::tuning::{Subject, entries};

struct Play {
    root: PathBuf,
    ring: fn() -> Result<(), Refusal>,
}

impl Play {
    /// A host of four cores with nothing else to tell.
    fn new() -> Play {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringrelay-doctor-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Play { root: std::env::temp_dir().join(name), ring: || Ok(()) }
            .with("proc/self/status", "CapEff:\t0000000000000000\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n")
            .with("sys/devices/system/cpu/online", "0-3\n")
            .with("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n")
            .with("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    }

    fn with(self, path: &str, text: &str) -> Play {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable temporary folder");
        fs::write(path, text).expect("a writable temporary folder");
        self
    }

    fn refusing(mut self, refuse: fn() -> Result<(), Refusal>) -> Play {
        self.ring = refuse;
        self
    }

    fn host(&self) -> Host {
        Host::played(self.root.clone(), (self.ring)())
    }

    fn findings(&self) -> Vec<Finding> {
        examine(&self.host())
    }

    fn outcome(&self, id: &str) -> Outcome {
        let finding = self.findings().into_iter().find(|finding| finding.entry.id == id);
        finding.unwrap_or_else(|| panic!("no line {id}")).outcome
    }

    /// The verdict of a line, and the command that mends it or nothing.
    fn says(&self, id: &str) -> (Verdict, String) {
        let outcome = self.outcome(id);
        (outcome.verdict, outcome.fix.unwrap_or_default())
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Three columns of names and their numbers, as `/proc/net/netstat` has them.
fn netstat(overflows: u64, drops: u64, others: u64) -> String {
    let names = "ListenOverflows ListenDrops TCPMemoryPressures TCPTimeWaitOverflow";
    format!("TcpExt: {names}\nTcpExt: {overflows} {drops} {others} {others}\nIpExt: InOctets\nIpExt: 7\n")
}

fn limits(files: &str, memory: &str) -> String {
    format!(
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 {files}              files\n\
         Max locked memory         {memory}              {memory}              bytes\n"
    )
}

#[test]
fn host_that_tells_nothing_is_unknown_and_no_error() {
    let root = std::env::temp_dir().join(format!("ringrelay-doctor-{}-none", std::process::id()));
    let findings = examine(&Host::played(root, Ok(())));
    for finding in &findings {
        let verdict = finding.outcome.verdict;
        // A ring was made, and what is not there cannot be full.
        let may_be_ok = ["io-uring", "conntrack", "huge-pages"].contains(&finding.entry.id);
        assert!(verdict == Verdict::Unknown || (may_be_ok && verdict == Verdict::Ok), "{finding:?}");
    }
    assert_eq!(worst(&findings), Verdict::Ok);
}

#[test]
fn files_of_nonsense_are_unknown_and_no_panic() {
    for nonsense in
        ["", "\u{0}\u{fffd}", "-1", "99999999999999999999999", "max max max", "0 0 0 0", "a:b:c\n:::\n1:cpu:"]
    {
        let mut play = Play::new();
        for path in [
            "proc/self/status",
            "proc/self/limits",
            "proc/self/cgroup",
            "proc/meminfo",
            "proc/interrupts",
            "proc/net/netstat",
            "proc/net/sockstat",
            "proc/net/softnet_stat",
            "proc/net/stat/nf_conntrack",
            "proc/sys/fs/file-nr",
            "proc/sys/kernel/osrelease",
            "proc/sys/net/ipv4/tcp_mem",
            "proc/sys/net/core/somaxconn",
            "proc/sys/net/netfilter/nf_conntrack_count",
            "proc/sys/net/netfilter/nf_conntrack_max",
            "sys/devices/system/cpu/online",
            "sys/kernel/mm/transparent_hugepage/enabled",
            "sys/fs/cgroup/cpu.max",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
            "sys/fs/cgroup/memory.max",
            "sys/class/net/eth0/device/msi_irqs/1",
            "proc/irq/1/smp_affinity_list",
        ] {
            play = play.with(path, nonsense);
        }
        let findings = play.findings();
        assert!(!to_text(&findings).is_empty());
        assert_eq!(play.says("net.core.somaxconn").0, Verdict::Unknown, "{nonsense:?}");
    }
}

#[test]
fn every_sysctl_that_is_asked_for_is_green_at_its_own_value_and_says_how_to_get_there() {
    for entry in entries() {
        let Subject::Sysctl(sysctl) = entry.subject else { continue };
        let path = format!("proc/sys/{}", entry.id.replace('.', "/"));
        let Some(wanted) = sysctl.wanted else {
            let play = Play::new().with(&path, "1\n");
            assert!(play.findings().iter().all(|finding| finding.entry.id != entry.id), "{}", entry.id);
            continue;
        };
        let good = Play::new().with(&path, &format!("{}\n", sysctl.value.replace(' ', "\t")));
        assert_eq!(good.says(entry.id), (Verdict::Ok, String::new()), "{}", entry.id);
        // Two numbers that are never wanted, for those of one number and those of two.
        let bad = ["0", "1", "4294967295", "40000 50000"].into_iter().find(|bad| wanted.is_met_by(bad) == Some(false));
        let bad = Play::new().with(&path, bad.expect("one of them is bad"));
        let (verdict, fix) = bad.says(entry.id);
        assert_eq!(verdict, sysctl.weight.into(), "{}", entry.id);
        assert_eq!(fix.replace('\'', ""), format!("sysctl -w {}={}", entry.id, sysctl.value));
    }
}

#[test]
fn kernel_that_is_too_old_is_told_what_it_lacks() {
    assert_eq!(Play::new().says("kernel").0, Verdict::Ok);
    let old = Play::new().with("proc/sys/kernel/osrelease", "5.15.0-generic").outcome("kernel");
    assert_eq!(old.verdict, Verdict::Advice);
    for feature in ["buffer rings (5.19)", "multishot receives", "deferred task work (6.1)"] {
        assert!(old.found.contains(feature), "{old:?}");
    }
    let nearly = Play::new().with("proc/sys/kernel/osrelease", "6.0.9").outcome("kernel");
    assert!(nearly.found.ends_with("without deferred task work (6.1)"), "{nearly:?}");
}

#[test]
fn refused_ring_is_told_in_the_words_of_the_relay_and_mended_where_a_command_can() {
    type Refuse = fn() -> Result<(), Refusal>;
    let sysctl = "sysctl -w kernel.io_uring_disabled=0";
    let cases: [(Refuse, Option<&str>); 8] = [
        (|| Err(Refusal::Disabled(2)), Some(sysctl)),
        (
            || Err(Refusal::Disabled(1)),
            Some("sysctl -w kernel.io_uring_disabled=0  # or start the relay in that group"),
        ),
        (|| Err(Refusal::Absent), None),
        (|| Err(Refusal::Forbidden), None),
        (|| Err(Refusal::TooOld), None),
        (|| Err(Refusal::Lacks("IORING_OP_SEND")), None),
        (|| Err(Refusal::Memory), None),
        (|| Err(Refusal::Other(io::Error::other("a surprise"))), None),
    ];
    for (refuse, fix) in cases {
        let outcome = Play::new().refusing(refuse).outcome("io-uring");
        let refusal = refuse().expect_err("it refuses");
        assert_eq!((outcome.verdict, outcome.found), (Verdict::Advice, format!("refused: {refusal}")));
        assert_eq!(outcome.fix.as_deref(), fix, "{refusal}");
        // The one line that another one mends.
        assert_eq!(outcome.wanted.contains("locked-memory"), matches!(refusal, Refusal::Memory), "{}", outcome.wanted);
    }
    assert_eq!(Play::new().says("io-uring").0, Verdict::Ok);
}

#[test]
fn filter_counts_only_where_it_is_in_the_way() {
    let filtered = |play: Play| play.with("proc/self/status", "Seccomp:\t2\n").says("seccomp").0;
    assert_eq!(Play::new().says("seccomp").0, Verdict::Ok);
    assert_eq!(filtered(Play::new()), Verdict::Ok);
    assert_eq!(filtered(Play::new().refusing(|| Err(Refusal::Forbidden))), Verdict::Advice);
    assert_eq!(filtered(Play::new().refusing(|| Err(Refusal::Absent))), Verdict::Advice);
    assert_eq!(filtered(Play::new().refusing(|| Err(Refusal::Memory))), Verdict::Unknown);
}

#[test]
fn hard_limit_of_open_files_counts() {
    let with = |files| Play::new().with("proc/self/limits", &limits(files, "unlimited")).says("open-files");
    assert_eq!(with("1048576"), (Verdict::Ok, String::new()));
    assert_eq!(with("unlimited").0, Verdict::Ok);
    assert_eq!(with("20000"), (Verdict::Advice, "ulimit -n 1048576".to_owned()));
}

#[test]
fn locked_memory_has_to_be_enough_for_a_shard_on_each_core() {
    let with = |memory| Play::new().with("proc/self/limits", &limits("20000", memory));
    // Four shards of 384 KiB.
    assert_eq!(with("1572864").says("locked-memory").0, Verdict::Ok);
    assert_eq!(with("1572863").says("locked-memory"), (Verdict::Problem, "ulimit -l 524288".to_owned()));
    assert_eq!(with("unlimited").says("locked-memory").0, Verdict::Ok);
    let exempt = with("0").with("proc/self/status", "CapEff:\t0000000000004000\nCpus_allowed_list:\t0-3\n");
    assert_eq!(exempt.says("locked-memory").0, Verdict::Ok);
}

#[test]
fn files_of_the_host_are_counted_against_their_bound() {
    let with = |text| Play::new().with("proc/sys/fs/file-nr", text).says("host-files");
    assert_eq!(with("100\t0\t1000\n").0, Verdict::Ok);
    assert_eq!(with("600\t0\t1000\n"), (Verdict::Advice, "sysctl -w fs.file-max=2000".to_owned()));
}

#[test]
fn kernel_tls_is_asked_for_by_its_name() {
    let with = |names| Play::new().with("proc/sys/net/ipv4/tcp_available_ulp", names).says("kernel-tls");
    assert_eq!(with("espintcp mptcp tls\n").0, Verdict::Ok);
    assert_eq!(with("mptcp\n"), (Verdict::Advice, "modprobe tls".to_owned()));
}

#[test]
fn dropped_connections_are_told() {
    let with = |overflows, drops| Play::new().with("proc/net/netstat", &netstat(overflows, drops, 0));
    assert_eq!(with(0, 0).says("listen-queue").0, Verdict::Ok);
    let outcome = with(3, 4).outcome("listen-queue");
    assert_eq!(
        (outcome.verdict, outcome.found.as_str()),
        (Verdict::Advice, "3 overflows and 4 drops since the host has started")
    );
}

#[test]
fn sockets_in_time_wait_are_held_against_their_bound() {
    let with = |waiting: u64, forgotten| {
        Play::new()
            .with("proc/net/sockstat", &format!("sockets: used 9\nTCP: inuse 2 orphan 0 tw {waiting} alloc 3 mem 5\n"))
            .with("proc/sys/net/ipv4/tcp_max_tw_buckets", "1000\n")
            .with("proc/net/netstat", &netstat(0, 0, forgotten))
            .says("time-wait")
    };
    assert_eq!(with(499, 0).0, Verdict::Ok);
    assert_eq!(with(500, 0), (Verdict::Advice, "sysctl -w net.ipv4.tcp_max_tw_buckets=2000".to_owned()));
    assert_eq!(with(1, 1).0, Verdict::Advice);
}

#[test]
fn memory_of_tcp_is_held_against_its_bound() {
    let with = |held: u64, pressures| {
        Play::new()
            .with("proc/net/sockstat", &format!("TCP: inuse 2 orphan 0 tw 0 alloc 3 mem {held}\n"))
            .with("proc/sys/net/ipv4/tcp_mem", "750\t1000\t1500\n")
            .with("proc/net/netstat", &netstat(0, 0, pressures))
            .says("tcp-memory")
    };
    assert_eq!(with(499, 0).0, Verdict::Ok);
    // Of 16 GiB, in pages of 4 KiB.
    let more = "sysctl -w net.ipv4.tcp_mem='524288 699050 1048576'".to_owned();
    assert_eq!(with(500, 0), (Verdict::Advice, more.clone()));
    assert_eq!(with(1, 1), (Verdict::Advice, more.clone()));
    assert_eq!(with(1000, 0), (Verdict::Problem, more));
}

#[test]
fn table_of_the_firewall_is_watched_where_there_is_one() {
    let with = |count, drops| {
        Play::new()
            .with("proc/sys/net/netfilter/nf_conntrack_count", count)
            .with("proc/sys/net/netfilter/nf_conntrack_max", "1000")
            .with(
                "proc/net/stat/nf_conntrack",
                &format!("entries  searched found drop early_drop\n00000001  00000009 00000009 {drops} 00000000\n00000001  0 0 0 0\n"),
            )
    };
    assert_eq!(Play::new().says("conntrack").0, Verdict::Ok);
    assert_eq!(with("499", "00000000").says("conntrack").0, Verdict::Ok);
    let more = "sysctl -w net.netfilter.nf_conntrack_max=2000".to_owned();
    assert_eq!(with("500", "00000000").says("conntrack"), (Verdict::Advice, more.clone()));
    assert_eq!(with("900", "00000000").says("conntrack"), (Verdict::Problem, more));
    let dropped = with("1", "000000ff").outcome("conntrack");
    assert_eq!((dropped.verdict, dropped.found.as_str()), (Verdict::Advice, "1 of 1000, 255 dropped"));
}

#[test]
fn packets_that_cores_dropped_are_told() {
    let with =
        |line| Play::new().with("proc/net/softnet_stat", line).with("proc/sys/net/core/netdev_max_backlog", "1000");
    assert_eq!(with("000186a0 00000000 00000009\n000186a0 00000000 00000001\n").says("packet-queue").0, Verdict::Ok);
    let dropped = with("000186a0 00000001 00000000\n").says("packet-queue");
    assert_eq!(dropped, (Verdict::Advice, "sysctl -w net.core.netdev_max_backlog=2000".to_owned()));
    let squeezed = with("000186a0 00000000 0000000b\n").says("packet-queue");
    assert_eq!(squeezed, (Verdict::Advice, "sysctl -w net.core.netdev_budget=600".to_owned()));
}

#[test]
fn interrupts_on_one_core_are_told() {
    let card = |first, second| {
        Play::new()
            .with("sys/class/net/lo/queues/rx-0/rps_cpus", "0")
            .with("sys/class/net/eth0/queues/rx-0/rps_cpus", "0")
            .with("sys/class/net/eth0/queues/rx-1/rps_cpus", "0")
            .with("sys/class/net/eth0/device/msi_irqs/40", "msix")
            .with("sys/class/net/eth0/device/msi_irqs/41", "msix")
            .with("proc/irq/40/effective_affinity_list", first)
            .with("proc/irq/41/effective_affinity_list", "\n")
            .with("proc/irq/41/smp_affinity_list", second)
    };
    assert_eq!(card("0\n", "1\n").says("interrupts").0, Verdict::Ok);
    assert_eq!(card("2\n", "2\n").says("interrupts"), (Verdict::Advice, SPREAD.to_owned()));
    assert_eq!(Play::new().says("interrupts").0, Verdict::Unknown);
}

#[test]
fn few_receive_queues_ask_for_rps() {
    let card = |mask| {
        Play::new().with("sys/class/net/eth0/device/vendor", "x").with("sys/class/net/eth0/queues/rx-0/rps_cpus", mask)
    };
    assert_eq!(card("0,00000000\n").says("receive-queues"), (Verdict::Advice, SPREAD.to_owned()));
    assert_eq!(card("f\n").says("receive-queues").0, Verdict::Ok);
}

/// What is printed for a card.
const SPREAD: &str = "ringrelay doctor --emit nic | bash -s -- --apply eth0";

#[test]
fn what_is_printed_for_a_card_turns_its_lines_green() {
    let names: String = (0..2).map(|queue| format!(" {}:  1  PCI-MSIX  eth0-TxRx-{queue}\n", 40 + queue)).collect();
    let mut play = Play::new().with("proc/interrupts", &names).with("proc/sys/net/core/rps_sock_flow_entries", "0\n");
    for queue in 0..2 {
        play = play
            .with(&format!("sys/class/net/eth0/queues/rx-{queue}/rps_cpus"), "0\n")
            .with(&format!("sys/class/net/eth0/device/msi_irqs/{}", 40 + queue), "msix\n")
            .with(&format!("proc/irq/{}/smp_affinity_list", 40 + queue), "0\n");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/nic");
    for line in ["interrupts", "receive-queues"] {
        let (verdict, fix) = play.says(line);
        assert_eq!((verdict, fix.as_str()), (Verdict::Advice, SPREAD), "{line}");
    }
    // As it is printed, but that the file itself stands for who prints it.
    let command = SPREAD.replace("ringrelay doctor --emit nic", &format!("cat '{}'", script.display()));
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", &command]).env("NIC_ROOT", &play.root).env("NIC_ETHTOOL", "false").output();
    assert!(output.as_ref().is_ok_and(|output| output.status.success()), "{output:?}");
    for line in ["interrupts", "receive-queues"] {
        assert_eq!(play.says(line).0, Verdict::Ok, "{line} after {output:?}");
    }
}

#[test]
fn slow_governors_and_clocks_are_told() {
    let governed = |governor| {
        Play::new()
            .with("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
            .with("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", governor)
            .with("sys/devices/system/cpu/cpufreq/nothing", "")
            .outcome("governor")
    };
    assert_eq!(governed("performance\n").verdict, Verdict::Ok);
    assert_eq!(governed("powersave\n").found, "powersave on 1 of 2 cores");
    let folder = "sys/devices/system/clocksource/clocksource0";
    let clock = |current, available| {
        Play::new()
            .with(&format!("{folder}/current_clocksource"), current)
            .with(&format!("{folder}/available_clocksource"), available)
            .says("clock-source")
    };
    assert_eq!(clock("tsc\n", "tsc hpet\n").0, Verdict::Ok);
    assert_eq!(clock("hpet\n", "hpet acpi_pm\n"), (Verdict::Advice, String::new()));
    assert_eq!(clock("hpet\n", "tsc hpet\n"), (Verdict::Advice, format!("echo tsc > /{folder}/current_clocksource")));
}

#[test]
fn huge_pages_are_no_matter() {
    for text in ["[always] madvise never\n", "always [madvise] never\n"] {
        let play = Play::new().with("sys/kernel/mm/transparent_hugepage/enabled", text);
        assert_eq!(play.says("huge-pages").0, Verdict::Ok);
    }
}

#[test]
fn tightest_quota_of_the_groups_counts() {
    let group = |own, above| {
        Play::new()
            .with("proc/self/cgroup", "0::/system.slice/ringrelay.service\n")
            .with("sys/fs/cgroup/system.slice/ringrelay.service/cpu.max", own)
            .with("sys/fs/cgroup/system.slice/cpu.max", above)
            .with("sys/fs/cgroup/system.slice/cpu.stat", "usage_usec 5\nnr_throttled 12\n")
    };
    assert_eq!(group("max 100000\n", "max 100000\n").says("cpu-quota").0, Verdict::Ok);
    assert_eq!(group("400000 100000\n", "max 100000\n").says("cpu-quota").0, Verdict::Ok);
    let tight = group("300000 100000\n", "150000 100000\n").outcome("cpu-quota");
    assert_eq!(tight.found, "1.50 of 4 cores, stopped for it 12 times");
    let old = Play::new()
        .with("proc/self/cgroup", "4:memory:/\n2:cpu,cpuacct:/box\n0::/\n")
        .with("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "200000\n")
        .with("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    let fix = "systemctl set-property ringrelay.service CPUQuota= AllowedCPUs=0-1".to_owned();
    assert_eq!(old.says("cpu-quota"), (Verdict::Advice, fix));
}

#[test]
fn memory_of_a_group_is_enough_if_half_of_it_is_enough_for_the_shards() {
    let with = |limit: &str| Play::new().with("proc/self/cgroup", "0::/\n").with("sys/fs/cgroup/memory.max", limit);
    assert_eq!(with("max\n").says("memory-limit").0, Verdict::Ok);
    assert_eq!(with("17179869184\n").says("memory-limit").0, Verdict::Ok, "as much as the host has");
    // What messages may take follows the limit.
    let half = with("1073741824\n").outcome("memory-limit");
    assert_eq!(half, Outcome::ok("1073741824 of 17179869184 bytes, and 536870912 of them for messages by default"));
    // Four shards, which take 16 MiB each in any case.
    for (limit, verdict) in [
        (128 << 20, Verdict::Ok),
        ((128 << 20) - 1, Verdict::Advice),
        (64 << 20, Verdict::Problem),
        (0, Verdict::Problem),
    ] {
        let play = with(&format!("{limit}\n"));
        let outcome = play.outcome("memory-limit");
        assert_eq!(outcome.verdict, verdict, "{limit}: {outcome:?}");
        let Some(fix) = outcome.fix else { continue };
        let more = fix.strip_prefix("systemctl set-property ringrelay.service MemoryMax=").expect("a limit");
        assert_eq!(play.with("sys/fs/cgroup/memory.max", more).says("memory-limit").0, Verdict::Ok, "{fix}");
    }
}

#[test]
fn lists_of_cores_are_read_as_the_kernel_writes_them() {
    assert_eq!(list("0-3,8\n"), [0, 1, 2, 3, 8]);
    assert_eq!(list("5"), [5]);
    assert_eq!(list(""), [0_u32; 0]);
    assert_eq!(list("3-1,x,4-y"), [0_u32; 0]);
    assert!(list("0-4294967295,0-4294967295").len() <= 1 << 16);
}

#[test]
fn report_has_a_line_for_each_check_and_the_command_below() {
    let play = Play::new().with("proc/sys/net/core/somaxconn", "128\n");
    let text = to_text(&play.findings());
    let at = text.find("problem  net.core.somaxconn").expect("its line");
    let lines: Vec<&str> = text[at..].lines().collect();
    assert!(lines[0].ends_with("128 (wanted: at least 4096)"), "{text}");
    assert_eq!(lines[1].trim(), "fix:   sysctl -w net.core.somaxconn=4096");
    let json: Value = serde_json::from_str(&to_json(&play.findings())).expect("JSON");
    assert_eq!(json["verdict"], "problem");
    let checks = json["checks"].as_array().expect("an array");
    assert_eq!(checks.len(), play.findings().len());
    let check = checks.iter().find(|check| check["id"] == "net.core.somaxconn").expect("its check");
    assert_eq!(check["found"], "128");
    assert_eq!(check["fix"], "sysctl -w net.core.somaxconn=4096");
}
