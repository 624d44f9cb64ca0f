//! The work folder of a job: its claim on the output, its plan, its commit log, its decision.
//!
//! ```text
//! claim, claim.1, …        who owns the output: the last of a dense row
//! claim.over, claim.1.over that owner has left (a process that died cannot say so)
//! plan.json                job id and whatever the planner needs to go on
//! log/00000000.json.zst …  what counts, dense, many parts per record (`record`)
//! manifest.json            the decision
//! parts/                   attempts, invisible until published (the sink's)
//! ```
//!
//! Everything rests on one operation, [`Folder::create`] (put-if-absent), which local disks and
//! all object stores have: no listing, no compare-and-swap, no lock with a lifetime. Who takes a job
//! over creates the next claim and then the next log record; the former owner's next record is
//! then refused ([`CoordError::Fenced`]), so it can make nothing count any more. An answer that was
//! lost is found by reading back and comparing.
//!
//! A job of several outputs claims each of them, so that no other job takes one, but has **one** plan, one log and one
//! decision: in the folder of its first output, its home. The folders of the others hold claims and attempts, and a
//! plan that says where the home is. So a job is decided as a whole, by one `Create`.
//!
//! Not here: publishing. The manifest is written first; then the sink puts the output in its
//! place, and does so again on `--resume` until it is there; then the folder goes.

mod claim;
mod files;
mod folder;
mod inspect;
mod record;

use mapfold_store::{Loc, Stores};
use serde::{Deserialize, Serialize};

pub use folder::Folder;
pub use inspect::{Owner, Stage as TracesStage, Traces};

use crate::entry::{LogEntry, Manifest};
use crate::error::CoordError;
use crate::failpoint::FailPoint;
use crate::ids::JobId;
use claim::Claimer;
use files::{claim_name, claims, create, json, nothing, over_name, read, record_name, refuse_living, unfinished};
use folder::StoreFolder;
use record::Record;

const PLAN: &str = "plan.json";
const MANIFEST: &str = "manifest.json";
/// Folder of the attempts, inside the work folder.
pub const PARTS: &str = "parts";

/// A work folder that this process owns.
pub struct JobFolder {
    folder: Box<dyn Folder>,
    job: JobId,
    claim: u32,
    next: u64,
    sealed: bool,
    /// A record whose writing ended in doubt: written before any other.
    doubtful: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct PlanFile {
    job: JobId,
    plan: serde_json::Value,
}

impl JobFolder {
    /// The work folder of a single-file output: `.<name>.mapfold/` beside it.
    ///
    /// ```
    /// # use mapfold_coord::JobFolder;
    /// # use mapfold_store::Loc;
    /// let folder = JobFolder::for_output(&Loc::parse("/data/ndvi.tif")?);
    /// assert_eq!(folder.to_string(), "/data/.ndvi.tif.mapfold");
    /// # Ok::<(), mapfold_store::StoreError>(())
    /// ```
    #[must_use]
    pub fn for_output(output: &Loc) -> Loc {
        folder::beside(output)
    }

    /// Where a sink keeps attempts until they are published; the folder is there.
    #[must_use]
    pub fn parts_for(output: &Loc) -> Loc {
        folder::beside(output).join(PARTS)
    }

    /// Claims the output for a new job. Refused by name, with the remedy, when the output is
    /// there, when a job owns it already, or when a job died on it; `overwrite` permits the first
    /// and removes a dead job's traces, but never takes anything from a living job. Without
    /// `overwrite` nothing is changed before the claim.
    ///
    /// ```
    /// use mapfold_coord::{CoordError, Decision, JobFolder, JobId, Manifest};
    /// use mapfold_store::{Loc, Stores};
    ///
    /// let (stores, output) = (Stores::new(), Loc::parse("memory://doc/out.tif")?);
    /// let job = JobId::random()?;
    /// let mut folder = JobFolder::claim(&stores, &output, &job, false)?;
    /// folder.write_plan(&serde_json::json!({ "splits": 4 }))?;
    /// let other = JobFolder::claim(&stores, &output, &JobId::random()?, false);
    /// assert!(matches!(other, Err(CoordError::OutputBusy { .. })));
    /// let (kind, data) = (Decision::Committed, serde_json::Value::Null);
    /// folder.decide(&Manifest { job, kind, files: Vec::new(), data })?;
    /// // Here the sink publishes the output.
    /// folder.clean()?;
    /// assert!(!stores.exists(&JobFolder::for_output(&output))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim(stores: &Stores, output: &Loc, job: &JobId, overwrite: bool) -> Result<JobFolder, CoordError> {
        let folder = StoreFolder::new(stores, output);
        folder.check_place()?;
        let exists = stores.exists(&output.without_fragment())?;
        let claimed = JobFolder::claim_in(Box::new(folder), job, exists, overwrite)?;
        StoreFolder::new(stores, output).make()?;
        Ok(claimed)
    }

