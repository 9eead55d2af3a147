//! Changes the level while the relay runs: SIGUSR1 has more said, step by step, and SIGUSR2 as much as at the start. Signals
//! need no guard of their own: only the relay's user and root may send them.

use std::{io, thread};

use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// Waits for the signals on a thread of its own, and has `set` take the directives in effect from then on.
pub(super) fn watch(configured: String, set: impl Fn(&str) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1, SIGUSR2])?;
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        let mut steps = 0;
        for signal in signals.forever() {
            steps = if signal == SIGUSR1 { (steps + 1).min(MORE.len()) } else { 0 };
            let directives = steps.checked_sub(1).map_or(configured.as_str(), |step| MORE[step]);
            set(directives);
            tracing::info!(directives, "the log level has changed");
        }
    })?;
    Ok(())
}

/// More and more, of the relay alone: libraries would drown it.
const MORE: [&str; 2] = ["info,ringrelay=debug", "info,ringrelay=trace"];
