//! One job as its events tell it: what `status`, `why`, the metrics and the JSON pages show.
//!
//! A [`JobView`] is fed with events, live or from a log, and holds no more than a run has in flight: splits that are
//! done are counted, not kept; of failures the first [`KEPT`] are kept and all are counted by cause. It takes no clock:
//! whoever asks says what time it is.

use crate::{Meter, Spread};
use mapfold_coord::events::{MemberUse, Outcome};
use mapfold_coord::process::{Alive, Process};
use mapfold_coord::{Attempt, Counters, Failure, JobEvent, MemberId, Phase, PhaseTimes, Placed, SplitId, StageId};
use serde_json::Value;
use std::collections::BTreeMap;

/// Failures that are kept one by one.
pub const KEPT: usize = 200;

/// One job.
#[derive(Clone, Debug, Default)]
pub struct JobView {
    /// Its name for machines; empty before anything is known.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its parameters, free of secrets.
    pub params: BTreeMap<String, Value>,
    /// The coordinator's process.
    pub process: Option<Process>,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it was heard of last.
    pub heard_ms: u64,
    /// What it may use and makes.
    pub planned: Option<Planned>,
    /// Where its pages are while it runs.
    pub url: Option<String>,
    /// Its stages.
    pub stages: BTreeMap<StageId, StageView>,
    /// Its member processes.
    pub members: BTreeMap<u32, MemberView>,
    /// Splits that someone works on.
    pub flights: BTreeMap<(StageId, SplitId), Flight>,
    /// The first failures, in their order.
    pub failures: Vec<Failed>,
    /// All failures by their message: how many, how many of them left out.
    pub causes: BTreeMap<String, (u64, u64)>,
    /// Failures in all.
    pub failed: u64,
    /// Counters of registered splits, as told last.
    pub counters: Counters,
    /// Where splits were worked on, of those that some hosts hold.
    pub placed: Placed,
    /// How it ended.
    pub ended: Option<Ended>,
    /// When the user last asked for another number of members, and for how many.
    pub wanted: Option<(u64, u32)>,
    /// Why the last member that could not be had could not be had.
    pub missing: Option<String>,
    /// The report that was shown at the end.
    pub report: Option<Value>,
    /// Lines that could not be read, and events that this version does not know.
    pub unread: u64,
    meter: Meter,
}

/// What a job may use and what it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Processes, or workers in one process; of a range the most.
    pub workers: u32,
    /// The least of a range of processes; 0 where their number is fixed.
    pub least: u32,
    /// Compute threads of each process.
    pub threads: u32,
    /// Memory limit of each process.
    pub limit_bytes: u64,
    /// What the hungriest process was predicted to need.
    pub predicted_bytes: u64,
    /// Locations of the outputs.
    pub outputs: Vec<String>,
}

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct StageView {
    /// For people.
    pub label: String,
    /// Splits in all.
    pub splits: u64,
    /// Splits that an earlier run had done.
    pub earlier: u64,
    /// Splits done, earlier ones included.
    pub done: u64,
    /// Splits left out.
    pub skipped: u64,
    /// Attempts that failed.
    pub retries: u64,
    /// Bytes it will read, when known.
    pub expected_bytes: Option<u64>,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes handed to the output.
    pub bytes_out: u64,
    /// Thread time by phase.
    pub times: PhaseTimes,
    /// Thread time of single splits.
    pub spread: Spread,
    /// When it was planned.
    pub planned_ms: u64,
    /// Wall seconds from its first split to its end, once it is done.
    pub seconds: Option<f64>,
    /// Splits were told in bulk: which ones are in flight is not known.
    pub in_bulk: bool,
    /// How many were in flight when some were last told in bulk, where that was told.
    pub flying: Option<u64>,
}

/// One member process.
#[derive(Clone, Debug, Default)]
pub struct MemberView {
    /// When it came in; `None` for the one process of a standalone run.
    pub joined_ms: Option<u64>,
    /// It gets only splits that have killed others.
    pub solo: bool,
    /// When it went because it was not needed any more.
    pub left: Option<u64>,
    /// When and how it was lost, and whether another took its place.
    pub lost: Option<(u64, String, bool)>,
    /// The last line of the log of a lost one.
    pub log_tail: String,
    /// Splits it has registered.
    pub done: u64,
    /// What it has used.
    pub used: MemberUse,
}

