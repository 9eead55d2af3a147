//! Network cards: where their interrupts go, and how many queues they have.

use std::collections::BTreeSet;

use super::finding::Outcome;
use super::host::{Host, list};

pub(super) fn interrupts(host: &Host) -> Outcome {
    let Some(cores) = all_cores(host) else { return Outcome::unknown(NO_CORES) };
    let mut found = Vec::new();
    let mut narrow = None;
    for card in cards(host) {
        let interrupts = interrupts_of(host, &card);
        if interrupts.is_empty() {
            continue;
        }
        let cores_used: BTreeSet<u32> = interrupts.iter().flat_map(|number| cores_of(host, number)).collect();
        if cores_used.is_empty() {
            continue;
        }
        found.push(format!("{card}: {} interrupts on {} of {cores} cores", interrupts.len(), cores_used.len()));
        let queues = receive_queues_of(host, &card).len();
        if cores_used.len() < queues.min(cores) {
            narrow.get_or_insert(card);
        }
    }
    judge(found, narrow, "each queue's on a core of its own, as far as there are")
}

pub(super) fn receive_queues(host: &Host) -> Outcome {
    let Some(cores) = all_cores(host) else { return Outcome::unknown(NO_CORES) };
    let mut found = Vec::new();
    let mut narrow = None;
    for card in cards(host) {
        let queues = receive_queues_of(host, &card);
        let is_passed_on = |queue: &String| {
            let mask = host.text(&format!("{CARDS}/{card}/queues/{queue}/rps_cpus")).unwrap_or_default();
            mask.contains(|digit| !matches!(digit, '0' | ','))
        };
        let passed_on = queues.iter().filter(|queue| is_passed_on(queue)).count();
        found.push(format!("{card}: {} queues for {cores} cores, RPS on {passed_on}", queues.len()));
        if queues.len() < cores && passed_on < queues.len() {
            narrow.get_or_insert(card);
        }
    }
    judge(found, narrow, "a queue for each core, or RPS on all")
}

/// `narrow` = the first card that has less than what is wanted.
fn judge(found: Vec<String>, narrow: Option<String>, wanted: &str) -> Outcome {
    let all = found.join("; ");
    match narrow {
        _ if found.is_empty() => Outcome::unknown("no network card whose interrupts and queues are this system's"),
        None => Outcome::ok(all),
        Some(card) => {
            Outcome::advice(all, wanted).fix(format!("ringrelay doctor --emit nic | bash -s -- --apply {card}"))
        }
    }
}

/// The interfaces that belong to a device: not loopback, bridges and other ones of software.
fn cards(host: &Host) -> Vec<String> {
    host.names(CARDS).into_iter().filter(|name| host.is_there(&format!("{CARDS}/{name}/device"))).collect()
}

fn receive_queues_of(host: &Host, card: &str) -> Vec<String> {
    host.names(&format!("{CARDS}/{card}/queues")).into_iter().filter(|name| name.starts_with("rx-")).collect()
}

/// The numbers of a card's interrupts; those of a virtio card belong to the device above it.
fn interrupts_of(host: &Host, card: &str) -> Vec<String> {
    let own = host.names(&format!("{CARDS}/{card}/device/msi_irqs"));
    if own.is_empty() { host.names(&format!("{CARDS}/{card}/device/../msi_irqs")) } else { own }
}

/// The cores that an interrupt goes to now, and otherwise those that it may.
fn cores_of(host: &Host, interrupt: &str) -> Vec<u32> {
    let read = |name: &str| host.text(&format!("proc/irq/{interrupt}/{name}")).map(|text| list(&text));
    let effective = read("effective_affinity_list").filter(|cores| !cores.is_empty());
    effective.or_else(|| read("smp_affinity_list")).unwrap_or_default()
}

/// How many cores the host runs on.
fn all_cores(host: &Host) -> Option<usize> {
    let cores = list(&host.text("sys/devices/system/cpu/online")?).len();
    (cores > 0).then_some(cores)
}

const CARDS: &str = "sys/class/net";

const NO_CORES: &str = "the cores of the host cannot be read";
