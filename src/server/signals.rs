//! The signals that this process answers.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The signals, from now on. The second that ends the process ends it at once, whatever the main thread is doing. SIGHUP is
/// among them if there is something to read anew, or a service manager that may send it; otherwise it ends the relay, as a
/// closed terminal does.
pub(super) fn signals(takes_hangup: bool) -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    if takes_hangup {
        signals.add_signal(SIGHUP)?;
    }
    let (told, receiver) = unbounded();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut is_ending = false;
        for signal in signals.forever() {
            let ends = signal != SIGHUP;
            if ends && is_ending {
                std::process::exit(ENDED_AT_ONCE);
            }
            is_ending |= ends;
            let _ = told.send(signal);
        }
    })?;
    Ok(receiver)
}

/// The exit status when a second signal ends the relay.
const ENDED_AT_ONCE: i32 = 1;
