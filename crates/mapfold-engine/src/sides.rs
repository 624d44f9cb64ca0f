//! Sides, as the coordinator keeps them: made by the splits of one stage, sent to every member before a later one.
//!
//! A member's mail comes in order. A side is posted while the end of its stage is handled, and to a member that comes
//! later when it comes: so it is there before the first lease of a later stage.

use crate::link::{Mail, Post, unpack};
use mapfold_coord::StageId;
use mapfold_plan::{Error, Result, Stage, StageKind};
use std::collections::BTreeMap;

/// What a split of a side's stage has made: values with their ranks.
type Made = Vec<(Vec<u8>, Vec<u8>)>;

/// The sides of a job.
#[derive(Default)]
pub struct SideTable {
    /// Number of the side of a stage, and whether it is one value.
    stages: BTreeMap<StageId, (u32, bool)>,
    /// Those that are complete.
    complete: BTreeMap<u32, Vec<Vec<u8>>>,
}

impl SideTable {
    /// The sides of these stages, none complete.
    pub fn of<'a>(stages: impl Iterator<Item = (StageId, &'a dyn Stage)>) -> SideTable {
        let side = |(id, stage): (StageId, &dyn Stage)| match stage.kind() {
            StageKind::Side { number, single } => Some((id, (number, single))),
            _ => None,
        };
        SideTable { stages: stages.filter_map(side).collect(), complete: BTreeMap::new() }
    }

    /// A stage is done, and its splits have made this: the mail about its side, when it has one.
    ///
    /// # Errors
    /// When the values are too many, too few or damaged.
    pub fn done(&mut self, stage: StageId, made: Option<&BTreeMap<u64, String>>) -> Result<Option<Mail>> {
        let Some((number, single)) = self.stages.get(&stage).copied() else { return Ok(None) };
        let damaged = |split| Error::job(format!("the values of split {split} are damaged"));
        let mut all = Vec::new();
        for (split, text) in made.into_iter().flatten() {
            all.extend(unpack::<Made>(text).ok_or_else(|| damaged(split))?);
        }
        let values = mapfold_plan::gathered(all, single)?;
        self.complete.insert(number, values.clone());
        Ok(Some(Mail::Side(number, values)))
    }

    /// Tells a member that has just come what it missed.
    pub fn tell(&self, post: &dyn Post) {
        self.complete.iter().for_each(|(number, values)| post.post(Mail::Side(*number, values.clone())));
    }
}
