//! The bytes that a split reads: those the engine fetched, and from the store what is not among them.

use super::input::InputFile;
use crate::Ranges;
use bytes::Bytes;
use mapfold_plan::{Cx, Need, Result};
use mapfold_store::Stores;
use std::ops::Range;

/// Fetched beyond the end of a split: most lines end there.
const BEYOND: u64 = 64 << 10;

/// A file, as a split reads it.
pub(super) struct SplitBytes<'a> {
    stores: &'a Stores,
    file: &'a InputFile,
    name: String,
    /// Where the fetched bytes begin, and they.
    fetched: Option<(u64, Bytes)>,
}

/// What the engine is asked to fetch for a split.
pub(super) fn need(file: &InputFile, range: Range<u64>) -> Option<Need> {
    let range = range.start..(range.end + BEYOND).min(file.size);
    (file.is_fetched() && !range.is_empty()).then_some(Need { file: file.file, range })
}

impl<'a> SplitBytes<'a> {
    pub fn new(stores: &'a Stores, file: &'a InputFile, split: Range<u64>, cx: &Cx<'_>) -> Result<SplitBytes<'a>> {
        let fetched = match need(file, split) {
            Some(need) => Some((need.range.start, cx.fetched().bytes(need.file, &need.range)?)),
            None => None,
        };
        Ok(SplitBytes { stores, file, name: file.loc.to_string(), fetched })
    }
}

impl Ranges for SplitBytes<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.file.size
    }

    fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        if let Some((at, bytes)) = &self.fetched
            && *at <= start
            && start + len as u64 <= *at + bytes.len() as u64
        {
            let from = (start - at) as usize;
            return Ok(bytes.slice(from..from + len));
        }
        Ok(self.stores.block_on(self.stores.read(&self.file.loc, start..start + len as u64))?)
    }
}