/// A split that someone works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Which attempt.
    pub attempt: Attempt,
    /// Who.
    pub member: MemberId,
    /// Since when.
    pub since_ms: u64,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// When.
    pub at_ms: u64,
    /// Of which stage.
    pub stage: StageId,
    /// Which split.
    pub split: SplitId,
    /// What it covers.
    pub place: String,
    /// Why.
    pub failure: Failure,
    /// Whether the split was left out.
    pub skipped: bool,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// When.
    pub at_ms: u64,
    /// How.
    pub outcome: Outcome,
    /// Wall time in all.
    pub wall_seconds: f64,
    /// Most memory resident at once of the coordinator's process.
    pub peak_bytes: Option<u64>,
    /// The root cause.
    pub failure: Option<Failure>,
    /// Its split, by stage and number.
    pub at: Option<(StageId, SplitId)>,
    /// Its stage.
    pub stage: Option<String>,
    /// Its block, split or row.
    pub place: Option<String>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its process lives.
    Running,
    /// On another machine, or where its process cannot be seen: it has not said that it ended.
    RunningElsewhere,
    /// Its process is gone without a word: killed, or the machine went down.
    Died,
    /// The output is there.
    Done,
    /// The output is there, parts were left out.
    DoneWithSkips,
    /// No output.
    Failed,
    /// Stopped by the user or a signal.
    Stopped,
}

impl JobState {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::RunningElsewhere => "running elsewhere",
            JobState::Died => "died",
            JobState::Done => "done",
            JobState::DoneWithSkips => "done, parts left out",
            JobState::Failed => "failed",
            JobState::Stopped => "stopped",
        }
    }

    /// Whether it may still change.
    pub fn is_open(self) -> bool {
        matches!(self, JobState::Running | JobState::RunningElsewhere)
    }
}

impl JobView {
    /// Takes note of an event.
    ///
    /// ```
    /// use mapfold_coord::{JobEvent, StageId};
    /// let mut view = mapfold_watch::JobView::default();
    /// let (stage, label) = (StageId(0), "map".to_owned());
    /// view.event(1000, &JobEvent::StagePlanned { stage, label, splits: 4, already_done: 1, bytes_in: None });
    /// assert_eq!((view.splits_done(), view.splits()), (1, 4));
    /// ```
    pub fn event(&mut self, at_ms: u64, event: &JobEvent) {
        self.heard_ms = at_ms;
        self.meter.event(event);
        match event {
            JobEvent::JobStarted { id, name, params, process, .. } => {
                (self.id, self.name, self.params) = (id.to_string(), name.clone(), params.clone());
                (self.process, self.started_ms) = (Some(process.clone()), at_ms);
            }
            JobEvent::JobPlanned { workers, least, threads, limit_bytes, predicted_bytes, outputs } => {
                let (workers, least, threads, outputs) = (*workers, *least, *threads, outputs.clone());
                let (limit_bytes, predicted_bytes) = (*limit_bytes, *predicted_bytes);
                self.planned = Some(Planned { workers, least, threads, limit_bytes, predicted_bytes, outputs });
            }
            JobEvent::Serving { url } => self.url = Some(url.clone()),
            JobEvent::Counters { counters } => self.counters.clone_from(counters),
            JobEvent::SplitsPlaced { placed } => self.placed = *placed,
            JobEvent::Reported { report } => self.report = Some(report.clone()),
            JobEvent::JobEnded { .. } => self.job_ended(at_ms, event),
            JobEvent::Unknown => self.unread += 1,
            _ => {
                self.stage_event(at_ms, event);
                self.member_event(at_ms, event);
            }
        }
        self.meter.tick(self.seconds_at(at_ms));
    }

    fn stage_event(&mut self, at_ms: u64, event: &JobEvent) {
        match event {
            JobEvent::StagePlanned { stage, label, splits, already_done, bytes_in } => {
                let s = self.stage(*stage);
                s.label.clone_from(label);
                (s.splits, s.earlier, s.done) = (*splits, *already_done, *already_done);
                (s.expected_bytes, s.planned_ms) = (*bytes_in, at_ms);
            }
            JobEvent::SplitDone { stage, split, times, bytes_in, bytes_out, .. } => {
                self.flights.remove(&(*stage, *split));
                let s = self.stage(*stage);
                s.spread.add(times.total().saturating_sub(times.get(Phase::Wait)));
                s.take(1, times, *bytes_in, *bytes_out);
            }
            JobEvent::SplitsDone { stage, splits, times, bytes_in, bytes_out, in_flight } => {
                self.flights.retain(|(of, _), _| of != stage);
                let s = self.stage(*stage);
                (s.in_bulk, s.flying) = (true, *in_flight);
                s.take(*splits, times, *bytes_in, *bytes_out);
            }
            JobEvent::SplitFailed { stage, split, failure, skipped, place, .. } => {
                self.flights.remove(&(*stage, *split));
                let s = self.stage(*stage);
                s.retries += u64::from(!skipped);
                s.skipped += u64::from(*skipped);
                self.split_failed(at_ms, (*stage, *split), failure, *skipped, place);
            }
            JobEvent::StageDone { stage, seconds } => {
                self.flights.retain(|(of, _), _| of != stage);
                self.stage(*stage).seconds = Some(*seconds);
            }
            _ => {}
        }
    }

