//! What can happen to a job: the events, as they stand in its log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Generation, JobId, MemberId, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::message::Failure;
use crate::near::Placed;
use crate::process::Process;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The output is there, whole.
    Committed,
    /// The output is there; parts were left out, within the allowance (exit code 4).
    CommittedWithSkips,
    /// No output.
    Failed,
    /// Stopped by the user or a signal; no output.
    Cancelled,
}

/// Something that happened to a job. Bytes are bytes, times nanoseconds of thread time unless the
/// name says seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEvent {
    /// The job begins.
    JobStarted {
        /// Its name for machines.
        id: JobId,
        /// Its name for people, such as `ndvi`.
        name: String,
        /// Its parameters as given, free of secrets.
        params: BTreeMap<String, serde_json::Value>,
        /// The coordinator's process: `pid` and `host`, and since version 1 which process of that number.
        #[serde(flatten)]
        process: Process,
        /// [`VERSION`](super::VERSION); 0 in logs older than it.
        #[serde(default)]
        version: u32,
    },
    /// What the job may use and what it will make.
    JobPlanned {
        /// Processes, or workers in one process; of a range the most.
        workers: u32,
        /// The least of a range of processes; 0 where their number is fixed.
        #[serde(default)]
        least: u32,
        /// Compute threads of each process.
        threads: u32,
        /// Memory limit of each process.
        limit_bytes: u64,
        /// What planning says the hungriest process will need.
        predicted_bytes: u64,
        /// Locations of the outputs, free of secrets.
        outputs: Vec<String>,
    },
    /// The pages of this job are served here while it runs.
    Serving {
        /// `http://127.0.0.1:8787`
        url: String,
    },
    /// A member process came in.
    MemberJoined {
        /// Who.
        member: MemberId,
        /// Whether it gets only splits that have killed others.
        solo: bool,
    },
    /// A member process is gone before the job was over.
    MemberLost {
        /// Who.
        member: MemberId,
        /// How it ended, or why it was given up.
        how: String,
        /// Whether another process takes its place.
        replaced: bool,
        /// The last line of its log.
        #[serde(default)]
        log_tail: String,
    },
    /// A member is not needed any more: it has finished what it had and goes.
    MemberRetired {
        /// Who.
        member: MemberId,
    },
    /// The user wants so many members from now on.
    MembersWanted {
        /// How many.
        wanted: u32,
    },
    /// A member cannot be had now; the job goes on with those that it has.
    MemberMissing {
        /// Why.
        why: String,
        /// Seconds until it is tried again.
        seconds: u64,
    },
    /// What the members have used so far, now and then; in one process it is member 0.
    MembersUsed {
        /// One entry a member, lost ones included.
        members: Vec<MemberUse>,
    },
    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    SplitsPlaced {
        /// So far, in all.
        placed: Placed,
    },
    /// A stage is known.
    StagePlanned {
        /// Which.
        stage: StageId,
        /// What it does, for people.
        label: String,
        /// Its splits, those already done by an earlier run included.
        splits: u64,
        /// Splits done by an earlier run.
        already_done: u64,
        /// Bytes it will read, when known.
        bytes_in: Option<u64>,
    },
    /// A member began with a split.
    SplitLeased {
        /// Of which stage.
        stage: StageId,
        /// Which.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Who.
        member: MemberId,
    },
    /// A split is registered.
    SplitDone {
        /// Of which stage.
        stage: StageId,
        /// Which.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Who.
        member: MemberId,
        /// Where the time went.
        times: PhaseTimes,
        /// Read from inputs.
        bytes_in: u64,
        /// Handed to the output.
        bytes_out: u64,
    },
    /// So many more splits are registered (instead of [`JobEvent::SplitDone`] in the file of a
    /// job with many splits).
    SplitsDone {
        /// Of which stage.
        stage: StageId,
        /// How many.
        splits: u64,
        /// Where the time went.
        times: PhaseTimes,
        /// Read from inputs.
        bytes_in: u64,
        /// Handed to the output.
        bytes_out: u64,
        /// Splits of the stage that someone works on now; not told by versions that did not count them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_flight: Option<u64>,
    },
    /// An attempt failed.
    SplitFailed {
        /// Of which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// Which attempt.
        attempt: Attempt,
        /// Why.
        failure: Failure,
        /// Whether the split was left out (else it is tried again, or the job fails).
        skipped: bool,
        /// What the split covers, for people: a block of a file, rows.
        #[serde(default)]
        place: String,
    },
    /// A stage begins again from nothing: a member of its group died.
    GenerationBegan {
        /// Which.
        stage: StageId,
        /// The generation that begins.
        generation: Generation,
    },
    /// A member has waited too long for another to take records.
    Stalled {
        /// Who waits.
        member: MemberId,
        /// For which member of its group, by its seat.
        seat: u32,
        /// Bytes that were sent to it and not answered.
        unanswered: u64,
        /// Bytes that wait to be sent to it.
        waiting: u64,
        /// Seconds since it last answered.
        seconds: f64,
    },
    /// Every split of a stage is registered or left out.
    StageDone {
        /// Which.
        stage: StageId,
        /// Wall time since it was planned.
        seconds: f64,
    },
    /// The counters so far.
    Counters {
        /// Of registered splits only.
        counters: Counters,
    },
    /// The job is over.
    JobEnded {
        /// How.
        outcome: Outcome,
        /// Wall time in all.
        wall_seconds: f64,
        /// CPU time in user mode, all threads.
        user_seconds: f64,
        /// CPU time in the kernel, all threads.
        sys_seconds: f64,
        /// Most memory resident at once, when known.
        peak_bytes: Option<u64>,
        /// Where the thread time went.
        times: PhaseTimes,
        /// Of registered splits only.
        counters: Counters,
        /// The root cause, when there is one.
        failure: Option<Failure>,
        /// The split of the root cause, by stage and number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<(StageId, SplitId)>,
        /// The stage of the root cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<String>,
        /// The block, split or row of the root cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// The report as it was shown at the end of a run that made its outputs.
    Reported {
        /// The object that `--json` prints.
        report: serde_json::Value,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a member has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberUse {
    /// Which.
    pub member: u32,
    /// CPU time in user mode.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub sys_seconds: f64,
    /// Most bytes resident at once.
    pub peak_bytes: u64,
    /// Read from inputs.
    pub bytes_read: u64,
    /// Bytes of records that went through files.
    pub bytes_spilled: u64,
    /// Splits it has registered: told once splits get no lines of their own any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splits_done: Option<u64>,
    /// Splits it works on now; told likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splits_in_flight: Option<u64>,
}

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: JobEvent,
}
