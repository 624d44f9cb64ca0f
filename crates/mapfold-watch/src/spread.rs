//! Least, middle and most of many durations in a little memory, to see skew: one split that takes as long as all others.
//!
//! A histogram whose buckets grow by an eighth of an octave: 10^6 splits cost 4 KiB, the ends are exact and the middle
//! is off by 5 % at most.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Buckets in which a duration doubles.
const PER_OCTAVE: f64 = 8.0;
/// Buckets in all: from 1 ns to 2^64 ns.
const BUCKETS: usize = 64 * 8;

/// Seconds of the fastest, the middle and the slowest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skew {
    /// Of the fastest.
    pub min: f64,
    /// Of the one in the middle, within 5 %.
    pub median: f64,
    /// Of the slowest.
    pub max: f64,
}

/// Durations that were seen.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    buckets: Vec<u32>,
    count: u64,
    ends: Option<(Duration, Duration)>,
}

impl Spread {
    /// Takes note of one.
    ///
    /// ```
    /// use std::time::Duration;
    /// let mut spread = mapfold_watch::Spread::default();
    /// [1, 1, 1, 9].map(|s| spread.add(Duration::from_secs(s)));
    /// let skew = spread.skew().unwrap();
    /// assert_eq!((skew.min, skew.max), (1.0, 9.0));
    /// assert!((skew.median - 1.0).abs() < 0.05);
    /// ```
    pub fn add(&mut self, time: Duration) {
        self.buckets.resize(BUCKETS, 0);
        let bucket = ((time.as_nanos().max(1) as f64).log2() * PER_OCTAVE) as usize;
        let slot = &mut self.buckets[bucket.min(BUCKETS - 1)];
        *slot = slot.saturating_add(1);
        self.count += 1;
        let (min, max) = self.ends.unwrap_or((time, time));
        self.ends = Some((min.min(time), max.max(time)));
    }

    /// What there is to say; `None` before the first.
    pub fn skew(&self) -> Option<Skew> {
        let (min, max) = self.ends?;
        let (mut seen, half) = (0, self.count.div_ceil(2));
        let middle = self.buckets.iter().position(|n| {
            seen += u64::from(*n);
            seen >= half
        })?;
        // The middle of its bucket, but never outside of what was seen.
        let nanos = 2f64.powf((middle as f64 + 0.5) / PER_OCTAVE);
        let (min, max) = (min.as_secs_f64(), max.as_secs_f64());
        Some(Skew { min, median: (nanos / 1e9).clamp(min, max), max })
    }
}
