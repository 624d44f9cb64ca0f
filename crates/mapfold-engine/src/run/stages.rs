//! The stages of a run, with what an earlier run had done of them, and the coordinator that is to lead them.

use crate::commit::{Commit, OutputRun};
use crate::exchange::Scratch;
use crate::groups::{Role, kinds};
use crate::link::unpack;
use crate::options::RunOptions;
use crate::rounds::RoundTable;
use crate::shell::{Places, Roles, Shell};
use crate::sides::SideTable;
use crate::streams::Streams;
use mapfold_coord::{Coordinator, Costs, Earlier, JobEvent, Policy, SplitId, StageId, StageSpec};
use mapfold_plan::exchange::Stored;
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, Kind, PartRecord, Plan, Result, Stage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stage of the run, and what an earlier run had done of it.
pub(super) struct StageRun {
    pub(super) id: StageId,
    /// What an earlier run has exchanged: of the map side of a durable exchange.
    pub(super) pieces: Vec<Stored>,
    /// What it has made: of a side.
    pub(super) made: BTreeMap<u64, String>,
    /// It is done because those who read it are.
    pub(super) spared: bool,
    pub(super) stage: Arc<dyn Stage>,
    pub(super) role: Role,
    pub(super) streams: Option<Arc<Streams>>,
    pub(super) resumed: u64,
}

impl StageRun {
    /// What is told when it is known to come.
    pub(super) fn planned(&self) -> JobEvent {
        JobEvent::StagePlanned {
            stage: self.id,
            label: self.stage.label().to_string(),
            splits: self.stage.domain().splits(),
            already_done: self.resumed,
            bytes_in: Some(self.stage.input_bytes()),
        }
    }
}

/// The stages with what earlier runs committed of them: streams are opened, and specs made for the coordinator.
pub(super) fn take_up(
    plan: &Plan,
    opts: &RunOptions,
    memory: &[StageMemory],
    commit: &mut Commit,
    scratch: &Scratch,
) -> Result<(Vec<StageRun>, Vec<StageSpec>)> {
    let (mut runs, mut specs) = (Vec::new(), Vec::new());
    let stages = plan.stages();
    let roles: Vec<Role> = stages.iter().map(|s| Role::of(s.as_ref())).collect();
    let kinds = kinds(&roles);
    for (i, (stage, memory)) in stages.iter().zip(memory).enumerate() {
        let id = StageId(i as u32);
        let mut spec = StageSpec::new(id, stage.domain().splits());
        spec.costs = opts.shuffle.map_or(Costs::Uniform, |seed| shuffled(seed + i as u64, spec.splits));
        let (mut streams, mut pieces, mut made) = (None, Vec::new(), BTreeMap::new());
        if opts.needs_mesh(plan) {
            (spec.kind, spec.owned) = kinds[i];
        }
        let decided = commit.is_decided();
        if let Some(output) = commit.outputs.get_mut(&i).filter(|_| decided) {
            spec.earlier = output.all_done(); // Its files may be in their place already: they are not opened.
        } else if let Some(output) = commit.outputs.get_mut(&i) {
            streams = Some(Arc::new(output.streams(memory.held)?));
            spec.earlier = output.done();
        } else if let Some(side) = commit.sides.remove(&i) {
            (spec.earlier, made) = side;
        } else if let Some(file) = stage.stored() {
            let there = std::fs::metadata(scratch.path().join(&file.name)).is_ok_and(|m| m.len() == file.len);
            spec.earlier = if there { commit.exchanged.take(id, scratch.path()).0 } else { Earlier::default() };
        } else if opts.is_durable() {
            (spec.earlier, pieces) = commit.exchanged.take(id, scratch.path());
        }
        let resumed = spec.earlier.done.len() as u64;
        let (stage, role) = (stage.clone(), roles[i]);
        let run = StageRun { id, stage, role, streams, resumed, pieces, made, spared: false };
        // Of rounds only the first is sure to come.
        if run.stage.round().is_none_or(|r| r.number == 1) {
            opts.events.emit(&run.planned());
        }
        runs.push(run);
        specs.push(spec);
    }
    spare_exchanges(&mut runs, &mut specs);
    Ok((runs, specs))
}

