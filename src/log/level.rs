//! Changes the level while the relay runs: SIGUSR1 has more said, step by step, and SIGUSR2 as much as at the start. Signals
//! need no guard of their own: only the relay's user and root may send them.

use std::{fmt, io, thread};

use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// The level of a log that has begun.
pub struct Level {
    configured: String,
    /// Takes the directives in effect from then on.
    set: Box<dyn Fn(&str) + Send>,
}

impl Level {
    pub(super) fn new(configured: &str, set: impl Fn(&str) + Send + 'static) -> Level {
        Level { configured: configured.to_owned(), set: Box::new(set) }
    }

    /// Has the signals change it from now on; they are waited for on a thread of its own.
    ///
    /// # Errors
    /// The thread could not be started, or there are no files left.
    pub fn watch_signals(self) -> io::Result<()> {
        let Level { configured, set } = self;
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
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level").field("configured", &self.configured).finish_non_exhaustive()
    }
}

/// More and more, of the relay alone: libraries would drown it.
const MORE: [&str; 2] = ["info,ringrelay=debug", "info,ringrelay=trace"];