    fn member_event(&mut self, at_ms: u64, event: &JobEvent) {
        match event {
            JobEvent::SplitLeased { stage, split, attempt, member } => {
                let flight = Flight { attempt: *attempt, member: *member, since_ms: at_ms };
                self.flights.insert((*stage, *split), flight);
            }
            JobEvent::SplitDone { member, .. } => self.member(*member).done += 1,
            JobEvent::MemberJoined { member, solo } => {
                let m = self.member(*member);
                (m.joined_ms, m.solo) = (Some(at_ms), *solo);
            }
            JobEvent::MemberLost { member, how, replaced, log_tail } => {
                self.flights.retain(|_, f| f.member != *member);
                let m = self.member(*member);
                m.lost = Some((at_ms, how.clone(), *replaced));
                m.log_tail.clone_from(log_tail);
            }
            JobEvent::MemberRetired { member } => self.member(*member).left = Some(at_ms),
            JobEvent::MembersWanted { wanted } => self.wanted = Some((at_ms, *wanted)),
            JobEvent::MemberMissing { why, .. } => self.missing = Some(why.clone()),
            JobEvent::MembersUsed { members } => members.iter().for_each(|u| {
                let m = self.member(MemberId(u.member));
                m.used = *u;
                m.done = u.splits_done.unwrap_or(m.done);
            }),
            _ => {}
        }
    }

    fn job_ended(&mut self, at_ms: u64, event: &JobEvent) {
        let JobEvent::JobEnded { outcome, wall_seconds, peak_bytes, counters, failure, at, stage, place, .. } = event
        else {
            return;
        };
        if !counters.is_empty() {
            self.counters.clone_from(counters);
        }
        self.flights.clear();
        self.ended = Some(Ended {
            at_ms,
            outcome: *outcome,
            wall_seconds: *wall_seconds,
            peak_bytes: *peak_bytes,
            failure: failure.clone(),
            at: *at,
            stage: stage.clone(),
            place: place.clone(),
        });
    }

    fn split_failed(&mut self, at_ms: u64, at: (StageId, SplitId), failure: &Failure, skipped: bool, place: &str) {
        self.failed += 1;
        // Causes are few, or they are no causes: beyond the bound they are counted together.
        let full = self.causes.len() >= KEPT && !self.causes.contains_key(&failure.message);
        let cause = if full { "(other causes)" } else { &failure.message };
        let (all, left_out) = self.causes.entry(cause.to_owned()).or_default();
        *all += 1;
        *left_out += u64::from(skipped);
        // A split that is left out is worth more than one that is tried again: it takes the place of such a one.
        if self.failures.len() >= KEPT {
            let Some(again) = self.failures.iter().rposition(|f| !f.skipped).filter(|_| skipped) else { return };
            self.failures.remove(again);
        }
        let (stage, split) = at;
        self.failures.push(Failed { at_ms, stage, split, place: place.to_owned(), failure: failure.clone(), skipped });
    }

    fn stage(&mut self, stage: StageId) -> &mut StageView {
        self.stages.entry(stage).or_default()
    }

    fn member(&mut self, member: MemberId) -> &mut MemberView {
        self.members.entry(member.0).or_default()
    }

    /// Seconds from its begin to `now_ms`, or to its end.
    pub fn seconds_at(&self, now_ms: u64) -> f64 {
        match &self.ended {
            Some(ended) => ended.wall_seconds,
            None => now_ms.saturating_sub(self.started_ms) as f64 / 1000.0,
        }
    }

