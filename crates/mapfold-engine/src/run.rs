//! One run of a plan in this process.

use crate::commit::OutputRun;

use crate::options::RunOptions;
use crate::outcome::{OutputDone, RunOutcome, StageDone};
use crate::pool::Pool;
use crate::shell::{Mail, Shell};
use crate::streams::Streams;
use crate::worker::{self, Granted};
use crate::{guard, measure};
use arrow_array::RecordBatch;
use mapfold_coord::events::Outcome;
use mapfold_coord::{Attempt, Coordinator, Costs, JobEvent, JobId, LogEntry, Policy, SplitId, StageId, StageSpec};
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, FileEntry, Kind, Need, PartRecord, Place, Plan, Reported, Result, Stage, StageKind};
use mapfold_store::Stores;
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A moment of the process: when, and how much CPU time until then.
#[derive(Clone, Copy)]
struct Moment(Instant, measure::Usage);

impl Moment {
    fn now() -> Moment {
        let now = Instant::now();
        Moment(now, measure::usage(now))
    }
}

/// Values of a report with their ranks.
type Ranked = Vec<(Vec<u8>, String)>;
type Exchanged = HashMap<(usize, u32), Vec<RecordBatch>>;

/// What all workers of a job share.
pub struct Job {
    pub(crate) shell: Shell,
    pub(crate) pool: Pool,
    pub(crate) writer: Pool,
    pub(crate) stores: Stores,
    pub(crate) files: Arc<Vec<FileEntry>>,
    stages: Vec<Arc<StageRun>>,
    mailboxes: Mutex<Vec<Option<Receiver<Mail>>>>,
    exchanged: Arc<Mutex<Exchanged>>,
    leases: u32,
}

impl Job {
    pub(crate) fn take_mailbox(&self, worker: usize) -> Option<Receiver<Mail>> {
        lock(&self.mailboxes).get_mut(worker)?.take()
    }

    pub(crate) fn stages(&self) -> Vec<Arc<StageRun>> {
        self.stages.clone()
    }

    pub(crate) fn leases_per_worker(&self) -> u32 {
        self.leases
    }

    /// The records of a partition; a copy of references, since an attempt may be repeated.
    pub(crate) fn records_of(&self, exchange: usize, partition: u32) -> Vec<RecordBatch> {
        lock(&self.exchanged).get(&(exchange, partition)).cloned().unwrap_or_default()
    }
}

/// A stage while it runs.
pub struct StageRun {
    pub(crate) id: StageId,
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) memory: StageMemory,
    streams: Option<Streams>,
    parts: Mutex<BTreeMap<u64, PartRecord>>,
    values: Mutex<BTreeMap<u64, Ranked>>,
    storing: Mutex<HashMap<(SplitId, Attempt), Granted>>,
    exchanged: Arc<Mutex<Exchanged>>,
    limit: u64,
    times: Mutex<(Option<Moment>, Option<Moment>)>,
    resumed: u64,
}

impl StageRun {
    pub(crate) fn streams(&self) -> Option<&Streams> {
        self.streams.as_ref()
    }

    /// The needs of each window of a split; empty when nothing is to be fetched.
    pub(crate) fn needs(&self, split: &Place) -> Result<Vec<Vec<Need>>> {
        lock(&self.times).0.get_or_insert_with(Moment::now);
        self.memory.cut.places(*split).iter().map(|at| self.stage.needs(at)).collect()
    }

    pub(crate) fn keep_part(&self, record: PartRecord) {
        lock(&self.parts).insert(record.split, record);
    }

    pub(crate) fn storing(&self, split: SplitId, attempt: Attempt, granted: Granted) {
        lock(&self.storing).insert((split, attempt), granted);
    }

    pub(crate) fn take_storing(&self, split: SplitId, attempt: Attempt) -> Option<Granted> {
        lock(&self.storing).remove(&(split, attempt))
    }

    pub(crate) fn keep_values(&self, split: u64, values: Ranked) {
        lock(&self.values).insert(split, values);
    }

    pub(crate) fn collect(&self, parts: Vec<(u32, RecordBatch)>) {
        let StageKind::Exchange { exchange, .. } = self.stage.kind() else { return };
        let mut all = lock(&self.exchanged);
        parts.into_iter().for_each(|(p, b)| all.entry((exchange, p)).or_default().push(b));
    }

