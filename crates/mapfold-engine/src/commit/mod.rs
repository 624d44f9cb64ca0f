//! From granted parts to visible files: claims, log, layout, one decision, publishing.
//!
//! Order, which is the protocol (`mapfold-coord`'s log holds the records): claim every output path; write the plan;
//! append granted parts to streams and log them; lay the files out; write **one** manifest that names all of them (the
//! decision); rename each; remove the work folders, the first output's last. Plan, log and manifest are in the work
//! folder of the first output, the job's home. A crash before the manifest leaves nothing visible and `--resume` goes
//! on; a crash after it, wherever, is rolled forward by `--resume`: what is in its place already is left there.
//!
//! | here | concern |
//! |---|---|
//! | [`Commit`] | the job: claims, log, decision, publishing |
//! | `output` | one output: streams, earlier parts, its file |
//! | `layout` | the bytes of that file |
//! | `portions` | the same in a store of objects: parts that members send |
//! | `made` | how a file is known again that did not pass through one process |
//! | `folder` | an output of many files: the folder, its `_SUCCESS`, its place |
//! | `uploads` | such an output in a store of objects: uploads that are completed one by one |
//! | `identity` | whether `--resume` goes on with the same job, and what differs |
//! | `exchanged` | what an interrupted run had exchanged through files |
//! | `faults` | errors in the user's terms |

mod exchanged;
mod faults;
mod folder;
mod identity;
mod layout;
mod made;
mod output;
mod portions;
mod uploads;

pub use faults::about_output;
pub use layout::{GoOn, Means};
pub use output::OutputRun;

use crate::options::RunOptions;
use crate::outcome::OutputDone;
use exchanged::Exchanged;
use faults::{about_records, coord_error, missing_folder};
use identity::Identity;
use mapfold_coord::{
    CoordError, Decision, Earlier, FailPoint, FileRecord, JobFolder, JobId, LogEntry, Manifest, PartRecord, Replay,
    SplitId, StageId,
};
use mapfold_plan::{Error, Plan, Result, StageKind};
use mapfold_store::{Loc, Replace, Stores};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a job holds of its outputs: claims, records, the decision.
pub struct Commit {
    stores: Stores,
    /// The outputs by the number of their stage; the first one's folder is the home.
    pub outputs: BTreeMap<usize, OutputRun>,
    home: Option<JobFolder>,
    others: Vec<JobFolder>,
    decided: Option<Manifest>,
    replace: bool,
    /// Stages whose records go through files that outlive a run, and what an earlier run left of them.
    durable: Vec<usize>,
    pub exchanged: Exchanged,
    /// What an earlier run had made of sides, by the number of their stage.
    pub sides: BTreeMap<usize, (Earlier, BTreeMap<u64, String>)>,
    side_stages: Vec<usize>,
    /// Something is there that must not be thrown away: an earlier run's work, or a decision (perhaps).
    precious: bool,
}

/// Says that a step of the protocol is reached: tests stop, fail or delay the run there.
fn reached(point: FailPoint) -> Result<()> {
    point.reached().map_err(coord_error)
}

impl Commit {
    /// Claims the outputs of a plan, or takes up an interrupted run.
    ///
    /// # Errors
    /// When an output exists, is owned by another job, cannot be written, or what is to be gone on with is another job.
    pub fn open(plan: &Plan, job: JobId, opts: &RunOptions) -> Result<Commit> {
        let mut commit = Commit {
            stores: plan.stores().clone(),
            outputs: BTreeMap::new(),
            home: None,
            others: Vec::new(),
            decided: None,
            replace: opts.overwrite,
            durable: durable(plan, opts),
            exchanged: Exchanged::default(),
            sides: BTreeMap::new(),
            side_stages: side_stages(plan),
            precious: false,
        };
        match commit.begin(plan, job, opts) {
            Ok(()) => Ok(commit),
            Err(e) => {
                commit.leave(false);
                Err(e)
            }
        }
    }

    fn begin(&mut self, plan: &Plan, job: JobId, opts: &RunOptions) -> Result<()> {
        for (i, stage) in plan.stages().iter().enumerate().filter(|(_, s)| s.output().is_some()) {
            let output = OutputRun::new(stage, StageId(i as u32), &self.stores)?;
            let writable = folder::check_place(&self.stores, output.output(), opts.overwrite)?;
            writable.map_err(|e| missing_folder(e, output.loc()).at_stage(output.label()))?;
            self.outputs.insert(i, output);
        }
        let Some(first) = self.outputs.values().next() else { return Ok(()) };
        let (home, label) = (first.loc().clone(), first.label().to_string());
        let identity = Identity::of(plan, opts);
        let mut job = job;
        if opts.resume {
            match JobFolder::unplanned(&self.stores, &home).map_err(coord_error)? {
                Some(died_early) => job = died_early,
                None if self.stores.exists(&JobFolder::for_output(&home).join("plan.json"))? => {
                    return self.take_up(&home, &identity).map_err(|e| e.at_stage(label));
                }
                None => {}
            }
        }
        self.claim(&home, job, &identity)
    }