    /// Takes over the unfinished job of an output: its folder, its plan, what counts already.
    /// Refused when its owner is known to live. Whoever owned it before can append no more.
    pub fn open_for_resume(
        stores: &Stores,
        output: &Loc,
    ) -> Result<(JobFolder, serde_json::Value, Vec<LogEntry>), CoordError> {
        let opened = JobFolder::resume_in(Box::new(StoreFolder::new(stores, output)))?;
        StoreFolder::new(stores, output).make()?;
        Ok(opened)
    }

    /// [`JobFolder::claim`] in any folder. `exists`: whether the output is there.
    pub fn claim_in(
        folder: Box<dyn Folder>,
        job: &JobId,
        exists: bool,
        overwrite: bool,
    ) -> Result<JobFolder, CoordError> {
        loop {
            let (count, last) = claims(&*folder)?;
            if let Some(owner) = last {
                refuse_living(&*folder, count - 1, &owner)?;
                // A job that died before it had a plan may claim again: see `unplanned`.
                if !overwrite && owner.job != *job {
                    return Err(unfinished(&*folder, owner));
                }
            }
            if exists && !overwrite {
                return Err(CoordError::OutputExists { output: folder.output() });
            }
            if !create(&*folder, &claim_name(count), &json(&Claimer::here(*job)))? {
                continue; // Another was faster: look again who it is.
            }
            // The plan first: without it nothing of what is left could be taken for this job's.
            folder.remove_file(PLAN)?;
            folder.remove_file(MANIFEST)?;
            folder.remove_folder("log")?;
            folder.remove_folder(PARTS)?;
            return Ok(JobFolder::new(folder, *job, count));
        }
    }

    /// [`JobFolder::open_for_resume`] in any folder.
    pub fn resume_in(folder: Box<dyn Folder>) -> Result<(JobFolder, serde_json::Value, Vec<LogEntry>), CoordError> {
        loop {
            let (count, last) = claims(&*folder)?;
            let Some(owner) = last else {
                let place = folder.describe("");
                return Err(nothing(&*folder, format!("there is no {place}; run without --resume")));
            };
            refuse_living(&*folder, count - 1, &owner)?;
            let plan: Option<PlanFile> = read(&*folder, PLAN)?;
            let Some(plan) = plan.filter(|plan| plan.job == owner.job) else {
                let job = owner.job;
                let why = format!("job {job} ended before it had a plan; run with --overwrite");
                return Err(nothing(&*folder, why));
            };
            if !create(&*folder, &claim_name(count), &json(&Claimer::here(owner.job)))? {
                continue;
            }
            let mut own = JobFolder::new(folder, owner.job, count);
            let entries = own.read_and_seal()?;
            return Ok((own, plan.plan, entries));
        }
    }

    /// The job that claimed an output and died before it had a plan, or has not come to it yet. Nothing of it
    /// can be gone on with; under its name the output can be claimed again.
    pub fn unplanned(stores: &Stores, output: &Loc) -> Result<Option<JobId>, CoordError> {
        let folder = StoreFolder::new(stores, output);
        let (_, Some(owner)) = claims(&folder)? else { return Ok(None) };
        let plan: Option<PlanFile> = read(&folder, PLAN)?;
        Ok(plan.is_none_or(|plan| plan.job != owner.job).then_some(owner.job))
    }

    /// Takes over the folder of one more output of a job whose plan, log and decision are in the folder of its first
    /// output. `None` when the job has nothing there (any more). Refused when its owner is known to live.
    pub fn adopt(stores: &Stores, output: &Loc, job: &JobId) -> Result<Option<JobFolder>, CoordError> {
        let adopted = JobFolder::adopt_in(Box::new(StoreFolder::new(stores, output)), job)?;
        if adopted.is_some() {
            StoreFolder::new(stores, output).make()?;
        }
        Ok(adopted)
    }

    /// [`JobFolder::adopt`] in any folder.
    pub fn adopt_in(folder: Box<dyn Folder>, job: &JobId) -> Result<Option<JobFolder>, CoordError> {
        loop {
            let (count, last) = claims(&*folder)?;
            let Some(owner) = last.filter(|owner| owner.job == *job) else { return Ok(None) };
            refuse_living(&*folder, count - 1, &owner)?;
            if create(&*folder, &claim_name(count), &json(&Claimer::here(*job)))? {
                return Ok(Some(JobFolder::new(folder, *job, count)));
            }
        }
    }

