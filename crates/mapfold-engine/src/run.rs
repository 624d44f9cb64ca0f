//! One run of a plan: the coordinator's side of it.
//!
//! Opens the outputs, plans the memory, starts the shell around the coordinator, has members attempt the splits
//! (in this process, or as processes of their own), keeps the commit log and publishes.

use crate::commit::{Commit, Means, OutputRun};
use crate::crew::{Crew, Hall};
use crate::exchange::Scratch;
use crate::failure::{Failed, unless_stopped};
use crate::groups::{Role, kinds};
use crate::link::{Control, Vitals, unpack};
use crate::member::Member;
use crate::options::RunOptions;
use crate::orders::Orders;
use crate::outcome::{OutputDone, RunOutcome, StageDone};
use crate::porters::Porters;
use crate::rounds::RoundTable;
use crate::shell::{Here, Places, Roles, Shell};
use crate::sides::SideTable;
use crate::streams::Streams;
use crate::worker;
use crate::{guard, measure, near, space};
use mapfold_coord::events::{self, MemberUse, Outcome};
use mapfold_coord::process::Process;
use mapfold_coord::{Coordinator, Costs, Earlier, JobEvent, JobId, MemberId, Policy, SplitId, StageId, StageSpec};
use mapfold_plan::exchange::Stored;
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, Kind, PartRecord, Plan, Reported, Result, Stage, StageKind};
use mapfold_store::Loc;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often counters and what members have used are told, at the begin.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Runs a plan to its end: outputs visible and whole, or an error and nothing visible.
///
/// # Errors
/// The root cause, with stage, place and remedy.
pub fn run(plan: &Plan, opts: &RunOptions) -> Result<RunOutcome> {
    guard::install_panic_hook();
    plan.check()?;
    let began = Instant::now();
    let before = measure::usage(began);
    let id = match opts.job {
        Some(id) => id,
        None => JobId::random().map_err(|e| Error::caused(Kind::Job, e))?,
    };
    let done = Run::open(plan, opts, id).and_then(|run| run.go(began));
    let used = measure::usage(began);
    let usage = measure::Usage { user: used.user - before.user, sys: used.sys - before.sys, wall: used.wall };
    ended(opts, &usage, &done);
    done.map(|d| {
        let add = |a: measure::Usage, m: &MemberUse| measure::Usage {
            user: a.user + m.user_seconds,
            sys: a.sys + m.sys_seconds,
            ..a
        };
        let usage = d.members.iter().fold(usage, add);
        RunOutcome { usage, ..d }
    })
    .map_err(|f| f.error)
}

fn ended(opts: &RunOptions, usage: &measure::Usage, done: &Result<RunOutcome, Failed>) {
    let outcome = match done {
        Ok(d) if d.skipped > 0 => Outcome::CommittedWithSkips,
        Ok(_) => Outcome::Committed,
        Err(f) if f.error.is_stop() => Outcome::Cancelled,
        Err(_) => Outcome::Failed,
    };
    let counters = done.as_ref().map(|d| d.counters.clone()).unwrap_or_default();
    let failed = done.as_ref().err();
    let failure = failed.map(Failed::told);
    let mut times = mapfold_coord::PhaseTimes::default();
    done.iter().flat_map(|d| &d.stages).for_each(|s| times.merge(&s.times));
    opts.events.emit(&JobEvent::JobEnded {
        outcome,
        wall_seconds: usage.wall,
        user_seconds: usage.user,
        sys_seconds: usage.sys,
        peak_bytes: Some(measure::peak_rss()),
        times,
        counters,
        failure,
        at: failed.and_then(|f| f.at),
        stage: failed.and_then(|f| f.error.stage().map(str::to_string)),
        place: failed.and_then(|f| f.error.place().map(str::to_string)),
    });
    opts.events.end();
}

/// A stage of the run, and what an earlier run had done of it.
struct StageRun {
    id: StageId,
    /// What an earlier run has exchanged: of the map side of a durable exchange.
    pieces: Vec<Stored>,
    /// What it has made: of a side.
    made: BTreeMap<u64, String>,
    /// It is done because those who read it are.
    spared: bool,
    stage: Arc<dyn Stage>,
    role: Role,
    streams: Option<Arc<Streams>>,
    resumed: u64,
}

