//! Sysctls against the table.

use crate::tuning::{Scope, Sysctl};

use super::finding::Outcome;
use super::host::Host;

/// `None` = nothing is asked of it by itself.
pub(super) fn check(name: &str, sysctl: &Sysctl, host: &Host) -> Option<Outcome> {
    let wanted = sysctl.wanted?;
    let Some(text) = host.text(&format!("proc/sys/{}", name.replace('.', "/"))) else {
        return Some(Outcome::unknown(match sysctl.scope {
            Scope::Namespace => "this kernel has none",
            Scope::Host => "it belongs to the host, and cannot be seen from this network namespace",
        }));
    };
    let found = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    Some(match wanted.is_met_by(&text) {
        Some(true) => Outcome::ok(found),
        Some(false) => {
            let outcome = Outcome { verdict: sysctl.weight.into(), ..Outcome::advice(found, wanted.words()) };
            outcome.fix(set(name, sysctl.value))
        }
        None => Outcome::unknown(format!("it reads {found:?}")),
    })
}

/// The command that sets a sysctl.
pub(super) fn set(name: &str, value: &str) -> String {
    match value.contains(' ') {
        true => format!("sysctl -w {name}='{value}'"),
        false => format!("sysctl -w {name}={value}"),
    }
}
