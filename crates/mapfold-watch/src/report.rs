//! The report at the end of a run, as numbers. Whoever ran the job fills it; [`RunReport::text`] and serde draw it.
//!
//! A job may fill most of it by subscribing [`RunReport::event`] to the job's events; what no event knows (outputs,
//! predicted memory, limits, warnings) is added by the facade. JSON names carry their unit (`wall_seconds`,
//! `bytes_read`), a field is never left out, and unknown numbers are `null`.

use crate::Skew;
use mapfold_coord::events::Outcome;
use mapfold_coord::{Counters, Failure, JobEvent, Phase, PhaseTimes, Placed, StageId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// All that is said of a run when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The job's name for people: `ndvi`.
    pub job: String,
    /// Its name for machines, 32 hexadecimal digits; empty when it has none.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// From start to end.
    pub wall_seconds: f64,
    /// CPU time in user mode, all threads.
    pub user_seconds: f64,
    /// CPU time in the kernel, all threads.
    pub sys_seconds: f64,
    /// Processes.
    pub workers: usize,
    /// Threads of the compute pool, per worker.
    pub threads: usize,
    /// Member processes that died, or stood still, and were replaced.
    pub replaced: u64,
    /// What each member process used; empty when there was one process.
    pub members: Vec<MemberReport>,
    /// Stages in the order they were planned.
    pub stages: Vec<StageReport>,
    /// What was made.
    pub outputs: Vec<OutputReport>,
    /// Sums over all registered splits.
    pub counters: Counters,
    /// Bytes of records that went through files.
    #[serde(default)]
    pub bytes_spilled: u64,
    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    #[serde(default)]
    pub splits_placed: Placed,
    /// Memory of the hungriest worker.
    pub memory: MemoryReport,
    /// One line each.
    pub warnings: Vec<String>,
    /// Why the job failed. Not part of the text: errors are printed in one place, by the facade.
    pub failure: Option<Failure>,
}

/// One stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// The coordinator's number.
    pub stage: u32,
    /// What it does, for people: `map at jobs/ndvi/src/main.rs:19`.
    pub label: String,
    /// Splits in all.
    pub splits: u64,
    /// Splits that an earlier run had done.
    pub earlier: u64,
    /// Attempts that failed.
    pub retries: u64,
    /// Splits left out.
    pub skipped: u64,
    /// From its first to its last split.
    pub wall_seconds: Option<f64>,
    /// CPU time in user mode, where it was measured.
    pub user_seconds: Option<f64>,
    /// CPU time in the kernel, where it was measured.
    pub sys_seconds: Option<f64>,
    /// Thread time by phase; in JSON seconds, every phase named.
    #[serde(rename = "seconds", serialize_with = "phase_seconds", deserialize_with = "phases")]
    pub times: PhaseTimes,
    /// Read from inputs.
    pub bytes_read: u64,
    /// Handed to the output.
    pub bytes_written: u64,
    /// Thread time of the fastest, the middle and the slowest split, waiting aside.
    #[serde(default)]
    pub split_seconds: Option<Skew>,
}

/// What one member process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Which member.
    pub member: u32,
    /// CPU time in user mode.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub sys_seconds: f64,
    /// Most resident at once (VmHWM).
    pub peak_bytes: u64,
}

/// Something the run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Where, free of secrets.
    pub path: String,
    /// Size, when known.
    pub bytes: Option<u64>,
    /// What it is, in a few words: `COG 10980x10980 float32, 1 band, 5 overviews`.
    pub what: String,
}

/// Memory of the hungriest worker, in bytes; `None` = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Most resident at once (VmHWM).
    pub peak_bytes: Option<u64>,
    /// What planning said it would be.
    pub predicted_bytes: Option<u64>,
    /// `--memory-limit`.
    pub limit_bytes: Option<u64>,
}

