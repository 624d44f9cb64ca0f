//! How a table of distinct things grows with what it reads: an estimate from a sample, for the memory plan.
//!
//! What a fold holds depends on its input: a gigabyte of text may have a thousand words or a hundred million. A job looks
//! at a sample while planning, three times: after a quarter of it, after half, and at the end. Between these looks the
//! growth bends, and it bends on in the same way (each doubling adds a share that falls by the same factor). What comes
//! out is never more than growth in proportion. It is an estimate: budgets are made of it, and what does not fit into
//! them is spilled.

use crate::Load;
use serde::{Deserialize, Serialize};

/// A table after some input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Bytes that it holds.
    pub memory: u64,
    /// Records that it gives away.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What is to be expected of a fold and of the exchange behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of one split.
    pub split: Look,
    /// What all splits give away.
    pub load: Load,
}

/// A table after a quarter, a half and all of a sample.
///
/// ```
/// use mapfold_plan::growth::{Growth, Look};
/// let look = |n: u64| Look { memory: 100 * n, records: n, bytes: 20 * n };
/// let all_new = Growth::new([look(250), look(500), look(1000)], 1000);
/// assert_eq!(all_new.after(16_000), look(16_000));
/// let known_soon = Growth::new([look(90), look(100), look(100)], 1000);
/// assert_eq!(known_soon.after(16_000), look(100));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    looks: [Look; 3],
    sample: u64,
}

impl Growth {
    /// From three looks at a table while it read `sample` units: bytes, or rows.
    pub fn new(looks: [Look; 3], sample: u64) -> Growth {
        Growth { looks, sample: sample.max(1) }
    }

    /// Takes the looks while `table` reads the pieces of a sample, of so many `units` each; `None` for an empty one.
    ///
    /// # Errors
    /// Those of `add` and `look`.
    pub fn watch<T, P, E>(
        (mut table, pieces): (T, &[P]),
        units: impl Fn(&P) -> u64,
        add: impl Fn(&mut T, &P) -> Result<(), E>,
        look: impl Fn(&T) -> Result<Look, E>,
    ) -> Result<Option<Growth>, E> {
        let total: u64 = pieces.iter().map(&units).sum();
        let (mut seen, mut looks) = (0, Vec::new());
        for piece in pieces {
            add(&mut table, piece)?;
            seen += units(piece);
            while total > 0 && looks.len() < 3 && seen >= total >> (2 - looks.len()) {
                looks.push(look(&table)?);
            }
        }
        Ok(looks.try_into().ok().map(|looks| Growth::new(looks, total)))
    }

    /// What each of `splits` splits of `units` keeps, and what all of them give away.
    pub fn expected(&self, units: u64, splits: u64) -> Expected {
        let split = self.after(units);
        Expected { split, load: Load { records: split.records * splits, bytes: split.bytes * splits } }
    }

    /// The table after `units`, about.
    pub fn after(&self, units: u64) -> Look {
        let of = |part: fn(&Look) -> u64| {
            extrapolated(self.looks.map(|l| part(&l) as f64), units as f64 / self.sample as f64)
        };
        Look { memory: of(|l| l.memory), records: of(|l| l.records), bytes: of(|l| l.bytes) }
    }
}

/// The value after `times` as much as led to the last of `looks`, each of which had twice as much as the one before.
fn extrapolated([quarter, half, whole]: [f64; 3], times: f64) -> u64 {
    let gained = |from: f64, to: f64| if from > 0.0 { (to / from).log2().clamp(0.0, 1.0) } else { 1.0 };
    let (before, last) = (gained(quarter, half), gained(half, whole));
    // Less than was looked at: it bends less there, so this is not too little.
    let inside = |value: f64, exponent: f64, times: f64| (value * times.powf(exponent)).ceil() as u64;
    if times <= 0.5 {
        return inside(half, before, 2.0 * times);
    }
    if times <= 1.0 {
        return inside(whole, last, times);
    }
    let bend = if before > 0.0 { (last / before).clamp(0.0, 1.0) } else { 0.0 };
    let (mut doublings, mut exponent, mut value) = (times.log2(), last, whole);
    while doublings > 0.0 {
        exponent *= bend;
        value *= (exponent * doublings.min(1.0)).exp2();
        doublings -= 1.0;
    }
    value as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Distinct numbers among `n` draws from `of`, all alike: the mean is known.
    fn distinct(n: f64, of: f64) -> f64 {
        of * (1.0 - (-n / of).exp())
    }

    #[test]
    fn draws_from_few_and_from_many_are_met() {
        for of in [1e3, 1e4, 1e5, 1e6, 1e8] {
            let (sample, whole) = (1e5, 1.6e6);
            let looks = [4.0, 2.0, 1.0].map(|part| distinct(sample / part, of));
            let (want, got) = (distinct(whole, of), extrapolated(looks, whole / sample) as f64);
            assert!(got > 0.8 * want && got < 2.2 * want, "of {of}: {want} are there, {got} expected");
        }
    }

    #[test]
    fn pieces_are_watched_at_their_quarters() {
        let add = |sum: &mut u64, piece: &u64| {
            *sum += piece;
            Ok::<(), ()>(())
        };
        let look = |sum: &u64| Ok(Look { memory: *sum, records: *sum, bytes: 2 * sum });
        let growth = Growth::watch((0, &[1; 100][..]), |p| *p, add, look).unwrap().unwrap();
        assert_eq!(growth.looks.map(|l| l.memory), [25, 50, 100]);
        assert_eq!([12, 25, 50, 75].map(|units| growth.after(units).memory), [12, 25, 50, 75]);
        assert_eq!(growth.expected(200, 3).load, Load { records: 600, bytes: 1200 });
        assert_eq!(Growth::watch((0, &[][..]), |p: &u64| *p, add, look), Ok(None));
    }
}
