//! What is refused, told together: a line per reason and interval, however many there were.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::metrics::{Closing, Metrics, Refusal};

/// Tells of refusals until it is dropped, and then of the last ones.
#[derive(Debug)]
pub struct RefusalLog {
    /// Dropped to end the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RefusalLog {
    /// # Errors
    /// No thread could be started.
    pub fn start(metrics: Arc<Metrics>) -> io::Result<RefusalLog> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("refusals".to_owned()).spawn(move || {
            let mut told = Told::default();
            let mut began = Instant::now();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                told.tell(&metrics, began.elapsed());
                began = Instant::now();
            }
            told.tell(&metrics, began.elapsed());
        })?;
        Ok(RefusalLog { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for RefusalLog {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It only reads and writes lines; had it panicked, there would be nothing to add.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What was told before.
#[derive(Default)]
struct Told {
    refusals: [u64; Refusal::ALL.len()],
    closings: [u64; Closing::ALL.len()],
}

impl Told {
    /// Tells what has come since the last time, `interval` ago.
    fn tell(&mut self, metrics: &Metrics, interval: Duration) {
        let seconds = interval.as_secs_f64().ceil() as u64;
        let refusals = metrics.refusals();
        for (reason, count) in grown(&mut self.refusals, refusals) {
            let reason = Refusal::ALL[reason].name();
            tracing::info!(reason, count, seconds, "refused {count}: {reason} in the last {seconds} s");
        }
        let closings = metrics.closings();
        for (how, count) in grown(&mut self.closings, closings) {
            let how = Closing::ALL[how];
            if is_refusal(how) {
                let code = how.name();
                tracing::info!(code, count, seconds, "closed {count} clients: {code} in the last {seconds} s");
            }
        }
    }
}

/// Where counts have grown, and by how much; they become what was told.
fn grown<const N: usize>(told: &mut [u64; N], counts: [u64; N]) -> Vec<(usize, u64)> {
    let before = std::mem::replace(told, counts);
    let grown = counts.iter().zip(before).map(|(now, before)| now.saturating_sub(before));
    grown.enumerate().filter(|(_, count)| *count > 0).collect()
}

/// Whether a WebSocket that ends so was refused something, or just ended.
fn is_refusal(how: Closing) -> bool {
    match how {
        Closing::ProtocolError
        | Closing::InvalidText
        | Closing::PolicyViolation
        | Closing::TooLarge
        | Closing::TryAgainLater
        | Closing::SlowConsumer => true,
        Closing::Client
        | Closing::Lost
        | Closing::ServiceRestart
        | Closing::TokenEnded
        | Closing::ChannelDeleted
        | Closing::ChannelExpired => false,
    }
}

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut told = [0; 3];
        assert_eq!(grown(&mut told, [0, 5, 1]), [(1, 5), (2, 1)]);
        assert_eq!(grown(&mut told, [0, 5, 3]), [(2, 2)]);
        assert_eq!(grown(&mut told, [0, 5, 3]), []);
    }
}