impl StageRun {
    /// What is told when it is known to come.
    fn planned(&self) -> JobEvent {
        JobEvent::StagePlanned {
            stage: self.id,
            label: self.stage.label().to_string(),
            splits: self.stage.domain().splits(),
            already_done: self.resumed,
            bytes_in: Some(self.stage.input_bytes()),
        }
    }
}

struct Run<'a> {
    plan: &'a Plan,
    opts: &'a RunOptions,
    job_id: JobId,
    shell: Arc<Shell>,
    stages: Vec<StageRun>,
    memory: Vec<StageMemory>,
    commit: Commit,
    /// Member processes that died.
    replaced: u64,
    /// Where records go that do not fit into memory.
    scratch: Scratch,
    spilled: u64,
    began: Instant,
    /// When the log hears next of what is used.
    tell_at: Duration,
}

impl<'a> Run<'a> {
    fn open(plan: &'a Plan, opts: &'a RunOptions, job_id: JobId) -> Result<Run<'a>, Failed> {
        let stages = plan.stages();
        if stages.is_empty() {
            return Err(Error::usage("the job asks for nothing: no write and no report").into());
        }
        opts.check_size(plan)?;
        announce(opts, job_id);
        let memory = plan_memory(plan, opts)?;
        planned(opts, &stages, &memory);
        let mut commit = Commit::open(plan, job_id, opts).map_err(Failed::of_output)?;
        let mut scratch = scratch(plan, opts, &commit.job().unwrap_or(job_id));
        let ready =
            check_space(plan, &commit, &scratch).and_then(|()| take_up(plan, opts, &memory, &mut commit, &scratch));
        match ready.and_then(|(stages, specs)| Ok((shell(opts, &stages, specs)?, stages))) {
            Ok((shell, stages)) => Ok(Run {
                plan,
                opts,
                job_id,
                shell,
                stages,
                memory,
                commit,
                replaced: 0,
                scratch,
                spilled: 0,
                began: Instant::now(),
                tell_at: TELL_EVERY,
            }),
            Err(e) => {
                scratch.keep(); // Nothing in it is this run's.
                commit.leave(false);
                Err(Failed::of_output(e))
            }
        }
    }

    fn go(mut self, began: Instant) -> Result<RunOutcome, Failed> {
        let served = self.serve();
        match &served {
            Err(f) if self.opts.crew.is_some() && f.error.is_resumable() && self.commit.job().is_some() => {
                self.scratch.keep();
            }
            _ => self.scratch.remove(), // Before its folder is published or left.
        }
        let finished = served.and_then(|()| self.publish().map_err(Failed::of_output));
        match finished {
            Ok(outputs) => Ok(self.outcome(began, outputs)?),
            Err(f) => {
                // Files of an exchange outlive a run of members only: see above.
                let exchanged = self.opts.crew.is_some() && self.opts.is_durable() && self.shell.has_exchanged();
                let made = !self.commit.outputs.is_empty() && (self.shell.has_made() || exchanged);
                let worth = self.commit.has_earlier() || made && f.error.is_resumable();
                self.commit.leave(worth);
                let go_on = "run the same command with --resume to go on";
                Err(if worth { Failed { error: f.error.with_more_remedy(go_on), ..f } } else { f })
            }
        }
    }

    fn serve(&mut self) -> Result<(), Failed> {
        let reports = self.stages.iter().any(|s| s.stage.kind() == StageKind::Report);
        if self.commit.is_decided() && !reports {
            return Ok(());
        }
        match self.opts.crew.clone() {
            None => self.serve_here().map_err(Failed::internal)?,
            Some(crew) => self.serve_crew(&crew)?,
        }
        self.shell.take_failure().map_or(Ok(()), Err)
    }

    /// Members in this process: timely workers that share a compute pool.
    fn serve_here(&mut self) -> Result<()> {
        let workers = self.opts.workers.max(1);
        let members = (0..workers as u32).map(MemberId);
        let line = |member| Arc::new(Here { shell: self.shell.clone(), member }) as Arc<dyn Control>;
        let limits = (self.opts.threads, self.scratch.path().to_path_buf(), false);
        let (member, boxes) = Member::new(self.plan, &self.memory, limits, members.clone().map(line).collect());
        members.zip(boxes).for_each(|(id, postbox)| self.shell.enrol(id, false, postbox));
        let member = Arc::new(member.with_durable(self.opts.is_durable()));
        let ended = worker::start(workers, &member)?.until_ended(Duration::from_millis(20), || self.tick(None));
        member.writer.wait_idle(); // No write of ours may come after the folder is left.
        self.spilled = member.hub.spilled();
        self.tick(None);
        ended
    }

    /// Members in processes of their own.
    fn serve_crew(&mut self, crew: &Arc<dyn Crew>) -> Result<(), Failed> {
        let size = self.opts.size();
        let together = self.opts.needs_mesh(self.plan);
        let apart = together && crew.meeting().afar;
        // What members spill alone is nobody else's: without a word of the user it goes to a folder of their hosts.
        let alone = apart && self.opts.scratch.is_none();
        let scratch = if alone { String::new() } else { self.scratch.path().to_string_lossy().into_owned() };
        let orders = Orders { scratch, apart, ..self.orders() };
        let hints = near::look_up(self.plan, &self.shell);
        let hall = Hall::open(self.shell.clone(), crew.clone(), self.job_id, orders, (size, together));
        let hall = hall.inspect_err(|_| crew.stop()).map_err(Failed::internal)?;
        while !self.shell.is_over() {
            match hints.is_ready() {
                true => hall.welcome(Duration::from_millis(20)),
                false => std::thread::sleep(Duration::from_millis(5)),
            }
            self.shell.tick();
            let fault = hall.replace_the_lost().err();
            self.tick(fault);
        }
        let laid_out = self.lay_out_there(&hall);
        hall.close();
        self.replaced = hall.died();
        self.tick(None);
        self.tell_placed();
        laid_out
    }

    /// Lays outputs out while members are there to carry them; then those who have stayed may go.
    fn lay_out_there(&mut self, hall: &Hall) -> Result<(), Failed> {
        if !self.carries() || self.shell.has_failed() {
            return Ok(());
        }
        let porters = Porters::new(self.plan.stores(), Some(hall.errands()));
        let laid_out = self.lay_out(&porters).map_err(Failed::of_output);
        self.shell.dismiss();
        laid_out
    }

    /// Whether there are outputs that members are to carry.
    fn carries(&self) -> bool {
        !self.commit.is_decided() && self.commit.outputs.values().any(OutputRun::is_carried)
    }

    fn orders(&self) -> Orders {
        Orders {
            name: self.opts.name.clone(),
            params: self.opts.params.to_string(),
            settings: self.opts.settings.clone(),
            answers: self.plan.answers(),
            fingerprint: self.plan.fingerprint(&self.opts.params),
            threads: self.opts.threads,
            memory_limit: self.opts.memory_limit,
            chunks: self.opts.chunks,
            apart: false,
            witnesses: self.witnesses(),
            group: None,
            scratch: String::new(),
            stays: self.carries(),
            alive_every_ms: (self.opts.lost_after_ms / 4).clamp(100, 2_000),
        }
    }

    /// The work folders of local outputs.
    fn witnesses(&self) -> Vec<String> {
        let outputs = self.stages.iter().filter_map(|s| s.stage.output());
        let folders = outputs.filter_map(|o| {
            let parts = mapfold_coord::JobFolder::parts_for(o.loc());
            let folder = std::path::absolute(parts.local_path()?.parent()?).ok()?;
            Some(folder.to_string_lossy().into_owned())
        });
        folders.collect()
    }

    /// What the caller's thread does every moment: signals, faults, the commit log.
    fn tick(&mut self, fault: Option<Error>) {
        let stop = unless_stopped(&self.opts.cancel).err().map(Failed::from);
        let failed = stop.or_else(|| fault.map(Failed::internal));
        if let Some(failed) = failed.filter(|_| !self.shell.has_failed()) {
            self.shell.fail(failed);
        }
        if let Err(e) = self.write_log() {
            self.shell.fail(Failed::of_output(e));
        }
        self.tell_use();
        self.opts.events.tick();
    }

    /// Counters and what the members have used, now and then: rarer the longer the run, so that logs stay small.
    fn tell_use(&mut self) {
        let now = self.began.elapsed();
        if now < self.tell_at {
            return;
        }
        self.tell_at = now + TELL_EVERY.max(now / 200);
        let events = &self.opts.events;
        events.emit(&JobEvent::Counters { counters: self.shell.counters() });
        let mut members = self.members();
        if self.opts.crew.is_none() {
            members.push(self.own_use());
        }
        events.emit(&JobEvent::MembersUsed { members });
        self.tell_placed();
    }

    /// Where splits were worked on, where there is anything to say.
    fn tell_placed(&self) {
        let placed = self.shell.placed();
        if placed.all() > 0 {
            self.opts.events.emit(&JobEvent::SplitsPlaced { placed });
        }
    }

    /// What this process has used, where it does the work itself.
    fn own_use(&self) -> MemberUse {
        let used = measure::usage(self.began);
        MemberUse {
            member: 0,
            user_seconds: used.user,
            sys_seconds: used.sys,
            peak_bytes: measure::peak_rss(),
            bytes_read: self.plan.stores().counters().bytes_read,
            ..MemberUse::default()
        }
    }

    fn write_log(&mut self) -> Result<()> {
        self.commit.append(self.shell.take_log())
    }

    /// Lays all files out that are not yet, decides all, then reveals all. A stop counts until the decision; from there
    /// on the rest is done, because the outputs count already.
    fn publish(&mut self) -> Result<Vec<OutputDone>> {
        if !self.commit.is_decided() {
            self.lay_out(&Porters::new(self.plan.stores(), None))?;
            self.commit.decide(&|| unless_stopped(&self.opts.cancel))?;
        }
        self.commit.publish()
    }

    /// Lays all files out that are not yet.
    fn lay_out(&mut self, porters: &Porters) -> Result<()> {
        self.write_log()?;
        let go_on = || unless_stopped(&self.opts.cancel);
        let means = Means { threads: self.opts.threads, porters, go_on: &go_on };
        for (i, output) in self.commit.outputs.iter_mut().filter(|(_, output)| !output.is_laid_out()) {
            let stage = &self.stages[*i];
            let parts = parts_of(output, self.shell.made(stage.id))?;
            let streams = stage.streams.as_ref().ok_or_else(|| Error::job("the output has no streams"))?;
            let laid_out = output.lay_out(streams, &parts, &means);
            laid_out.and_then(|()| Commit::laid_out()).map_err(|e| e.at_stage(stage.stage.label()))?;
        }
        Ok(())
    }

    /// What the member processes said last of their use.
    fn members(&self) -> Vec<MemberUse> {
        let used = |(id, v): (&MemberId, &Vitals)| MemberUse {
            member: id.0,
            user_seconds: v.user,
            sys_seconds: v.sys,
            peak_bytes: v.peak,
            bytes_read: v.read,
            bytes_spilled: v.spilled,
            ..MemberUse::default()
        };
        self.shell.vitals().iter().map(used).collect()
    }

    fn outcome(self, began: Instant, outputs: Vec<OutputDone>) -> Result<RunOutcome> {
        let given_up: u64 = self.commit.outputs.values().map(|o| o.given_up.len() as u64).sum();
        let (mut stages, mut reports) = (Vec::new(), Vec::new());
        for s in self.stages.iter().filter(|s| !self.shell.is_spared(s.id)) {
            let tally = self.shell.tally(s.id);
            if s.stage.kind() == StageKind::Report {
                reports.push(reported(s.stage.as_ref(), &self.shell.made(s.id))?);
            }
            let usage = match tally.span {
                (Some(from), Some(to)) => from.until(to),
                _ => measure::Usage::default(),
            };
            let (label, splits) = (s.stage.label().to_string(), s.stage.domain().splits());
            stages.push(StageDone {
                number: s.id.0,
                label,
                splits,
                resumed: s.resumed,
                retries: tally.retries,
                usage,
                times: tally.times,
            });
        }
        let members = self.members();
        Ok(RunOutcome {
            job: self.job_id,
            reports,
            bytes_written: outputs.iter().map(|o| o.bytes).sum(),
            outputs,
            stages,
            counters: self.shell.counters(),
            skipped: self.shell.skipped() + given_up,
            usage: measure::Usage { wall: began.elapsed().as_secs_f64(), ..Default::default() },
            peak_bytes: members.iter().map(|m| m.peak_bytes).max().unwrap_or_else(measure::peak_rss),
            predicted_peak_bytes: self.memory.iter().map(|m| m.peak).max().unwrap_or(0),
            bytes_read: self.plan.stores().counters().bytes_read + members.iter().map(|m| m.bytes_read).sum::<u64>(),
            bytes_spilled: self.spilled + members.iter().map(|m| m.bytes_spilled).sum::<u64>(),
            placed: self.shell.placed(),
            warnings: self.plan.warnings(),
            members,
            replaced: self.replaced,
        })
    }
}

