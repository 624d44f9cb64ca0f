//! What time and death do: silent members, leases that are too old, generations.

use crate::coordinator::{Coordinator, Member, Try};
use crate::entry::LogEntry;
use crate::ids::{MemberId, SplitId, StageId};
use crate::message::{Action, Failure, FailureKind};
use crate::stage::Lease;
use std::collections::BTreeMap;

/// What helps when a group does not come to an end.
const ALONE: &str =
    "--shuffle durable: a lost member takes nothing along, and a split that kills its process is tried alone and named";

impl Coordinator {
    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.failed {
            return;
        }
        self.lose_silent_members(out);
        self.expire_leases(out);
        if self.policy.speculate_after_ms.is_some() || self.policy.local_wait_ms > 0 {
            for stage in self.open_stages() {
                self.fill_all(stage, out);
            }
        }
    }

    fn open_stages(&self) -> Vec<StageId> {
        self.stages.values().filter(|stage| !stage.finished).map(|stage| stage.id).collect()
    }

    fn lose_silent_members(&mut self, out: &mut Vec<Action>) {
        let Some(limit) = self.policy.lost_after_ms else {
            return;
        };
        let silent = |last_ms: u64| self.now_ms.saturating_sub(last_ms) > limit;
        let lost: Vec<MemberId> = self.members.iter().filter(|(_, m)| silent(m.last_ms)).map(|(id, _)| *id).collect();
        for member in lost {
            self.lose(member, "it was silent for too long", out);
        }
    }

    fn expire_leases(&mut self, out: &mut Vec<Action>) {
        let Some(limit) = self.policy.lease_ms else {
            return;
        };
        let now_ms = self.now_ms;
        for stage in self.open_stages() {
            let Some(table) = self.stages.get(&stage) else {
                continue;
            };
            // What a pipelined stage has granted is on its way: only the member's loss ends it.
            let keep_granted = table.kind.group().is_some();
            let old = |lease: &Lease| now_ms.saturating_sub(lease.since_ms) > limit && !(keep_granted && lease.granted);
            for (split, lease) in table.leases(old) {
                let (member, attempt) = (lease.member, lease.attempt);
                if self.policy.kill_overdue {
                    out.push(Action::Overdue { member, at: (stage, split) });
                    continue;
                }
                out.push(Action::Revoke { member, stage, split, attempt });
                let message = format!("split {split}: attempt {attempt} took more than {limit} ms");
                let failure = Failure::new(FailureKind::Io, message);
                self.attempt_failed(Try { member, stage, split, attempt }, failure, out);
            }
        }
    }

    /// The member died while it worked on `splits`. Two deaths alone with a split convict it.
    pub(crate) fn crashed(
        &mut self,
        member: MemberId,
        splits: &[(StageId, SplitId)],
        failure: &Failure,
        out: &mut Vec<Action>,
    ) {
        let alone = self.members.get(&member).is_some_and(|known| known.solo);
        for (stage, split) in splits {
            let Some(table) = self.stages.get_mut(stage).filter(|_| !self.failed) else { continue };
            let lease = table.leases(|lease| lease.member == member).into_iter().find(|(s, _)| s == split);
            let Some((_, lease)) = lease.filter(|_| table.kind.group().is_none()) else { continue };
            if table.suspect(*split, alone) < self.policy.solo_deaths {
                continue;
            }
            let last = table.release(*split, member, lease.attempt);
            self.give_back(*stage, &[lease]);
            if last {
                self.give_up(*stage, *split, failure.clone(), out);
                self.finish(*stage, out);
            }
        }
        self.lose(member, &failure.message, out);
    }

    /// Suspects that wait are splits like others from now on. One that kills again is a suspect again.
    pub(crate) fn pardon(&mut self, out: &mut Vec<Action>) {
        let open: Vec<StageId> = self.stages.values().filter(|table| !table.finished).map(|table| table.id).collect();
        for stage in open {
            if self.stages.get_mut(&stage).is_some_and(crate::stage::Stage::pardon) {
                self.fill_all(stage, out);
            }
        }
    }

    /// Suspects that wait for a solo member.
    #[must_use]
    pub fn waiting_suspects(&self) -> u64 {
        self.stages.values().map(crate::stage::Stage::waiting_suspects).sum()
    }

    /// The member is gone for good: its leases are free, its later words count for nothing. With one that has a seat,
    /// all that have one are gone.
    pub(crate) fn lose(&mut self, member: MemberId, why: &str, out: &mut Vec<Action>) {
        if self.left.contains(&member) || !self.lost.insert(member) {
            return;
        }
        let gone = self.dismiss(member, out);
        if self.failed {
            return;
        }
        let mut groups = BTreeMap::new();
        for (member, known) in gone {
            for stage in known.wishes.into_keys() {
                match self.stages.get(&stage).and_then(|table| table.kind.group()) {
                    // A solo member has none of a group's splits.
                    Some(group) if !known.solo => drop(groups.insert(group, stage)),
                    Some(_) => {}
                    None => self.free_leases(member, stage, out),
                }
            }
        }
        let cause = Failure::new(FailureKind::Io, format!("member {member} is gone: {why}")).with_remedy(ALONE);
        for stage in groups.into_values() {
            self.restart_group(stage, &cause, out);
        }
    }

    /// Takes the member off the list, and with one that has a seat all that have one.
    fn dismiss(&mut self, member: MemberId, out: &mut Vec<Action>) -> Vec<(MemberId, Member)> {
        let seated = |m: &Member| m.seat.is_some();
        let together = self.members.get(&member).is_some_and(seated);
        let others = self.members.iter().filter(|(id, m)| together && **id != member && seated(m));
        let leaving: Vec<MemberId> = std::iter::once(member).chain(others.map(|(id, _)| *id)).collect();
        let mut gone = Vec::new();
        for id in leaving {
            self.lost.insert(id);
            if let Some(known) = self.members.remove(&id) {
                out.push(Action::MemberGone { member: id });
                gone.push((id, known));
            }
        }
        gone
    }

    fn free_leases(&mut self, member: MemberId, stage: StageId, out: &mut Vec<Action>) {
        let Some(table) = self.stages.get_mut(&stage) else { return };
        for (split, lease) in table.leases(|lease| lease.member == member) {
            if table.release(split, member, lease.attempt) {
                table.requeue(split);
            }
        }
        self.fill_all(stage, out);
    }

    /// Begins a new generation of the stage's group, unless the whole group is done.
    pub(crate) fn restart_group(&mut self, stage: StageId, cause: &Failure, out: &mut Vec<Action>) {
        let Some(group) = self.stages.get(&stage).and_then(|table| table.kind.group()) else {
            return;
        };
        let of_group = self.stages.values().filter(|table| table.kind.group() == Some(group));
        let ids: Vec<StageId> = of_group.clone().map(|table| table.id).collect();
        if of_group.clone().all(|table| table.finished) {
            return;
        }
        let next = of_group.map(|table| table.generation.0 + 1).max().unwrap_or(0);
        if next >= self.policy.max_generations {
            let message = format!("generation {} ended: {}", next - 1, cause.message);
            let failure = Failure::new(FailureKind::Internal, message);
            return self.fail(None, Failure { remedy: cause.remedy.clone(), ..failure }, out);
        }
        for id in &ids {
            self.restart_stage(*id, out);
        }
        for id in ids {
            self.fill_all(id, out);
        }
    }

    fn restart_stage(&mut self, stage: StageId, out: &mut Vec<Action>) {
        let Some(table) = self.stages.get_mut(&stage) else {
            return;
        };
        for (split, lease) in table.leases(|lease| self.members.contains_key(&lease.member)) {
            out.push(Action::Revoke { member: lease.member, stage, split, attempt: lease.attempt });
        }
        self.skipped -= table.skipped;
        table.restart();
        let generation = table.generation;
        if table.kind.logged() {
            out.push(Action::Append(LogEntry::Generation { stage, generation }));
        }
        out.push(Action::NewGeneration { stage, generation });
        for member in self.members.values_mut() {
            if let Some(wish) = member.wishes.get_mut(&stage) {
                wish.held = 0;
            }
        }
    }
}
