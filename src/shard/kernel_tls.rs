//! What the kernel's TLS (kTLS) can do here, and which connections it gets.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::{error, fmt};

use crate::config::Ktls;
use crate::driver::kernel_tls::{attach, set_send_key};
use crate::tls::{Refused, SendKey, Session};

/// Whose records the kernel seals: settled once, at start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelTls {
    /// Those of connections with TLS 1.2.
    pub tls_12: bool,
    /// Those of connections with TLS 1.3.
    pub tls_13: bool,
    /// It takes a further key for a connection that has one (Linux 6.14).
    pub rekeys: bool,
}

impl KernelTls {
    /// Nobody's.
    pub const NONE: KernelTls = KernelTls { tls_12: false, tls_13: false, rekeys: false };

    /// Asks the kernel, unless the setting forbids it, and logs what was found.
    ///
    /// # Errors
    /// The setting asks for what the kernel does not have.
    pub fn settle(setting: Ktls) -> Result<KernelTls, KernelTlsMissing> {
        if setting == Ktls::Off {
            return Ok(KernelTls::NONE);
        }
        match (probe(), setting) {
            (Ok(rekeys), _) => {
                // TLS 1.3 lets a peer ask for our next key at any time. A kernel that takes none has to end such a
                // connection, which sealing it ourselves does not.
                let found = KernelTls { tls_12: true, tls_13: rekeys || setting == Ktls::On, rekeys };
                tracing::info!(tls_12 = found.tls_12, tls_13 = found.tls_13, rekeys, "the kernel seals TLS records");
                Ok(found)
            }
            (Err(error), Ktls::On) => Err(KernelTlsMissing(error)),
            (Err(error), Ktls::Auto | Ktls::Off) => {
                tracing::info!(%error, "the kernel has no TLS: records are sealed here");
                Ok(KernelTls::NONE)
            }
        }
    }

    /// Gives the kernel the sending key of a connection that is its to seal; the length of the key. `None` = the session
    /// goes on sealing.
    pub(super) fn take_over(self, socket: BorrowedFd<'_>, session: &mut Session) -> Option<usize> {
        let is_ours = if session.is_13() { self.tls_13 } else { self.tls_12 };
        if !is_ours {
            session.keep_sealing();
            return None;
        }
        let mut key_len = 0;
        let taken = session.offload(|key| {
            key_len = key.as_bytes().len();
            attach(socket).map_err(|error| tracing::debug!(%error, "no TLS on this socket")).map_err(|()| Refused)?;
            give(socket, key)
        });
        taken.is_ok().then_some(key_len)
    }
}

/// Gives the kernel a key for a socket.
pub(super) fn give(socket: BorrowedFd<'_>, key: &SendKey) -> Result<(), Refused> {
    set_send_key(socket, key.as_bytes()).map_err(|error| {
        tracing::debug!(%error, "the kernel does not take the key of a TLS session");
        Refused
    })
}

/// Whether the kernel takes further keys, if it takes one at all. Asked of a connection that nothing is sent on.
fn probe() -> io::Result<bool> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    attach(socket.as_fd())?;
    let key = SendKey::trial();
    set_send_key(socket.as_fd(), key.as_bytes())?;
    Ok(set_send_key(socket.as_fd(), key.as_bytes()).is_ok())
}

/// The setting `ktls` asks for a kernel that this one is not.
#[derive(Debug)]
pub struct KernelTlsMissing(io::Error);

impl fmt::Display for KernelTlsMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ktls: on, but the kernel has no TLS here ({}); load its module (modprobe tls), or set ktls to auto",
            self.0
        )
    }
}

impl error::Error for KernelTlsMissing {}
