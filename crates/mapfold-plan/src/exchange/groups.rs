//! The reduce side: the records of a partition in the order (key, split, sequence), key by key.
//!
//! What fits into the budget is sorted in memory, where it lies. Else pieces are taken in their order, as many as fit,
//! sorted and written as runs; runs are merged 64 at a time until one merge is left, which streams. So a group may be
//! larger than memory: its values pass one by one.

use super::order::{self, Known};
use super::prefetch::prefetch;
use super::raw::RawCombiner;
use super::runs::{self, FAN_IN, Merge, Run, Sizes};
use super::segment::Segment;
use super::store::{Exchanging, Piece, SegmentStore};
use crate::{Error, Result};
use std::sync::Arc;

/// Bytes of index per record in memory: an entry, and half of one while it is sorted.
const INDEX: u64 = 24;

/// How many first bytes of a key name its group; the others only sort.
pub(crate) type Cut = dyn Fn(&[u8]) -> usize + Send + Sync;

/// Records in order.
pub(crate) enum Sorted {
    Memory(Memory),
    Merge(Merge),
}

/// Sorted in memory: entries in order, over segments.
pub(crate) struct Memory {
    segments: Vec<Segment>,
    entries: Vec<u128>,
    at: usize,
}

#[inline]
fn place(number: u64) -> (usize, u32) {
    ((number >> 32) as usize, number as u32)
}

impl Memory {
    /// Sorts segments, which come in the order of (split, sequence).
    pub fn sort(segments: Vec<Segment>) -> Memory {
        let keys = || segments.iter().flat_map(|s| (0..s.rows()).map(move |row| s.key(row)));
        let depth = keys().next().map_or(0, |first| order::common(first, keys()));
        let mut entries = Vec::with_capacity(segments.iter().map(|s| s.rows() as usize).sum());
        for (number, s) in segments.iter().enumerate() {
            let numbered = (0..s.rows()).map(|row| ((number as u64) << 32 | u64::from(row), s.key(row)));
            entries.extend(order::entries(numbered, depth));
        }
        let width = segments.first().and_then(Segment::key_width);
        let known = Known {
            in_runs: segments.iter().all(Segment::is_sorted),
            width: width.filter(|w| segments.iter().all(|s| s.key_width() == Some(*w))),
        };
        let key = |number| {
            let (segment, row) = place(number);
            segments[segment].key(row)
        };
        order::sort(&mut entries, depth, known, &key);
        Memory { segments, entries, at: 0 }
    }

    /// Goes on, and has the record a few places further brought to the cache.
    #[inline]
    fn advance(&mut self) {
        const AHEAD: usize = 12;
        self.at += 1;
        if let Some(entry) = self.entries.get(self.at + AHEAD) {
            let (segment, row) = place(*entry as u64);
            prefetch(self.segments[segment].key(row));
            prefetch(self.segments[segment].value(row));
        }
    }
}

impl Sorted {
    /// The present record.
    #[inline]
    pub fn head(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Sorted::Memory(m) => {
                let (segment, row) = place(*m.entries.get(m.at)? as u64);
                let segment = &m.segments[segment];
                Some((segment.key(row), segment.value(row)))
            }
            Sorted::Merge(m) => m.head(),
        }
    }

    /// Goes on to the next record.
    #[inline]
    pub fn advance(&mut self) -> Result<()> {
        match self {
            Sorted::Memory(m) => m.advance(),
            Sorted::Merge(m) => m.advance()?,
        }
        Ok(())
    }

    /// The records of the pieces of one partition, in order.
    fn of(room: &Exchanging, combiner: Option<&RawCombiner>) -> Result<Sorted> {
        let pieces = in_order(&room.pieces)?;
        if pieces.iter().map(|p| cost(p)).sum::<u64>() <= room.reduce_bytes {
            return Ok(Sorted::Memory(load(&pieces, room.store.as_ref())?));
        }
        let sizes = Sizes::of(room.reduce_bytes);
        let mut files: Arc<dyn SegmentStore> = room.store.scratch()?.into();
        let mut runs = write_runs(&pieces, room, combiner, sizes, files.as_ref())?;
        while runs.len() > FAN_IN {
            let next: Arc<dyn SegmentStore> = room.store.scratch()?.into();
            runs = merge_pass(runs, &files, combiner, sizes, next.as_ref())?;
            files = next; // The runs before are gone with their file.
        }
        Ok(Sorted::Merge(Merge::open(runs, files)?))
    }
}

/// Bytes that sorting a piece in memory takes beyond what it holds already.
fn cost(piece: &Piece) -> u64 {
    piece.len() - piece.held() + u64::from(piece.rows()) * INDEX
}

/// Pieces by (split, sequence).
fn in_order(pieces: &[Piece]) -> Result<Vec<&Piece>> {
    let mut all: Vec<&Piece> = pieces.iter().collect();
    all.sort_by_key(|p| (p.origin().split, p.first_seq()));
    let foreign = all.windows(2).find(|two| {
        let (a, b) = (two[0].origin(), two[1].origin());
        let twice = a.split == b.split && a.attempt != b.attempt;
        twice || (a.exchange, a.partition) != (b.exchange, b.partition)
    });
    match foreign {
        Some(_) if !crate::control::grants()? => Ok(all),
        Some(two) => {
            let (a, b) = (two[0].origin(), two[1].origin());
            Err(Error::job(format!("records of {a:?} came together with those of {b:?} (please report this)")))
        }
        None => Ok(all),
    }
}

fn load(pieces: &[&Piece], store: &dyn SegmentStore) -> Result<Memory> {
    Ok(Memory::sort(pieces.iter().map(|p| p.load(store)).collect::<Result<_>>()?))
}

