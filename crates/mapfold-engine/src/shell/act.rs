//! Carrying out what the coordinator decided: mail, events, entries of the log.

use super::{Inner, Shell};
use crate::link::{At, Mail};
use crate::measure::Moment;
use mapfold_coord::{Action, Attempt, Failure, JobEvent, SplitId, StageId};
use std::sync::atomic::Ordering::SeqCst;

impl Shell {
    pub(super) fn act(&self, inner: &mut Inner, action: Action) -> Option<JobEvent> {
        match action {
            Action::Lease { member, stage, split, attempt } => {
                inner.tally.entry(stage).or_default().span.0.get_or_insert_with(Moment::now);
                let pieces = inner.pieces_for((self.roles)(stage), split);
                inner.post(member, Mail::Lease(At { stage, split, attempt }, pieces));
                Some(JobEvent::SplitLeased { stage, split, attempt, member })
            }
            Action::Grant { member, stage, split, attempt } => {
                inner.granted(member, At { stage, split, attempt });
                None
            }
            Action::Deny { member, stage, split, attempt } | Action::Revoke { member, stage, split, attempt } => {
                let at = At { stage, split, attempt };
                inner.asked.remove(&at);
                inner.post(member, Mail::Drop(at));
                None
            }
            Action::Append(entry) => {
                inner.log.push(entry);
                None
            }
            Action::Retried { stage, split, attempt, failure } => {
                inner.tally.entry(stage).or_default().retries += 1;
                inner.errors.remove(&(stage, split));
                let place = (self.places)(stage, split).1;
                Some(JobEvent::SplitFailed { stage, split, attempt, failure, skipped: false, place })
            }
            Action::Skipped { stage, split, failure } => Some(self.skipped_split(inner, (stage, split), failure)),
            // It asked after the end was announced: it was still in the stage before and dropped that mail.
            Action::NoMoreSplits { member, stage } => {
                inner.post(member, Mail::StageDone(stage));
                None
            }
            Action::NewGeneration { stage, generation } => {
                inner.begin_again(stage);
                Some(JobEvent::GenerationBegan { stage, generation })
            }
            Action::StageDone { stage } => inner.stage_done(stage),
            Action::JobFailed { at, failure } => {
                self.failed.store(true, SeqCst);
                inner.end(at, &failure);
                None
            }
            Action::Overdue { member, .. } => {
                inner.overdue.push(member);
                None
            }
            Action::Retired { member } => {
                inner.post(member, Mail::Stop);
                inner.boxes.remove(&member); // Its line stays until it has said what it used.
                inner.left.insert(member);
                Some(JobEvent::MemberRetired { member })
            }
            Action::MemberGone { member } => {
                inner.forget(member);
                inner.gone.push(member);
                None
            }
            _ => None,
        }
    }

    fn skipped_split(&self, inner: &mut Inner, (stage, split): (StageId, SplitId), failure: Failure) -> JobEvent {
        inner.tally.entry(stage).or_default().skipped += 1;
        let freed = inner.streams.get(&stage).map(|s| s.skip(split.0)).unwrap_or_default();
        inner.place(freed);
        let (attempt, place) = (Attempt(0), (self.places)(stage, split).1);
        let failure = Failure { remedy: inner.again(stage, split, failure.remedy.as_deref()), ..failure };
        JobEvent::SplitFailed { stage, split, attempt, failure, skipped: true, place }
    }
}

impl Inner {
    /// Nothing is told of rounds that nobody has heard of.
    fn stage_done(&mut self, stage: StageId) -> Option<JobEvent> {
        let (tally, now) = (self.tally.entry(stage).or_default(), Moment::now());
        tally.span.1 = Some(now);
        let seconds = tally.span.0.map_or(0.0, |from| from.until(now).wall);
        self.post_all(&Mail::StageDone(stage));
        self.ended.push(stage);
        let told = !self.rounds.is_unheard_of(stage);
        told.then_some(JobEvent::StageDone { stage, seconds })
    }
}