    /// The exchange does not fit into its share of memory?
    fn overflow(&self) -> Option<Error> {
        let StageKind::Exchange { exchange, partitions } = self.stage.kind() else { return None };
        let all = lock(&self.exchanged);
        let of_this = (0..partitions).filter_map(|p| all.get(&(exchange, p))).flatten();
        let held: u64 = of_this.map(|b| b.get_array_memory_size() as u64).sum();
        (held > self.limit).then(|| {
            let mib = |b: u64| b.div_ceil(1 << 20);
            Error::job(format!("the exchange holds {} MiB, more than its share of {} MiB", mib(held), mib(self.limit)))
                .at_stage(self.stage.label())
                .with_remedy("raise --memory-limit, or fold more on the map side with `combine`")
        })
    }

    pub(crate) fn ended(&self) {
        lock(&self.times).1 = Some(Moment::now());
    }

    /// CPU and wall seconds from its first lease to its end. Stages run one after the other: the process is theirs.
    fn usage(&self) -> measure::Usage {
        match *lock(&self.times) {
            (Some(Moment(t0, a)), Some(Moment(t1, b))) => {
                measure::Usage { user: b.user - a.user, sys: b.sys - a.sys, wall: t1.duration_since(t0).as_secs_f64() }
            }
            _ => measure::Usage::default(),
        }
    }

    fn reported(&self) -> Result<Option<Reported>> {
        if self.stage.kind() != StageKind::Report {
            return Ok(None);
        }
        let name = self.stage.report_name().unwrap_or("report").to_string();
        let texts = lock(&self.values);
        let mut ranked: Vec<&(Vec<u8>, String)> = texts.values().flatten().collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0)); // Stable: without ranks, the order of the splits stays.
        let values = ranked.iter().map(|(_, t)| Ok(serde_json::from_str(t)?)).collect::<Result<_>>()?;
        Ok(Some(Reported { name, values }))
    }
}

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
    done.map(|d| RunOutcome { usage, ..d })
}

fn ended(opts: &RunOptions, usage: &measure::Usage, done: &Result<RunOutcome>) {
    let outcome = match done {
        Ok(d) if d.skipped > 0 => Outcome::CommittedWithSkips,
        Ok(_) => Outcome::Committed,
        Err(e) if e.is_stop() => Outcome::Cancelled,
        Err(_) => Outcome::Failed,
    };
    let counters = done.as_ref().map(|d| d.counters.clone()).unwrap_or_default();
    let failure =
        done.as_ref().err().map(|e| mapfold_coord::Failure::new(mapfold_coord::FailureKind::User, e.to_string()));
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
    });
    opts.events.end();
}

struct Run<'a> {
    plan: &'a Plan,
    opts: &'a RunOptions,
    job_id: JobId,
    job: Arc<Job>,
    outputs: BTreeMap<usize, OutputRun>,
    predicted: u64,
}

