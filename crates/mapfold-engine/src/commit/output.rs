//! One output of a job: its streams, the parts that an earlier run committed, its file, its place.
//!
//! Nothing is decided here: [`super::Commit`] decides all outputs at once.

use super::faults::about_output;
use super::folder;
use super::layout::{Known, Means, PoolUnits, assemble};
use super::made::{is_list, is_made};
use crate::link::unpack;
use crate::outcome::OutputDone;
use crate::streams::{Streams, is_file};
use mapfold_coord::{Counters, Earlier, FileRecord, Generation, JobFolder, Replay, SplitId, StageId};
use mapfold_plan::{Error, FinishCx, Output, OutputShape, PartRecord, Result, Stage};
use mapfold_store::{Loc, Replace, Stores};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The laid-out file in the work folder.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its name there.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it is a stream completed in place.
    pub in_place: bool,
    /// That of a folder's `_SUCCESS`, or xxh3 of a file of an attempt, or that of the list of a file's runs; else empty.
    pub checksum: String,
}

/// An output of a running job.
pub struct OutputRun {
    stage: Arc<dyn Stage>,
    id: StageId,
    stores: Stores,
    dir: Loc,
    /// Parts that an earlier run committed.
    pub earlier: Vec<PartRecord>,
    /// What those parts counted.
    counted: BTreeMap<SplitId, Counters>,
    /// The generation of the stage that those parts are of: what follows must not be of an earlier one.
    generation: Generation,
    /// How many had its work folder before.
    pub(super) life: u32,
    /// Splits that a decided run had given up.
    pub given_up: Vec<SplitId>,
    pub(super) whole: Option<Whole>,
}

impl OutputRun {
    pub(super) fn new(stage: &Arc<dyn Stage>, id: StageId, stores: &Stores) -> Result<OutputRun> {
        let out = stage.output().ok_or_else(|| Error::job("only stages with an output are claimed"))?;
        Ok(OutputRun {
            dir: JobFolder::parts_for(out.loc()),
            stage: stage.clone(),
            id,
            stores: stores.clone(),
            earlier: Vec::new(),
            counted: BTreeMap::new(),
            generation: Generation::default(),
            life: 0,
            given_up: Vec::new(),
            whole: None,
        })
    }

    /// Where it will be.
    pub fn loc(&self) -> &Loc {
        self.output().loc()
    }

    /// Its stage, for messages.
    pub fn label(&self) -> &str {
        self.stage.label()
    }

    /// What the sink says of it.
    pub fn output(&self) -> &dyn Output {
        self.stage.output().expect("checked when it was made")
    }

    /// Takes over what the log says of this output.
    pub(super) fn recall(&mut self, replay: &Replay, decided: bool) {
        self.generation = replay.generations.get(&self.id).copied().unwrap_or_default();
        let own = (self.id, SplitId(0))..=(self.id, SplitId(u64::MAX));
        for ((_, split), record) in replay.parts.range(own.clone()) {
            if let Some(part) = record.data.as_str().and_then(unpack) {
                self.earlier.push(part);
                self.counted.insert(*split, record.counters.clone());
            }
        }
        if decided {
            self.given_up = replay.skipped.range(own).map(|(_, split)| *split).collect();
        } // Else they are tried again: what failed then may work now.
    }

    /// Opens the streams, dropping earlier parts whose bytes are not as they were.
    ///
    /// # Errors
    /// Those of the store.
    pub fn streams(&mut self, hold: u64) -> Result<Streams> {
        let streams = match self.open_streams(hold) {
            Err(_) if !self.earlier.is_empty() => {
                self.earlier.clear();
                self.open_streams(hold)?
            }
            opened => opened?,
        };
        let before = self.earlier.len();
        self.earlier.retain(|r| streams.verify(r));
        if self.earlier.len() == before { Ok(streams) } else { self.open_streams(hold) }
    }

    fn open_streams(&self, hold: u64) -> Result<Streams> {
        let splits = self.stage.domain().splits();
        Streams::open(&self.stores, &self.dir, self.output(), splits, (hold, self.life), &self.earlier)
    }

