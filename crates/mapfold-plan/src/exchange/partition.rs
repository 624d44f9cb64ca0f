//! Which partition a key falls into: by hash, by ranges (for a total order), or by the job's own rule.
//!
//! Every rule sees bytes of keys and the number of partitions, which is a plan constant, and nothing else; so a record
//! is in the same partition whatever the workers, threads and memory.

use super::order::prefix;
use crate::{Error, Key, Result, partition_of};
use std::sync::Arc;

/// A rule from key bytes and the number of partitions to a partition.
pub type Rule = dyn Fn(&[u8], u32) -> u32 + Send + Sync;

/// Which partition a key falls into.
#[derive(Clone, Default)]
pub enum Partitioner {
    /// By a fixed hash: evenly, without an order between partitions.
    #[default]
    Hash,
    /// By ranges: partition 0 has the lowest keys, so that all partitions together are in order.
    Range(Arc<RangePartitioner>),
    /// By the job's own rule.
    Rule(Arc<Rule>),
}

impl Partitioner {
    /// The partition of a key, below `partitions`.
    ///
    /// # Errors
    /// When a rule gives another number.
    #[inline]
    pub fn of(&self, key: &[u8], partitions: u32) -> Result<u32> {
        match self {
            Partitioner::Hash => Ok(partition_of(key, partitions)),
            Partitioner::Range(ranges) => Ok(ranges.of(key).min(partitions - 1)),
            Partitioner::Rule(rule) => Partitioner::checked(rule(key, partitions), partitions),
        }
    }

    /// The same when the hash of the key is known.
    #[inline]
    pub(crate) fn of_hashed(&self, key: &[u8], hash: u64, partitions: u32) -> Result<u32> {
        match self {
            Partitioner::Hash => Ok(crate::key::scaled(hash, partitions)),
            _ => self.of(key, partitions),
        }
    }

    /// What a rule gave, if there is such a partition.
    pub(crate) fn checked(partition: u32, partitions: u32) -> Result<u32> {
        if partition < partitions { Ok(partition) } else { Err(no_partition(partition, partitions)) }
    }

    /// For `--explain` and the fingerprint.
    pub(crate) fn describe(&self) -> String {
        match self {
            Partitioner::Hash => String::new(),
            Partitioner::Range(r) => format!(" by {} ranges, {:016x}", r.partitions(), r.fingerprint()),
            Partitioner::Rule(_) => " by a rule of the job".into(),
        }
    }
}

/// A rule has given a partition that does not exist.
#[cold]
pub(crate) fn no_partition(partition: u32, partitions: u32) -> Error {
    let what = format!("the partitioner gave {partition}; there are {partitions} partitions, numbered from 0");
    Error::job(what).with_remedy("give a number below the count that the partitioner is called with")
}

impl From<RangePartitioner> for Partitioner {
    fn from(ranges: RangePartitioner) -> Partitioner {
        Partitioner::Range(Arc::new(ranges))
    }
}

/// Ranges of keys, cut where a sample says that each gets about as many records.
///
/// The sample is drawn while planning (through [`crate::Plan::ask`], so that every member of a job has the same one).
///
/// ```
/// use mapfold_plan::exchange::RangePartitioner;
/// let ranges = RangePartitioner::from_sample([b"kiwi", b"plum", b"fig_", b"pear"], 2);
/// assert_eq!(ranges.partitions(), 2);
/// assert_eq!((ranges.of(b"fig"), ranges.of(b"kiwi"), ranges.of(b"pear"), ranges.of(b"zz")), (0, 0, 1, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangePartitioner {
    /// Lowest key of each partition but the first, ascending, each once.
    bounds: Vec<Vec<u8>>,
    prefixes: Vec<u64>,
}

