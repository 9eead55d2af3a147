//! The relay as the service of a manager such as systemd: sockets that it passes on ([`inherited_listeners`]), and what it
//! wants to be told ([`Manager`]).
//!
//! All of this is asked for by variables that the manager sets. Without them nothing here does anything.

mod listeners;
mod notify;

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

use notify::Notifier;

pub use listeners::{InheritError, inherited_listeners};

/// Who runs the service, as far as it wants to know how that goes (sd_notify(3), sd_watchdog_enabled(3)).
#[derive(Debug)]
pub struct Manager {
    /// `None` = it does not.
    notifier: Option<Notifier>,
    /// Silence after which the manager takes the service for dead; `None` = it does not watch.
    watchdog: Option<Duration>,
}

impl Manager {
    /// What the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    ///
    /// # Errors
    /// There is a manager, and it cannot be reached.
    pub fn of_environment() -> io::Result<Manager> {
        let notifier = Notifier::of_environment()?;
        let watchdog = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero() && notifier.is_some());
        Ok(Manager { notifier, watchdog })
    }

    /// Whether somebody is told.
    pub fn is_there(&self) -> bool {
        self.notifier.is_some()
    }

    /// How often to say that the service lives: half of the silence that counts as death, as sd_watchdog_enabled(3)
    /// recommends. `None` = nobody watches.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|interval| (interval / 2).max(PERIOD_MIN))
    }

    /// The service runs.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// What it is doing, for people.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(status)]);
    }

    /// Every thread of it turns.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// It reads its files anew; to be followed by [`ready`](Self::ready).
    pub fn reloading(&self) {
        // The time tells the manager which of its wishes this is the answer to.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "no monotonic clock: the service manager is not told of the reload"),
        }
    }

    /// It ends, and takes at most `time_max` for that.
    pub fn stopping(&self, time_max: Duration) {
        let micros = u32::try_from(time_max.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// A manager that does not listen any more is no reason to do anything else differently.
    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(notifier) = &self.notifier else { return };
        if let Err(error) = notifier.send(states) {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }
}

/// A manager that asks for more than this would keep the relay busy with answering.
const PERIOD_MIN: Duration = Duration::from_millis(1);
