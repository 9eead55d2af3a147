//! What a run of the simulation has met.

/// How often the rarer things happened: a simulation that never meets them proves nothing of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub slow_consumers: u64,
    pub partial_sends: u64,
    pub vectored_sends: u64,
    pub deletions: u64,
    pub expiries: u64,
    pub full: u64,
    pub violations: u64,
    pub history_joins: u64,
    pub cuts_with_a_send_in_flight: u64,
    pub turns: u64,
    pub requests: u64,
    pub replies: u64,
    pub replies_behind_requests: u64,
    pub refusals: u64,
    pub inflated: u64,
    pub compressed: u64,
    /// How often somebody who compresses was found behind by more than half of what it may be.
    pub compressing_behind: u64,
    pub skips: u64,
    pub silent: u64,
    pub answered_pings: u64,
}

impl std::ops::Add for Seen {
    type Output = Seen;

    fn add(self, other: Seen) -> Seen {
        Seen {
            slow_consumers: self.slow_consumers + other.slow_consumers,
            partial_sends: self.partial_sends + other.partial_sends,
            vectored_sends: self.vectored_sends + other.vectored_sends,
            deletions: self.deletions + other.deletions,
            expiries: self.expiries + other.expiries,
            full: self.full + other.full,
            violations: self.violations + other.violations,
            history_joins: self.history_joins + other.history_joins,
            cuts_with_a_send_in_flight: self.cuts_with_a_send_in_flight + other.cuts_with_a_send_in_flight,
            turns: self.turns + other.turns,
            requests: self.requests + other.requests,
            replies: self.replies + other.replies,
            replies_behind_requests: self.replies_behind_requests + other.replies_behind_requests,
            refusals: self.refusals + other.refusals,
            inflated: self.inflated + other.inflated,
            compressed: self.compressed + other.compressed,
            compressing_behind: self.compressing_behind + other.compressing_behind,
            skips: self.skips + other.skips,
            silent: self.silent + other.silent,
            answered_pings: self.answered_pings + other.answered_pings,
        }
    }
}
