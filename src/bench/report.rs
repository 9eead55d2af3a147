//! What a run found, as a table for people and as JSON for scripts.

use std::fmt::Write;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ledger::Tally;
use super::options::{Dialect, Pace, Plan};
use super::process::Memory;

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub at: Instant,
    pub sent: u64,
    pub delivered: u64,
    /// Of the delivered messages, pairs of a request and its reply.
    pub round_trips: u64,
    pub own_cpu: Duration,
    pub server_cpu: Duration,
}

/// One run. Rates and CPU times are of the measured interval; `lost`, `reordered` and `corrupt` of the whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub target: String,
    pub pattern: &'static str,
    pub dialect: Dialect,
    pub rooms: u32,
    pub subscribers: u32,
    pub publishers: u32,
    pub connections: usize,
    pub size_bytes: usize,
    pub text: bool,
    pub window: Option<u32>,
    pub rate_per_s: Option<f64>,
    pub measured_s: f64,
    pub sent: u64,
    pub sent_per_s: f64,
    pub delivered: u64,
    /// With `fan-in-out` requests and replies.
    pub delivered_per_s: f64,
    /// With `fan-in-out`: requests whose reply came back.
    pub round_trips: Option<u64>,
    pub round_trips_per_s: Option<f64>,
    /// Between the receiver that got the most messages of the whole run and the one that got the fewest, in the worst of
    /// the rooms; where one publisher's messages are given out in turns.
    pub spread: Option<u64>,
    /// That this is more than 1 at a server that promises to take exact turns.
    pub uneven: bool,
    pub lost: u64,
    pub reordered: u64,
    pub corrupt: u64,
    /// The first message that was not as expected.
    pub oddity: Option<String>,
    /// Of every delivery of the interval, from its (intended) send time to the read that brought it; with `fan-in-out`
    /// of every round trip.
    pub latency_us: Option<Latency>,
    pub generator: Cost,
    /// If the server's process was given.
    pub server: Option<Server>,
    pub idle: Option<Idle>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
    pub samples: u64,
}

/// CPU seconds, and the part of the interval that they are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    pub cpu_s: f64,
    pub busy: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Server {
    #[serde(flatten)]
    pub cost: Cost,
    pub delivered_per_cpu_s: f64,
    pub rss_bytes: u64,
    pub pss_bytes: u64,
}

/// What the connections took of the server's user memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// By Pss.
    pub user_bytes_per_connection: f64,
    /// By RssAnon, which leaves out what files and shared mappings back.
    pub anonymous_bytes_per_connection: f64,
    pub pss_bytes_before: u64,
    pub pss_bytes_after: u64,
}

impl Idle {
    pub fn new(before: Memory, after: Memory, connections: usize) -> Idle {
        let per_connection = |before: u64, after: u64| (after as f64 - before as f64) / connections.max(1) as f64;
        Idle {
            user_bytes_per_connection: per_connection(before.pss, after.pss),
            anonymous_bytes_per_connection: per_connection(before.rss_anon, after.rss_anon),
            pss_bytes_before: before.pss,
            pss_bytes_after: after.pss,
        }
    }
}

impl Latency {
    fn new(nanoseconds: &Histogram<u64>) -> Option<Latency> {
        let us = |quantile: f64| nanoseconds.value_at_quantile(quantile) as f64 / 1000.0;
        (!nanoseconds.is_empty()).then(|| Latency {
            p50: us(0.5),
            p90: us(0.9),
            p99: us(0.99),
            p99_9: us(0.999),
            max: nanoseconds.max() as f64 / 1000.0,
            samples: nanoseconds.len(),
        })
    }
}

impl Report {
    /// A run with messages.
    #[allow(clippy::too_many_arguments)]
    pub fn of_load(
        plan: &Plan,
        connections: usize,
        first: Reading,
        last: Reading,
        latency_ns: &Histogram<u64>,
        memory: Memory,
        tally: Tally,
        spread: Option<u64>,
        oddity: Option<String>,
    ) -> Report {
        let mut report = Report::of_interval(plan, connections, first, last, memory);
        (report.lost, report.reordered, report.corrupt) = (tally.lost, tally.reordered, tally.corrupt);
        // Turns are exact at a ringrelay; elsewhere the figure is told, and no more.
        report.uneven = plan.server.is_some() && spread.is_some_and(|spread| spread > 1);
        report.spread = spread;
        report.oddity = oddity;
        report.latency_us = Latency::new(latency_ns);
        report
    }

    /// A run without.
    pub fn of_idle(
        plan: &Plan,
        connections: usize,
        first: Reading,
        last: Reading,
        memory: Memory,
        idle: Idle,
    ) -> Report {
        Report { idle: Some(idle), ..Report::of_interval(plan, connections, first, last, memory) }
    }

    /// Whether every message arrived once, in order and undamaged, and at whose turn it was.
    pub fn is_clean(&self) -> bool {
        !self.uneven && self.lost == 0 && self.reordered == 0 && self.corrupt == 0
    }

