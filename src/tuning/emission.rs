//! What is printed for a host: the files that the table can be turned into, and the script that belongs to it.

use super::{guide, limits_file, sysctl_file};

/// A file that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emission {
    /// For `/etc/sysctl.d`.
    Sysctl,
    /// Limits for a unit of systemd: a drop-in.
    Systemd,
    /// Limits for login sessions, for `/etc/security/limits.d`.
    Limits,
    /// The guide, in Markdown.
    Guide,
    /// What spreads the work of a network card over the cores: a script.
    Nic,
}

impl Emission {
    /// All of them.
    pub const ALL: [Emission; 5] =
        [Emission::Sysctl, Emission::Systemd, Emission::Limits, Emission::Guide, Emission::Nic];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Emission::Sysctl => "sysctl",
            Emission::Systemd => "systemd",
            Emission::Limits => "limits",
            Emission::Guide => "guide",
            Emission::Nic => "nic",
        }
    }

    /// The one of this name.
    pub fn of_word(word: &str) -> Option<Emission> {
        Emission::ALL.into_iter().find(|emission| emission.word() == word)
    }

    /// Where it stands in the repository.
    pub fn path(self) -> &'static str {
        match self {
            Emission::Sysctl => "tuning/90-ringrelay.conf",
            Emission::Systemd => "tuning/90-limits.conf",
            Emission::Limits => "tuning/limits.conf",
            Emission::Guide => "tuning/README.md",
            Emission::Nic => "tuning/nic",
        }
    }

    /// The whole file.
    pub fn text(self) -> String {
        match self {
            Emission::Sysctl => sysctl_file::text(),
            Emission::Systemd => limits_file::systemd(),
            Emission::Limits => limits_file::sessions(),
            Emission::Guide => guide::text(),
            Emission::Nic => include_str!("../../tuning/nic").to_owned(),
        }
    }
}