impl<'a> Run<'a> {
    fn open(plan: &'a Plan, opts: &'a RunOptions, job_id: JobId) -> Result<Run<'a>> {
        let stages = plan.stages();
        if stages.is_empty() {
            return Err(Error::usage("the job asks for nothing: no write and no report"));
        }
        let memory = plan_memory(&stages, opts)?;
        check_space(plan, &stages)?;
        announce(opts, job_id);
        let mut outputs = BTreeMap::new();
        for (i, stage) in stages.iter().enumerate().filter(|(_, s)| s.output().is_some()) {
            let opened = OutputRun::open(stage, plan, StageId(i as u32), &job_id, opts);
            match opened {
                Ok(run) => drop(outputs.insert(i, run)),
                Err(e) => {
                    outputs.values_mut().for_each(|o: &mut OutputRun| o.leave(false));
                    return Err(e.at_stage(stage.label()));
                }
            }
        }
        let predicted = memory.iter().map(|m| m.peak).max().unwrap_or(0);
        let job = Arc::new(make_job(plan, opts, &stages, &memory, &mut outputs)?);
        Ok(Run { plan, opts, job_id, job, outputs, predicted })
    }

    fn go(mut self, began: Instant) -> Result<RunOutcome> {
        let finished = self.serve().and_then(|()| self.publish());
        match finished {
            Ok(outputs) => self.outcome(began, outputs),
            Err(e) => {
                let made = self.job.stages.iter().any(|s| !lock(&s.parts).is_empty());
                let earlier = self.outputs.values().any(|o| !o.earlier.is_empty() || o.is_decided());
                let worth = earlier || made && e.is_resumable();
                self.outputs.values_mut().for_each(|o| o.leave(worth));
                Err(if worth { e.with_more_remedy("run the same command with --resume to go on") } else { e })
            }
        }
    }

    /// Runs the workers; this thread writes the log and listens to signals.
    fn serve(&mut self) -> Result<()> {
        if self.outputs.len() == self.job.stages.len() && self.outputs.values().all(OutputRun::is_decided) {
            return Ok(());
        }
        let workers = self.opts.workers.max(1);
        let config = match workers {
            1 => timely::CommunicationConfig::Thread,
            n => timely::CommunicationConfig::ProcessBinary(n),
        };
        let (builders, others) = config.try_build().map_err(|e| Error::job(format!("timely cannot start: {e}")))?;
        let job = self.job.clone();
        let guards = timely::execute::execute_from(builders, others, timely::WorkerConfig::default(), move |w| {
            worker::serve(w, &job);
        })
        .map_err(|e| Error::job(format!("timely cannot start: {e}")))?;
        let me = std::thread::current();
        let watcher = std::thread::spawn(move || {
            let fault = guards.join().into_iter().filter_map(std::result::Result::err).next();
            me.unpark(); // Else a short run would wait for the next tick.
            fault
        });
        while !watcher.is_finished() {
            std::thread::park_timeout(Duration::from_millis(20));
            self.tick();
        }
        self.job.writer.wait_idle(); // No write of ours may come after the folder is left.
        self.tick();
        if let Ok(Some(e)) = watcher.join() {
            return Err(Error::job(format!("a timely worker stopped: {e}")));
        }
        self.job.shell.take_failure().map_or(Ok(()), Err)
    }

    fn tick(&mut self) {
        if self.opts.cancel.is_cancelled() && !self.job.shell.has_failed() {
            let stop = match self.opts.cancel.signal() {
                15 => Error::new(Kind::Terminated, "stopped by TERM"),
                _ => Error::new(Kind::Interrupted, "interrupted"),
            };
            self.job.shell.fail(stop);
        }
        let overflow = self.job.stages.iter().find_map(|s| s.overflow());
        if let Some(e) = overflow.filter(|_| !self.job.shell.has_failed()) {
            self.job.shell.fail(e);
        }
        if let Err(e) = self.write_log() {
            self.job.shell.fail(e);
        }
    }

    fn write_log(&mut self) -> Result<()> {
        let entries = self.job.shell.take_log();
        for (stage, output) in &mut self.outputs {
            let own = |e: &&LogEntry| e.stage() == StageId(*stage as u32);
            let mine: Vec<LogEntry> = entries.iter().filter(own).cloned().collect();
            if !mine.is_empty() {
                output.append(&mine).map_err(|e| e.at_stage(self.job.stages[*stage].stage.label()))?;
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<Vec<OutputDone>> {
        self.write_log()?;
        for (i, output) in &mut self.outputs {
            if output.is_decided() {
                continue;
            }
            let stage = &self.job.stages[*i];
            let mut parts = lock(&stage.parts).clone();
            output.earlier.iter().for_each(|r| drop(parts.insert(r.split, r.clone())));
            let parts: Vec<PartRecord> = parts.into_values().collect();
            let streams = stage.streams.as_ref().ok_or_else(|| Error::job("the output has no streams"))?;
            let laid_out = output.lay_out(streams, &parts, self.opts.threads);
            laid_out.map_err(|e| e.at_stage(stage.stage.label()))?;
        }
        // All files are whole: decide all, then reveal all, so that several outputs appear together.
        self.outputs.values_mut().try_for_each(OutputRun::decide)?;
        self.outputs.values_mut().map(OutputRun::reveal).collect()
    }

    fn outcome(self, began: Instant, outputs: Vec<OutputDone>) -> Result<RunOutcome> {
        let tally = self.job.shell.take_tally();
        let stages = self.job.stages.iter().map(|s| StageDone {
            label: s.stage.label().to_string(),
            splits: s.stage.domain().splits(),
            resumed: s.resumed,
            retries: tally.retries.get(&s.id).copied().unwrap_or(0),
            usage: s.usage(),
            times: tally.times.get(&s.id).copied().unwrap_or_default(),
        });
        let reports = self.job.stages.iter().filter_map(|s| s.reported().transpose()).collect::<Result<Vec<_>>>()?;
        Ok(RunOutcome {
            job: self.job_id,
            reports,
            bytes_written: outputs.iter().map(|o| o.bytes).sum(),
            outputs,
            stages: stages.collect(),
            counters: self.job.shell.counters(),
            skipped: tally.skipped,
            usage: measure::Usage { wall: began.elapsed().as_secs_f64(), ..Default::default() },
            peak_bytes: measure::peak_rss(),
            predicted_peak_bytes: self.predicted,
            bytes_read: self.job.stores.counters().bytes_read,
            warnings: self.plan.warnings(),
        })
    }
}

fn plan_memory(stages: &[Arc<dyn Stage>], opts: &RunOptions) -> Result<Vec<StageMemory>> {
    stages.iter().map(|s| opts.budget().plan(s.as_ref(), opts.chunks)).collect()
}

/// Refuses a run whose output cannot fit on the disk.
fn check_space(plan: &Plan, stages: &[Arc<dyn Stage>]) -> Result<()> {
    for output in stages.iter().filter_map(|s| s.output()) {
        let (likely, _) = output.estimate();
        let free = plan.stores().free_space(output.loc())?;
        if let Some(free) = free.filter(|f| *f < likely) {
            let size = mapfold_plan::explain::bytes;
            let what =
                format!("{}: needs about {}, but only {} are free there", output.loc(), size(likely), size(free));
            return Err(Error::input(what).with_remedy("free some space, or write elsewhere"));
        }
    }
    Ok(())
}

fn announce(opts: &RunOptions, id: JobId) {
    let params = match redacted(&opts.params) {
        serde_json::Value::Object(o) => o.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
    opts.events.emit(&JobEvent::JobStarted { id, name: opts.name.clone(), params, pid: std::process::id(), host });
}

/// Parameters without secrets: every URL in them redacted.
pub fn redacted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(s) => Value::String(mapfold_store::redact(s)),
        Value::Array(a) => Value::Array(a.iter().map(redacted).collect()),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), redacted(v))).collect()),
        other => other.clone(),
    }
}

