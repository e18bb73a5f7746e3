//! How long an answer that comes in parts may take.
//!
//! A bound on each part alone would let a server send one byte, or an empty frame, just in
//! time for ever, and keep down whatever waits for a verdict. Invariant: what is waited for
//! within one [`Pace`] ends after `patience` and a second for each [`BYTES_PER_SECOND`] that
//! came. Callers bound the bytes, so they bound the time.

use std::time::{Duration, Instant};

/// The slowest rate that counts as an answer: eight transfers beside each other over a line
/// of 1 Mbit/s are each that fast.
const BYTES_PER_SECOND: u64 = 16 << 10;

/// The time that is left for an answer, which grows with what came.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    patience: Duration,
    received: u64,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            began: Instant::now(),
            patience,
            received: 0,
        }
    }

    /// So many bytes more came.
    pub(super) fn received(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(bytes);
    }

    /// Waits for the next part; `None` if it does not come in time.
    pub(super) async fn wait<F: Future>(&self, part: F) -> Option<F::Output> {
        tokio::time::timeout(self.left(self.began.elapsed()), part)
            .await
            .ok()
    }

    /// Until the next part: no longer than an answer may take, nor than the whole may.
    fn left(&self, elapsed: Duration) -> Duration {
        let earned = Duration::from_millis(self.received.saturating_mul(1_000) / BYTES_PER_SECOND);
        let whole = self.patience.saturating_add(earned);
        whole.saturating_sub(elapsed).min(self.patience)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BYTES_PER_SECOND, Pace};

    /// Goal: only bytes buy time, and never more than one part's. Method: the arithmetic.
    #[test]
    fn only_what_came_lengthens_the_wait() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(30 * second);
        assert_eq!(pace.left(Duration::ZERO), 30 * second);
        assert_eq!(pace.left(20 * second), 10 * second);
        assert_eq!(pace.left(31 * second), Duration::ZERO);
        pace.received(usize::try_from(BYTES_PER_SECOND).unwrap() * 60);
        assert_eq!(pace.left(31 * second), 30 * second);
        assert_eq!(pace.left(80 * second), 10 * second);
        assert_eq!(pace.left(90 * second), Duration::ZERO);
        pace.received(0);
        assert_eq!(pace.left(90 * second), Duration::ZERO);
    }
}
