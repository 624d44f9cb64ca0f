//! What the shell keeps: the coordinator, the members' boxes, and what their splits have made.

use super::Tally;
use crate::failure::Failed;
use crate::groups::Role;
use crate::link::{At, Mail, Post, Vitals, unpack};
use crate::near::Hosts;
use crate::rounds::RoundTable;
use crate::sides::SideTable;
use crate::streams::{Placed, Streams};
use mapfold_coord::{Coordinator, Failure, JobId, LogEntry, MemberId, PhaseTimes, Seat, SplitId, StageId};
use mapfold_plan::Error;
use mapfold_plan::exchange::Stored;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// All that the lock guards.
pub(super) struct Inner {
    pub(super) coord: Coordinator,
    pub(super) boxes: HashMap<MemberId, Arc<dyn Post>>,
    pub(super) gone: Vec<MemberId>,
    pub(super) overdue: Vec<MemberId>,
    pub(super) solos: BTreeSet<MemberId>,
    /// Members that were not wanted any more and have gone.
    pub(super) left: BTreeSet<MemberId>,
    pub(super) seats: BTreeMap<MemberId, Seat>,
    pub(super) hosts: Hosts,
    pub(super) vitals: BTreeMap<MemberId, Vitals>,
    /// The job's name, where `mapfold split` finds it.
    pub(super) job: Option<JobId>,
    pub(super) streams: BTreeMap<StageId, Arc<Streams>>,
    /// What granted attempts wait with until their record is accepted.
    pub(super) asked: HashMap<At, Vec<(u32, u64)>>,
    /// The pieces of durable exchanges, by exchange and partition.
    pub(super) pieces: HashMap<usize, BTreeMap<u32, Vec<Stored>>>,
    pub(super) log: Vec<LogEntry>,
    pub(super) errors: BTreeMap<(StageId, SplitId), Error>,
    pub(super) failure: Option<Failed>,
    pub(super) tally: BTreeMap<StageId, Tally>,
    /// What the splits of each stage have made, packed.
    pub(super) made: BTreeMap<StageId, BTreeMap<u64, String>>,
    pub(super) sides: SideTable,
    pub(super) rounds: RoundTable,
    /// Stages that were found done, and whose consequences are still to be drawn.
    pub(super) ended: Vec<StageId>,
}

impl Inner {
    /// A member has come: whether it is a solo one, and its seat.
    pub(super) fn arrived(&self, member: MemberId) -> (bool, Option<Seat>) {
        (self.solos.contains(&member), self.seats.get(&member).copied())
    }

    /// No mail for it any more, and none of the parts that it holds is waited for.
    pub(super) fn forget(&mut self, member: MemberId) {
        if let Some(post) = self.boxes.remove(&member) {
            post.close();
        }
        self.streams.values().for_each(|s| s.lose(member));
    }

    /// A stage begins again: what it made in the last generation counts no more, and was never seen.
    pub(super) fn begin_again(&mut self, stage: StageId) {
        let tally = self.tally.entry(stage).or_default();
        *tally = Tally { retries: tally.retries, span: tally.span, ..Tally::default() };
        self.made.remove(&stage);
        self.rounds.begin_again(stage);
        self.asked.retain(|at, _| at.stage != stage);
    }

    /// A split counts: its record is kept, or its pieces by partition. No partition is leased before the map side is
    /// complete, so none is read before its last piece is here; their order does not matter to the reducer.
    pub(super) fn keep(&mut self, role: Role, at: At, data: String, times: &PhaseTimes) -> Result<(), Error> {
        self.tally.entry(at.stage).or_default().times.merge(times);
        if data.is_empty() {
            return Ok(());
        }
        let Some(exchange) = role.maps else {
            self.made.entry(at.stage).or_default().insert(at.split.0, data);
            return Ok(());
        };
        let damaged = || Error::job(format!("the record of split {} is damaged", at.split));
        self.put_aside(exchange, unpack(&data).ok_or_else(damaged)?);
        Ok(())
    }

    pub(super) fn put_aside(&mut self, exchange: usize, pieces: Vec<Stored>) {
        let parts = self.pieces.entry(exchange).or_default();
        for piece in pieces {
            parts.entry(piece.origin.partition).or_default().push(piece);
        }
    }

    pub(super) fn pieces_for(&self, role: Role, split: SplitId) -> Vec<Stored> {
        let Some(exchange) = role.reduces else { return Vec::new() };
        let partition = u32::try_from(split.0).unwrap_or(u32::MAX);
        self.pieces
            .get(&self.rounds.source(exchange))
            .and_then(|parts| parts.get(&partition))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn post(&self, member: MemberId, mail: Mail) {
        // A member that is gone has no box; what it was told is told to another.
        if let Some(post) = self.boxes.get(&member) {
            post.post(mail);
        }
    }

    pub(super) fn post_all(&self, mail: &Mail) {
        self.boxes.values().for_each(|b| b.post(mail.clone()));
    }

    /// The emission is granted: at once, or for a part when its place is known.
    pub(super) fn granted(&mut self, member: MemberId, at: At) {
        let sizes = self.asked.remove(&at).unwrap_or_default();
        match self.streams.get(&at.stage) {
            Some(streams) => {
                let placed = streams.admit((member, self.solos.contains(&member)), at, sizes);
                self.place(placed);
            }
            None => self.post(member, Mail::Grant(at, Vec::new())),
        }
    }

    pub(super) fn place(&self, placed: Vec<Placed>) {
        placed.into_iter().for_each(|p| self.post(p.member, Mail::Grant(p.at, p.offsets)));
    }

    /// What to try with a split that has failed for good: its remedy, and the command that runs it alone.
    pub(super) fn again(&self, stage: StageId, split: SplitId, remedy: Option<&str>) -> Option<String> {
        let of_stage = if self.coord.progress().stages.len() > 1 { format!(" --stage {stage}") } else { String::new() };
        let alone = self.job.map(|job| {
            let job = job.to_string();
            format!("mapfold split {} {split}{of_stage} runs it alone", &job[..8])
        });
        let all: Vec<String> = remedy.map(str::to_owned).into_iter().chain(alone).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    pub(super) fn end(&mut self, at: Option<(StageId, SplitId)>, failure: &Failure) {
        let kept = at.and_then(|at| self.errors.remove(&at));
        let told = || match &failure.remedy {
            Some(remedy) => Error::job(failure.message.clone()).with_remedy(remedy),
            None => Error::job(failure.message.clone()),
        };
        let error = kept.unwrap_or_else(told);
        let own = at.filter(|_| failure.kind.may_skip());
        let again = own.and_then(|(stage, split)| self.again(stage, split, error.remedy()));
        let error = match again {
            Some(again) => error.with_remedy(again),
            None => error,
        };
        self.failure.get_or_insert(Failed { error, kind: failure.kind, at });
        self.post_all(&Mail::Stop);
    }
}
