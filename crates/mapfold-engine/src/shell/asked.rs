//! What the coordinator's side of a run asks the shell: how far the job is, and what its members have made and used.

use super::{Shell, Tally};
use crate::failure::Failed;
use crate::groups::Role;
use crate::link::Vitals;
use mapfold_coord::{Counters, LogEntry, MemberId, StageId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;

impl Shell {
    /// Where splits were worked on, as far as it is known which hosts hold what they read.
    pub fn placed(&self) -> mapfold_coord::Placed {
        self.lock().coord.placed()
    }

    /// Whether a stage is a side of an exchange.
    pub fn exchanges(&self, stage: StageId) -> bool {
        (self.roles)(stage) != Role::default()
    }

    /// Whether mail goes to a member: it is there, and wanted.
    pub fn is_enrolled(&self, member: MemberId) -> bool {
        self.lock().boxes.contains_key(&member)
    }

    /// Whether nobody works on a stage, because nothing is left for it to do.
    pub fn is_spared(&self, stage: StageId) -> bool {
        self.lock().rounds.is_spared(stage)
    }

    /// Whether a member has gone so.
    pub fn has_left(&self, member: MemberId) -> bool {
        self.lock().left.contains(&member)
    }

    /// The job's folder in the user's state folder.
    pub fn folder(&self) -> Option<PathBuf> {
        self.events.path().and_then(|path| path.parent().map(PathBuf::from))
    }

    /// Whether splits wait for a solo member.
    pub fn has_suspects(&self) -> bool {
        self.lock().coord.waiting_suspects() > 0
    }

    /// Members that hold a split for too long.
    pub fn take_overdue(&self) -> Vec<MemberId> {
        std::mem::take(&mut self.lock().overdue)
    }

    /// Whether the job has ended without a result.
    pub fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Whether nothing is left to do: every split of every stage is done or skipped, or the job has failed.
    pub fn is_over(&self) -> bool {
        self.has_failed() || self.lock().coord.is_complete()
    }

    /// Members that were given up since the last call.
    pub fn take_gone(&self) -> Vec<MemberId> {
        std::mem::take(&mut self.lock().gone)
    }

    /// Splits registered so far.
    pub fn splits_done(&self) -> u64 {
        self.lock().coord.progress().done()
    }

    /// Entries to be written to the commit log.
    pub fn take_log(&self) -> Vec<LogEntry> {
        std::mem::take(&mut self.lock().log)
    }

    /// Counters of all registered splits.
    pub fn counters(&self) -> Counters {
        self.lock().coord.counters()
    }

    /// Why the job failed.
    pub fn take_failure(&self) -> Option<Failed> {
        self.lock().failure.take()
    }

    /// What was counted of a stage.
    pub fn tally(&self, stage: StageId) -> Tally {
        self.lock().tally.get(&stage).copied().unwrap_or_default()
    }

    /// What the splits of a stage have made, packed.
    pub fn made(&self, stage: StageId) -> BTreeMap<u64, String> {
        self.lock().made.get(&stage).cloned().unwrap_or_default()
    }

    /// Whether any split has been registered in this run.
    pub fn has_made(&self) -> bool {
        self.lock().made.values().any(|made| !made.is_empty())
    }

    /// Whether records are in the files of a durable exchange.
    pub fn has_exchanged(&self) -> bool {
        self.lock().pieces.values().any(|parts| !parts.is_empty())
    }

    /// Splits given up.
    pub fn skipped(&self) -> u64 {
        self.lock().tally.values().map(|t| t.skipped).sum()
    }

    /// What each member said last of its use.
    pub fn vitals(&self) -> BTreeMap<MemberId, Vitals> {
        self.lock().vitals.clone()
    }
}
