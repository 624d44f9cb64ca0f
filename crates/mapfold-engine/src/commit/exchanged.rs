//! What an interrupted run had exchanged: pieces in files of its scratch folder, named in the commit log.
//!
//! Only a durable exchange leaves any: a split of its map side is done when its record is in the log and the bytes that
//! the record names are there. (That they are the right bytes is checked when they are read.)

use crate::link::unpack;
use mapfold_coord::{Earlier, PartRecord, Replay, SplitId, StageId};
use mapfold_plan::exchange::Stored;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The map sides of exchanges by the number of their stage; what the log says of their splits.
#[derive(Default)]
pub struct Exchanged(BTreeMap<usize, BTreeMap<u64, PartRecord>>);

impl Exchanged {
    /// What the log says of these stages.
    pub fn of(replay: &Replay, stages: &[usize]) -> Exchanged {
        let mut known = Exchanged::default();
        for ((stage, split), record) in &replay.parts {
            let number = stage.0 as usize;
            if stages.contains(&number) {
                known.0.entry(number).or_default().insert(split.0, record.clone());
            }
        }
        known
    }

    /// Splits of a stage whose pieces are still in `scratch`, and those pieces.
    pub fn take(&mut self, stage: StageId, scratch: &Path) -> (Earlier, Vec<Stored>) {
        let (mut earlier, mut pieces) = (Earlier::default(), Vec::new());
        let mut sizes = HashMap::new();
        let mut there = |s: &Stored| {
            let size = sizes.entry(s.file.clone()).or_insert_with(|| size_of(&scratch.join(&s.file)));
            s.offset + s.len <= *size
        };
        for (split, record) in self.0.remove(&(stage.0 as usize)).unwrap_or_default() {
            let stored: Option<Vec<Stored>> = record.data.as_str().and_then(unpack);
            let Some(stored) = stored.filter(|all| all.iter().all(&mut there)) else { continue };
            earlier.done.push(SplitId(split));
            earlier.counters.merge(&record.counters);
            pieces.extend(stored);
        }
        (earlier, pieces)
    }
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}
