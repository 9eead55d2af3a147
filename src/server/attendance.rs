//! What the main thread does while the others work: it waits for signals, says how the relay is doing to whoever runs it,
//! and asks all threads whether they still turn.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::front::{FrontHandle, ToFront};
use crate::handoff::{ShardHandle, ToShard};
use crate::metrics::{Metrics, Overview};
use crate::pulse::Pulse;
use crate::service::Manager;

use super::files::Files;

/// Everything that the main thread looks after.
pub(super) struct Attendance<'r> {
    pub(super) manager: &'r Manager,
    pub(super) files: &'r Files,
    pub(super) metrics: &'r Arc<Metrics>,
    pub(super) shards: Vec<ShardHandle>,
    pub(super) fronts: &'r [FrontHandle],
    pub(super) signals: Receiver<i32>,
    /// Where clients reach the relay.
    pub(super) url: String,
}

/// Why a wait is over.
enum Woken {
    Signal(i32),
    /// All shards have ended.
    Ended,
    /// What was waited for has not come in time.
    Overdue,
}

/// The signals that this process answers, from now on. The second that ends it ends it at once, whatever the main thread is
/// doing. SIGHUP is among them if there is something to read anew, or a service manager that may send it; otherwise it ends
/// the relay, as a closed terminal does.
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

impl Attendance<'_> {
    /// Looks after a relay that has started, until a signal ends it.
    pub(super) fn serve(&self, gone: &Receiver<Infallible>) -> i32 {
        let mut rounds = Rounds::new(self);
        self.manager.ready(&rounds.status());
        loop {
            match rounds.wait(gone, None) {
                Woken::Signal(SIGHUP) => self.reload(&mut rounds),
                Woken::Signal(signal) => return signal,
                Woken::Ended | Woken::Overdue => {
                    tracing::error!("all shards have ended by themselves");
                    std::process::exit(FAILED);
                }
            }
        }
    }

    fn reload(&self, rounds: &mut Rounds<'_>) {
        self.manager.reloading();
        self.files.reload(self.metrics);
        self.manager.ready(&rounds.status());
    }

    /// Has all clients closed over `spread`, and returns when the shards have ended. One that does not within `time_max` is
    /// not waited for.
    pub(super) fn drain(&self, gone: &Receiver<Infallible>, spread: Duration, time_max: Duration) {
        self.manager.stopping(time_max);
        for front in self.fronts {
            front.send(ToFront::Drain);
        }
        for shard in &self.shards {
            shard.send(ToShard::Shutdown { spread });
        }
        let deadline = Instant::now() + time_max;
        let mut rounds = Rounds::new(self);
        rounds.is_closing = true;
        loop {
            match rounds.wait(gone, Some(deadline)) {
                Woken::Signal(_) => {}
                Woken::Ended => return,
                Woken::Overdue => {
                    tracing::error!("a shard has not ended within {} s", time_max.as_secs());
                    std::process::exit(FAILED);
                }
            }
        }
    }
}

/// What is done again and again.
struct Rounds<'a> {
    attendance: &'a Attendance<'a>,
    pulse: Pulse,
    /// When to ask all threads; `None` = nobody wants to know.
    ask_at: Option<Instant>,
    /// When to show the status; `None` = nobody reads it.
    show_at: Option<Instant>,
    /// What was shown last, and what it was made of.
    shown: String,
    counted: Overview,
    counted_at: Instant,
    /// Threads end one after the other, and are not asked any more.
    is_closing: bool,
    /// Whether the log says that somebody is silent.
    is_alarmed: bool,
}

impl<'a> Rounds<'a> {
    fn new(attendance: &'a Attendance<'a>) -> Rounds<'a> {
        let now = Instant::now();
        let manager = attendance.manager;
        Rounds {
            attendance,
            pulse: Pulse::new(attendance.shards.len() + attendance.fronts.len()),
            ask_at: manager.watchdog_period().map(|_| now),
            show_at: manager.is_there().then(|| now + STATUS_PERIOD),
            shown: String::new(),
            counted: attendance.metrics.overview(),
            counted_at: now,
            is_closing: false,
            is_alarmed: false,
        }
    }

    /// Does what is due until something else happens, or until `deadline`.
    fn wait(&mut self, gone: &Receiver<Infallible>, deadline: Option<Instant>) -> Woken {
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
                recv(self.attendance.signals) -> signal => match signal {
                    Ok(signal) => return Woken::Signal(signal),
                    Err(_) => unreachable!("the thread of the signals does not end"),
                },
                recv(gone) -> _ => return Woken::Ended,
                recv(self.pulse.answers()) -> answer => {
                    if answer.is_ok_and(|answer| self.pulse.take(answer)) {
                        self.is_alarmed = false;
                        self.attendance.manager.alive();
                    }
                }
                default(timeout) => {}
            }
        }
    }

    /// Asks all threads, if it is time to. Only when all have answered is the manager told that the relay lives.
    fn ask(&mut self, now: Instant) {
        let Some(period) = self.attendance.manager.watchdog_period() else { return };
        if self.ask_at.is_some_and(|at| now < at) {
            return;
        }
        self.ask_at = Some(now + period);
        if self.is_closing {
            return self.attendance.manager.alive();
        }
        let Attendance { shards, fronts, .. } = self.attendance;
        let asked = self.pulse.ask(|thread, beat| match shards.get(thread) {
            Some(shard) => shard.send(ToShard::Beat(beat)),
            None => fronts[thread - shards.len()].send(ToFront::Beat(beat)),
        });
        if !asked && !self.is_alarmed {
            self.is_alarmed = true;
            tracing::error!(threads = %self.silent(), "silent; the watchdog is not told that the relay lives");
        }
    }

    /// The names of the threads that do not answer.
    fn silent(&self) -> String {
        let shards = self.attendance.shards.len();
        let name = |thread: usize| match thread.checked_sub(shards) {
            None => format!("shard-{thread}"),
            Some(front) => format!("front-{front}"),
        };
        self.pulse.silent().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Shows the status, if it is time to and there is something new.
    fn show(&mut self, now: Instant) {
        if self.show_at.is_none_or(|at| now < at) {
            return;
        }
        self.show_at = Some(now + STATUS_PERIOD);
        let status = self.status();
        if status != self.shown {
            self.attendance.manager.status(&status);
            self.shown = status;
        }
    }

    /// How the relay is doing, in a line.
    fn status(&mut self) -> String {
        let Overview { clients, channels, messages } = self.attendance.metrics.overview();
        if self.is_closing {
            return format!("closing, clients left: {clients}");
        }
        let now = Instant::now();
        let since = now.duration_since(self.counted_at).as_secs_f64();
        let new = messages.saturating_sub(self.counted.messages);
        let rate = if since > 0.0 { (new as f64 / since).round() } else { 0.0 };
        (self.counted.messages, self.counted_at) = (messages, now);
        format!("{}; clients: {clients}, channels: {channels}, messages/s: {rate}", self.attendance.url)
    }
}

/// How often the status is shown.
const STATUS_PERIOD: Duration = Duration::from_secs(3);

/// The exit status when a second signal ends the relay, or when it cannot go on.
const ENDED_AT_ONCE: i32 = 1;
const FAILED: i32 = 1;