/// Sorts as many pieces at a time as fit, in their order.
fn write_runs(
    pieces: &[&Piece],
    room: &Exchanging,
    combiner: Option<&RawCombiner>,
    sizes: Sizes,
    to: &dyn SegmentStore,
) -> Result<Vec<Run>> {
    let (mut runs, mut rest) = (Vec::new(), pieces);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |p: &&&Piece| {
            bytes += cost(p);
            bytes <= sizes.batch
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, later) = rest.split_at(count);
        let sorted = Sorted::Memory(load(batch, room.store.as_ref())?);
        runs.push(runs::write(sorted, combiner, sizes, to)?);
        rest = later;
    }
    Ok(runs)
}

/// Merges neighbouring runs, so that those that are left are in order again.
fn merge_pass(
    runs: Vec<Run>,
    from: &Arc<dyn SegmentStore>,
    combiner: Option<&RawCombiner>,
    sizes: Sizes,
    to: &dyn SegmentStore,
) -> Result<Vec<Run>> {
    let (mut out, mut runs) = (Vec::new(), runs.into_iter());
    loop {
        let some: Vec<Run> = runs.by_ref().take(FAN_IN).collect();
        if some.is_empty() {
            return Ok(out);
        }
        let merged = Sorted::Merge(Merge::open(some, from.clone())?);
        out.push(runs::write(merged, combiner, sizes, to)?);
    }
}

/// Records, one handed out at a time.
struct Stream {
    from: Sorted,
    cut: Option<Arc<Cut>>,
    /// Whether the present record has been handed out.
    handed: bool,
    /// Whether the present record is of another group than the one before.
    ended: bool,
    fault: Option<Error>,
}

impl Stream {
    fn group_of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        self.cut.as_ref().map_or(key, |cut| &key[..cut(key).min(key.len())])
    }

    /// Goes past a record that was handed out.
    fn go_on(&mut self) -> Option<()> {
        if std::mem::take(&mut self.handed)
            && let Err(fault) = self.from.advance()
        {
            self.fault = Some(fault);
        }
        self.fault.is_none().then_some(())
    }

    /// The next record of a group.
    fn next_of(&mut self, group: &[u8]) -> Option<(&[u8], &[u8])> {
        if self.ended {
            return None;
        }
        self.go_on()?;
        let (key, value) = self.from.head()?;
        if self.group_of(key) != group {
            self.ended = true;
            return None;
        }
        self.handed = true;
        Some((key, value))
    }
}

/// The groups of a partition, keys ascending. A fault of the disk ends them early and is told when the reducer returns.
pub struct RawGroups {
    stream: Stream,
    key: Vec<u8>,
}

impl RawGroups {
    pub(crate) fn over(from: Sorted, cut: Option<Arc<Cut>>) -> RawGroups {
        RawGroups { stream: Stream { from, cut, handed: false, ended: true, fault: None }, key: Vec::new() }
    }

    /// The groups of the pieces in `room`, within its budget. A `combiner` is applied to what is spilled.
    ///
    /// # Errors
    /// Those of the store; damaged pieces; pieces of two attempts at one split.
    pub fn open(room: &Exchanging, combiner: Option<&RawCombiner>, cut: Option<Arc<Cut>>) -> Result<RawGroups> {
        Ok(RawGroups::over(Sorted::of(room, combiner)?, cut))
    }

    /// The next group; what is left of the one before is skipped.
    #[allow(clippy::should_implement_trait)] // It lends.
    pub fn next(&mut self) -> Option<RawGroup<'_>> {
        while self.stream.next_of(&self.key).is_some() {}
        self.stream.go_on()?;
        let (key, _) = self.stream.from.head()?;
        self.key.clear();
        self.key.extend_from_slice(self.stream.group_of(key));
        self.stream.ended = false;
        let values = RawValues(From::Stream(&mut self.stream, &self.key));
        Some(RawGroup { key: &self.key, values })
    }

    /// Whether no record has come: asked before the first group, it tells a partition without records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stream.from.head().is_none()
    }

    /// Whether all groups were really all.
    ///
    /// # Errors
    /// The fault that ended them early.
    pub fn finish(self) -> Result<()> {
        self.stream.fault.map_or(Ok(()), Err)
    }
}

/// A key and its values.
pub struct RawGroup<'a> {
    /// The key, or the part of it that names the group.
    pub key: &'a [u8],
    /// Its values.
    pub values: RawValues<'a>,
}

/// Values of one key in the order of (whole key, split, sequence); each is there until the next is asked for.
pub struct RawValues<'a>(From<'a>);

enum From<'a> {
    Stream(&'a mut Stream, &'a [u8]),
    Slices(&'a [u8], std::slice::Iter<'a, &'a [u8]>),
}

impl<'a> RawValues<'a> {
    /// Values that are in hand: for combiners before the exchange, and for their tests.
    pub fn of(key: &'a [u8], values: &'a [&'a [u8]]) -> RawValues<'a> {
        RawValues(From::Slices(key, values.iter()))
    }

    /// The next value.
    #[allow(clippy::should_implement_trait)] // It lends.
    pub fn next(&mut self) -> Option<&[u8]> {
        self.next_record().map(|(_, value)| value)
    }

    /// The next value with its whole key, of which the group's may be a part.
    pub fn next_record(&mut self) -> Option<(&[u8], &[u8])> {
        match &mut self.0 {
            From::Stream(stream, group) => stream.next_of(group),
            From::Slices(key, values) => values.next().map(|value| (*key, *value)),
        }
    }
}