/// Where records spill: where the user says, else beside a local output, else with the system's temporary files.
fn scratch(plan: &Plan, opts: &RunOptions, id: &JobId) -> Scratch {
    let beside = || {
        let stages = plan.stages();
        let output = stages.iter().find_map(|s| s.output())?;
        mapfold_coord::JobFolder::parts_for(output.loc()).local_path().map(PathBuf::from)
    };
    let base = opts.scratch.clone().or_else(beside).unwrap_or_else(std::env::temp_dir);
    Scratch::new(base.join(format!("mapfold-exchange-{id}")))
}

/// The values of a report, in the order of their ranks; without ranks, in the order of the splits.
fn reported(stage: &dyn Stage, made: &BTreeMap<u64, String>) -> Result<Reported> {
    let name = stage.report_name().unwrap_or("report").to_string();
    let damaged = |split| Error::job(format!("the values of split {split} are damaged"));
    let mut ranked: Vec<(Vec<u8>, String)> = Vec::new();
    for (split, text) in made {
        ranked.extend(unpack::<Vec<(Vec<u8>, String)>>(text).ok_or_else(|| damaged(split))?);
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0)); // Stable: without ranks, the order of the splits stays.
    let values = ranked.iter().map(|(_, t)| Ok(serde_json::from_str(t)?)).collect::<Result<_>>()?;
    Ok(Reported { name, values })
}