    fn new(folder: Box<dyn Folder>, job: JobId, claim: u32) -> JobFolder {
        JobFolder { folder, job, claim, next: 0, sealed: false, doubtful: None }
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Which life of the job this is: 0 for the first, more after each takeover. Names of
    /// attempts' files should carry it, so that a former owner's late writes meet no one else's.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.claim
    }

    /// Writes the plan: what a later `--resume` needs. Once, before the first record.
    pub fn write_plan(&self, plan: &serde_json::Value) -> Result<(), CoordError> {
        let file = PlanFile { job: self.job, plan: plan.clone() };
        if create(&*self.folder, PLAN, &json(&file))? {
            return Ok(());
        }
        Err(CoordError::Fenced { record: self.folder.describe(PLAN) })
    }

    /// Makes these entries count: one durable write, so call it every 100 ms or so, not for each
    /// entry. After an error other than [`CoordError::Fenced`] it may be called again, with the
    /// entries that come next: those of the failed call are kept and written first.
    pub fn append(&mut self, entries: &[LogEntry]) -> Result<(), CoordError> {
        if entries.is_empty() && self.doubtful.is_none() {
            return Ok(());
        }
        self.write_record(entries, false)
    }

    /// Ends the log: from here on no one with an earlier claim can append.
    pub fn seal(&mut self) -> Result<(), CoordError> {
        if !self.sealed {
            self.write_record(&[], true)?;
            self.sealed = true;
        }
        Ok(())
    }

    /// Decides the job: seals the log, then writes the manifest. Saying the same twice is fine;
    /// a different decision that is there already stands ([`CoordError::Decided`]).
    pub fn decide(&mut self, manifest: &Manifest) -> Result<(), CoordError> {
        self.seal()?;
        if create(&*self.folder, MANIFEST, &json(manifest))? {
            return Ok(());
        }
        Err(CoordError::Decided { manifest: self.folder.describe(MANIFEST) })
    }

    /// The decision, if there is one.
    pub fn decided(&self) -> Result<Option<Manifest>, CoordError> {
        let manifest: Option<Manifest> = read(&*self.folder, MANIFEST)?;
        Ok(manifest.filter(|manifest| manifest.job == self.job))
    }

    /// Leaves the folder for a later `--resume`: the job failed or was stopped, this process goes
    /// on living.
    pub fn leave(self) -> Result<(), CoordError> {
        let name = over_name(self.claim);
        create(&*self.folder, &name, b"{}").map(|_| ())
    }

    /// Removes the folder: the job is decided, and published if committed. What another coordinator has taken over
    /// meanwhile is not this one's to remove: it stays.
    pub fn clean(self) -> Result<(), CoordError> {
        if self.folder.get(&claim_name(self.claim + 1))?.is_some() {
            return Ok(());
        }
        Ok(self.folder.clear()?)
    }

    fn write_record(&mut self, entries: &[LogEntry], seal: bool) -> Result<(), CoordError> {
        if let Some(bytes) = self.doubtful.take() {
            self.write_bytes(bytes)?;
        }
        if entries.is_empty() && !seal {
            return Ok(());
        }
        let (job, claim, seq) = (self.job, self.claim, self.next);
        self.write_bytes(Record::encode(job, claim, seq, seal, entries))
    }

    fn write_bytes(&mut self, bytes: Vec<u8>) -> Result<(), CoordError> {
        let name = record_name(self.next);
        match create(&*self.folder, &name, &bytes) {
            Ok(true) => {
                self.next += 1;
                FailPoint::Logged.reached()?;
            }
            Ok(false) => {
                return Err(CoordError::Fenced { record: self.folder.describe(&name) });
            }
            Err(error) => {
                self.doubtful = Some(bytes);
                return Err(error);
            }
        }
        Ok(())
    }

    fn read_and_seal(&mut self) -> Result<Vec<LogEntry>, CoordError> {
        let mut entries = Vec::new();
        loop {
            let name = record_name(self.next);
            if let Some(bytes) = self.folder.get(&name)? {
                let damaged = |why| CoordError::Damaged { file: self.folder.describe(&name), why };
                let record = Record::decode(&bytes).map_err(damaged)?;
                self.check(&name, &record)?;
                entries.extend(record.entries);
                self.next += 1;
                continue;
            }
            // Whoever comes first gets the number: if not this process, there is more to read.
            match self.write_record(&[], true) {
                Err(CoordError::Fenced { .. }) => {}
                other => return other.map(|()| entries),
            }
        }
    }

    fn check(&self, name: &str, record: &Record) -> Result<(), CoordError> {
        if record.claim > self.claim {
            return Err(CoordError::Fenced { record: self.folder.describe(name) });
        }
        if record.job == self.job && record.seq == self.next {
            return Ok(());
        }
        let why = format!("record {} of job {}", record.seq, record.job);
        Err(CoordError::Damaged { file: self.folder.describe(name), why })
    }
}