    /// Claims every output for a new job. The plan comes last: where it is, all claims are.
    fn claim(&mut self, home: &Loc, job: JobId, identity: &Identity) -> Result<()> {
        for output in self.outputs.values_mut() {
            let label = output.label().to_string();
            let told = |e: CoordError| coord_error(e).at_stage(&label);
            let folder = JobFolder::claim(&self.stores, output.loc(), &job, self.replace).map_err(told)?;
            output.life = folder.life();
            if self.home.is_none() {
                self.home = Some(folder);
            } else {
                let linked = folder.write_plan(&json!({ "home": home.to_string() }));
                self.others.push(folder);
                linked.map_err(told)?;
            }
            reached(FailPoint::Claimed)?;
        }
        let outputs: Vec<String> = self.outputs.values().map(|o| o.loc().to_string()).collect();
        let plan = json!({ "identity": identity, "overwrite": self.replace, "outputs": outputs });
        self.home()?.write_plan(&plan).map_err(coord_error)?;
        reached(FailPoint::Planned)
    }

    fn take_up(&mut self, home: &Loc, identity: &Identity) -> Result<()> {
        let (folder, kept, entries) = JobFolder::open_for_resume(&self.stores, home).map_err(coord_error)?;
        let (job, life) = (folder.job(), folder.life());
        self.outputs.values_mut().take(1).for_each(|home| home.life = life);
        self.decided = folder.decided().map_err(coord_error)?.filter(|m| m.kind == Decision::Committed);
        self.home = Some(folder);
        self.precious = true;
        if let Some(of) = kept["home"].as_str() {
            return Err(Error::input(format!("{home} belongs to the interrupted run that writes {of} as well"))
                .with_remedy("resume that run by its own command, or start over with --overwrite"));
        }
        identity.refuse_another(&kept["identity"], home)?;
        self.replace = kept["overwrite"] == true;
        self.adopt_others(&job)?;
        let (replay, decided) = (Replay::of(&entries), self.is_decided());
        self.outputs.values_mut().for_each(|o| o.recall(&replay, decided));
        self.exchanged = Exchanged::of(&replay, &self.durable);
        self.sides = self.side_stages.iter().map(|i| (*i, made_of(&replay, *i))).collect();
        Ok(())
    }

    fn adopt_others(&mut self, job: &JobId) -> Result<()> {
        let decided = self.is_decided();
        for output in self.outputs.values_mut().skip(1) {
            let adopted = JobFolder::adopt(&self.stores, output.loc(), job);
            match adopted.map_err(|e| coord_error(e).at_stage(output.label()))? {
                Some(folder) => {
                    output.life = folder.life();
                    self.others.push(folder);
                }
                None if decided => {} // Published and cleaned already.
                None => {
                    let what = format!("{}: what the interrupted run kept beside it is gone", output.loc());
                    return Err(Error::input(what).with_remedy("start over with --overwrite"));
                }
            }
        }
        Ok(())
    }

    fn home(&mut self) -> Result<&mut JobFolder> {
        self.home.as_mut().ok_or_else(|| Error::job("the claim of the job's outputs is gone"))
    }

    /// Whether an earlier run had decided already: only publishing is left.
    pub fn is_decided(&self) -> bool {
        self.decided.is_some()
    }

    /// Whether an earlier run left something that a later one can go on with.
    pub fn has_earlier(&self) -> bool {
        self.precious
    }

    /// The job whose work this is: of an interrupted run, that one's.
    pub fn job(&self) -> Option<JobId> {
        self.home.as_ref().map(JobFolder::job)
    }

    /// Puts on record what counts of the outputs and of durable exchanges. Of other stages nothing lasts: they run again.
    ///
    /// # Errors
    /// When the log cannot be written, or another coordinator has taken over.
    pub fn append(&mut self, entries: Vec<LogEntry>) -> Result<()> {
        let of_output = |e: &LogEntry| self.outputs.get(&(e.stage().0 as usize));
        let among = |e: &LogEntry, stages: &[usize]| stages.contains(&(e.stage().0 as usize));
        let lasts = |e: &LogEntry| of_output(e).is_some() || among(e, &self.durable) || among(e, &self.side_stages);
        let kept: Vec<LogEntry> = entries.into_iter().filter(lasts).collect();
        let Some(first) = kept.first() else { return Ok(()) };
        let Some(output) = of_output(first).or(self.outputs.values().next()) else { return Ok(()) };
        let (loc, label) = (output.loc().clone(), output.label().to_string());
        self.home()?.append(&kept).map_err(|e| about_records(e, &loc).at_stage(label))
    }

