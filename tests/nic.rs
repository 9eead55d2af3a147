//! `tuning/nic` on hosts that are played by a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A host with a card of some queues, each with an interrupt, and an interrupt that is no queue's.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new(cores: &str, queues: usize) -> Host {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringrelay-nic-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let host = Host { root: std::env::temp_dir().join(name) };
        host.write("sys/devices/system/cpu/online", cores);
        host.write("sys/class/net/lo/mtu", "65536");
        host.write("proc/sys/net/core/rps_sock_flow_entries", "0");
        let mut interrupts = String::from("            CPU0       CPU1\n 50:  1  2  PCI-MSIX  eth0\n");
        host.write("sys/class/net/eth0/device/msi_irqs/50", "msix");
        host.write("proc/irq/50/smp_affinity_list", "0-3");
        for queue in 0..queues {
            let number = 51 + queue;
            interrupts.push_str(&format!(" {number}:  1  2  PCI-MSIX  eth0-TxRx-{queue}\n"));
            host.write(&format!("sys/class/net/eth0/device/msi_irqs/{number}"), "msix");
            host.write(&format!("proc/irq/{number}/smp_affinity_list"), "0-3");
            host.write(&format!("sys/class/net/eth0/queues/rx-{queue}/rps_cpus"), "00");
            host.write(&format!("sys/class/net/eth0/queues/rx-{queue}/rps_flow_cnt"), "0");
            host.write(&format!("sys/class/net/eth0/queues/tx-{queue}/xps_cpus"), "00");
        }
        host.write("proc/interrupts", &interrupts);
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable temporary folder");
        fs::write(path, format!("{text}\n")).expect("a writable temporary folder");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).expect("a file").trim().to_owned()
    }

    fn queue(&self, file: &str) -> String {
        self.read(&format!("sys/class/net/eth0/queues/{file}"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        // No card of this machine is asked for its queues.
        Command::new(script())
            .args(arguments)
            .env("NIC_ROOT", &self.root)
            .env("NIC_ETHTOOL", "false")
            .output()
            .expect("bash")
    }

    fn text(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push((path.clone(), fs::read_to_string(path).expect("text"))),
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/nic")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn without_apply_nothing_changes() {
    let host = Host::new("0-3", 2);
    let before = host.text();
    let output = host.run(&["eth0"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("smp_affinity_list"), "{output:?}");
    assert_eq!(host.text(), before);
}

#[test]
fn few_queues_are_shared_by_all_cores() {
    let host = Host::new("0-3", 2);
    let output = host.run(&["--apply", "eth0"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let affinities = [51, 52].map(|number| host.read(&format!("proc/irq/{number}/smp_affinity_list")));
    assert_eq!(affinities, ["0", "1"]);
    assert_eq!(host.read("proc/irq/50/smp_affinity_list"), "0-3", "it is no queue's");
    assert_eq!(host.queue("rx-0/rps_cpus"), "0f");
    assert_eq!(host.queue("rx-1/rps_flow_cnt"), "16384");
    assert_eq!(host.read("proc/sys/net/core/rps_sock_flow_entries"), "32768");
    assert_eq!([host.queue("tx-0/xps_cpus"), host.queue("tx-1/xps_cpus")], ["05", "0a"]);
    assert!(stdout(&host.run(&["--apply", "eth0"])).contains("nothing to change"));
}

#[test]
fn card_with_a_queue_for_each_core_needs_no_rps() {
    let host = Host::new("0-1", 2);
    host.run(&["--apply", "eth0"]);
    assert_eq!([host.queue("rx-0/rps_cpus"), host.queue("rx-0/rps_flow_cnt")], ["00", "0"]);
    assert_eq!([host.queue("tx-0/xps_cpus"), host.queue("tx-1/xps_cpus")], ["01", "02"]);
}

#[test]
fn masks_of_many_cores_are_written_as_the_kernel_reads_them() {
    let host = Host::new("0,33-34", 1);
    host.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "00,00000000");
    host.run(&["--apply", "eth0"]);
    assert_eq!(host.queue("rx-0/rps_cpus"), "06,00000001");
}

#[test]
fn what_it_prints_takes_it_back() {
    let host = Host::new("0-3", 2);
    let before = host.text();
    let output = stdout(&host.run(&["--apply", "eth0"]));
    assert_ne!(host.text(), before);
    let (_, undo) = output.split_once("# to take it back:\n").expect("the way back");
    let commands: String =
        undo.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect();
    let status = Command::new("bash").args(["-ec", &commands]).status().expect("bash");
    assert!(status.success(), "{commands}");
    assert_eq!(host.text(), before);
}

#[test]
fn refused_change_is_told() {
    let host = Host::new("0-1", 1);
    // A folder in the place of a file that can be read: its writing fails for root, too.
    let file = host.root.join("proc/irq/51/smp_affinity_list");
    fs::remove_file(&file).expect("a file");
    std::os::unix::fs::symlink("/proc/version", &file).expect("a link");
    let output = host.run(&["--apply", "eth0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("refuses"), "{output:?}");
}

#[test]
fn what_is_no_card_is_refused() {
    let host = Host::new("0-1", 1);
    for (arguments, reason) in [
        (&["lo"][..], "not a network card"),
        (&["eth7"], "no interface"),
        (&["../lo"], "no name"),
        (&[], "usage"),
        (&["--aply", "eth0"], "usage"),
        (&["eth0", "eth1"], "usage"),
    ] {
        let output = host.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(reason), "{output:?}");
    }
}
