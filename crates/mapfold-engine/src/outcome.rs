//! What a run gives back.

use crate::Usage;
use mapfold_coord::events::MemberUse;
use mapfold_coord::{Counters, JobId, PhaseTimes, Placed};
use mapfold_plan::Reported;
use mapfold_store::Loc;

/// What a run gives back.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The job.
    pub job: JobId,
    /// Small results.
    pub reports: Vec<Reported>,
    /// Outputs that are there now.
    pub outputs: Vec<OutputDone>,
    /// Stages in the order they ran.
    pub stages: Vec<StageDone>,
    /// Counters of committed attempts.
    pub counters: Counters,
    /// Splits left out, within the allowance.
    pub skipped: u64,
    /// CPU and wall time of the process while the job ran.
    pub usage: Usage,
    /// Most bytes resident at once, of the whole process.
    pub peak_bytes: u64,
    /// What the plan predicted.
    pub predicted_peak_bytes: u64,
    /// Bytes read from inputs.
    pub bytes_read: u64,
    /// Bytes of the outputs.
    pub bytes_written: u64,
    /// Bytes of records that went through files, sorted runs included.
    pub bytes_spilled: u64,
    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    pub placed: Placed,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What each member process used; empty when the workers were in this process.
    pub members: Vec<MemberUse>,
    /// Member processes that died and were replaced.
    pub replaced: u64,
}

/// An output that is there now.
#[derive(Clone, Debug)]
pub struct OutputDone {
    /// Where.
    pub loc: Loc,
    /// What it is.
    pub what: String,
    /// Bytes.
    pub bytes: u64,
    /// Whether the data was written once, in place, without a copy at the end.
    pub in_place: bool,
}

/// A stage that is over.
#[derive(Clone, Debug)]
pub struct StageDone {
    /// Its number; of rounds that were not needed there is none.
    pub number: u32,
    /// Its label.
    pub label: String,
    /// Its splits.
    pub splits: u64,
    /// Splits that an earlier run had committed.
    pub resumed: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// CPU seconds of the process and wall seconds, from its first lease to its end.
    pub usage: Usage,
    /// Thread time by phase.
    pub times: PhaseTimes,
}
