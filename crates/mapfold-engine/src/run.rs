//! One run of a plan: the coordinator's side of it.
//!
//! Opens the outputs, plans the memory, starts the shell around the coordinator, has members attempt the splits
//! (in this process, or as processes of their own), keeps the commit log and publishes.

mod stages;
mod told;

use crate::commit::{Commit, Means, OutputRun};
use crate::crew::{Crew, Hall};
use crate::exchange::Scratch;
use crate::failure::{Failed, unless_stopped};
use crate::link::Control;
use crate::member::Member;
use crate::options::RunOptions;
use crate::orders::Orders;
use crate::outcome::{OutputDone, RunOutcome};
use crate::porters::Porters;
use crate::shell::{Here, Shell};
use crate::worker;
use crate::{guard, measure, near, space};
use mapfold_coord::events::MemberUse;
use mapfold_coord::{JobId, MemberId};
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, Kind, Plan, Result, StageKind};
use mapfold_store::Loc;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stages::{StageRun, parts_of, shell, take_up};
use told::{TELL_EVERY, announce, ended, planned};

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

fn plan_memory(plan: &Plan, opts: &RunOptions) -> Result<Vec<StageMemory>> {
    let budget = opts.budget().keeping(plan);
    plan.stages().iter().map(|s| budget.plan(s.as_ref(), opts.chunks)).collect()
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
