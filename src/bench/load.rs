//! The run itself: connect, load, measure, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::Timespec;

use super::connect;
use super::error::Failure;
use super::nats;
use super::options::{Dialect, Pace, Plan};
use super::payload::{Filler, Stamp};
use super::process::{self, Memory};
use super::publish::Messages;
use super::receive::Receiver;
use super::report::{Idle, Reading, Report};
use super::rotation::ROUTING_BYTES_MAX;
use super::target::RoomTarget;
use super::topology;
use super::wire::Wire;

/// Connects everything to the rooms, loads them, and reports what was measured.
pub fn run(plan: &Plan, targets: &[RoomTarget]) -> Result<Report, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| Failure::system("signal handler", error))?;
    }
    let before = process::server_memory(&plan.server_pids)?;
    let mut load = Load::connect(plan, targets, interrupted)?;
    let report = if plan.pace == Pace::Idle { load.hold(before) } else { load.measure() };
    if plan.progress {
        eprintln!();
    }
    load.wire.close();
    report
}

struct Load<'a> {
    plan: &'a Plan,
    wire: Wire,
    /// The connection of each publisher; ascending.
    publishers: Vec<u32>,
    messages: Messages,
    run: u64,
    interrupted: Arc<AtomicBool>,
    shown: Instant,
}

/// The fixed schedule: the publishers take turns, so that they do not all send at once.
struct Schedule {
    /// The messages of all publishers scheduled so far.
    issued: u64,
    interval_ns: f64,
    start_ns: u64,
}

/// Since when nothing has been delivered.
struct Silence {
    delivered: u64,
    since: Instant,
}

