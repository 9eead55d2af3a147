//! What the main thread does while the others work: it goes its rounds, and answers signals.

use std::convert::Infallible;

use crossbeam_channel::Receiver;
use signal_hook::consts::SIGHUP;

use super::FAILED;
use super::files::Files;
use super::rounds::{Rounds, Woken};

/// Looks after a relay that has started, until a signal ends it, which is returned. `gone` tells when all shards have ended.
pub(super) fn attend(mut rounds: Rounds<'_>, files: &Files, gone: &Receiver<Infallible>) -> i32 {
    rounds.tell_ready();
    loop {
        match rounds.wait(gone, None) {
            Woken::Signal(SIGHUP) => {
                rounds.manager.reloading();
                files.reload(rounds.metrics);
                rounds.tell_ready();
            }
            Woken::Signal(signal) => return signal,
            Woken::Ended | Woken::Overdue => {
                tracing::error!("all shards have ended by themselves");
                std::process::exit(FAILED);
            }
        }
    }
}
