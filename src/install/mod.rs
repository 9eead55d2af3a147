//! What `ringrelay install` puts on a host, and `ringrelay uninstall` takes back: the binary, and what systemd has to know.

mod file;
mod step;

use std::io;
use std::path::{Path, PathBuf};
use std::{error, fmt};

use file::File;
use step::Step;

/// Where to install, and whether to.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Everything goes below this folder; `/` = the host itself.
    pub prefix: PathBuf,
    /// Says what it would do, and does nothing.
    pub dry_run: bool,
}

impl Installation {
    /// Installs the program `binary` and its files, and tells `say` each step and what is to be run next. What is there
    /// already as it should be stays untouched, and so does the file of settings in any case.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn install(&self, binary: &Path, say: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
        let program = std::fs::read(binary).map_err(|error| InstallError::new("read", binary, error))?;
        for file in file::all(&program) {
            self.report(&file, file.install(&self.prefix, self.dry_run)?, say);
        }
        say(&self.next_steps(AFTER_INSTALL));
        Ok(())
    }

    /// Takes everything back that [`install`](Self::install) has written, but for settings that were changed.
    ///
    /// # Errors
    /// The service is still enabled, or a file cannot be removed.
    pub fn uninstall(&self, say: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
        for wanted in ENABLED {
            let link = file::below(&self.prefix, wanted);
            if link.symlink_metadata().is_ok() {
                return Err(InstallError::Enabled(link));
            }
        }
        for file in file::all(&[]) {
            self.report(&file, file.uninstall(&self.prefix, self.dry_run)?, say);
        }
        say(&self.next_steps(AFTER_UNINSTALL));
        Ok(())
    }

    fn report(&self, file: &File<'_>, step: Step, say: &mut dyn FnMut(&str)) {
        let path = file::below(&self.prefix, file.path);
        say(&format!("{} {}", step.words(self.dry_run), path.display()));
    }

    fn next_steps(&self, commands: &str) -> String {
        if self.prefix == Path::new("/") {
            return format!("\nNext:\n{commands}");
        }
        format!("\nNext, in the system whose root {} is:\n{commands}", self.prefix.display())
    }
}

/// Why it was not installed.
#[derive(Debug)]
pub enum InstallError {
    /// The system says no.
    File { action: &'static str, path: PathBuf, error: io::Error },
    /// The link by which systemd starts it is still there.
    Enabled(PathBuf),
}

impl InstallError {
    fn new(action: &'static str, path: &Path, error: io::Error) -> InstallError {
        InstallError::File { action, path: path.to_owned(), error }
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::File { action, path, error } => {
                write!(f, "cannot {action} {}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str("; run it as root, or with --prefix"),
                    _ => Ok(()),
                }
            }
            InstallError::Enabled(link) => write!(
                f,
                "systemd still starts it ({}); run this first: systemctl disable --now ringrelay.service ringrelay.socket",
                link.display()
            ),
        }
    }
}

impl error::Error for InstallError {}

const AFTER_INSTALL: &str = "  \
  systemd-sysusers
  systemctl daemon-reload
  systemctl enable --now ringrelay.service
Its settings are in /etc/ringrelay.env. To have systemd listen in its place, so that nobody is refused during a restart:
  systemctl stop ringrelay.service
  systemctl enable --now ringrelay.socket
  systemctl start ringrelay.service";

const AFTER_UNINSTALL: &str = "  \
  systemctl daemon-reload
  userdel ringrelay";

/// What `systemctl enable` leaves.
const ENABLED: [&str; 2] = [
    "etc/systemd/system/multi-user.target.wants/ringrelay.service",
    "etc/systemd/system/sockets.target.wants/ringrelay.socket",
];
