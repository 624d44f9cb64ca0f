//! Looking at what a job has left beside its output, without claiming it: what `fsck` shows and removes.

use mapfold_store::{Loc, Stores};
use serde::Serialize;

use super::files::{claims, over_name, read, record_name};
use super::folder::{Folder, StoreFolder};
use super::{MANIFEST, PLAN, PlanFile};
use crate::entry::{Decision, Manifest};
use crate::error::CoordError;
use crate::ids::JobId;
use crate::process::Alive;

/// What can be said of the process that owns a work folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// It runs.
    Lives,
    /// It left the folder for a later `--resume`.
    Left,
    /// It died.
    Died,
    /// It is on another machine, or in another container: that cannot be seen from here.
    Elsewhere,
}

/// How far the job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It had no plan yet: nothing of it can be gone on with.
    Claimed,
    /// It has a plan, and so many records of what counts.
    Undecided {
        /// Records of the commit log.
        records: u64,
    },
    /// Its outputs count; some may not be in their place yet.
    Committed,
    /// Its outputs do not count and never will.
    Aborted,
    /// Plan and log are in the folder of the job's first output.
    ElsewherePlanned,
}

/// What a job has left beside its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traces {
    /// The job.
    pub job: JobId,
    /// Its process.
    pub owner: Owner,
    /// How far it has come.
    pub stage: Stage,
}

impl Traces {
    /// Looks beside an output; `None` when nothing is there.
    ///
    /// # Errors
    /// Those of the store; a record that cannot be understood.
    pub fn beside(stores: &Stores, output: &Loc) -> Result<Option<Traces>, CoordError> {
        let folder = StoreFolder::new(stores, output);
        let (count, Some(last)) = claims(&folder)? else { return Ok(None) };
        let left = folder.get(&over_name(count - 1))?.is_some();
        let owner = match last.process.alive() {
            _ if left => Owner::Left,
            Alive::Yes => Owner::Lives,
            Alive::No => Owner::Died,
            Alive::Unknown => Owner::Elsewhere,
        };
        Ok(Some(Traces { job: last.job, owner, stage: stage_of(&folder, last.job)? }))
    }

    /// Removes the traces of a job that does not run; what another process claims meanwhile is not seen, so nobody
    /// should start the job at the same moment.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remove(stores: &Stores, output: &Loc) -> Result<(), CoordError> {
        Ok(StoreFolder::new(stores, output).clear()?)
    }
}

fn stage_of(folder: &dyn Folder, job: JobId) -> Result<Stage, CoordError> {
    let manifest: Option<Manifest> = read(folder, MANIFEST)?;
    if let Some(manifest) = manifest.filter(|m| m.job == job) {
        return Ok(match manifest.kind {
            Decision::Committed => Stage::Committed,
            Decision::Aborted => Stage::Aborted,
        });
    }
    let plan: Option<PlanFile> = read(folder, PLAN)?;
    let Some(plan) = plan.filter(|plan| plan.job == job) else { return Ok(Stage::Claimed) };
    if plan.plan["home"].is_string() {
        return Ok(Stage::ElsewherePlanned);
    }
    let mut records = 0;
    while folder.get(&record_name(records))?.is_some() {
        records += 1;
    }
    Ok(Stage::Undecided { records })
}
