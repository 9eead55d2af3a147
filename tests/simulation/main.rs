//! The core against a naive model, in virtual time: random clients with random portions, partial sends, stalled readers,
//! hang-ups, deletions and expiries, compression both ways, slow clients that skip, pings and their answers.
//!
//! Every run is a function of its seed. `SIM_SEED=n cargo test --test simulation` runs one; `SIM_SEEDS=n` sets how many.

mod client;
mod compressed;
mod lag;
mod patterns;
mod seen;
mod world;

use seen::Seen;
use world::World;

/// Steps of one run.
const STEPS: usize = 400;

fn run(seed: u64) -> Seen {
    // A failure names its seed, whatever failed.
    struct Name(u64);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("simulation failed: SIM_SEED={}", self.0);
            }
        }
    }
    let _name = Name(seed);
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.seen
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn clients_get_what_the_model_says() {
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(2000);
    let seen = (0..seeds).map(run).fold(Seen::default(), |sum, seen| sum + seen);
    println!("{seeds} seeds of {STEPS} steps: {seen:?}");
    let counts = [
        seen.slow_consumers,
        seen.partial_sends,
        seen.vectored_sends,
        seen.deletions,
        seen.expiries,
        seen.full,
        seen.violations,
        seen.history_joins,
        seen.cuts_with_a_send_in_flight,
        seen.turns,
        seen.requests,
        seen.replies,
        seen.replies_behind_requests,
        seen.refusals,
        seen.inflated,
        seen.compressed,
        seen.compressing_behind,
        seen.skips,
        seen.silent,
        seen.answered_pings,
    ];
    assert!(counts.iter().all(|count| *count >= seeds / 20), "some of it hardly ever happened: {seen:?}");
}

/// A client that was sent a part of a frame, and cut because it was silent.
#[test]
fn the_seed_that_failed_passes() {
    run(17173);
}
