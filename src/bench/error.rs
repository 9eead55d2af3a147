//! Why a run could not be made, by blame: the operator's setting, the server, or this machine.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// A setting is wrong: its name, and what is allowed.
    Setting { name: &'static str, allowed: String },
    /// The server did not take a connection.
    Unreachable { address: SocketAddr, error: io::Error },
    /// The server took the connection and did not answer the upgrade in time.
    Unanswered { address: SocketAddr, established: usize, wanted: usize, timeout: Duration },
    /// The server answered the upgrade with something else than a correct 101.
    Refused { address: SocketAddr, answer: String },
    /// The REST side of the relay answered something else than success.
    Rest { request: String, answer: String },
    /// The server closed a connection during the run.
    Closed { connection: usize, code: Option<u16>, reason: String },
    /// Messages are outstanding and nothing arrives any more.
    Stalled { outstanding: u64, delivered: u64, silence: Duration },
    /// A message of the server that WebSocket does not allow.
    Protocol { connection: usize, what: String },
    /// A call to this machine's kernel failed.
    System { what: String, error: io::Error },
    /// Interrupted by a signal.
    Interrupted,
}

impl Failure {
    pub(super) fn system(what: impl Into<String>, error: impl Into<io::Error>) -> Failure {
        Failure::System { what: what.into(), error: error.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Setting { name, allowed } => write!(f, "{name}: {allowed}"),
            Failure::Unreachable { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Failure::Unanswered { address, established, wanted, timeout } => write!(
                f,
                "{address} did not answer an upgrade within {timeout:?} ({established} of {wanted} connections were open)"
            ),
            Failure::Refused { address, answer } => write!(f, "{address} refused the upgrade: {answer}"),
            Failure::Rest { request, answer } => write!(f, "{request} failed: {answer}"),
            Failure::Closed { connection, code, reason } => {
                write!(f, "the server closed connection {connection}")?;
                match code {
                    Some(code) => write!(f, " with code {code}")?,
                    None => write!(f, " without a close code")?,
                }
                if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
            }
            Failure::Stalled { outstanding, delivered, silence } => write!(
                f,
                "nothing arrived for {silence:?} while {outstanding} deliveries were due ({delivered} had arrived)"
            ),
            Failure::Protocol { connection, what } => write!(f, "connection {connection}: {what}"),
            Failure::System { what, error } => write!(f, "{what}: {error}"),
            Failure::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Failure {}
