//! Sorting records by key, without moving them and without a comparison of keys where eight bytes of them tell.
//!
//! An entry is a `u128`: eight bytes of the key above a record's number. Sorting these numbers sorts records by
//! (prefix, number), in cache-friendly memory and without branches on data. Where prefixes are equal, the next eight
//! bytes decide, and so on; bytes that all keys have in common are skipped at the start. Equal keys stay in the order of
//! their numbers.

use std::ops::Range;

/// Keys that are equal in so many bytes are compared as a whole.
const DEEP: usize = 64;

/// The number of a record, under which its key is found.
#[inline]
pub(crate) fn index(entry: u128) -> usize {
    entry as u64 as usize
}

/// Eight bytes of a key from `depth` on, as a number that sorts as they do; zeros behind the end.
#[inline]
pub(crate) fn prefix(key: &[u8], depth: usize) -> u64 {
    let rest = key.get(depth..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => rest.iter().rev().fold(0, |n, b| n >> 8 | u64::from(*b) << 56),
    }
}

#[inline]
fn entry(prefix: u64, number: u64) -> u128 {
    u128::from(prefix) << 64 | u128::from(number)
}

/// How many first bytes all keys have in common with `first`.
pub(crate) fn common<'a>(first: &[u8], keys: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut common = first.len();
    for key in keys {
        if !key.starts_with(&first[..common]) {
            common = first.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common == 0 {
                break;
            }
        }
    }
    common
}

/// Entries of records with the given numbers, ready for [`sort`] at the same depth.
pub(crate) fn entries<'a>(numbered: impl Iterator<Item = (u64, &'a [u8])>, depth: usize) -> impl Iterator<Item = u128> {
    numbered.map(move |(number, key)| entry(prefix(key, depth), number))
}

/// What is known of keys before they are sorted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// Their entries are mostly in order already.
    pub in_runs: bool,
    /// All have this width.
    pub width: Option<usize>,
}

/// Sorts entries whose prefixes are those at `depth`, and whose keys are equal before it.
pub(crate) fn sort<'a>(all: &mut [u128], depth: usize, known: Known, key: &impl Fn(u64) -> &'a [u8]) {
    if known.in_runs {
        all.sort();
    } else {
        all.sort_unstable();
    }
    if known.width.is_some_and(|width| width <= depth + 8) {
        return; // Entries with one prefix have one key.
    }
    let mut from = 0;
    while from < all.len() {
        let run = equal_prefixes(all, from);
        from = run.end;
        if run.len() > 1 {
            sort_equal(&mut all[run], depth, key);
        }
    }
}

fn equal_prefixes(all: &[u128], from: usize) -> Range<usize> {
    let prefix = all[from] >> 64;
    let len = all[from..].iter().take_while(|e| **e >> 64 == prefix).count();
    from..from + len
}

/// Sorts entries with one prefix, in the order of their numbers so far.
fn sort_equal<'a>(run: &mut [u128], depth: usize, key: &impl Fn(u64) -> &'a [u8]) {
    let lens = || run.iter().map(|e| key(*e as u64).len());
    let (least, most) = (lens().min().unwrap_or(0), lens().max().unwrap_or(0));
    let next = depth + 8;
    if least == most && most <= next {
        return; // The whole keys are equal.
    }
    if least < next || next > DEEP {
        run.sort_by(|a, b| key(*a as u64).cmp(key(*b as u64)));
        return;
    }
    run.iter_mut().for_each(|e| *e = entry(prefix(key(*e as u64), next), *e as u64));
    sort(run, next, Known::default(), key);
}

/// The entries of keys `0..count` in order.
pub(crate) fn sorted<'a>(count: usize, key: impl Fn(usize) -> &'a [u8]) -> Vec<u128> {
    if count == 0 {
        return Vec::new();
    }
    let depth = common(key(0), (1..count).map(&key));
    let mut all: Vec<u128> = entries((0..count).map(|i| (i as u64, key(i))), depth).collect();
    sort(&mut all, depth, Known::default(), &|i| key(i as usize));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_as_bytes_do_and_equal_ones_stay(
            common in prop::collection::vec(any::<u8>(), 0..70),
            tails in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..20), 1..60),
        ) {
            let keys: Vec<Vec<u8>> = tails.iter().map(|t| [common.as_slice(), t].concat()).collect();
            let mut expected: Vec<usize> = (0..keys.len()).collect();
            expected.sort_by_key(|i| &keys[*i]);
            let got: Vec<usize> = sorted(keys.len(), |i| &keys[i]).into_iter().map(index).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
