//! The limits of a process, for systemd and for login sessions.

use super::entry::{Limit, Resource, Subject};
use super::table::entries;

/// A drop-in for the unit.
pub(super) fn systemd() -> String {
    let lines = limits().map(|Limit { resource, value }| match resource {
        Resource::OpenFiles => format!("LimitNOFILE={value}\n"),
        Resource::LockedMemory => format!("LimitMEMLOCK={value}\n"),
    });
    format!("{SYSTEMD_HEAD}[Service]\n{}", lines.collect::<String>())
}

/// A file for `pam_limits`.
pub(super) fn sessions() -> String {
    let lines = limits().map(|Limit { resource, value }| match resource {
        Resource::OpenFiles => format!("* hard nofile {value}\nroot hard nofile {value}\n"),
        // In KiB.
        Resource::LockedMemory => format!("* - memlock {}\n", value >> 10),
    });
    format!("{SESSIONS_HEAD}{}", lines.collect::<String>())
}

fn limits() -> impl Iterator<Item = Limit> {
    entries().filter_map(|entry| match entry.subject {
        Subject::Limit(limit) => Some(limit),
        Subject::Sysctl(_) | Subject::Host(_) => None,
    })
}

const SYSTEMD_HEAD: &str = "\
# Limits of the relay as a service, printed by `ringrelay doctor --emit systemd`.
# Put it into /etc/systemd/system/ringrelay.service.d, then: systemctl daemon-reload && systemctl restart ringrelay
";

const SESSIONS_HEAD: &str = "\
# Limits of a relay that is started from a shell, printed by `ringrelay doctor --emit limits`.
# Put it into /etc/security/limits.d, and log in again. Services do not read it. The soft limit of open files stays as it is:
# the relay raises it itself, and other programs may be slow with a high one.
";