/// The map side of an exchange whose readers are all complete has nothing left to do, nor has a stage that stores blocks
/// for such. Readers come after it.
fn spare_exchanges(runs: &mut [StageRun], specs: &mut [StageSpec]) {
    for i in (0..runs.len()).rev() {
        let run = &runs[i];
        let (maps, stored) = (run.role.maps, run.stage.stored().map(|f| f.file));
        if maps.is_none() && stored.is_none() {
            continue;
        }
        let reads = |r: &StageRun| {
            let needs =
                |file| r.stage.needs(&r.stage.domain().place(0)).is_ok_and(|n| n.iter().any(|n| n.file == file));
            maps.is_some() && r.role.reduces == maps || stored.is_some_and(needs)
        };
        let complete = |spec: &StageSpec| (spec.earlier.done.len() + spec.earlier.skipped.len()) as u64 == spec.splits;
        let mut readers = runs.iter().zip(&*specs).filter(|(r, _)| reads(r));
        if readers.all(|(_, spec)| complete(spec)) {
            specs[i].earlier.done = (0..specs[i].splits).map(SplitId).collect();
            runs[i].spared = true;
        }
    }
}

/// Costs that lease the splits in an order given by the seed.
fn shuffled(seed: u64, splits: u64) -> Costs {
    let mix = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
        ((x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as u32
    };
    Costs::PerSplit((0..splits).map(mix).collect())
}

/// Every part of an output, those of an earlier run included, ascending by split.
pub(super) fn parts_of(output: &OutputRun, made: BTreeMap<u64, String>) -> Result<Vec<PartRecord>> {
    let mut parts: BTreeMap<u64, PartRecord> = output.earlier.iter().map(|r| (r.split, r.clone())).collect();
    for (split, text) in made {
        let record = unpack(&text).ok_or_else(|| Error::job(format!("the record of split {split} is damaged")))?;
        parts.insert(split, record);
    }
    Ok(parts.into_values().collect())
}

/// The coordinator of these stages, in its shell.
pub(super) fn shell(opts: &RunOptions, stages: &[StageRun], specs: Vec<StageSpec>) -> Result<Arc<Shell>> {
    let patience = match opts.crew {
        Some(_) => {
            let (lost_after_ms, lease_ms) = (Some(opts.lost_after_ms), opts.split_timeout_ms);
            let speculate_after_ms = Some(opts.speculate_after_ms);
            let base = Policy { lost_after_ms, lease_ms, speculate_after_ms, ..Policy::default() };
            // A process may be killed for reasons that are not the job's: more often than else would be worth it.
            Policy { kill_overdue: true, max_generations: 10, local_wait_ms: Policy::cluster().local_wait_ms, ..base }
        }
        None => Policy::default(),
    };
    let grants = mapfold_plan::control::grants()?;
    if !grants {
        tracing::warn!("a control is on: results of this run are wrong on purpose");
    }
    let policy = Policy { on_error: opts.on_error, grants, ..patience };
    let coordinator = Coordinator::new(specs, policy).map_err(|e| Error::caused(Kind::Job, e))?;
    let streams = stages.iter().filter_map(|s| Some((s.id, s.streams.clone()?))).collect();
    let named: Vec<Arc<dyn Stage>> = stages.iter().map(|s| s.stage.clone()).collect();
    let places = move |stage: StageId, split: SplitId| {
        let stage = &named[stage.0 as usize];
        (stage.label().to_string(), stage.domain().place(split.0).to_string())
    };
    let known: Vec<Role> = stages.iter().map(|s| s.role).collect();
    let roles = move |stage: StageId| known[stage.0 as usize];
    let told = (Box::new(places) as Places, Box::new(roles) as Roles);
    let sides = SideTable::of(stages.iter().map(|s| (s.id, s.stage.as_ref())));
    let mut rounds = RoundTable::of(stages.iter().map(|s| (s.id, s.stage.as_ref(), s.spared)));
    stages.iter().filter(|s| s.stage.round().is_some()).for_each(|s| rounds.withhold(s.id, s.planned()));
    let shell = Shell::new(coordinator, streams, told, opts.events.clone()).of_job(opts.job).with(sides, rounds);
    stages.iter().for_each(|s| shell.recall(s.role, s.pieces.clone()));
    stages.iter().filter(|s| !s.made.is_empty()).for_each(|s| shell.recall_made(s.id, s.made.clone()));
    Ok(Arc::new(shell))
}
