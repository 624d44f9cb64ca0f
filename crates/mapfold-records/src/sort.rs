//! Sorting records by byte keys: an order of indices, from eight bytes of each key and the rest only where those tie.
//!
//! Records do not move while they are sorted; 16 bytes per record do: most comparisons then are of two numbers side by
//! side (the key-prefix sort of AlphaSort; Nyberg et al., SIGMOD 1994). Dealing the prefixes into buckets by their upper
//! bits first (MSD radix sort) was measured with 64, 256 and 2048 buckets and cost 20 to 40 % more: the standard library's
//! sort is branchless on such pairs, and the passes of dealing go through memory.
//!
//! The order is stable by index, hence one order only: equal keys stay in input order.
//! Deliberately absent: runs, spilling and merging.

use std::cmp::Ordering;

/// The first eight bytes of a key as a number that sorts as they do, and the number of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// First eight bytes, big-endian; shorter keys are filled up with zeros.
    pub prefix: u64,
    /// Which record.
    pub index: u32,
}

/// The first eight bytes of a key as a number.
#[inline]
pub fn prefix(key: &[u8]) -> u64 {
    if let Some(chunk) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*chunk);
    }
    let mut word = [0; 8];
    word[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(word)
}

/// Sorts entries by prefix, then by `ties` of their indices (which compares whole keys), then by index.
///
/// ```
/// use mapfold_records::sort::{Entry, prefix, sort_entries};
/// let keys = ["pear", "applesauce", "fig", "applesaucer", "fig"];
/// let mut entries: Vec<Entry> = (0u32..).zip(keys).map(|(index, k)| Entry { prefix: prefix(k.as_bytes()), index }).collect();
/// sort_entries(&mut entries, |a, b| keys[a as usize].cmp(keys[b as usize]));
/// assert_eq!(entries.iter().map(|e| e.index).collect::<Vec<_>>(), [1, 3, 2, 4, 0]);
/// ```
pub fn sort_entries(entries: &mut [Entry], ties: impl Fn(u32, u32) -> Ordering) {
    entries.sort_unstable();
    for run in entries.chunk_by_mut(|a, b| a.prefix == b.prefix).filter(|run| run.len() > 1) {
        run.sort_unstable_by(|a, b| ties(a.index, b.index).then_with(|| a.index.cmp(&b.index)));
    }
}

/// Bytes of a record of the sort benchmark.
pub const RECORD: usize = 100;
/// Bytes of its key.
pub const KEY: usize = 10;

/// The order of records of 100 bytes by their keys of 10 bytes; what follows the last whole record is not looked at.
///
/// # Panics
/// Beyond 2^32 records (400 GB).
pub fn order_of_records(records: &[u8]) -> Vec<u32> {
    let rows = records.as_chunks::<RECORD>().0;
    assert!(u32::try_from(rows.len()).is_ok(), "more than 2^32 records in one piece");
    let mut entries: Vec<Entry> =
        rows.iter().zip(0..).map(|(row, index)| Entry { prefix: prefix(row), index }).collect();
    let rest = |i: u32| u16::from_be_bytes([rows[i as usize][8], rows[i as usize][9]]);
    sort_entries(&mut entries, |a, b| rest(a).cmp(&rest(b)));
    entries.iter().map(|e| e.index).collect()
}

/// Writes the records in this order behind `out`.
pub fn gather_records(records: &[u8], order: &[u32], out: &mut Vec<u8>) {
    let rows = records.as_chunks::<RECORD>().0;
    out.reserve(order.len() * RECORD);
    order.iter().for_each(|i| out.extend_from_slice(&rows[*i as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys of several kinds: spread, crowded behind a common beginning, equal.
    fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let key = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            prop::collection::vec(0u8..2, 0..12).prop_map(|tail| [b"common".to_vec(), tail].concat()),
        ];
        (prop::collection::vec(key, 1..60), 0usize..200)
            .prop_map(|(keys, times)| std::iter::repeat_n(keys, times + 1).flatten().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Law: the order is that of a stable sort of the keys.
        #[test]
        fn a_stable_sort(keys in keys()) {
            let mut expected: Vec<u32> = (0..keys.len() as u32).collect();
            expected.sort_by_key(|i| &keys[*i as usize]);
            let mut entries: Vec<Entry> = (0u32..).zip(&keys).map(|(index, k)| Entry { prefix: prefix(k), index }).collect();
            sort_entries(&mut entries, |a, b| keys[a as usize].cmp(&keys[b as usize]));
            prop_assert_eq!(entries.iter().map(|e| e.index).collect::<Vec<_>>(), expected);
        }
    }
}
