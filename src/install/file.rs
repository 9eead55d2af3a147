//! The files of an installation.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::InstallError;
use super::step::Step;

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'c> {
    /// From the root of the system, without a slash before it.
    pub(super) path: &'static str,
    content: &'c [u8],
    mode: u32,
    /// Whether an operator writes to it: then what is there stays.
    is_the_operators: bool,
}

/// All files, the binary being `program`.
pub(super) fn all(program: &[u8]) -> [File<'_>; 5] {
    let file =
        |path, content: &'static str| File { path, content: content.as_bytes(), mode: 0o644, is_the_operators: false };
    [
        File { path: "usr/local/bin/ringrelay", content: program, mode: 0o755, is_the_operators: false },
        file("etc/systemd/system/ringrelay.service", include_str!("../../systemd/ringrelay.service")),
        file("etc/systemd/system/ringrelay.socket", include_str!("../../systemd/ringrelay.socket")),
        file("etc/sysusers.d/ringrelay.conf", include_str!("../../systemd/sysusers.d/ringrelay.conf")),
        // It may come to hold the API's token. systemd reads it as root.
        File {
            mode: 0o600,
            is_the_operators: true,
            ..file("etc/ringrelay.env", include_str!("../../systemd/ringrelay.env"))
        },
    ]
}

/// Where a file is, below another root.
pub(super) fn below(prefix: &Path, path: &str) -> PathBuf {
    prefix.join(path)
}

impl File<'_> {
    /// Writes it, unless it is there as it should be.
    pub(super) fn install(&self, prefix: &Path, is_dry: bool) -> Result<Step, InstallError> {
        let path = below(prefix, self.path);
        match self.present(&path)? {
            Some(_) if self.is_the_operators => return Ok(Step::Kept),
            Some(true) => return Ok(Step::Unchanged),
            Some(false) | None => {}
        }
        if !is_dry {
            self.write(&path).map_err(|error| InstallError::new("write", &path, error))?;
        }
        Ok(Step::Written)
    }

    /// Removes it, unless it is an operator's and was changed.
    pub(super) fn uninstall(&self, prefix: &Path, is_dry: bool) -> Result<Step, InstallError> {
        let path = below(prefix, self.path);
        match self.present(&path)? {
            None => return Ok(Step::Absent),
            Some(false) if self.is_the_operators => return Ok(Step::Kept),
            Some(_) => {}
        }
        if !is_dry {
            fs::remove_file(&path).map_err(|error| InstallError::new("remove", &path, error))?;
        }
        Ok(Step::Removed)
    }

    /// Whether what is there is as it should be; `None` = nothing is there.
    fn present(&self, path: &Path) -> Result<Option<bool>, InstallError> {
        let read = || -> io::Result<bool> {
            let mode = fs::symlink_metadata(path)?.permissions().mode() & 0o7777;
            // The rights to an operator's file are the operator's too.
            Ok((mode == self.mode || self.is_the_operators) && fs::read(path)? == self.content)
        };
        match read() {
            Ok(is_right) => Ok(Some(is_right)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere is something too.
                Ok(path.symlink_metadata().is_ok().then_some(false))
            }
            Err(error) => Err(InstallError::new("read", path, error)),
        }
    }

    /// Puts it in the place of what is there, whole or not at all: a relay that runs from there goes on with the old.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let new = path.with_extension("ringrelay-new");
        let written = self.write_new(&new).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        // What an earlier attempt left is not to be written into: it may be a link.
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(self.mode).open(path)?;
        file.write_all(self.content)?;
        // Whatever the umask is.
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.sync_all()
    }
}
