//! The processor's frequency, the clock, and the pages of memory.

use super::finding::Outcome;
use super::host::Host;

pub(super) fn governor(host: &Host) -> Outcome {
    let folder = "sys/devices/system/cpu";
    let is_core = |name: &str| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
    let governors: Vec<String> = host
        .names(folder)
        .iter()
        .filter(|name| is_core(name))
        .filter_map(|name| host.text(&format!("{folder}/{name}/cpufreq/scaling_governor")))
        .collect();
    let Some(other) = governors.iter().find(|governor| *governor != WANTED_GOVERNOR) else {
        return match governors.is_empty() {
            true => Outcome::unknown("the processor's frequency is not this system's to choose"),
            false => Outcome::ok(WANTED_GOVERNOR),
        };
    };
    let count = governors.iter().filter(|governor| *governor != WANTED_GOVERNOR).count();
    Outcome::advice(format!("{other} on {count} of {} cores", governors.len()), WANTED_GOVERNOR)
        .fix("for f in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo performance > $f; done")
}

pub(super) fn clock_source(host: &Host) -> Outcome {
    let folder = "sys/devices/system/clocksource/clocksource0";
    let Some(current) = host.text(&format!("{folder}/current_clocksource")) else {
        return Outcome::unknown("the clock source cannot be read");
    };
    if FAST_CLOCKS.contains(&current.as_str()) {
        return Outcome::ok(current);
    }
    let available = host.text(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let better = available.split_ascii_whitespace().find(|name| FAST_CLOCKS.contains(name));
    let outcome = Outcome::advice(format!("{current}, read by a system call"), FAST_CLOCKS.join(" or "));
    match better {
        Some(better) => outcome.fix(format!("echo {better} > /{folder}/current_clocksource")),
        None => outcome,
    }
}

pub(super) fn huge_pages(host: &Host) -> Outcome {
    let Some(text) = host.text("sys/kernel/mm/transparent_hugepage/enabled") else {
        return Outcome::ok("this kernel has none");
    };
    let mode = text.split_ascii_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    let Some(mode) = mode else { return Outcome::unknown(format!("it reads {text:?}")) };
    if host.watches_another() && mode == "always" && host.status("THP_enabled").as_deref() == Some("1") {
        return Outcome::advice("always, and the relay could not turn them off for itself", "madvise or never")
            .fix("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    }
    Outcome::ok(format!("{mode}; the relay turns them off for itself"))
}

const WANTED_GOVERNOR: &str = "performance";

/// Clocks that a program reads without a system call, by the names of the kernel's drivers.
const FAST_CLOCKS: &[&str] = &["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"];
