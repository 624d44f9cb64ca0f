//! A header fetched in few requests: the first 64 KiB at once, which for a COG is nearly always all of it; then
//! directories with 64 KiB around them, and arrays outside of that by their exact ranges, together in one request.

use super::fault::Fault;
use super::ifd::HeaderBytes;
use crate::RasterError;
use bytes::Bytes;
use std::ops::Range;

/// Bytes fetched at the start and around each directory that lies elsewhere.
const AROUND: u64 = 64 << 10;
/// What is smaller is fetched with its surroundings.
const SMALL: u64 = 4 << 10;

/// A header behind a function that fetches ranges.
pub(crate) struct Fetching<F> {
    size: u64,
    fetch: F,
    /// What is here already: first byte and bytes.
    pieces: Vec<(u64, Bytes)>,
}

impl<F: FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, RasterError>> Fetching<F> {
    /// Fetches the start of a file of `size` bytes.
    pub(crate) fn new(size: u64, fetch: F) -> Result<Self, Fault> {
        let mut header = Fetching { size, fetch, pieces: Vec::new() };
        if size > 0 {
            header.get(std::slice::from_ref(&(0..size.min(AROUND))))?;
        }
        Ok(header)
    }

    fn here(&self, range: &Range<u64>) -> Option<Bytes> {
        let covers = |(at, bytes): &&(u64, Bytes)| *at <= range.start && range.end <= *at + bytes.len() as u64;
        let (at, bytes) = self.pieces.iter().find(covers)?;
        Some(bytes.slice((range.start - at) as usize..(range.end - at) as usize))
    }

    fn get(&mut self, ranges: &[Range<u64>]) -> Result<(), Fault> {
        let got = (self.fetch)(ranges).map_err(Fault::Bytes)?;
        let whole =
            ranges.len() == got.len() && ranges.iter().zip(&got).all(|(r, b)| r.end - r.start == b.len() as u64);
        if !whole {
            return Fault::damaged("the store gave other bytes than were asked for");
        }
        self.pieces.extend(ranges.iter().map(|r| r.start).zip(got));
        Ok(())
    }
}

impl<F: FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, RasterError>> HeaderBytes for Fetching<F> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Fault> {
        let mut missing: Vec<Range<u64>> = ranges.iter().filter(|r| self.here(r).is_none()).cloned().collect();
        if let [one] = &mut missing[..]
            && one.end - one.start < SMALL
        {
            one.end = (one.start + AROUND).min(self.size);
        }
        if !missing.is_empty() {
            self.get(&merged(missing))?;
        }
        let found = ranges.iter().map(|r| self.here(r));
        found.collect::<Option<Vec<Bytes>>>().ok_or_else(|| Fault::Damaged("header bytes are missing".into()))
    }
}

/// Ranges that touch or nearly touch, made one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|r| (r.start, r.end));
    let mut out: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            Some(last) if r.start <= last.end + SMALL => last.end = last.end.max(r.end),
            _ => out.push(r),
        }
    }
    out
}
