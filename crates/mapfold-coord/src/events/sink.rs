//! The file of an event log: which events get a line of their own, and when lines are written out.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{JobEvent, MemberUse, SPLIT_LINES, TimedEvent, unix_ms};
use crate::ids::{MemberId, SplitId, StageId};
use crate::measure::PhaseTimes;

const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// The file, and what waits to be written.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) out: Option<(BufWriter<File>, PathBuf)>,
    flushed: Option<Instant>,
    split_lines: u64,
    beyond: BTreeMap<StageId, Beyond>,
    crew: Crew,
}

/// Who works on what and has done how much: for the lines that tell of many splits at once.
#[derive(Default)]
struct Crew {
    flights: HashMap<(StageId, SplitId), MemberId>,
    done: BTreeMap<MemberId, u64>,
}

impl Crew {
    fn note(&mut self, event: &JobEvent) {
        match event {
            JobEvent::SplitLeased { stage, split, member, .. } => drop(self.flights.insert((*stage, *split), *member)),
            JobEvent::SplitDone { stage, split, member, .. } => {
                self.flights.remove(&(*stage, *split));
                *self.done.entry(*member).or_default() += 1;
            }
            JobEvent::SplitFailed { stage, split, .. } => drop(self.flights.remove(&(*stage, *split))),
            JobEvent::MemberLost { member, .. } => self.flights.retain(|_, holder| holder != member),
            JobEvent::GenerationBegan { stage, .. } | JobEvent::StageDone { stage, .. } => {
                self.flights.retain(|(of, _), _| of != stage);
            }
            _ => {}
        }
    }

    fn of_stage(&self, stage: StageId) -> u64 {
        self.flights.keys().filter(|(of, _)| *of == stage).count() as u64
    }

    fn counted(&self, used: &MemberUse) -> MemberUse {
        let member = MemberId(used.member);
        let flying = self.flights.values().filter(|holder| **holder == member).count() as u64;
        let done = self.done.get(&member).copied().unwrap_or(0);
        MemberUse { splits_done: Some(done), splits_in_flight: Some(flying), ..*used }
    }
}

/// Splits that got no line of their own.
#[derive(Default)]
struct Beyond {
    splits: u64,
    times: PhaseTimes,
    bytes_in: u64,
    bytes_out: u64,
}

impl Sink {
    pub(super) fn take(&mut self, event: &JobEvent) {
        if self.out.is_none() {
            return;
        }
        self.crew.note(event);
        match event {
            JobEvent::SplitLeased { .. } if self.split_lines >= SPLIT_LINES => {}
            JobEvent::SplitDone { stage, times, bytes_in, bytes_out, .. } if self.split_lines >= SPLIT_LINES => {
                let beyond = self.beyond.entry(*stage).or_default();
                beyond.splits += 1;
                beyond.times.merge(times);
                beyond.bytes_in += bytes_in;
                beyond.bytes_out += bytes_out;
            }
            JobEvent::SplitLeased { .. } | JobEvent::SplitDone { .. } => {
                self.split_lines += 1;
                self.write(event);
            }
            JobEvent::MembersUsed { members } if self.split_lines >= SPLIT_LINES => {
                let members = members.iter().map(|used| self.crew.counted(used)).collect();
                self.write(&JobEvent::MembersUsed { members });
            }
            JobEvent::JobEnded { .. } => {
                self.write_beyond();
                self.write(event);
                self.flush();
            }
            JobEvent::JobStarted { .. } | JobEvent::MembersWanted { .. } => {
                self.write(event);
                self.flush(); // Whoever looks for the job, or has asked, finds it from now on.
            }
            _ => self.write(event),
        }
        self.flush_when_due();
    }

    pub(super) fn flush_when_due(&mut self) {
        if self.flushed.get_or_insert_with(Instant::now).elapsed() >= FLUSH_EVERY {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        self.write_beyond();
        self.flushed = Some(Instant::now());
        let result = self.out.as_mut().map_or(Ok(()), |(out, _)| out.flush());
        self.give_up_on(result);
    }

    fn write_beyond(&mut self) {
        for (stage, beyond) in std::mem::take(&mut self.beyond) {
            let Beyond { splits, times, bytes_in, bytes_out } = beyond;
            let in_flight = Some(self.crew.of_stage(stage));
            self.write(&JobEvent::SplitsDone { stage, splits, times, bytes_in, bytes_out, in_flight });
        }
    }

    /// A line of another log: that one was bounded already.
    pub(super) fn pass_on(&mut self, event: &TimedEvent) {
        self.write_line(event);
        self.flush_when_due();
    }

    fn write(&mut self, event: &JobEvent) {
        #[derive(Serialize)]
        struct Line<'a> {
            at_ms: u64,
            #[serde(flatten)]
            event: &'a JobEvent,
        }
        self.write_line(&Line { at_ms: unix_ms(), event });
    }

    fn write_line(&mut self, line: &impl Serialize) {
        let Some((out, _)) = self.out.as_mut() else {
            return;
        };
        let result =
            serde_json::to_writer(&mut *out, line).map_err(io::Error::from).and_then(|()| out.write_all(b"\n"));
        self.give_up_on(result);
    }

    fn give_up_on(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        if let Some((out, path)) = self.out.take() {
            tracing::warn!("no event log any more: {}: {error}", path.display());
            // What is still buffered would fail again, and be tried again on drop.
            drop(out.into_parts());
        }
    }
}
