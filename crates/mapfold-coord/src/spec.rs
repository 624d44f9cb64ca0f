//! What is to be done ([`StageSpec`]) and how patiently ([`Policy`]).

use serde::{Deserialize, Serialize};

use crate::ids::{Generation, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::message::FailureKind;

/// How much work each split is, relative to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Costs {
    /// All the same: leased in ascending order.
    #[default]
    Uniform,
    /// One number per split, in any unit: leased longest first, ties in ascending order.
    PerSplit(Vec<u32>),
}

/// What a member's loss means for a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageKind {
    /// Members share nothing but the store: a lost member frees its leases, no more.
    #[default]
    LeaseOnly,
    /// Map side of an exchange in memory. Its records are not logged: nothing of it lasts.
    PipelinedMap {
        /// Stages of one group begin again together.
        group: u32,
    },
    /// Reduce side of an exchange in memory: logged, under its generation.
    PipelinedReduce {
        /// Stages of one group begin again together.
        group: u32,
    },
}

impl StageKind {
    /// The group that begins again as one, if any.
    #[must_use]
    pub fn group(self) -> Option<u32> {
        match self {
            StageKind::LeaseOnly => None,
            StageKind::PipelinedMap { group } | StageKind::PipelinedReduce { group } => Some(group),
        }
    }

    /// Whether registered parts go to the commit log.
    #[must_use]
    pub fn logged(self) -> bool {
        !matches!(self, StageKind::PipelinedMap { .. })
    }
}

/// One stage: so many splits, of such costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpec {
    /// Its name.
    pub id: StageId,
    /// Splits are `0..splits`.
    pub splits: u64,
    /// Their costs.
    pub costs: Costs,
    /// What a lost member means.
    pub kind: StageKind,
    /// Split `s` is partition `s`, and its records are with the member that [owns](crate::Seat::owns) it: leased to
    /// nobody else.
    #[serde(default)]
    pub owned: bool,
    /// What an earlier run has committed.
    pub earlier: Earlier,
}

impl StageSpec {
    /// A lease-only stage of uniform splits, none done.
    #[must_use]
    pub fn new(id: StageId, splits: u64) -> StageSpec {
        let (costs, kind, earlier) = (Costs::Uniform, StageKind::LeaseOnly, Earlier::default());
        StageSpec { id, splits, costs, kind, owned: false, earlier }
    }
}

/// What an earlier run of the same job has committed of a stage ([`crate::Replay`] makes it from
/// the log).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Splits registered.
    pub done: Vec<SplitId>,
    /// Splits given up.
    pub skipped: Vec<SplitId>,
    /// Last generation begun.
    pub generation: Generation,
    /// Counts of the registered splits.
    pub counters: Counters,
    /// Thread time of the registered splits.
    pub times: PhaseTimes,
}

/// What to do when a split has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// The job fails.
    #[default]
    Fail,
    /// The split is left out, up to so many in the whole job.
    Skip {
        /// Most splits left out.
        max: u64,
    },
}

/// How patient the coordinator is. The default suits one process: no time limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What to do when a split has failed for good.
    pub on_error: OnError,
    /// Failures of kind [`FailureKind::Io`] after which a split has failed for good.
    pub io_attempts: u32,
    /// The same for bad data, user errors and panics.
    pub other_attempts: u32,
    /// A member that has said nothing for so long is lost. `None`: never.
    pub lost_after_ms: Option<u64>,
    /// A lease not registered after so long is taken back. `None`: never.
    pub lease_ms: Option<u64>,
    /// What is taken back is the process that holds it ([`crate::Action::Overdue`]): its thread cannot be stopped.
    pub kill_overdue: bool,
    /// A lease older than this is given to a second, idle member as well. `None`: never.
    pub speculate_after_ms: Option<u64>,
    /// A member that has done all that its own host holds waits so long before it takes what other hosts hold.
    pub local_wait_ms: u64,
    /// Deaths of a solo member with a split, alone, after which that split has failed for good.
    pub solo_deaths: u32,
    /// Generations of a pipelined group before the job fails.
    pub max_generations: u32,
    /// `false` grants every attempt and registers whatever comes: a control for tests, which
    /// double-counts by design.
    #[doc(hidden)]
    pub grants: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            on_error: OnError::Fail,
            io_attempts: 3,
            other_attempts: 1,
            lost_after_ms: None,
            lease_ms: None,
            kill_overdue: false,
            speculate_after_ms: None,
            local_wait_ms: 0,
            solo_deaths: 2,
            max_generations: 4,
            grants: true,
        }
    }
}

impl Policy {
    /// For members on other machines: lost after 30 s of silence, speculation after 60 s, what other hosts hold after
    /// half a second.
    #[must_use]
    pub fn cluster() -> Policy {
        let (lost_after_ms, speculate_after_ms) = (Some(30_000), Some(60_000));
        Policy { lost_after_ms, speculate_after_ms, local_wait_ms: 500, ..Policy::default() }
    }

    /// Failures of this kind after which a split has failed for good.
    #[must_use]
    pub fn max_attempts(&self, kind: FailureKind) -> u32 {
        match kind {
            FailureKind::Io => self.io_attempts,
            FailureKind::Data | FailureKind::User | FailureKind::Panic => self.other_attempts,
            FailureKind::Crash | FailureKind::Output | FailureKind::Internal | FailureKind::Cancelled => 1,
        }
    }
}