    /// Splits that need not run again, and what they counted.
    pub fn done(&self) -> Earlier {
        let mut earlier = Earlier {
            done: self.earlier.iter().map(|r| SplitId(r.split)).collect(),
            generation: self.generation,
            ..Earlier::default()
        };
        let counted = earlier.done.iter().filter_map(|split| self.counted.get(split));
        counted.for_each(|c| earlier.counters.merge(c));
        earlier
    }

    /// Every split: those of an output that was decided.
    pub fn all_done(&self) -> Earlier {
        let mut earlier = Earlier { skipped: self.given_up.clone(), ..Earlier::default() };
        let all = (0..self.stage.domain().splits()).map(SplitId);
        earlier.done = all.filter(|split| !self.given_up.contains(split)).collect();
        self.counted.values().for_each(|c| earlier.counters.merge(c));
        earlier
    }

    /// Bytes that are still to be written, likely.
    pub fn bytes_left(&self) -> u64 {
        let there: u64 = self.earlier.iter().flat_map(|p| &p.segments).map(|s| s.len).sum();
        self.output().estimate().0.saturating_sub(there)
    }

    /// Whether its file is whole already.
    pub fn is_laid_out(&self) -> bool {
        self.whole.is_some()
    }

    /// Whether its file is put together from what lies in a store of objects.
    pub fn is_carried(&self) -> bool {
        self.output().shape() == OutputShape::Streams && !self.stores.abilities(&self.dir).rename
    }

    /// Makes the whole file in the work folder. Nothing is visible yet.
    ///
    /// # Errors
    /// When a part is missing, a unit fails, the store does, or the run is stopped.
    pub fn lay_out(&mut self, streams: &Streams, parts: &[PartRecord], means: &Means<'_>) -> Result<()> {
        let place = (&self.stores, &self.dir);
        match self.output().shape() {
            OutputShape::Streams => {}
            OutputShape::Folder => {
                let made = folder::gather(place, self.output(), parts, means.go_on);
                self.whole = Some(made?);
                return Ok(());
            }
            OutputShape::File => {
                self.whole = Some(folder::only(place, parts)?);
                return Ok(());
            }
        }
        let units = PoolUnits { streams, means };
        let pieces = self.output().lay_out(&FinishCx { parts, units: &units })?;
        let to = self.loc().without_fragment();
        self.whole = Some(assemble((&self.stores, &self.dir, &to), (streams, &Known::of(parts)), pieces, means)?);
        Ok(())
    }

    /// Puts the decided file in its place. May be repeated: a file that is there already is only looked at.
    pub(super) fn reveal(&self, from: &str, file: &FileRecord, replace: Replace) -> Result<OutputDone> {
        let bytes = file.size;
        let from = self.dir.join(from);
        if self.output().shape() == OutputShape::Folder {
            folder::reveal(&self.stores, (&from, &file.checksum), self.loc(), replace)?;
        } else if self.stores.exists(&from)? {
            let place = self.loc().without_fragment();
            let is_it = || match is_list(&file.checksum) {
                true => is_made(&self.stores, &from, &place, &file.checksum),
                false => is_file(&self.stores, &place, bytes, u64::from_str_radix(&file.checksum, 16).unwrap_or(0)),
            };
            let published = self.stores.publish(&from, &place, replace, &is_it);
            published.map_err(|e| about_output(e, self.loc()))?;
        } else {
            self.check_revealed(bytes)?;
        }
        let in_place = self.whole.as_ref().is_some_and(|w| w.in_place);
        Ok(OutputDone { loc: self.loc().clone(), what: self.output().describe(), bytes, in_place })
    }

    /// An earlier run moved the file to its place: is it there?
    fn check_revealed(&self, bytes: u64) -> Result<()> {
        let (loc, place) = (self.loc(), self.loc().without_fragment());
        let found = match self.stores.exists(&place)? {
            true => Some(self.stores.block_on(self.stores.head(&place))?.size),
            false => None,
        };
        let why = match found {
            Some(there) if there == bytes => return Ok(()),
            Some(there) => format!("has {there} bytes now, not {bytes}"),
            None => "is gone".to_string(),
        };
        Err(Error::input(format!("{loc}: the interrupted run had put it in its place, but it {why}"))
            .with_remedy("start over with --overwrite"))
    }
}