    /// One line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings")
    }

    /// Several lines.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut line =
            |name: &str, value: String| writeln!(out, "{name:<24}{value}").expect("a String takes everything");
        let per_room = if self.pattern == "echo" {
            format!("{} connections", self.subscribers)
        } else {
            format!("{} subscribers + {} publishers", self.subscribers, self.publishers)
        };
        line("target", self.target.clone());
        line("rooms", format!("{} of {per_room}, {}, {} connections", self.rooms, self.pattern, self.connections));
        if let Some(idle) = &self.idle {
            line("memory per connection", format!("{:.0} B (Pss)", idle.user_bytes_per_connection));
            line("", format!("{:.0} B (anonymous)", idle.anonymous_bytes_per_connection));
        } else {
            let pace = match (self.window, self.rate_per_s) {
                (Some(window), _) => format!("window {window}"),
                (None, rate) => format!("{} messages/s and publisher", rate.unwrap_or_default()),
            };
            line("messages", format!("{} B {}, {pace}", self.size_bytes, if self.text { "text" } else { "binary" }));
            line("measured", format!("{:.2} s", self.measured_s));
            line("sent", format!("{}/s", thousands(self.sent_per_s)));
            line("delivered", format!("{}/s", thousands(self.delivered_per_s)));
            if let Some(per_s) = self.round_trips_per_s {
                line("  round trips", format!("{}/s", thousands(per_s)));
            }
        }
        if let Some(server) = &self.server {
            if self.idle.is_none() {
                line("  per server CPU second", thousands(server.delivered_per_cpu_s));
            }
            line("server", format!("{:.1} % busy, {:.2} CPU s", server.cost.busy * 100.0, server.cost.cpu_s));
            line("server memory", format!("{} KiB RSS, {} KiB PSS", server.rss_bytes >> 10, server.pss_bytes >> 10));
        }
        line("generator", format!("{:.1} % busy", self.generator.busy * 100.0));
        if let Some(us) = &self.latency_us {
            line(
                "latency, µs",
                format!(
                    "p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}",
                    us.p50, us.p90, us.p99, us.p99_9, us.max
                ),
            );
        }
        if self.idle.is_none() {
            line("lost", format!("{}, reordered {}, corrupt {}", self.lost, self.reordered, self.corrupt));
            if let Some(spread) = self.spread {
                let verdict = if self.uneven { ", at most 1 is promised" } else { "" };
                line("receivers apart", format!("{spread} messages{verdict}"));
            }
        }
        if let Some(oddity) = &self.oddity {
            line("first oddity", oddity.clone());
        }
        out
    }

    fn of_interval(plan: &Plan, connections: usize, first: Reading, last: Reading, memory: Memory) -> Report {
        let measured_s = (last.at - first.at).as_secs_f64();
        let (sent, delivered) = (last.sent - first.sent, last.delivered - first.delivered);
        let round_trips = plan.pattern.has_replies().then_some((first.round_trips, last.round_trips));
        let cost = |first: Duration, last: Duration| {
            let cpu_s = last.saturating_sub(first).as_secs_f64();
            Cost { cpu_s, busy: cpu_s / measured_s }
        };
        let server = cost(first.server_cpu, last.server_cpu);
        Report {
            target: plan.target.clone(),
            pattern: plan.pattern.name(),
            dialect: plan.dialect,
            rooms: plan.rooms,
            subscribers: plan.subscribers,
            publishers: plan.publishers,
            connections,
            size_bytes: plan.payload_bytes,
            text: plan.text,
            window: if let Pace::Window(window) = plan.pace { Some(window) } else { None },
            rate_per_s: if let Pace::Rate(per_s) = plan.pace { Some(per_s) } else { None },
            measured_s,
            sent,
            sent_per_s: sent as f64 / measured_s,
            delivered,
            delivered_per_s: delivered as f64 / measured_s,
            round_trips: round_trips.map(|(first, last)| last - first),
            round_trips_per_s: round_trips.map(|(first, last)| (last - first) as f64 / measured_s),
            spread: None,
            uneven: false,
            lost: 0,
            reordered: 0,
            corrupt: 0,
            oddity: None,
            latency_us: None,
            generator: cost(first.own_cpu, last.own_cpu),
            server: (!plan.server_pids.is_empty()).then(|| Server {
                cost: server,
                // Less than a tick of CPU time says nothing about the rate.
                delivered_per_cpu_s: if server.cpu_s > 0.0 { delivered as f64 / server.cpu_s } else { 0.0 },
                rss_bytes: memory.rss,
                pss_bytes: memory.pss,
            }),
            idle: None,
        }
    }
}

/// A rounded number, its thousands apart.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(["0", "999", "1 000", "1 234 567"], [0.0, 999.4, 999.6, 1_234_567.0].map(thousands)[..]);
    }

    #[test]
    fn percentiles_are_microseconds_within_a_tenth_of_a_percent() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        (1..=1000).for_each(|us| histogram.saturating_record_n(us * 1000, 1));
        let latency = Latency::new(&histogram).unwrap();
        for (found, wanted) in
            [(latency.p50, 500.0), (latency.p90, 900.0), (latency.p99, 990.0), (latency.p99_9, 999.0)]
        {
            assert!((found - wanted).abs() <= wanted / 500.0, "{found} instead of {wanted}");
        }
        assert_eq!(latency.samples, 1000);
        histogram.reset();
        assert!(Latency::new(&histogram).is_none());
    }

    #[test]
    fn memory_that_shrank_is_negative() {
        let memory = |pss| Memory { rss: pss, rss_anon: pss, pss };
        assert_eq!(Idle::new(memory(2000), memory(1000), 10).user_bytes_per_connection, -100.0);
    }
}
