//! What the commit log says: [`LogEntry`], its [`Replay`] on resume, and the [`Manifest`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Generation, JobId, SplitId, StageId};
use crate::message::{Failure, FileRecord, PartRecord};
use crate::spec::Earlier;

/// One fact of the commit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum LogEntry {
    /// A split's output counts.
    Part {
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// The attempt that made it.
        attempt: Attempt,
        /// In this generation of the stage.
        generation: Generation,
        /// What it is.
        record: PartRecord,
    },
    /// A split was given up, within the allowance.
    Skipped {
        /// Which stage.
        stage: StageId,
        /// Which split.
        split: SplitId,
        /// In this generation of the stage.
        generation: Generation,
        /// Why.
        failure: Failure,
    },
    /// A stage began again: its entries of earlier generations count no more.
    Generation {
        /// Which stage.
        stage: StageId,
        /// The generation that begins.
        generation: Generation,
    },
}

impl LogEntry {
    /// The stage that the entry speaks of.
    #[must_use]
    pub fn stage(&self) -> StageId {
        match self {
            LogEntry::Part { stage, .. } | LogEntry::Skipped { stage, .. } | LogEntry::Generation { stage, .. } => {
                *stage
            }
        }
    }

    /// The generation that the entry belongs to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            LogEntry::Part { generation, .. }
            | LogEntry::Skipped { generation, .. }
            | LogEntry::Generation { generation, .. } => *generation,
        }
    }
}

/// The log read back: per stage what counts, the last entry of a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// The parts that count, by stage and split.
    pub parts: BTreeMap<(StageId, SplitId), PartRecord>,
    /// The splits given up.
    pub skipped: BTreeSet<(StageId, SplitId)>,
    /// The last generation of each stage that began again.
    pub generations: BTreeMap<StageId, Generation>,
}

impl Replay {
    /// Reads the log. Entries of an earlier generation than their stage's last do not count.
    #[must_use]
    pub fn of(entries: &[LogEntry]) -> Replay {
        let mut replay = Replay::default();
        for entry in entries {
            let last = replay.generations.entry(entry.stage()).or_default();
            *last = (*last).max(entry.generation());
        }
        for entry in entries {
            if entry.generation() < replay.generations[&entry.stage()] {
                continue;
            }
            match entry {
                LogEntry::Part { stage, split, record, .. } => {
                    // The last one: a part whose bytes were found damaged is made and registered again on resume.
                    replay.parts.insert((*stage, *split), record.clone());
                    replay.skipped.remove(&(*stage, *split)); // A later life tried again, and made it.
                }
                LogEntry::Skipped { stage, split, .. } => {
                    replay.parts.remove(&(*stage, *split));
                    replay.skipped.insert((*stage, *split));
                }
                LogEntry::Generation { .. } => {}
            }
        }
        replay
    }

    /// What [`StageSpec::earlier`](crate::StageSpec) should say of this stage.
    #[must_use]
    pub fn earlier(&self, stage: StageId) -> Earlier {
        let of_stage = (stage, SplitId(0))..=(stage, SplitId(u64::MAX));
        let mut earlier = Earlier {
            generation: self.generations.get(&stage).copied().unwrap_or_default(),
            skipped: self.skipped.range(of_stage.clone()).map(|(_, split)| *split).collect(),
            ..Earlier::default()
        };
        for ((_, split), record) in self.parts.range(of_stage) {
            earlier.done.push(*split);
            earlier.counters.merge(&record.counters);
            earlier.times.merge(&record.times);
        }
        earlier
    }
}

/// How the job was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its output counts: publish it, and again on `--resume` until it is published.
    Committed,
    /// Its output does not count and never will.
    Aborted,
}

/// The decision of a job: written once, before anything is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job.
    pub job: JobId,
    /// Committed or aborted.
    pub kind: Decision,
    /// Every file of the output.
    pub files: Vec<FileRecord>,
    /// What publishing needs beside the names (opaque to this room).
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Counters;

    fn part(split: u64, generation: u32, pixels: u64) -> LogEntry {
        let mut counters = Counters::default();
        counters.add("pixels", pixels);
        LogEntry::Part {
            stage: StageId(0),
            split: SplitId(split),
            attempt: Attempt(0),
            generation: Generation(generation),
            record: PartRecord { counters, ..PartRecord::default() },
        }
    }

    #[test]
    fn a_new_generation_discards_the_old_one_and_duplicates_count_once() {
        let begins = LogEntry::Generation { stage: StageId(0), generation: Generation(1) };
        let log = [part(0, 0, 1), part(1, 0, 1), begins, part(1, 1, 10), part(1, 1, 10)];
        let earlier = Replay::of(&log).earlier(StageId(0));
        assert_eq!(earlier.done, [SplitId(1)]);
        assert_eq!(earlier.counters.get("pixels"), 10);
        assert_eq!(earlier.generation, Generation(1));
        assert_eq!(Replay::of(&log).earlier(StageId(7)), Earlier::default());
    }

    #[test]
    fn of_what_two_lives_say_about_a_split_the_last_counts() {
        let (stage, split, generation) = (StageId(0), SplitId(0), Generation(0));
        let failure = Failure::new(crate::FailureKind::Io, "no answer");
        let skipped = LogEntry::Skipped { stage, split, generation, failure };
        let made_later = Replay::of(&[skipped.clone(), part(0, 0, 3)]).earlier(stage);
        assert_eq!((made_later.done.len(), made_later.skipped.len(), made_later.counters.get("pixels")), (1, 0, 3));
        let given_up_later = Replay::of(&[part(0, 0, 3), skipped]).earlier(stage);
        assert_eq!((given_up_later.done.len(), given_up_later.counters.get("pixels")), (0, 0));
        assert_eq!(given_up_later.skipped, [split]);
    }
}
