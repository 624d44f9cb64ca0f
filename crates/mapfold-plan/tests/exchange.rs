//! Laws of the exchange over bytes: the order of records, budgets, damaged bytes.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use mapfold_plan::exchange::{
    Exchanging, MapOutput, Origin, Piece, PieceAt, RawCombiner, RawGroups, RawValues, Segment, SegmentBuf,
    SegmentStore, Stored,
};
use mapfold_plan::{Error, Result, partition_of};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// One file in memory; counts the files that were made for runs.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    scratches: Arc<Mutex<u32>>,
}

impl SegmentStore for Disk {
    fn append(&self, parts: &[&[u8]]) -> Result<(String, u64)> {
        let mut all = self.bytes.lock().unwrap();
        let at = all.len() as u64;
        parts.iter().for_each(|p| all.extend_from_slice(p));
        Ok(("disk".into(), at))
    }

    fn read(&self, file: &str, range: Range<u64>) -> Result<Bytes> {
        assert_eq!(file, "disk");
        let all = self.bytes.lock().unwrap();
        let found = all.get(range.start as usize..range.end as usize);
        found.map(Bytes::copy_from_slice).ok_or_else(|| Error::job("too short"))
    }

    fn scratch(&self) -> Result<Box<dyn SegmentStore>> {
        *self.scratches.lock().unwrap() += 1;
        Ok(Box::new(Disk::default()))
    }
}

type Record = (Vec<u8>, Vec<u8>);

/// What some splits put, as pieces, in an order that a seed says.
fn put(splits: &[Vec<Record>], partitions: u32, map_bytes: u64, disk: &Disk) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (split, records) in splits.iter().enumerate().rev() {
        let room = Exchanging { store: Arc::new(disk.clone()), map_bytes, ..Exchanging::default() };
        let mut out = MapOutput::new(&room, 5, split as u64, partitions);
        for (key, value) in records {
            out.put(partition_of(key, partitions), key, value).unwrap();
        }
        pieces.extend(out.finish());
    }
    pieces
}

fn reduce(pieces: Vec<Piece>, reduce_bytes: u64, disk: &Disk, combiner: Option<&RawCombiner>) -> Vec<Record> {
    let room = Exchanging { store: Arc::new(disk.clone()), reduce_bytes, pieces, ..Exchanging::default() };
    let mut groups = RawGroups::open(&room, combiner, None).unwrap();
    let mut out = Vec::new();
    while let Some(mut group) = groups.next() {
        while let Some(value) = group.values.next() {
            out.push((group.key.to_vec(), value.to_vec()));
        }
    }
    groups.finish().unwrap();
    out
}

fn all_partitions(splits: &[Vec<Record>], partitions: u32, map_bytes: u64, reduce_bytes: u64) -> Vec<Vec<Record>> {
    let disk = Disk::default();
    let mut by_partition: Vec<Vec<Piece>> = vec![Vec::new(); partitions as usize];
    for piece in put(splits, partitions, map_bytes, &disk) {
        by_partition[piece.origin().partition as usize].push(piece);
    }
    by_partition.into_iter().map(|pieces| reduce(pieces, reduce_bytes, &disk, None)).collect()
}

/// The law, written down naively.
fn expected(splits: &[Vec<Record>], partitions: u32) -> Vec<Vec<Record>> {
    let mut out = vec![Vec::new(); partitions as usize];
    for record in splits.iter().flatten() {
        out[partition_of(&record.0, partitions) as usize].push(record.clone());
    }
    out.iter_mut().for_each(|p| p.sort_by(|a, b| a.0.cmp(&b.0))); // Stable: splits and sequence stay.
    out
}

fn records(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()];
    let key = prop_oneof![
        prop::collection::vec(byte.clone(), 10..11),
        prop::collection::vec(byte.clone(), 0..4),
        prop::collection::vec(byte, 0..40),
    ];
    prop::collection::vec((key, prop::collection::vec(any::<u8>(), 0..12)), 0..most)
}

