//! What clients can do to the relay by malice or by accident, against the running binary: whatever they do, other clients
//! lose nothing, nothing of them is kept, and no thread panics. (Every relay here has to end with status 0 and without a
//! panic when its test is over, and may never have used more than [`MEMORY_MAX`]: `support::relay`.)
//!
//! - [`live`] is the channel that has to go on meanwhile, every message checked;
//! - [`malformed`] and [`slow`] are about what is sent, and how slowly, [`trickle`] about reading slowly;
//! - [`silent`], [`churn`], [`sessions`], [`kills`] are clients that vanish or leave in every way;
//! - [`storm`], [`buffers`], [`files`], [`neighbour`] are too much of something;
//! - [`endings`] are channels that end while they are used.

// What the tests of TLS alone use of it is not used here.
#[allow(dead_code)]
#[path = "../tls/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mod live;

mod buffers;
mod churn;
mod endings;
mod files;
mod kills;
mod malformed;
mod neighbour;
mod sessions;
mod silent;
mod slow;
mod storm;
mod trickle;

use std::time::Duration;

use rig::{Files, Rig};
use socket2::SockRef;
use std::net::TcpStream;
use support::relay::Relay;

/// The most memory that a relay of this suite may ever have used (VmHWM), in bytes: 20 MiB at its start, the receive buffers
/// of two shards (32 MiB), and for messages what is left. The most that a test has under way is 48 MiB, on one shard.
const MEMORY_MAX: u64 = 100 << 20;

/// A relay that refuses nobody for coming often: what many addresses do elsewhere, one does here.
fn relay(flags: &[&str]) -> Relay {
    Relay::start_with(&[&["--request-rate", "0"], flags].concat()).with_memory_max(MEMORY_MAX)
}

/// The same with TLS.
fn rig(flags: &[&str]) -> Rig {
    let files = Files::new();
    let relay = rig::start(&files, &[&["--request-rate", "0"], flags].concat()).with_memory_max(MEMORY_MAX);
    Rig { relay, files }
}

/// Checks that the relay has ears for others.
fn assert_healthy(relay: &Relay) {
    assert_eq!(relay.request("GET", "/healthz", None).status, 200);
}

/// Lets the stream end with a reset instead of in good order, when it is dropped.
fn reset_at_the_end(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
}
