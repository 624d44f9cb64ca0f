//! What a run tells while it goes on and at its end: events, use, outcome.

use super::Run;
use crate::failure::Failed;
use crate::link::{Vitals, unpack};
use crate::measure;
use crate::options::RunOptions;
use crate::outcome::{OutputDone, RunOutcome, StageDone};
use mapfold_coord::events::{self, MemberUse, Outcome};
use mapfold_coord::process::Process;
use mapfold_coord::{JobEvent, JobId, MemberId};
use mapfold_plan::memory::StageMemory;
use mapfold_plan::{Error, Reported, Result, Stage, StageKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often counters and what members have used are told, at the begin.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Counters and what the members have used, now and then: rarer the longer the run, so that logs stay small.
    pub(super) fn tell_use(&mut self) {
        let now = self.began.elapsed();
        if now < self.tell_at {
            return;
        }
        self.tell_at = now + TELL_EVERY.max(now / 200);
        let events = &self.opts.events;
        events.emit(&JobEvent::Counters { counters: self.shell.counters() });
        let mut members = self.members();
        if self.opts.crew.is_none() {
            members.push(self.own_use());
        }
        events.emit(&JobEvent::MembersUsed { members });
        self.tell_placed();
    }

    /// Where splits were worked on, where there is anything to say.
    pub(super) fn tell_placed(&self) {
        let placed = self.shell.placed();
        if placed.all() > 0 {
            self.opts.events.emit(&JobEvent::SplitsPlaced { placed });
        }
    }

    /// What this process has used, where it does the work itself.
    pub(super) fn own_use(&self) -> MemberUse {
        let used = measure::usage(self.began);
        MemberUse {
            member: 0,
            user_seconds: used.user,
            sys_seconds: used.sys,
            peak_bytes: measure::peak_rss(),
            bytes_read: self.plan.stores().counters().bytes_read,
            ..MemberUse::default()
        }
    }

    /// What the member processes said last of their use.
    pub(super) fn members(&self) -> Vec<MemberUse> {
        let used = |(id, v): (&MemberId, &Vitals)| MemberUse {
            member: id.0,
            user_seconds: v.user,
            sys_seconds: v.sys,
            peak_bytes: v.peak,
            bytes_read: v.read,
            bytes_spilled: v.spilled,
            ..MemberUse::default()
        };
        self.shell.vitals().iter().map(used).collect()
    }

    pub(super) fn outcome(self, began: Instant, outputs: Vec<OutputDone>) -> Result<RunOutcome> {
        let given_up: u64 = self.commit.outputs.values().map(|o| o.given_up.len() as u64).sum();
        let (mut stages, mut reports) = (Vec::new(), Vec::new());
        for s in self.stages.iter().filter(|s| !self.shell.is_spared(s.id)) {
            let tally = self.shell.tally(s.id);
            if s.stage.kind() == StageKind::Report {
                reports.push(reported(s.stage.as_ref(), &self.shell.made(s.id))?);
            }
            let usage = match tally.span {
                (Some(from), Some(to)) => from.until(to),
                _ => measure::Usage::default(),
            };
            let (label, splits) = (s.stage.label().to_string(), s.stage.domain().splits());
            stages.push(StageDone {
                number: s.id.0,
                label,
                splits,
                resumed: s.resumed,
                retries: tally.retries,
                usage,
                times: tally.times,
            });
        }
        let members = self.members();
        Ok(RunOutcome {
            job: self.job_id,
            reports,
            bytes_written: outputs.iter().map(|o| o.bytes).sum(),
            outputs,
            stages,
            counters: self.shell.counters(),
            skipped: self.shell.skipped() + given_up,
            usage: measure::Usage { wall: began.elapsed().as_secs_f64(), ..Default::default() },
            peak_bytes: members.iter().map(|m| m.peak_bytes).max().unwrap_or_else(measure::peak_rss),
            predicted_peak_bytes: self.memory.iter().map(|m| m.peak).max().unwrap_or(0),
            bytes_read: self.plan.stores().counters().bytes_read + members.iter().map(|m| m.bytes_read).sum::<u64>(),
            bytes_spilled: self.spilled + members.iter().map(|m| m.bytes_spilled).sum::<u64>(),
            placed: self.shell.placed(),
            warnings: self.plan.warnings(),
            members,
            replaced: self.replaced,
        })
    }
}

pub(super) fn announce(opts: &RunOptions, id: JobId) {
    let params = match mapfold_plan::redacted(&opts.params) {
        serde_json::Value::Object(o) => o.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let (name, process, version) = (opts.name.clone(), Process::here(), events::VERSION);
    opts.events.emit(&JobEvent::JobStarted { id, name, params, process, version });
}

/// Says what the run may use, what it will need and what it will make.
pub(super) fn planned(opts: &RunOptions, stages: &[Arc<dyn Stage>], memory: &[StageMemory]) {
    let outputs = stages.iter().filter_map(|s| Some(s.output()?.loc().to_string()));
    opts.events.emit(&JobEvent::JobPlanned {
        workers: opts.workers as u32,
        least: opts.least_workers.map_or(0, |n| n as u32),
        threads: opts.threads as u32,
        limit_bytes: opts.memory_limit,
        predicted_bytes: memory.iter().map(|m| m.peak).max().unwrap_or(0),
        outputs: outputs.collect(),
    });
}

pub(super) fn ended(opts: &RunOptions, usage: &measure::Usage, done: &Result<RunOutcome, Failed>) {
    let outcome = match done {
        Ok(d) if d.skipped > 0 => Outcome::CommittedWithSkips,
        Ok(_) => Outcome::Committed,
        Err(f) if f.error.is_stop() => Outcome::Cancelled,
        Err(_) => Outcome::Failed,
    };
    let counters = done.as_ref().map(|d| d.counters.clone()).unwrap_or_default();
    let failed = done.as_ref().err();
    let failure = failed.map(Failed::told);
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
        at: failed.and_then(|f| f.at),
        stage: failed.and_then(|f| f.error.stage().map(str::to_string)),
        place: failed.and_then(|f| f.error.place().map(str::to_string)),
    });
    opts.events.end();
}

/// The values of a report, in the order of their ranks; without ranks, in the order of the splits.
fn reported(stage: &dyn Stage, made: &BTreeMap<u64, String>) -> Result<Reported> {
    let name = stage.report_name().unwrap_or("report").to_string();
    let damaged = |split| Error::job(format!("the values of split {split} are damaged"));
    let mut ranked: Vec<(Vec<u8>, String)> = Vec::new();
    for (split, text) in made {
        ranked.extend(unpack::<Vec<(Vec<u8>, String)>>(text).ok_or_else(|| damaged(split))?);
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0)); // Stable: without ranks, the order of the splits stays.
    let values = ranked.iter().map(|(_, t)| Ok(serde_json::from_str(t)?)).collect::<Result<_>>()?;
    Ok(Reported { name, values })
}