impl<'a> Load<'a> {
    fn connect(plan: &'a Plan, targets: &[RoomTarget], interrupted: Arc<AtomicBool>) -> Result<Load<'a>, Failure> {
        let seats = topology::seats(plan);
        let mut established = connect::open_all(plan, targets, &seats, |open| {
            if plan.progress {
                eprint!("\r{open} of {} connections", seats.len());
            }
            if interrupted.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
        })?;
        let run = getrandom::u32().map_err(|error| Failure::system("getrandom", std::io::Error::other(error)))?;
        let run = u64::from(run >> 8);
        if plan.dialect == Dialect::Nats {
            nats::join::join_all(plan, run, &seats, &mut established)?;
        }
        let filler = Filler::new(plan.body_bytes());
        let publishers: Vec<u32> =
            (0..).zip(&seats).filter(|(_, seat)| seat.publishes.is_some()).map(|(index, _)| index).collect();
        let rooms = publishers.iter().map(|index| seats[*index as usize].room);
        let messages = Messages::new(plan, run, rooms, &filler);
        let receiver = Receiver::new(plan, run, publishers.len(), filler);
        let frame_bytes_max = messages.message_bytes() + ROUTING_BYTES_MAX;
        let wire = Wire::new(receiver, &seats, established, frame_bytes_max)?;
        Ok(Load { plan, wire, publishers, messages, run, interrupted, shown: Instant::now() })
    }

    /// Warm-up, the measured interval, and the wait for what is still under way.
    fn measure(&mut self) -> Result<Report, Failure> {
        let mut schedule = match self.plan.pace {
            Pace::Rate(per_s) => {
                let interval_ns = 1e9 / (per_s * self.publishers.len() as f64);
                Some(Schedule { issued: 0, interval_ns, start_ns: self.wire.now_ns() })
            }
            Pace::Window(_) | Pace::Idle => {
                (0..self.publishers.len() as u32)
                    .for_each(|publisher| self.wire.receiver.ledger_mut().mark_moved(publisher));
                None
            }
        };
        self.load_for(self.plan.warmup, &mut schedule, "warming up")?;
        self.wire.receiver.ledger_mut().latency.reset();
        let first = self.reading()?;
        self.load_for(self.plan.duration, &mut schedule, "measuring")?;
        let last = self.reading()?;
        let latency = self.wire.receiver.ledger().latency.clone();
        let memory = process::server_memory(&self.plan.server_pids)?;
        self.drain()?;
        let mut tally = self.wire.receiver.ledger().tally;
        tally.lost += self.wire.missing();
        let oddity = self.wire.receiver.ledger_mut().oddity.take();
        let spread = self.wire.receiver.spread();
        Ok(Report::of_load(
            self.plan,
            self.wire.connection_count(),
            first,
            last,
            &latency,
            memory,
            tally,
            spread,
            oddity,
        ))
    }

    /// Memory before and after; what the server sends meanwhile (pings) is answered.
    fn hold(&mut self, before: Memory) -> Result<Report, Failure> {
        let first = self.reading()?;
        self.load_for(self.plan.duration, &mut None, "holding")?;
        let last = self.reading()?;
        let after = process::server_memory(&self.plan.server_pids)?;
        let idle = Idle::new(before, after, self.wire.connection_count());
        Ok(Report::of_idle(self.plan, self.wire.connection_count(), first, last, after, idle))
    }

    fn load_for(&mut self, duration: Duration, schedule: &mut Option<Schedule>, phase: &str) -> Result<(), Failure> {
        let end = Instant::now() + duration;
        let mut silence = Silence { delivered: self.wire.receiver.ledger().tally.delivered, since: Instant::now() };
        let mut moved = Vec::new();
        loop {
            match schedule {
                Some(schedule) => {
                    self.send_due(schedule)?;
                    self.wire.turn(&SPIN)?;
                }
                None => {
                    self.wire.receiver.ledger_mut().take_moved(&mut moved);
                    for publisher in &moved {
                        self.send_window(*publisher as usize)?;
                    }
                    self.wire.turn(if self.plan.spin { &SPIN } else { &TICK })?;
                }
            }
            self.resume();
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.show(now, phase)?;
            let delivered = self.wire.receiver.ledger().tally.delivered;
            if silence.lasts(STALL, delivered, now) {
                let outstanding = self.wire.missing();
                if outstanding > 0 {
                    return Err(Failure::Stalled { outstanding, delivered, silence: STALL });
                }
            }
        }
    }

    /// Waits until everything has arrived, or nothing does any more.
    fn drain(&mut self) -> Result<(), Failure> {
        let mut silence = Silence { delivered: self.wire.receiver.ledger().tally.delivered, since: Instant::now() };
        while self.wire.missing() > 0
            && !silence.lasts(DRAIN, self.wire.receiver.ledger().tally.delivered, Instant::now())
        {
            self.wire.turn(&TICK)?;
        }
        Ok(())
    }

    /// Fills the publisher's window, in writes of a bounded size.
    fn send_window(&mut self, publisher: usize) -> Result<(), Failure> {
        let index = self.publishers[publisher] as usize;
        let burst = (WRITE_BYTES / self.messages.message_bytes()).max(1) as u64;
        loop {
            let vacancy = self.wire.receiver.vacancy(publisher);
            if vacancy == 0 || !self.wire.outbox(index).is_empty() {
                return Ok(());
            }
            let sent_ns = self.wire.now_ns();
            self.put(publisher, vacancy.min(burst), sent_ns);
            self.wire.flush(index)?;
        }
    }

    /// Sends what the schedule says has to be on its way by now.
    fn send_due(&mut self, schedule: &mut Schedule) -> Result<(), Failure> {
        let now_ns = self.wire.now_ns();
        loop {
            let due_ns = schedule.start_ns + (schedule.issued as f64 * schedule.interval_ns) as u64;
            let publisher = (schedule.issued % self.publishers.len() as u64) as usize;
            let index = self.publishers[publisher] as usize;
            // A server that does not read holds the schedule up; latency still counts from the time that was due.
            if due_ns > now_ns || self.wire.outbox(index).pending_bytes() > PENDING_BYTES_MAX {
                return Ok(());
            }
            schedule.issued += 1;
            self.put(publisher, 1, due_ns);
            self.wire.flush(index)?;
        }
    }

    fn put(&mut self, publisher: usize, count: u64, sent_ns: u64) {
        let first = self.wire.receiver.send(publisher, count);
        let origin = self.run << 24 | publisher as u64;
        let stamps = (0..count as usize).map(|index| Stamp { origin, sequence: first + index as u64, sent_ns });
        self.messages.put(self.wire.outbox(self.publishers[publisher] as usize).buffer(), publisher, stamps);
    }

    /// A publisher that could write again may have room in its window, too.
    fn resume(&mut self) {
        while let Some(index) = self.wire.unblocked.pop() {
            if let (Pace::Window(_), Ok(publisher)) = (self.plan.pace, self.publishers.binary_search(&(index as u32))) {
                self.wire.receiver.ledger_mut().mark_moved(publisher as u32);
            }
        }
    }

    fn reading(&self) -> Result<Reading, Failure> {
        Ok(Reading {
            at: Instant::now(),
            sent: self.wire.receiver.sent_total(),
            delivered: self.wire.receiver.ledger().tally.delivered,
            round_trips: self.wire.receiver.ledger().tally.round_trips,
            own_cpu: process::own_cpu(),
            server_cpu: process::server_cpu(&self.plan.server_pids)?,
        })
    }

    fn show(&mut self, now: Instant, phase: &str) -> Result<(), Failure> {
        if now - self.shown < Duration::from_millis(500) {
            return Ok(());
        }
        self.shown = now;
        if self.plan.progress {
            let delivered = self.wire.receiver.ledger().tally.delivered;
            eprint!("\r{phase}: {} connections, {delivered} messages delivered ", self.wire.connection_count());
        }
        if self.interrupted.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
    }
}

impl Silence {
    fn lasts(&mut self, limit: Duration, delivered: u64, now: Instant) -> bool {
        if delivered != self.delivered {
            *self = Silence { delivered, since: now };
        }
        now - self.since >= limit
    }
}

/// Below what a socket's send buffer takes at once.
const WRITE_BYTES: usize = 256 << 10;

/// What a server may leave unread before the schedule waits for it.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// After this without any delivery, a run is over: no server takes so long for a message.
const STALL: Duration = Duration::from_secs(10);

/// How long the end of a run waits after the last delivery; what has not come then is lost.
const DRAIN: Duration = Duration::from_secs(3);

const SPIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A wait without events ends after this, to look at the clock.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
