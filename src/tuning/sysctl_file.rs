//! The sysctl file.

use super::entry::{Entry, Subject};
use super::sysctl::{Line, Sysctl};
use super::table::GROUPS;

pub(super) fn text() -> String {
    let mut text = String::from(HEAD);
    for group in GROUPS {
        let lines: String = group.entries.iter().filter_map(line).collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n# {}\n{lines}", group.title));
        }
    }
    text
}

fn line(entry: &Entry) -> Option<String> {
    let Subject::Sysctl(Sysctl { value, line, .. }) = entry.subject else { return None };
    Some(match line {
        Line::Set => format!("{} = {value}\n", entry.id),
        Line::Commented(reason) => format!("# {reason}:\n# {} = {value}\n", entry.id),
    })
}

const HEAD: &str = "\
# Sysctls for a host that runs ringrelay, printed by `ringrelay doctor --emit sysctl`.
# Put it into /etc/sysctl.d, and load it with `sysctl --system`. tuning/README.md says what each line is for, and when to leave
# it out. These lines set, and do not only raise: where a host has more already, leave the line out.
# `ringrelay doctor` says what a host lacks, and is content with more.
";
