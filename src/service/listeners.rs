//! Sockets that the service manager listens on for us (systemd.socket(5), sd_listen_fds(3)).

use std::net::TcpListener;
use std::{error, fmt, io};

use listenfd::ListenFd;
use socket2::SockRef;

/// The listeners that `LISTEN_FDS` and `LISTEN_PID` announce; empty = there are none. To be called once, before there are
/// other threads: it takes the variables away.
///
/// # Errors
/// What was passed on is something else.
pub fn inherited_listeners() -> Result<Vec<TcpListener>, InheritError> {
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..inherited.len() {
        let listener = inherited.take_tcp_listener(index).map_err(|error| InheritError { index, error })?;
        let Some(listener) = listener else { continue };
        if !SockRef::from(&listener).is_listener().map_err(|error| InheritError { index, error })? {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "nobody listens on it");
            return Err(InheritError { index, error });
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Something was inherited that is no TCP listener.
#[derive(Debug)]
pub struct InheritError {
    /// Among the sockets passed on, from 0.
    index: usize,
    error: io::Error,
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InheritError { index, error } = self;
        write!(
            f,
            "inherited socket {index} is no TCP listener: {error}; allowed in a socket unit: ListenStream= with a port or \
             an IP address and a port, and Accept=no"
        )
    }
}

impl error::Error for InheritError {}
