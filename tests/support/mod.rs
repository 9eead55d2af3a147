//! What the tests against the running binary share: the relay as a child process, and clients whose every byte is in
//! the test's hand.
//!
//! - [`relay`] starts `ringrelay serve` on a free port, speaks REST to it, and checks how it ended;
//! - [`http`] is an HTTP/1.1 client that sends what it is given, right or wrong;
//! - [`frame`] and [`raw`] are a WebSocket client that can break every rule of RFC 6455;
//! - [`echo`] is such a client on an `echo` channel of its own;
//! - [`issuer`] signs JSON Web Tokens;
//! - [`systemd`] plays the part of systemd;
//! - [`stalled`] stops a thread of the relay;
//! - [`client`] is tungstenite, for those who keep the rules.

// Every file in `tests` is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod client;
pub mod echo;
pub mod frame;
pub mod http;
pub mod issuer;
pub mod raw;
pub mod relay;
pub mod stalled;
pub mod systemd;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen before it fails: far more than any of it takes, because the cores are
/// shared with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until `attempt` has an answer.
///
/// # Panics
/// When [`PATIENCE`] is at its end; `what` says what was missing.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "within {PATIENCE:?} it did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that look like nothing in particular and are the same on every run.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Reads what comes next behind what was received; `false` at the connection's end. A reset is an end too: it is what a
/// client sees that had not finished sending.
fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => {
                received.extend_from_slice(&buffer[..len]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return false,
            Err(error) => panic!("nothing came within {PATIENCE:?}: {error}"),
        }
    }
}