proptest! {
    #[test]
    fn any_budget_gives_the_same_order(
        splits in prop::collection::vec(records(40), 1..6),
        partitions in 1u32..4,
        map_bytes in prop_oneof![Just(0u64), Just(300), Just(1 << 20)],
        reduce_bytes in prop_oneof![Just(0u64), Just(600), Just(1 << 20)],
    ) {
        prop_assert_eq!(all_partitions(&splits, partitions, map_bytes, reduce_bytes), expected(&splits, partitions));
    }

    #[test]
    fn a_segment_comes_back_and_damage_is_an_error(
        records in records(30),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut buf = SegmentBuf::default();
        records.iter().for_each(|(k, v)| buf.push(k, v).unwrap());
        let origin = Origin { exchange: 1, partition: 2, split: 3, attempt: 4 };
        let sealed = buf.seal(origin, 77, false);
        let read = Segment::decode(sealed.to_bytes()).unwrap();
        prop_assert_eq!((read.origin(), read.first_seq(), read.rows() as usize), (origin, 77, records.len()));
        for (row, (k, v)) in records.iter().enumerate() {
            prop_assert_eq!((read.key(row as u32), read.value(row as u32)), (k.as_slice(), v.as_slice()));
        }
        let mut damaged = sealed.to_bytes().to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        prop_assert!(Segment::decode(damaged.into()).is_err());
        let shorter = sealed.to_bytes().slice(..cut.index(sealed.len() as usize));
        prop_assert!(Segment::decode(shorter).is_err());
    }

    /// Lies with a right checksum: whatever is let through can be read without a panic.
    #[test]
    fn forged_segments_do_not_panic(
        records in records(8),
        lies in prop::collection::vec((4usize..120, any::<u8>()), 1..4),
    ) {
        let mut buf = SegmentBuf::default();
        records.iter().for_each(|(k, v)| buf.push(k, v).unwrap());
        let mut bytes = buf.seal(Origin::default(), 0, false).to_bytes().to_vec();
        lies.iter().for_each(|(at, byte)| if let Some(b) = bytes.get_mut(*at) { *b = *byte });
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(&bytes[..56]);
        hash.update(&bytes[64..]);
        let sum = hash.digest().to_le_bytes();
        bytes[56..64].copy_from_slice(&sum);
        if let Ok(s) = Segment::decode(bytes.into()) {
            let total: usize = (0..s.rows()).map(|row| s.key(row).len() + s.value(row).len()).sum();
            prop_assert!(total as u64 <= s.len());
        }
    }

    #[test]
    fn noise_is_no_segment(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Segment::decode(bytes.into()).is_err());
    }
}

/// A pseudo-random number.
fn mix(i: u64) -> u64 {
    mapfold_plan::hash64(&i.to_le_bytes())
}

#[test]
fn more_runs_than_are_merged_at_once_keep_the_order() {
    let record = |split: u64, i: u64| {
        let key = mix(split * 1000 + i) % 500;
        (key.to_be_bytes().to_vec(), format!("{split} {i}").into_bytes())
    };
    let splits: Vec<Vec<Record>> = (0..600).map(|s| (0..400).map(|i| record(s, i)).collect()).collect();
    let disk = Disk::default();
    let pieces = put(&splits, 1, 1 << 30, &disk);
    // Each split is a piece, and a batch of 64 KiB holds a few of them: far more than 64 runs.
    let got = reduce(pieces, 1, &disk, None);
    assert!(*disk.scratches.lock().unwrap() >= 2, "more than one pass is tried here");
    assert_eq!(got, expected(&splits, 1)[0]);
}

/// Adds numbers.
fn sum(_: &[u8], values: &mut RawValues<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut total = 0u64;
    while let Some(v) = values.next() {
        total += u64::from_le_bytes(v.try_into().map_err(|_| Error::job("not a number"))?);
    }
    out.extend_from_slice(&total.to_le_bytes());
    Ok(())
}

#[test]
fn combiners_on_spilled_runs_lose_nothing_and_shrink_them() {
    let one = 1u64.to_le_bytes().to_vec();
    let splits: Vec<Vec<Record>> =
        (0..100).map(|s| (0..1000).map(|i| (vec![(mix(s * 1000 + i) % 50) as u8], one.clone())).collect()).collect();
    let disk = Disk::default();
    let got = reduce(put(&splits, 1, 1 << 30, &disk), 1, &disk, Some(&sum));
    let mut counts = BTreeMap::new();
    for (key, value) in &got {
        *counts.entry(key.clone()).or_insert(0) += u64::from_le_bytes(value.as_slice().try_into().unwrap());
    }
    assert_eq!((counts.len(), counts.values().sum::<u64>()), (50, 100_000));
    assert!(got.len() < 50 * 70, "{} values are left of 100,000", got.len());
}

#[test]
fn pieces_of_two_attempts_are_refused() {
    let piece = |attempt| {
        let mut buf = SegmentBuf::default();
        buf.push(b"k", b"v").unwrap();
        Piece(PieceAt::Held(buf.seal(Origin { attempt, ..Origin::default() }, 0, false)))
    };
    let room = Exchanging { pieces: vec![piece(1), piece(2)], ..Exchanging::default() };
    assert!(RawGroups::open(&room, None, None).is_err());
}

#[test]
fn a_record_of_a_piece_is_enough_to_read_it_elsewhere() {
    let disk = Disk::default();
    let splits = vec![vec![(b"k".to_vec(), b"v".to_vec())]];
    let pieces = put(&splits, 1, 0, &disk);
    let told = postcard::to_stdvec(pieces[0].stored().unwrap()).unwrap();
    let stored: Stored = postcard::from_bytes(&told).unwrap();
    let elsewhere = Piece(PieceAt::Stored(stored.clone()));
    assert_eq!(elsewhere.load(&disk).unwrap().value(0), b"v");
    let wrong = Piece(PieceAt::Stored(Stored { rows: 2, ..stored }));
    assert!(wrong.load(&disk).unwrap_err().place().unwrap().contains("disk at 0"));
}

#[test]
fn a_partition_that_does_not_exist_is_an_error() {
    let room = Exchanging::default();
    let e = MapOutput::new(&room, 0, 0, 4).put(4, b"", b"").unwrap_err();
    assert!(e.to_string().contains("gave 4; there are 4 partitions"), "{e}");
}
