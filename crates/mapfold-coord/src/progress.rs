//! How far a job is: plain numbers for bars, reports and ETA.

use serde::{Deserialize, Serialize};

use crate::coordinator::Coordinator;
use crate::ids::{Generation, StageId};

/// How far one stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageProgress {
    /// Which stage.
    pub id: StageId,
    /// Splits in all.
    pub splits: u64,
    /// Splits registered.
    pub done: u64,
    /// Splits given up, within the allowance.
    pub skipped: u64,
    /// Splits out with members.
    pub running: u64,
    /// Splits not yet leased, or to be leased again.
    pub waiting: u64,
    /// Attempts beyond the first of their split.
    pub retries: u64,
    /// Cost registered or given up, in the plan's unit (splits when it gave none).
    pub cost_done: u64,
    /// Cost in all, in the same unit.
    pub cost_total: u64,
    /// Generation now running.
    pub generation: Generation,
}

/// How far the job is, stage by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// In ascending order of stage.
    pub stages: Vec<StageProgress>,
    /// Members heard of and not lost.
    pub members: u64,
}

impl Progress {
    pub(crate) fn of(coordinator: &Coordinator) -> Progress {
        let stages = coordinator.stages.values().map(|stage| StageProgress {
            id: stage.id,
            splits: stage.splits,
            done: stage.done,
            skipped: stage.skipped,
            running: stage.in_flight(),
            waiting: stage.waiting(),
            retries: stage.retries,
            cost_done: stage.cost_done,
            cost_total: stage.cost_total,
            generation: stage.generation,
        });
        Progress { stages: stages.collect(), members: coordinator.members.len() as u64 }
    }

    /// Splits registered, in all stages.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.stages.iter().map(|stage| stage.done).sum()
    }

    /// Splits in all stages.
    #[must_use]
    pub fn splits(&self) -> u64 {
        self.stages.iter().map(|stage| stage.splits).sum()
    }

    /// Splits given up, in all stages.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.stages.iter().map(|stage| stage.skipped).sum()
    }

    /// Share of the cost that is done, 0 to 1; 1 when there is nothing to do.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let total: u64 = self.stages.iter().map(|stage| stage.cost_total).sum();
        let done: u64 = self.stages.iter().map(|stage| stage.cost_done).sum();
        if total == 0 { 1.0 } else { done as f64 / total as f64 }
    }
}
