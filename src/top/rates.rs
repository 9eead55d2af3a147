//! What happened between two looks, per second.

use std::time::Duration;

use super::snapshot::{Refusal, Shard};

/// What one shard did.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rates {
    pub received: f64,
    pub delivered: f64,
    pub sent_bytes: f64,
    /// Messages that one send carried, on average.
    pub batch: f64,
    /// How much of the time it was in a turn, 0 to 1.
    pub busy: f64,
    /// How much of a core it used, 0 to 1; `None` = that is not told.
    pub cpu: Option<f64>,
}

impl Rates {
    /// `None` = it was started anew in between, or no time has passed.
    pub(super) fn between(before: &Shard, now: &Shard, passed: Duration) -> Option<Rates> {
        let seconds = passed.as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let grown = |of: fn(&Shard) -> u64| of(now).checked_sub(of(before)).map(|count| count as f64);
        let (delivered, sends) = (grown(|shard| shard.messages_delivered)?, grown(|shard| shard.sends)?);
        Some(Rates {
            received: grown(|shard| shard.messages_received)? / seconds,
            delivered: delivered / seconds,
            sent_bytes: grown(|shard| shard.sent_bytes)? / seconds,
            batch: if sends > 0.0 { delivered / sends } else { 0.0 },
            busy: (grown(|shard| shard.busy_micros)? / 1e6 / seconds).min(1.0),
            cpu: before.cpu_micros.zip(now.cpu_micros).and_then(|(before, now)| {
                let micros = now.checked_sub(before)?;
                Some((micros as f64 / 1e6 / seconds).min(1.0))
            }),
        })
    }
}

/// How often a second was refused for the reason of `now`.
pub(super) fn refused(before: &[Refusal], now: &Refusal, passed: Duration) -> f64 {
    let earlier = before.iter().find(|refusal| refusal.reason == now.reason).map_or(0, |refusal| refusal.count);
    now.count.saturating_sub(earlier) as f64 / passed.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// A number in at most six characters: `812`, `12.3k`, `4.5M`.
pub(super) fn short(number: f64) -> String {
    match number {
        ..1e4 => format!("{number:.0}"),
        ..1e6 => format!("{:.1}k", number / 1e3),
        ..1e9 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.1}G", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(count: u64) -> Shard {
        let busy_micros = count * 1000;
        Shard {
            shard: 0,
            clients: 1,
            channels: 1,
            messages_received: count,
            messages_delivered: count * 10,
            sends: count * 2,
            sent_bytes: count * 100,
            busy_micros,
            cpu_micros: Some(busy_micros * 3),
            memory: 0,
            lag: 0,
        }
    }

    #[test]
    fn rates_are_of_what_came_in_between() {
        let rates = Rates::between(&shard(100), &shard(300), Duration::from_secs(2)).unwrap();
        let expected =
            Rates { received: 100.0, delivered: 1000.0, sent_bytes: 10_000.0, batch: 5.0, busy: 0.1, cpu: Some(0.3) };
        assert_eq!(rates, expected);
        let silent = Shard { cpu_micros: None, ..shard(100) };
        let rates = Rates::between(&silent, &shard(300), Duration::from_secs(2)).unwrap();
        assert_eq!(rates, Rates { cpu: None, ..expected });
        assert_eq!(Rates::between(&shard(300), &shard(0), Duration::from_secs(1)), None, "another process");
        assert_eq!(Rates::between(&shard(0), &shard(1), Duration::ZERO), None);
    }

    #[test]
    fn numbers_stay_short() {
        for (number, text) in [(0.4, "0"), (9999.0, "9999"), (12_345.0, "12.3k"), (4.56e6, "4.6M"), (2e9, "2.0G")] {
            assert_eq!(short(number), text);
        }
    }
}
