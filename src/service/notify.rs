//! The socket on which a service manager is told.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// Sends datagrams to a service manager. The words are those of the crate `sd_notify`; its own sending knows no abstract
/// sockets, which managers in containers use.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names; `None` = nobody wants to be told.
    ///
    /// # Errors
    /// It is no address of a Unix socket, or there are no files left.
    pub(super) fn of_environment() -> io::Result<Option<Notifier>> {
        match std::env::var_os(VARIABLE).filter(|address| !address.is_empty()) {
            None => Ok(None),
            Some(address) => Notifier::to(&address).map(Some).map_err(|error| {
                io::Error::new(error.kind(), format!("{VARIABLE} is '{}': {error}", address.display()))
            }),
        }
    }

    /// A path, or the name of an abstract socket behind an `@`.
    fn to(address: &OsStr) -> io::Result<Notifier> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => {
                let message = "only paths and abstract sockets (@…) are known";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Notifier { socket, address })
    }

    /// Sends `states` as one datagram.
    ///
    /// # Errors
    /// Nobody listens, or not fast enough.
    pub(super) fn send(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let mut message = String::new();
        for state in states {
            // Writing to a String cannot fail.
            let _ = writeln!(message, "{state}");
        }
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(|_| ())
    }
}

const VARIABLE: &str = "NOTIFY_SOCKET";

/// A manager that does not read for so long has other troubles than this message.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abstract_sockets_are_reached_and_other_addresses_refused() {
        let name = format!("ringrelay-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.send(&[NotifyState::Ready, NotifyState::Status("two lines")]).unwrap();
        let mut received = [0; 64];
        let len = manager.recv(&mut received).unwrap();
        assert_eq!(&received[..len], b"READY=1\nSTATUS=two lines\n");
        for wrong in ["vsock:2:1234", "relative/path"] {
            assert_eq!(Notifier::to(OsStr::new(wrong)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
