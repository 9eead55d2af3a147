//! What was found, over all connections: counts, latency, the first oddity, and what has to be sent because of it.

use hdrhistogram::Histogram;

/// What arrived, over all connections. A sound server leaves everything but `delivered` and `round_trips` at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were as expected.
    pub delivered: u64,
    /// Requests whose reply came back; both are in `delivered` too.
    pub round_trips: u64,
    /// Messages that a later one of the same publisher overtook.
    pub lost: u64,
    /// Messages that had been overtaken, or came twice.
    pub reordered: u64,
    /// Messages that were not sent like this, or not to this connection.
    pub corrupt: u64,
}

/// The state that every kind of receiver shares.
pub struct Ledger {
    pub tally: Tally,
    /// Nanoseconds from a message's send time to the moment its receiver read it, or its requester the reply; of all.
    pub latency: Histogram<u64>,
    /// Publishers whose window moved and who have not sent since; each once.
    pub moved: Vec<u32>,
    is_moved: Vec<bool>,
    /// What the connection that is being read has to send back, whole client frames.
    pub replies: Vec<u8>,
    /// The first thing that was not as expected, for the report.
    pub oddity: Option<String>,
}

impl Ledger {
    pub fn new(publishers: usize) -> Ledger {
        Ledger {
            tally: Tally::default(),
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("constant bounds"),
            moved: Vec::with_capacity(publishers),
            is_moved: vec![false; publishers],
            replies: Vec::new(),
            oddity: None,
        }
    }

    /// The window of this publisher has room: it is to send. Said once until [`Ledger::take_moved`].
    pub fn mark_moved(&mut self, publisher: u32) {
        if !std::mem::replace(&mut self.is_moved[publisher as usize], true) {
            self.moved.push(publisher);
        }
    }

    /// The publishers that are to send, no longer marked.
    pub fn take_moved(&mut self, into: &mut Vec<u32>) {
        into.clear();
        std::mem::swap(&mut self.moved, into);
        for publisher in into.iter() {
            self.is_moved[*publisher as usize] = false;
        }
    }

    #[inline(always)]
    pub fn record(&mut self, latency_ns: u64, deliveries: u64) {
        if deliveries > 0 {
            self.latency.saturating_record_n(latency_ns, deliveries);
        }
    }

    /// Counts a message that nobody sent like this.
    #[cold]
    pub fn corrupt(&mut self, what: &str) {
        self.tally.corrupt += 1;
        self.note(|| what.to_owned());
    }

    /// Keeps the first of all oddities.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        self.oddity.get_or_insert_with(what);
    }
}

/// Anything slower reads as this.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