fn plan_memory(plan: &Plan, opts: &RunOptions) -> Result<Vec<StageMemory>> {
    let budget = opts.budget().keeping(plan);
    plan.stages().iter().map(|s| budget.plan(s.as_ref(), opts.chunks)).collect()
}

/// The coordinator of these stages, in its shell.
fn shell(opts: &RunOptions, stages: &[StageRun], specs: Vec<StageSpec>) -> Result<Arc<Shell>> {
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

fn check_space(plan: &Plan, commit: &Commit, scratch: &Scratch) -> Result<()> {
    if commit.is_decided() {
        return Ok(());
    }
    let outputs = commit.outputs.values().map(|o| (o.loc().clone(), o.bytes_left()));
    let stored = plan.stages().iter().filter_map(|s| s.stored().map(|f| f.bytes)).sum::<u64>();
    let blocks = (Loc::local(scratch.path()), stored);
    space::check(plan.stores(), outputs.chain((stored > 0).then_some(blocks)))
}

/// Every part of an output, those of an earlier run included, ascending by split.
fn parts_of(output: &OutputRun, made: BTreeMap<u64, String>) -> Result<Vec<PartRecord>> {
    let mut parts: BTreeMap<u64, PartRecord> = output.earlier.iter().map(|r| (r.split, r.clone())).collect();
    for (split, text) in made {
        let record = unpack(&text).ok_or_else(|| Error::job(format!("the record of split {split} is damaged")))?;
        parts.insert(split, record);
    }
    Ok(parts.into_values().collect())
}

fn announce(opts: &RunOptions, id: JobId) {
    let params = match mapfold_plan::redacted(&opts.params) {
        serde_json::Value::Object(o) => o.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let (name, process, version) = (opts.name.clone(), Process::here(), events::VERSION);
    opts.events.emit(&JobEvent::JobStarted { id, name, params, process, version });
}

/// Says what the run may use, what it will need and what it will make.
fn planned(opts: &RunOptions, stages: &[Arc<dyn Stage>], memory: &[StageMemory]) {
    let outputs = stages.iter().filter_map(|s| Some(s.output()?.loc().to_string()));
    opts.events.emit(&JobEvent::JobPlanned {
        workers: opts.workers as u32,
        least: opts.least_workers.map_or(0, |n| n as u32),
        threads: opts.threads as u32,
        limit_bytes: opts.memory_limit,
        predicted_bytes: memory.iter().map(|m| m.peak).max().unwrap_or(0),
        outputs: outputs.collect(),
    });
}

/// The stages with what earlier runs committed of them: streams are opened, and specs made for the coordinator.
fn take_up(
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
