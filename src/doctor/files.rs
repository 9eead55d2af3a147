//! Open files, of the host and of the process.

use super::finding::Outcome;
use super::host::Host;
use super::limit::hard_limit;
use super::sysctl::set;

pub(super) fn of_host(host: &Host) -> Outcome {
    let numbers = host.text("proc/sys/fs/file-nr").map(|text| numbers(&text));
    let Some([open, _, most]) = numbers.as_deref() else { return Outcome::unknown("fs.file-nr cannot be read") };
    let found = format!("{open} of {most}");
    if open.saturating_mul(2) < *most {
        return Outcome::ok(found);
    }
    Outcome::advice(found, "less than half").fix(set("fs.file-max", &most.saturating_mul(2).to_string()))
}

pub(super) fn of_process(host: &Host) -> Outcome {
    if !host.watches_another() {
        return Outcome::unknown("only with --pid of a running relay");
    }
    let folder = format!("proc/{}/fd", host.process());
    let Some(limit) = hard_limit("Max open files", host).filter(|_| host.is_there(&folder)) else {
        return Outcome::unknown("the files of the process cannot be read (they are its user's and root's to see)");
    };
    let open = host.names(&folder).len() as u64;
    let found = format!("{open} of {limit}");
    if open.saturating_mul(5) < limit.saturating_mul(4) {
        return Outcome::ok(found);
    }
    let more = limit.saturating_mul(2);
    Outcome::problem(found, "less than four fifths")
        .fix(format!("prlimit --pid {} --nofile={more}:{more}", host.process()))
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}