fn make_job(
    plan: &Plan,
    opts: &RunOptions,
    stages: &[Arc<dyn Stage>],
    memory: &[StageMemory],
    outputs: &mut BTreeMap<usize, OutputRun>,
) -> Result<Job> {
    let exchanged: Arc<Mutex<Exchanged>> = Arc::default();
    let (mut runs, mut specs) = (Vec::new(), Vec::new());
    for (i, (stage, memory)) in stages.iter().zip(memory).enumerate() {
        let id = StageId(i as u32);
        let mut spec = StageSpec::new(id, stage.domain().splits());
        spec.costs = opts.shuffle.map_or(Costs::Uniform, |seed| shuffled(seed + i as u64, spec.splits));
        let mut streams = None;
        if let Some(output) = outputs.get_mut(&i).filter(|o| o.is_decided()) {
            spec.earlier = output.all_done(); // Its files may be in their place already: they are not opened.
        } else if let Some(output) = outputs.get_mut(&i) {
            streams = Some(output.streams(memory.held)?);
            spec.earlier = output.done();
        }
        let resumed = spec.earlier.done.len() as u64;
        opts.events.emit(&JobEvent::StagePlanned {
            stage: id,
            label: stage.label().to_string(),
            splits: spec.splits,
            already_done: resumed,
            bytes_in: Some(stage.input_bytes()),
        });
        runs.push(Arc::new(StageRun {
            id,
            stage: stage.clone(),
            memory: *memory,
            streams,
            parts: Mutex::default(),
            values: Mutex::default(),
            storing: Mutex::default(),
            exchanged: exchanged.clone(),
            limit: opts.memory_limit / 4,
            times: Mutex::default(),
            resumed,
        }));
        specs.push(spec);
    }
    let policy = Policy { on_error: opts.on_error, ..Policy::default() };
    let coordinator = Coordinator::new(specs, policy).map_err(|e| Error::caused(Kind::Job, e))?;
    let workers = opts.workers.max(1);
    let (shell, mailboxes) = Shell::new(coordinator, workers, opts.events.clone());
    Ok(Job {
        shell,
        pool: Pool::new("compute", opts.threads),
        writer: Pool::new("write", 1),
        stores: plan.stores().clone(),
        files: Arc::new(plan.files()),
        stages: runs,
        mailboxes: Mutex::new(mailboxes.into_iter().map(Some).collect()),
        exchanged,
        leases: (2 * opts.threads).div_ceil(workers) as u32,
    })
}

/// Costs that lease the splits in an order given by the seed.
fn shuffled(seed: u64, splits: u64) -> Costs {
    let mix = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
        ((x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as u32
    };
    Costs::PerSplit((0..splits).map(mix).collect())
}
