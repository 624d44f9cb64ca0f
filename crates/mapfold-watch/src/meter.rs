//! Progress as numbers: which stage, how far, how fast, how long still. Pure: the time is an argument.
//!
//! Speed is measured over the last [`SPAN`] seconds (all of the run while it is younger), so that a slow start or a
//! warm cache is forgotten; the estimate assumes that the rest of the stage costs what that span cost. Splits count
//! alike. Stages that are not planned yet cannot be foreseen and the estimate is of the stage that runs.

use crate::{human, words};
use mapfold_coord::{Counters, JobEvent, StageId};
use std::collections::{BTreeMap, VecDeque};

/// The counter from which MPix/s is made: pixels of registered output splits.
pub const PIXELS: &str = "pixels";

/// Seconds over which speed is measured.
const SPAN: f64 = 15.0;
/// Seconds between two samples of the past.
const STEP: f64 = 0.5;

/// How far one stage is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageMeter {
    /// For people.
    pub label: String,
    /// Splits in all.
    pub splits: u64,
    /// Splits done or left out.
    pub done: u64,
    /// Splits an earlier run had done.
    pub earlier: u64,
}

/// How far the job is.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// The job's name.
    pub job: String,
    /// Stages planned so far, in order.
    pub stages: BTreeMap<StageId, StageMeter>,
    /// Bytes read from inputs.
    pub bytes_in: u64,
    /// Bytes handed to the output.
    pub bytes_out: u64,
    /// Attempts that failed.
    pub failures: u64,
    counters: Counters,
    past: VecDeque<Sample>,
}

/// What was done by a time, for speeds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: f64,
    stage: Option<StageId>,
    done: u64,
    pixels: u64,
}

impl Meter {
    /// Takes note of an event.
    pub fn event(&mut self, event: &JobEvent) {
        match event {
            JobEvent::JobStarted { name, .. } => self.job.clone_from(name),
            JobEvent::StagePlanned { stage, label, splits, already_done, .. } => {
                let (splits, done) = (*splits, *already_done);
                self.stages.insert(*stage, StageMeter { label: label.clone(), splits, done, earlier: done });
            }
            JobEvent::SplitDone { stage, bytes_in, bytes_out, .. } => self.done(*stage, 1, *bytes_in, *bytes_out),
            JobEvent::SplitsDone { stage, splits, bytes_in, bytes_out, .. } => {
                self.done(*stage, *splits, *bytes_in, *bytes_out);
            }
            JobEvent::SplitFailed { stage, skipped, .. } => {
                self.failures += 1;
                self.done(*stage, u64::from(*skipped), 0, 0);
            }
            JobEvent::GenerationBegan { stage, .. } => {
                self.stages.entry(*stage).and_modify(|s| s.done = 0);
            }
            JobEvent::StageDone { stage, .. } => {
                self.stages.entry(*stage).and_modify(|s| s.done = s.splits);
            }
            JobEvent::Counters { counters } | JobEvent::JobEnded { counters, .. } => self.counters.clone_from(counters),
            _ => {}
        }
    }

    fn done(&mut self, stage: StageId, splits: u64, bytes_in: u64, bytes_out: u64) {
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        if let Some(s) = self.stages.get_mut(&stage) {
            s.done = (s.done + splits).min(s.splits);
        }
    }

    /// The stage that runs: the first unfinished one, else the last; with its place from 1.
    pub fn current(&self) -> Option<(usize, StageId, &StageMeter)> {
        let mut stages = self.stages.iter().enumerate().map(|(i, (id, s))| (i + 1, *id, s));
        let open = stages.clone().find(|(_, _, s)| s.done < s.splits);
        open.or_else(|| stages.next_back())
    }

    /// Remembers how far the job is at `now` (seconds since it began), for speeds. Call it often.
    pub fn tick(&mut self, now: f64) {
        let stage = self.current().map(|(_, id, _)| id);
        let done = self.current().map_or(0, |(_, _, s)| s.done);
        let sample = Sample { at: now, stage, done, pixels: self.counters.get(PIXELS) };
        if self.past.back().is_some_and(|s| s.stage == stage && now - s.at < STEP) {
            return;
        }
        if self.past.back().is_some_and(|s| s.stage != stage) {
            self.past.clear();
        }
        self.past.push_back(sample);
        // One sample older than the span stays, so that the span is always covered.
        while self.past.len() > 2 && self.past.get(1).is_some_and(|s| now - s.at > SPAN) {
            self.past.pop_front();
        }
    }

    /// Splits and pixels per second lately; `None` before anything is known.
    fn speed(&self, now: f64) -> Option<(f64, f64)> {
        let (_, id, stage) = self.current()?;
        let first = self.past.front().filter(|s| s.stage == Some(id) && now - s.at > 0.05)?;
        let span = now - first.at;
        let done = stage.done.saturating_sub(first.done) as f64;
        let pixels = self.counters.get(PIXELS).saturating_sub(first.pixels) as f64;
        Some((done / span, pixels / span))
    }

    /// Seconds until the current stage is done, if they can be told.
    pub fn remaining(&self, now: f64) -> Option<f64> {
        let (_, _, stage) = self.current()?;
        let (splits, _) = self.speed(now)?;
        (splits > 0.0).then(|| (stage.splits - stage.done) as f64 / splits)
    }

    /// Done part of the current stage, 0 to 1.
    pub fn fraction(&self) -> f64 {
        self.current().map_or(0.0, |(_, _, s)| if s.splits == 0 { 1.0 } else { s.done as f64 / s.splits as f64 })
    }

    /// One line about the run: `ndvi 1/2 map  121/484 splits  25 %  ETA 3.6 s  51.2 MPix/s  read 61.0 MiB ...`.
    pub fn line(&self, now: f64) -> String {
        let Some((place, _, stage)) = self.current() else {
            return format!("{}  planning  {}", self.name(), human::seconds(now));
        };
        let mut parts = vec![format!("{} {place}/{}", self.name(), self.stages.len())];
        parts.push(format!("{}/{} splits", human::count(stage.done), human::count(stage.splits)));
        parts.push(format!("{:.0} %", (self.fraction() * 100.0).floor()));
        match self.remaining(now) {
            Some(_) if stage.done >= stage.splits => parts.push("finishing".to_owned()),
            Some(eta) => parts.push(format!("ETA {}", human::seconds(eta))),
            None => parts.push(human::seconds(now)),
        }
        parts.extend(self.speed(now).filter(|s| s.0 > 0.0).map(|(splits, pixels)| match pixels {
            0.0 => human::rate(splits, "splits"),
            p => human::rate(p / 1e6, "MPix"),
        }));
        parts.push(format!("read {}", human::bytes(self.bytes_in)));
        parts.push(format!("written {}", human::bytes(self.bytes_out)));
        if self.failures > 0 {
            parts.push(format!("failed attempts: {}", self.failures));
        }
        parts.push(words::clean(&stage.label)); // Last: a narrow terminal cuts it, not the numbers.
        parts.join("  ")
    }

    fn name(&self) -> &str {
        if self.job.is_empty() { "mapfold" } else { &self.job }
    }
}
