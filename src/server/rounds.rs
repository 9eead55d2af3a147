//! What the main thread does again and again: it asks all threads whether they still turn, for the watchdog of the service
//! manager, and shows how the relay is doing.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use crate::front::{FrontHandle, ToFront};
use crate::handoff::{ShardHandle, ToShard};
use crate::metrics::{Metrics, Overview};
use crate::pulse::Pulse;
use crate::service::Manager;

pub(super) struct Rounds<'a> {
    pub(super) manager: &'a Manager,
    pub(super) metrics: &'a Metrics,
    signals: &'a Receiver<i32>,
    /// `None` = the relay closes: threads end one after the other, and are not asked any more.
    working: Option<Working<'a>>,
    pulse: Pulse,
    /// When to ask all threads; `None` = nobody wants to know.
    ask_at: Option<Instant>,
    /// When to show the status; `None` = nobody reads it.
    show_at: Option<Instant>,
    /// What was shown last, and what it was made of.
    shown: String,
    counted: Overview,
    counted_at: Instant,
    /// Whether the log says that somebody is silent.
    is_alarmed: bool,
}

/// A relay that has clients come.
pub(super) struct Working<'a> {
    pub(super) shards: &'a [ShardHandle],
    pub(super) fronts: &'a [FrontHandle],
    /// Where clients reach it.
    pub(super) url: &'a str,
}

/// Why a wait is over.
pub(super) enum Woken {
    Signal(i32),
    /// The threads that were waited for have ended.
    Ended,
    /// They have not in time.
    Overdue,
}

impl<'a> Rounds<'a> {
    /// Those of a relay that works; `None` = of one that closes.
    pub(super) fn new(
        manager: &'a Manager,
        metrics: &'a Metrics,
        signals: &'a Receiver<i32>,
        working: Option<Working<'a>>,
    ) -> Rounds<'a> {
        let now = Instant::now();
        let threads = working.as_ref().map_or(0, |working| working.shards.len() + working.fronts.len());
        Rounds {
            manager,
            metrics,
            signals,
            working,
            pulse: Pulse::new(threads),
            ask_at: manager.watchdog_period().map(|_| now),
            show_at: manager.is_there().then(|| now + STATUS_PERIOD),
            shown: String::new(),
            counted: metrics.overview(),
            counted_at: now,
            is_alarmed: false,
        }
    }

    /// Tells the manager that the relay is ready, and how it is doing.
    pub(super) fn tell_ready(&mut self) {
        let status = self.status();
        self.manager.ready(&status);
    }

    /// Does what is due until a signal comes, until all who hold a sender of `gone` have ended, or until `deadline`.
    pub(super) fn wait(&mut self, gone: &Receiver<Infallible>, deadline: Option<Instant>) -> Woken {
        loop {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Woken::Overdue;
            }
            self.ask(now);
            self.show(now);
            let next = [self.ask_at, self.show_at, deadline].into_iter().flatten().min();
            let timeout = next.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            select! {
                recv(self.signals) -> signal => match signal {
                    Ok(signal) => return Woken::Signal(signal),
                    Err(_) => unreachable!("the thread of the signals does not end"),
                },
                recv(gone) -> _ => return Woken::Ended,
                recv(self.pulse.answers()) -> answer => {
                    if answer.is_ok_and(|answer| self.pulse.take(answer)) {
                        self.is_alarmed = false;
                        self.manager.alive();
                    }
                }
                default(timeout) => {}
            }
        }
    }

    /// Asks all threads, if it is time to. Only when all have answered is the manager told that the relay lives.
    fn ask(&mut self, now: Instant) {
        let Some(period) = self.manager.watchdog_period() else { return };
        if self.ask_at.is_some_and(|at| now < at) {
            return;
        }
        self.ask_at = Some(now + period);
        let Some(Working { shards, fronts, .. }) = &self.working else { return self.manager.alive() };
        let asked = self.pulse.ask(|thread, beat| match shards.get(thread) {
            Some(shard) => shard.send(ToShard::Beat(beat)),
            None => fronts[thread - shards.len()].send(ToFront::Beat(beat)),
        });
        if !asked && !self.is_alarmed {
            self.is_alarmed = true;
            let threads = silent(&self.pulse, shards.len());
            tracing::error!(%threads, "silent; the watchdog is not told that the relay lives");
        }
    }

    /// Shows the status, if it is time to and there is something new.
    fn show(&mut self, now: Instant) {
        if self.show_at.is_none_or(|at| now < at) {
            return;
        }
        self.show_at = Some(now + STATUS_PERIOD);
        let status = self.status();
        if status != self.shown {
            self.manager.status(&status);
            self.shown = status;
        }
    }

    /// How the relay is doing, in a line.
    fn status(&mut self) -> String {
        let Overview { clients, channels, messages } = self.metrics.overview();
        let Some(Working { url, .. }) = self.working else { return format!("closing, clients left: {clients}") };
        let now = Instant::now();
        let since = now.duration_since(self.counted_at).as_secs_f64();
        let new = messages.saturating_sub(self.counted.messages);
        let rate = if since > 0.0 { (new as f64 / since).round() } else { 0.0 };
        (self.counted.messages, self.counted_at) = (messages, now);
        format!("{url}; clients: {clients}, channels: {channels}, messages/s: {rate}")
    }
}

/// The names of the threads that do not answer: shards, and behind them fronts.
fn silent(pulse: &Pulse, shards: usize) -> String {
    let name = |thread: usize| match thread.checked_sub(shards) {
        None => format!("shard-{thread}"),
        Some(front) => format!("front-{front}"),
    };
    pulse.silent().map(name).collect::<Vec<_>>().join(", ")
}

/// How often the status is shown.
const STATUS_PERIOD: Duration = Duration::from_secs(3);
