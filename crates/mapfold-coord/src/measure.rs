//! What is counted: seconds by phase and named counters.
//!
//! They live in this room because both the commit records (the truth about counters) and the
//! watch room (which draws them) speak of them. Nothing here reads a clock.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for bytes of an input.
    Read,
    /// Turning bytes into pixels or records.
    Decode,
    /// User code.
    Compute,
    /// Moving records between workers.
    Exchange,
    /// Turning pixels or records into bytes.
    Encode,
    /// Handing bytes to the output.
    Write,
    /// Waiting for memory, a lease, a grant or a peer.
    Wait,
}

impl Phase {
    /// All phases, in the order of the work.
    pub const ALL: [Phase; 7] =
        [Phase::Read, Phase::Decode, Phase::Compute, Phase::Exchange, Phase::Encode, Phase::Write, Phase::Wait];

    /// The lower-case name, as in events and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Read => "read",
            Phase::Decode => "decode",
            Phase::Compute => "compute",
            Phase::Exchange => "exchange",
            Phase::Encode => "encode",
            Phase::Write => "write",
            Phase::Wait => "wait",
        }
    }
}

/// Thread time by [`Phase`], in nanoseconds. Sums never wrap: they stop at `u64::MAX`.
///
/// ```
/// # use mapfold_coord::{Phase, PhaseTimes};
/// # use std::time::Duration;
/// let mut times = PhaseTimes::default();
/// times.add(Phase::Decode, Duration::from_millis(2));
/// times.add(Phase::Decode, Duration::from_millis(3));
/// assert_eq!(times.get(Phase::Decode), Duration::from_millis(5));
/// assert_eq!(serde_json::to_string(&times)?, r#"{"decode":5000000}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes {
    /// Nanoseconds, indexed by `Phase as usize`.
    pub nanos: [u64; 7],
}

impl PhaseTimes {
    /// Adds `time` to one phase.
    pub fn add(&mut self, phase: Phase, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let slot = &mut self.nanos[phase as usize];
        *slot = slot.saturating_add(nanos);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &PhaseTimes) {
        for (slot, nanos) in self.nanos.iter_mut().zip(other.nanos) {
            *slot = slot.saturating_add(nanos);
        }
    }

    /// The time of one phase.
    #[must_use]
    pub fn get(&self, phase: Phase) -> Duration {
        Duration::from_nanos(self.nanos[phase as usize])
    }

    /// The sum of all phases.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.iter().fold(0, |sum, n| sum.saturating_add(*n)))
    }
}

impl Serialize for PhaseTimes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spent = |phase: &Phase| self.nanos[*phase as usize] > 0;
        if !serializer.is_human_readable() {
            return self.nanos.serialize(serializer); // On the wire between processes: no names.
        }
        serializer.collect_map(Phase::ALL.into_iter().filter(spent).map(|p| (p.name(), self.nanos[p as usize])))
    }
}

impl<'de> Deserialize<'de> for PhaseTimes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PhaseTimes, D::Error> {
        if !deserializer.is_human_readable() {
            return Ok(PhaseTimes { nanos: Deserialize::deserialize(deserializer)? });
        }
        let spent = BTreeMap::<Phase, u64>::deserialize(deserializer)?;
        let mut times = PhaseTimes::default();
        for (phase, nanos) in spent {
            times.nanos[phase as usize] = nanos;
        }
        Ok(times)
    }
}

/// Named counts, sorted by name. Fixed names cost no allocation.
///
/// ```
/// # use mapfold_coord::Counters;
/// let mut counters = Counters::default();
/// counters.add("pixels", 100);
/// counters.add("pixels", 20);
/// assert_eq!(counters.get("pixels"), 120);
/// assert_eq!(counters.get("never named"), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<Cow<'static, str>, u64>);

impl Counters {
    /// Adds `count` to the counter of that name.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, count: u64) {
        let slot = self.0.entry(name.into()).or_insert(0);
        *slot = slot.saturating_add(count);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Counters) {
        for (name, count) in &other.0 {
            match self.0.get_mut(name) {
                Some(slot) => *slot = slot.saturating_add(*count),
                None => drop(self.0.insert(name.clone(), *count)),
            }
        }
    }

    /// The count of that name, 0 when it was never added to.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Names and counts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_ref(), *count))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Counters {
    type Item = (&'a Cow<'static, str>, &'a u64);
    type IntoIter = btree_map::Iter<'a, Cow<'static, str>, u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_and_counters_survive_json() {
        let times = PhaseTimes { nanos: [1, 0, 3, 0, 5, 0, u64::MAX] };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<PhaseTimes>(&json).unwrap(), times);
        let mut counters = Counters::default();
        counters.add("a", 1);
        counters.add(String::from("b"), 2);
        let json = serde_json::to_string(&counters).unwrap();
        assert_eq!(json, r#"{"a":1,"b":2}"#);
        assert_eq!(serde_json::from_str::<Counters>(&json).unwrap(), counters);
    }

    #[test]
    fn merging_adds_and_never_wraps() {
        let mut times = PhaseTimes { nanos: [u64::MAX; 7] };
        times.merge(&PhaseTimes { nanos: [1; 7] });
        assert_eq!(times.nanos, [u64::MAX; 7]);
        let mut counters = Counters::default();
        counters.add("a", u64::MAX);
        let more = counters.clone();
        counters.merge(&more);
        assert_eq!(counters.get("a"), u64::MAX);
        assert_eq!(counters.iter().collect::<Vec<_>>(), [("a", u64::MAX)]);
    }
}