    /// Says that the file of an output is whole.
    ///
    /// # Errors
    /// Only what a test asks for.
    pub fn laid_out() -> Result<()> {
        reached(FailPoint::LaidOut)
    }

    /// Writes the manifest: from here on all outputs count, and `--resume` publishes them. `go_on` is asked at the last
    /// moment before.
    ///
    /// # Errors
    /// When it cannot be written, the job was decided otherwise, or it is stopped.
    pub fn decide(&mut self, go_on: GoOn<'_>) -> Result<()> {
        reached(FailPoint::BeforeDecision)?;
        go_on()?;
        let Some(home) = self.home.as_mut() else { return Ok(()) };
        let laid_out = || self.outputs.values().filter_map(|o| Some((o, o.whole.as_ref()?)));
        let record = |(o, w): (&OutputRun, &output::Whole)| {
            let name = o.loc().name().to_string();
            FileRecord { name, size: w.bytes, checksum: w.checksum.clone() }
        };
        let place = |(o, w): (&OutputRun, &output::Whole)| json!({ "output": o.loc().to_string(), "from": w.name });
        let data = json!({ "replace": self.replace, "outputs": laid_out().map(place).collect::<Vec<_>>() });
        let files = laid_out().map(record).collect();
        let manifest = Manifest { job: home.job(), kind: Decision::Committed, files, data };
        self.precious = true; // Whatever the answer: it may be written.
        home.decide(&manifest).map_err(coord_error)?;
        self.decided = Some(manifest);
        reached(FailPoint::Decided)
    }

    /// Publishes what is decided: renames, then the work folders go, the home last. May be repeated until it is done.
    ///
    /// # Errors
    /// Those of the store; `--resume` publishes.
    pub fn publish(&mut self) -> Result<Vec<OutputDone>> {
        let Some(manifest) = self.decided.clone() else { return Ok(Vec::new()) };
        let replace = if manifest.data["replace"] == true { Replace::Allowed } else { Replace::Never };
        let mut done = Vec::new();
        for (n, output) in self.outputs.values().enumerate() {
            let place = &manifest.data["outputs"][n];
            let (Some(from), Some(file)) = (place["from"].as_str(), manifest.files.get(n)) else {
                return Err(not_in(output.loc(), place));
            };
            done.push(output.reveal(from, file, replace).map_err(|e| e.at_stage(output.label()))?);
            reached(FailPoint::Revealed)?;
        }
        reached(FailPoint::BeforeCleaning)?;
        while let Some(folder) = self.others.pop() {
            folder.clean().map_err(coord_error)?;
            reached(FailPoint::Cleaned)?;
        }
        self.home.take().map_or(Ok(()), JobFolder::clean).map_err(coord_error)?;
        Ok(done)
    }

    /// Leaves the work for a later `--resume`; where nothing is worth it, removes it.
    pub fn leave(&mut self, worth_keeping: bool) {
        let keep = worth_keeping || self.precious;
        let folders = std::mem::take(&mut self.others).into_iter().chain(self.home.take());
        for folder in folders {
            let done = if keep { folder.leave() } else { folder.clean() };
            if let Err(e) = done {
                tracing::info!("a work folder could not be left in order: {e}");
            }
        }
    }
}

fn side_stages(plan: &Plan) -> Vec<usize> {
    let stages = plan.stages().into_iter().enumerate();
    stages.filter(|(_, s)| matches!(s.kind(), StageKind::Side { .. })).map(|(i, _)| i).collect()
}

/// What the log says of a stage whose splits make values.
fn made_of(replay: &Replay, stage: usize) -> (Earlier, BTreeMap<u64, String>) {
    let id = StageId(stage as u32);
    let of_stage = replay.parts.range((id, SplitId(0))..=(id, SplitId(u64::MAX)));
    let text = |record: &PartRecord| record.data.as_str().unwrap_or_default().to_string();
    let made = of_stage.map(|((_, split), record)| (split.0, text(record))).collect();
    (replay.earlier(id), made)
}

/// Stages whose files outlive a run of several processes: stored blocks, and the map sides of exchanges through files.
fn durable(plan: &Plan, opts: &RunOptions) -> Vec<usize> {
    if opts.crew.is_none() {
        return Vec::new();
    }
    let stages = plan.stages().into_iter().enumerate();
    let lasts = |kind| match kind {
        StageKind::Exchange { .. } => opts.is_durable(),
        kind => kind == StageKind::Blocks,
    };
    stages.filter(|(_, s)| lasts(s.kind())).map(|(i, _)| i).collect()
}

fn not_in(output: &Loc, place: &Value) -> Error {
    Error::input(format!("{output}: the manifest of the interrupted run does not name it ({place})"))
        .with_remedy("start over with --overwrite")
}