impl RangePartitioner {
    /// At most `partitions` ranges with about as many keys of the sample in each. Fewer where the sample has too few
    /// distinct keys: records with equal keys stay together.
    pub fn from_sample<B: AsRef<[u8]>>(sample: impl IntoIterator<Item = B>, partitions: u32) -> RangePartitioner {
        let mut keys: Vec<Vec<u8>> = sample.into_iter().map(|k| k.as_ref().to_vec()).collect();
        keys.sort_unstable();
        let cut = |i: u32| (u64::from(i) * keys.len() as u64 / u64::from(partitions.max(1))) as usize;
        let mut bounds: Vec<Vec<u8>> = (1..partitions).filter_map(|i| keys.get(cut(i)).cloned()).collect();
        bounds.dedup();
        if bounds.first().is_some_and(|first| Some(first) == keys.first()) {
            bounds.remove(0); // Nothing of the sample is below it.
        }
        let prefixes = bounds.iter().map(|b| prefix(b, 0)).collect();
        RangePartitioner { bounds, prefixes }
    }

    /// The same from typed keys.
    ///
    /// # Errors
    /// When a `Key` gives columns of other types than it says.
    pub fn from_keys<K: Key>(sample: &[K], partitions: u32) -> Result<RangePartitioner> {
        let bytes = |k: &K| {
            let mut row = Vec::new();
            k.write_row(&mut row).map(|()| row)
        };
        Ok(RangePartitioner::from_sample(sample.iter().map(bytes).collect::<Result<Vec<_>>>()?, partitions))
    }

    /// Number of ranges.
    pub fn partitions(&self) -> u32 {
        self.bounds.len() as u32 + 1
    }

    /// The range of a key: how many bounds are at or below it.
    #[inline]
    pub fn of(&self, key: &[u8]) -> u32 {
        let mine = prefix(key, 0);
        let mut at = self.prefixes.partition_point(|p| *p < mine);
        while at < self.bounds.len() && self.prefixes[at] == mine && self.bounds[at].as_slice() <= key {
            at += 1;
        }
        at as u32
    }

    fn fingerprint(&self) -> u64 {
        let text = self.bounds.iter().flat_map(|b| [&(b.len() as u64).to_le_bytes()[..], b].concat());
        crate::hash64(&text.collect::<Vec<u8>>())
    }
}

/// Up to `count` different numbers below `among`, ascending, from a seed: which records of an input to sample.
///
/// ```
/// use mapfold_plan::exchange::seeded_picks;
/// let picks = seeded_picks(7, 3, 1000);
/// assert_eq!(picks, seeded_picks(7, 3, 1000));
/// assert!(picks.len() == 3 && picks.iter().all(|i| *i < 1000));
/// ```
pub fn seeded_picks(seed: u64, count: u64, among: u64) -> Vec<u64> {
    // One from each of `count` equal stretches: as good as independent picks for ranges, and never twice the same.
    let count = count.min(among);
    let pick = |i: u64| {
        let (from, to) = (scale(i, among, count), scale(i + 1, among, count));
        let hash = crate::hash64(&[seed.to_le_bytes(), i.to_le_bytes()].concat());
        from + hash % (to - from)
    };
    (0..count).map(pick).collect()
}

fn scale(i: u64, among: u64, count: u64) -> u64 {
    (u128::from(i) * u128::from(among) / u128::from(count)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_keep_the_order_of_keys(
            sample in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..50),
            mut keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..50),
            partitions in 1u32..20,
        ) {
            let ranges = RangePartitioner::from_sample(&sample, partitions);
            prop_assert!(ranges.partitions() <= partitions);
            keys.extend(sample);
            keys.sort();
            let of: Vec<u32> = keys.iter().map(|k| ranges.of(k)).collect();
            prop_assert!(of.is_sorted() && of.iter().all(|p| *p < ranges.partitions()));
        }
    }

    #[test]
    fn a_sample_is_cut_evenly() {
        let sample: Vec<[u8; 8]> = (0..10_000u64).map(u64::to_be_bytes).collect();
        let ranges = RangePartitioner::from_sample(&sample, 16);
        let mut counts = [0; 16];
        sample.iter().for_each(|k| counts[ranges.of(k) as usize] += 1);
        assert_eq!(counts, [625; 16]);
    }
}
