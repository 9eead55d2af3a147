//! The guide: `tuning/README.md`.

use super::entry::{Entry, Resource, Subject};
use super::sysctl::Line;
use super::table::GROUPS;

pub(super) fn text() -> String {
    let mut text = String::from(HEAD);
    for group in GROUPS {
        text.push_str(&format!("\n## {}\n", group.title));
        for entry in group.entries {
            text.push_str(&section(entry));
        }
    }
    text.push_str(TAIL);
    text
}

fn section(entry: &Entry) -> String {
    let rows = [
        ("What we want", entry.ours),
        ("By default", entry.default),
        ("What it costs", entry.cost),
        ("How to see that it helped", entry.sign),
        ("When not", entry.unless),
    ];
    let rows = rows.iter().filter(|(_, text)| *text != NOTHING).map(|(name, text)| format!("- **{name}:** {text}\n"));
    let rows: String = rows.collect();
    format!("\n### `{}`\n{}\n\n{rows}- **Check:** {}\n", entry.id, entry.what, check(entry))
}

/// How it is checked, and where it is set.
fn check(entry: &Entry) -> String {
    match entry.subject {
        Subject::Sysctl(sysctl) => {
            let asked = match sysctl.wanted {
                Some(wanted) => format!("`sysctl {}`: {}", entry.id, wanted.words()),
                None => format!("`sysctl {}`", entry.id),
            };
            let set = match sysctl.line {
                Line::Set => "set by the sysctl file".to_owned(),
                Line::Commented(reason) => format!("commented out in the sysctl file ({reason})"),
            };
            format!("{asked}; {}; {set}.", sysctl.scope.words())
        }
        Subject::Limit(limit) => match limit.resource {
            Resource::OpenFiles => "`ulimit -Hn`; set by both files of limits.".to_owned(),
            Resource::LockedMemory => "`ulimit -l`, in KiB; set by both files of limits.".to_owned(),
        },
        Subject::Host(_) => format!("`ringrelay doctor`, line `{}`.", entry.id),
    }
}

/// What stands in the table where there is nothing to say.
const NOTHING: &str = "-";

const HEAD: &str = "\
# Tuning a host for ringrelay
Printed by `ringrelay doctor --emit guide`; the program checks a host against the same table. Ask it first:

```sh
ringrelay doctor                                # what this host lacks, and the command that mends it
ringrelay doctor --pid \"$(pidof ringrelay)\"     # with the limits of the running relay instead of the shell's
ringrelay doctor --json                         # for programs
```

| verdict | |
| --- | --- |
| `ok` | as it should be |
| `advice` | the relay runs, and could run better or has less room |
| `problem` | the relay does not start, refuses clients or loses packets |
| `unknown` | it cannot be told from here, and the line says why |

Exit status: 0 if there is neither advice nor a problem, 1 for advice, 3 for problems; 2 is a wrong command line. `--json` prints
`{\"version\":…,\"verdict\":…,\"checks\":[{\"id\",\"verdict\",\"found\",\"wanted\",\"fix\",\"why\"},…]}`, where `fix` is a command or `null`.

To keep what the doctor has you set, over a reboot:

```sh
ringrelay doctor --emit sysctl | sudo tee /etc/sysctl.d/90-ringrelay.conf     # this folder's 90-ringrelay.conf
sudo sysctl --system
ringrelay doctor --emit systemd   # for /etc/systemd/system/ringrelay.service.d: 90-limits.conf
ringrelay doctor --emit limits    # for /etc/security/limits.d: limits.conf
ringrelay doctor --emit nic       # a script for network cards, see below: nic
```

A container has its own of what says \"each network namespace has its own\"; the rest belongs to its host. What was measured says
so, with the conditions; everything else is what the kernel's documentation says, or follows from what the relay does.
";

const TAIL: &str = "
## Network cards
```sh
ringrelay doctor --emit nic | bash -s -- eth0                # what it would change on this card, and how to take it back
ringrelay doctor --emit nic | sudo bash -s -- --apply eth0   # changes it, until the next reboot
```

As many queues as there are cores, interrupts to the cores in order, and where there are fewer queues than cores, packets are passed
on to all cores (RPS, RFS) and sent from the queue of the core (XPS).

## Cores
Shards are pinned to the cores that the process may run on. To leave a core to interrupts, start the relay without it
(`CPUAffinity=` in the unit, or `taskset`): it makes one shard for each core that is left.
";