impl RunReport {
    /// A report of a job that has just begun, with nothing in it.
    pub fn new(job: impl Into<String>) -> RunReport {
        RunReport {
            job: job.into(),
            id: String::new(),
            outcome: Outcome::Cancelled,
            wall_seconds: 0.0,
            user_seconds: 0.0,
            sys_seconds: 0.0,
            workers: 1,
            threads: 1,
            replaced: 0,
            members: Vec::new(),
            stages: Vec::new(),
            outputs: Vec::new(),
            counters: Counters::default(),
            bytes_spilled: 0,
            splits_placed: Placed::default(),
            memory: MemoryReport::default(),
            warnings: Vec::new(),
            failure: None,
        }
    }

    /// Takes note of an event.
    ///
    /// ```
    /// use mapfold_coord::{JobEvent, StageId};
    /// use mapfold_watch::RunReport;
    /// let mut report = RunReport::new("ndvi");
    /// let (stage, label) = (StageId(0), "read".to_owned());
    /// report.event(&JobEvent::StagePlanned { stage, label, splits: 4, already_done: 1, bytes_in: None });
    /// report.event(&JobEvent::StageDone { stage, seconds: 1.5 });
    /// assert_eq!(report.stages[0].wall_seconds, Some(1.5));
    /// ```
    pub fn event(&mut self, event: &JobEvent) {
        match event {
            JobEvent::JobStarted { id, name, .. } => {
                self.id = id.to_string();
                self.job.clone_from(name);
            }
            JobEvent::StagePlanned { stage, label, splits, already_done, .. } => {
                let entry = self.stage(*stage);
                (entry.splits, entry.earlier) = (*splits, *already_done);
                entry.label.clone_from(label);
            }
            JobEvent::SplitDone { stage, times, bytes_in, bytes_out, .. }
            | JobEvent::SplitsDone { stage, times, bytes_in, bytes_out, .. } => {
                let entry = self.stage(*stage);
                entry.times.merge(times);
                entry.bytes_read += bytes_in;
                entry.bytes_written += bytes_out;
            }
            JobEvent::SplitFailed { stage, skipped, .. } => {
                let entry = self.stage(*stage);
                entry.retries += u64::from(!skipped);
                entry.skipped += u64::from(*skipped);
            }
            JobEvent::StageDone { stage, seconds } => self.stage(*stage).wall_seconds = Some(*seconds),
            JobEvent::Counters { counters } => self.counters.clone_from(counters),
            JobEvent::SplitsPlaced { placed } => self.splits_placed = *placed,
            JobEvent::JobEnded { .. } => self.ended(event),
            _ => {}
        }
    }

    fn ended(&mut self, event: &JobEvent) {
        let JobEvent::JobEnded {
            outcome, wall_seconds, user_seconds, sys_seconds, peak_bytes, counters, failure, ..
        } = event
        else {
            return;
        };
        self.outcome = *outcome;
        (self.wall_seconds, self.user_seconds, self.sys_seconds) = (*wall_seconds, *user_seconds, *sys_seconds);
        self.memory.peak_bytes = peak_bytes.or(self.memory.peak_bytes);
        self.counters.clone_from(counters);
        self.failure.clone_from(failure);
    }

    /// The entry of a stage, made when it is new.
    fn stage(&mut self, stage: StageId) -> &mut StageReport {
        let at = self.stages.iter().position(|s| s.stage == stage.0).unwrap_or_else(|| {
            self.stages.push(StageReport { stage: stage.0, ..StageReport::default() });
            self.stages.len() - 1
        });
        &mut self.stages[at]
    }

    /// As one line of JSON, for `--json`.
    ///
    /// # Errors
    /// Never in practice: every value here can be written.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// Every phase by name, in seconds.
fn phase_seconds<S: Serializer>(times: &PhaseTimes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Phase::ALL.iter().map(|p| (p.name(), times.get(*p).as_secs_f64())))
}

/// The inverse of [`phase_seconds`]; phases of other versions are passed over.
fn phases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PhaseTimes, D::Error> {
    let seconds = BTreeMap::<String, f64>::deserialize(deserializer)?;
    let mut times = PhaseTimes::default();
    for phase in Phase::ALL {
        let spent = seconds.get(phase.name()).and_then(|s| Duration::try_from_secs_f64(*s).ok());
        times.add(phase, spent.unwrap_or_default());
    }
    Ok(times)
}
