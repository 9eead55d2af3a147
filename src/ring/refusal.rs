//! Why the kernel gives no ring, and whether it would.

use std::os::fd::AsFd;
use std::{error, fmt, fs, io};

use io_uring::{Probe, opcode};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::driver::{Driver, Size};

use super::Ring;

/// Whether the kernel gives rings.
///
/// # Errors
/// It refuses them.
pub fn probe() -> Result<(), Refusal> {
    let known = try_out().map_err(Refusal::of)?;
    OPERATIONS.iter().try_for_each(|(code, name)| match known.is_supported(*code) {
        true => Ok(()),
        false => Err(Refusal::Lacks(name)),
    })
}

/// Makes a small ring, with all that a large one needs, and lets it go. Returns what can be asked of it.
fn try_out() -> io::Result<Probe> {
    let wakes = eventfd(0, EventfdFlags::CLOEXEC)?;
    let ring = Ring::new(SIZE, wakes.as_fd())?;
    let mut known = Probe::new();
    ring.uring.submitter().register_probe(&mut known)?;
    Ok(known)
}

/// Why there is no ring.
#[derive(Debug)]
pub enum Refusal {
    /// The kernel was built without, or a seccomp filter says so.
    Absent,
    /// The sysctl `kernel.io_uring_disabled`, which has this value.
    Disabled(u8),
    /// A seccomp filter, or a security module.
    Forbidden,
    /// Older than 6.1, which all flags need.
    TooOld,
    /// An operation that is not there.
    Lacks(&'static str),
    /// Memory that may be locked.
    Memory,
    /// Something unforeseen.
    Other(io::Error),
}

impl Refusal {
    /// What an error of the making of a ring means.
    pub fn of(error: io::Error) -> Refusal {
        let disabled = || fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        Refusal::explain(error, disabled)
    }

    fn explain(error: io::Error, disabled: impl FnOnce() -> Option<String>) -> Refusal {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSYS) => Refusal::Absent,
            Some(Errno::PERM | Errno::ACCESS) => match disabled().and_then(|value| value.trim().parse().ok()) {
                Some(value @ 1..) => Refusal::Disabled(value),
                _ => Refusal::Forbidden,
            },
            Some(Errno::INVAL) => Refusal::TooOld,
            Some(Errno::NOMEM) => Refusal::Memory,
            _ => Refusal::Other(error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Absent => f.write_str("ENOSYS: this kernel has none, or a seccomp filter hides it"),
            Refusal::Disabled(1) => f.write_str(
                "EPERM: the sysctl kernel.io_uring_disabled is 1, and this process is not in kernel.io_uring_group",
            ),
            Refusal::Disabled(value) => write!(f, "EPERM: the sysctl kernel.io_uring_disabled is {value}"),
            Refusal::Forbidden => f.write_str(
                "EPERM: a seccomp filter forbids it, as container engines do by default, or a security module",
            ),
            Refusal::TooOld => f.write_str("EINVAL: this kernel is too old, 6.1 is needed"),
            Refusal::Lacks(operation) => write!(f, "this kernel's io_uring has no {operation}"),
            Refusal::Memory => {
                f.write_str("ENOMEM: too little memory may be locked (LimitMEMLOCK of systemd, ulimit -l)")
            }
            Refusal::Other(error) => error.fmt(f),
        }
    }
}

impl error::Error for Refusal {}

/// What a ring is asked to do. That a receive goes on by itself (6.0) no probe tells: the flags are younger.
const OPERATIONS: &[(u8, &str)] = &[
    (opcode::RecvMulti::CODE, "IORING_OP_RECV"),
    (opcode::Send::CODE, "IORING_OP_SEND"),
    (opcode::SendMsg::CODE, "IORING_OP_SENDMSG"),
    (opcode::Read::CODE, "IORING_OP_READ"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
];

/// As small as it can be.
const SIZE: Size = Size { submissions: 8, buffers: 1, buffer_len: 4096 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_operator_can_change() {
        let said = |errno: Errno, disabled: Option<&str>| {
            Refusal::explain(errno.into(), || disabled.map(str::to_owned)).to_string()
        };
        assert!(said(Errno::PERM, Some("2\n")).contains("kernel.io_uring_disabled is 2"));
        assert!(said(Errno::PERM, Some("1\n")).contains("kernel.io_uring_group"));
        assert!(said(Errno::PERM, Some("0\n")).contains("seccomp"), "the sysctl allows it");
        assert!(said(Errno::PERM, None).contains("seccomp"), "a kernel without the sysctl");
        assert!(said(Errno::NOSYS, None).contains("this kernel has none"));
        assert!(said(Errno::INVAL, None).contains("6.1"));
        assert!(said(Errno::NOMEM, None).contains("LimitMEMLOCK"));
        assert!(said(Errno::MFILE, None).contains("files"));
    }
}
