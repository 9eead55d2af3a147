//! The closed loop: which of a publisher's messages are in flight, and how many receivers each still waits for.

/// The windows of all publishers, over one table of counters.
#[derive(Debug)]
pub struct Windows {
    spans: Vec<Span>,
    /// Receivers that have not got a message yet; that of publisher p's message s at `p * ring_len + s % ring_len`.
    waiting: Vec<u32>,
    /// A power of two, at least `window`; 0: nothing is counted (a fixed rate needs no window).
    ring_len: u64,
    window: u64,
    receivers: u32,
}

/// `oldest <= next <= oldest + window`, unless nothing is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// The first message that someone has not got yet.
    oldest: u64,
    /// The message to be sent next.
    next: u64,
}

impl Windows {
    /// Windows of `window` messages, each of which `receivers` connections get; 0: unlimited.
    pub fn new(publishers: usize, window: u32, receivers: u32) -> Windows {
        let ring_len = if window == 0 { 0 } else { u64::from(window).next_power_of_two() };
        Windows {
            spans: vec![Span::default(); publishers],
            waiting: vec![0; publishers * ring_len as usize],
            ring_len,
            window: u64::from(window),
            receivers,
        }
    }

    /// How many messages the publisher may send now.
    pub fn vacancy(&self, publisher: usize) -> u64 {
        let span = self.spans[publisher];
        self.window - (span.next - span.oldest)
    }

    /// The sequence number of the publisher's next message, which is now in flight.
    pub fn send(&mut self, publisher: usize) -> u64 {
        let span = &mut self.spans[publisher];
        let sequence = span.next;
        span.next += 1;
        if self.ring_len > 0 {
            debug_assert!(span.next - span.oldest <= self.window);
            self.waiting[publisher * self.ring_len as usize + (sequence & (self.ring_len - 1)) as usize] =
                self.receivers;
        }
        sequence
    }

    /// One receiver got (or will never get) the message. True if the window moved.
    #[inline(always)]
    pub fn release(&mut self, publisher: usize, sequence: u64) -> bool {
        if self.ring_len == 0 {
            return false;
        }
        let base = publisher * self.ring_len as usize;
        let mask = self.ring_len - 1;
        let waiting = &mut self.waiting[base + (sequence & mask) as usize];
        *waiting -= 1;
        *waiting == 0 && self.advance(publisher, base, mask, sequence)
    }

    /// What the publisher has sent so far.
    pub fn sent(&self, publisher: usize) -> u64 {
        self.spans[publisher].next
    }

    /// What all publishers have sent so far.
    pub fn sent_total(&self) -> u64 {
        self.spans.iter().map(|span| span.next).sum()
    }

    /// Receivers get messages in order, so the oldest is also the first to be complete; but a message given up as lost
    /// by its last receiver can complete together with later ones.
    fn advance(&mut self, publisher: usize, base: usize, mask: u64, sequence: u64) -> bool {
        let span = &mut self.spans[publisher];
        if sequence != span.oldest {
            return false;
        }
        while span.oldest < span.next && self.waiting[base + (span.oldest & mask) as usize] == 0 {
            span.oldest += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_moves_with_the_slowest_receiver() {
        let mut windows = Windows::new(2, 3, 2);
        assert_eq!((0..3).map(|_| windows.send(1)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((windows.vacancy(0), windows.vacancy(1)), (3, 0));
        // The fast receiver gets everything: nothing moves.
        for sequence in 0..3 {
            assert!(!windows.release(1, sequence));
        }
        assert!(windows.release(1, 0));
        assert_eq!(windows.vacancy(1), 1);
        assert_eq!(windows.send(1), 3);
        assert!(windows.release(1, 1));
        assert!(windows.release(1, 2));
        assert_eq!((windows.vacancy(1), windows.sent(1), windows.sent_total()), (2, 4, 4));
    }

    #[test]
    fn messages_completed_out_of_turn_leave_with_the_oldest() {
        let mut windows = Windows::new(1, 2, 1);
        windows.send(0);
        windows.send(0);
        assert!(!windows.release(0, 1));
        assert!(windows.release(0, 0));
        assert_eq!(windows.vacancy(0), 2);
    }

    #[test]
    fn without_a_window_nothing_is_counted() {
        let mut windows = Windows::new(1, 0, 5);
        for expected in 0..1000 {
            assert_eq!(windows.send(0), expected);
        }
        assert!(!windows.release(0, 0));
        assert_eq!(windows.sent(0), 1000);
    }
}