    /// How it is: what it said of its end, else whether its process lives.
    pub fn state(&self) -> JobState {
        match (&self.ended, &self.process) {
            (Some(ended), _) => match ended.outcome {
                Outcome::Committed => JobState::Done,
                Outcome::CommittedWithSkips => JobState::DoneWithSkips,
                Outcome::Failed => JobState::Failed,
                Outcome::Cancelled => JobState::Stopped,
            },
            (None, None) => JobState::RunningElsewhere,
            (None, Some(process)) => match process.alive() {
                Alive::Yes => JobState::Running,
                Alive::No => JobState::Died,
                Alive::Unknown => JobState::RunningElsewhere,
            },
        }
    }

    /// When a job that died was heard of last, a running one now: where its clock stands.
    pub fn clock(&self, state: JobState, now_ms: u64) -> u64 {
        if state.is_open() { now_ms } else { self.heard_ms }
    }

    /// Splits of all stages that are known.
    pub fn splits(&self) -> u64 {
        self.stages.values().map(|s| s.splits).sum()
    }

    /// Splits done of all stages, earlier ones included.
    pub fn splits_done(&self) -> u64 {
        self.stages.values().map(|s| s.done).sum()
    }

    /// Splits left out.
    pub fn skipped(&self) -> u64 {
        self.stages.values().map(|s| s.skipped).sum()
    }

    /// Splits that someone works on; `None` where they were told in bulk, and not how many. Of a job that has ended: 0.
    pub fn in_flight(&self, of: Option<StageId>) -> Option<u64> {
        if self.ended.is_some() {
            return Some(0);
        }
        let stages = self.stages.iter().filter(|(id, _)| of.is_none_or(|of| **id == of));
        let each = stages.map(|(id, s)| match s.in_bulk && s.seconds.is_none() {
            true => s.flying,
            false => Some(self.flights.keys().filter(|(stage, _)| stage == id).count() as u64),
        });
        each.sum()
    }

    /// Member processes that are there: come in, and neither lost nor gone.
    pub fn members_here(&self) -> u64 {
        let here = |m: &&MemberView| m.joined_ms.is_some() && m.lost.is_none() && m.left.is_none();
        self.members.values().filter(here).count() as u64
    }

    /// How many members are aimed for, where that may change: of how many at least and at most.
    pub fn members_wanted(&self) -> Option<(u32, u32, u32)> {
        let planned = self.planned.as_ref().filter(|p| p.least > 0)?;
        Some((self.wanted.map_or(planned.workers, |(_, n)| n), planned.least, planned.workers))
    }

    /// Splits that a member works on; of one that is gone, or of a job that has ended: 0.
    pub fn members_flights(&self, id: u32) -> u64 {
        let here = self.members.get(&id).filter(|m| m.lost.is_none() && m.left.is_none() && self.ended.is_none());
        let Some(member) = here else { return 0 };
        let listed = || self.flights.values().filter(|f| f.member.0 == id).count() as u64;
        member.used.splits_in_flight.unwrap_or_else(listed)
    }

    /// Seconds until the current stage is done, if that can be told.
    pub fn eta(&self, now_ms: u64) -> Option<f64> {
        if self.ended.is_some() {
            return None;
        }
        self.meter.remaining(self.seconds_at(now_ms))
    }

    /// Most bytes resident at once of one process, as far as is known.
    pub fn peak_bytes(&self) -> Option<u64> {
        let members = self.members.values().map(|m| m.used.peak_bytes).filter(|b| *b > 0).max();
        let reported = self.report.as_ref().and_then(|r| r["memory"]["peak_bytes"].as_u64());
        reported.or(members).or(self.ended.as_ref().and_then(|e| e.peak_bytes))
    }

    /// Bytes read from inputs.
    pub fn bytes_in(&self) -> u64 {
        self.stages.values().map(|s| s.bytes_in).sum()
    }

    /// Bytes handed to outputs.
    pub fn bytes_out(&self) -> u64 {
        self.stages.values().map(|s| s.bytes_out).sum()
    }

    /// Bytes of records that went through files.
    pub fn bytes_spilled(&self) -> u64 {
        let reported = self.report.as_ref().and_then(|r| r["bytes_spilled"].as_u64());
        reported.unwrap_or_else(|| self.members.values().map(|m| m.used.bytes_spilled).sum())
    }

    /// The first thing that went wrong: what ended the job, else the first failed attempt.
    pub fn root(&self) -> Option<&Failure> {
        let ended = self.ended.as_ref().and_then(|e| e.failure.as_ref());
        ended.or(self.failures.first().map(|f| &f.failure))
    }
}

impl StageView {
    fn take(&mut self, splits: u64, times: &PhaseTimes, bytes_in: u64, bytes_out: u64) {
        self.done = (self.done + splits).min(self.splits);
        self.times.merge(times);
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}
