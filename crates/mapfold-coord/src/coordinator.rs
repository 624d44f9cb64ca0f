//! The state machine: one [`Event`] in, any number of [`Action`]s out.
//!
//! It does no I/O, reads no clock and draws no random number, so that a simulator can drive it
//! through any schedule and the same events always give the same actions. Its laws:
//!
//! 1. A split has at most one living grant, and only the granted attempt is registered, once.
//! 2. An attempt that is late, denied or unknown changes nothing.
//! 3. Counters and times are those of registered attempts only.
//! 4. Every event may be repeated, at any time, without effect.
//! 5. While a split waits that is no suspect, no member that wants one and is to stay goes without, or not for longer
//!    than [`Policy::local_wait_ms`].
//!
//! A grant dies with its lease: in a lease-only stage an attempt shows only through its
//! registration, so a lost member's split is simply leased again; in a pipelined stage granted
//! output has been sent, so the whole group begins a new generation. Members that exchange records
//! in memory sit in seats ([`Event::Seated`]): they are lost together, and a new generation waits
//! for new ones in the same seats.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::LogEntry;
use crate::error::CoordError;
use crate::ids::{Attempt, HostId, MemberId, Seat, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::message::{Action, Event, Failure, FailureKind, PartRecord};
use crate::near::Asker;
use crate::progress::Progress;
use crate::spec::{OnError, Policy, StageKind, StageSpec};
use crate::stage::{Lease, Stage};

/// What a member asked for, and what it has, of one stage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub count: u32,
    pub held: u32,
    /// Since when it has found nothing of its own host.
    pub lacks_since_ms: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub last_ms: u64,
    /// Gets suspects only.
    pub solo: bool,
    /// Its place among those who exchange records in memory.
    pub seat: Option<Seat>,
    pub host: Option<HostId>,
    pub wishes: BTreeMap<StageId, Wish>,
}

/// One attempt at one split by one member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub member: MemberId,
    pub stage: StageId,
    pub split: SplitId,
    pub attempt: Attempt,
}

/// The coordinator of one job. See the module's text for its laws.
///
/// ```
/// use mapfold_coord::{Action, Coordinator, Event, MemberId, PartRecord, Policy, StageId, StageSpec};
///
/// let (member, stage) = (MemberId(0), StageId(0));
/// let mut coordinator = Coordinator::new(vec![StageSpec::new(stage, 1)], Policy::default())?;
/// let mut out = Vec::new();
/// coordinator.handle(Event::LeaseWanted { member, stage, count: 2 }, &mut out);
/// let Some(Action::Lease { split, attempt, .. }) = out.pop() else { panic!("no lease") };
/// coordinator.handle(Event::GrantWanted { member, stage, split, attempt }, &mut out);
/// assert_eq!(out, [Action::Grant { member, stage, split, attempt }]);
/// let record = PartRecord::default();
/// coordinator.handle(Event::Registered { member, stage, split, attempt, record }, &mut out);
/// assert_eq!(out.last(), Some(&Action::JobDone));
/// assert_eq!(coordinator.progress().done(), 1);
/// # Ok::<(), mapfold_coord::CoordError>(())
/// ```
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) stages: BTreeMap<StageId, Stage>,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) lost: BTreeSet<MemberId>,
    /// Members that get nothing more and go when they hold nothing.
    pub(crate) retiring: BTreeSet<MemberId>,
    /// Those that have gone so.
    pub(crate) left: BTreeSet<MemberId>,
    pub(crate) policy: Policy,
    pub(crate) now_ms: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: bool,
    started: bool,
}

impl Coordinator {
    /// A coordinator for these stages. Refuses costs or an earlier log that do not fit them.
    pub fn new(stages: Vec<StageSpec>, policy: Policy) -> Result<Coordinator, CoordError> {
        let mut coordinator = Coordinator {
            stages: BTreeMap::new(),
            members: BTreeMap::new(),
            lost: BTreeSet::new(),
            retiring: BTreeSet::new(),
            left: BTreeSet::new(),
            policy,
            now_ms: 0,
            skipped: 0,
            failed: false,
            started: false,
        };
        for spec in stages {
            coordinator.add_stage(spec)?;
        }
        Ok(coordinator)
    }

    fn add_stage(&mut self, spec: StageSpec) -> Result<(), CoordError> {
        let id = spec.id;
        if self.stages.contains_key(&id) {
            return Err(CoordError::BadPlan { stage: id, why: "it is there already".to_owned() });
        }
        let stage = Stage::new(spec)?;
        self.skipped += stage.skipped;
        self.stages.insert(id, stage);
        Ok(())
    }

    /// Takes one event and pushes what is to be done onto `out`.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Action>) {
        if !self.started {
            self.started = true;
            self.finish_stages(out);
        }
        if let Some(member) = member_of(&event)
            && !self.hear(member, out)
        {
            return;
        }
        match event {
            Event::Joined { member, solo } => self.members.entry(member).or_default().solo = solo,
            Event::Seated { member, seat } => self.members.entry(member).or_default().seat = Some(seat),
            Event::Hosted { member, host } => self.members.entry(member).or_default().host = Some(host),
            Event::Near { stage, first, hosts } => self.hint(stage, first, hosts, out),
            Event::Crashed { member, splits, failure } => self.crashed(member, &splits, &failure, out),
            Event::Heartbeat { at_ms, .. } => self.now_ms = self.now_ms.max(at_ms),
            Event::LeaseWanted { member, stage, count } => self.wish(member, stage, count, out),
            Event::GrantWanted { member, stage, split, attempt } => {
                self.grant_wanted(Try { member, stage, split, attempt }, out);
            }
            Event::Registered { member, stage, split, attempt, record } => {
                self.registered(Try { member, stage, split, attempt }, record, out);
            }
            Event::Failed { member, stage, split, attempt, failure } => {
                self.attempt_failed(Try { member, stage, split, attempt }, failure, out);
            }
            Event::MemberLost { member } => self.lose(member, "it was lost", out),
            Event::Spared { stage } => self.spare(stage, out),
            Event::Retire { member } => self.retire(member),
            Event::NobodySolo => self.pardon(out),
            Event::StagePlanned { spec } => self.stage_planned(spec, out),
            Event::Tick { now_ms } => self.tick(now_ms, out),
            Event::Cancel { reason } => {
                self.fail(None, Failure::new(FailureKind::Cancelled, reason), out);
            }
        }
        self.see_off(out);
    }

    /// Counters of all registered splits.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.stages.values().for_each(|stage| sum.merge(&stage.counters));
        sum
    }

    /// Thread time of all registered splits.
    #[must_use]
    pub fn times(&self) -> PhaseTimes {
        let mut sum = PhaseTimes::default();
        self.stages.values().for_each(|stage| sum.merge(&stage.times));
        sum
    }

    /// One counter of the registered splits of a stage.
    #[must_use]
    pub fn counted(&self, stage: StageId, name: &str) -> u64 {
        self.stages.get(&stage).map_or(0, |table| table.counters.get(name))
    }

    /// Whether this split is registered.
    #[must_use]
    pub fn is_done(&self, stage: StageId, split: SplitId) -> bool {
        self.stages.get(&stage).is_some_and(|table| table.is_done(split))
    }

    /// Whether every split of every stage is registered or given up.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stages.values().all(Stage::complete)
    }

    /// Whether emission is granted to one attempt only; not so in the control of the fault loops.
    #[doc(hidden)]
    #[must_use]
    pub fn grants(&self) -> bool {
        self.policy.grants
    }

    /// How far the job is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::of(self)
    }

    /// Notes that the member lives. `false` when it was declared lost: it is told so. One that has left may still say
    /// its last words.
    fn hear(&mut self, member: MemberId, out: &mut Vec<Action>) -> bool {
        if self.left.contains(&member) {
            return false;
        }
        if self.lost.contains(&member) {
            out.push(Action::MemberGone { member });
            return false;
        }
        self.members.entry(member).or_default().last_ms = self.now_ms;
        true
    }

    fn stage_planned(&mut self, spec: StageSpec, out: &mut Vec<Action>) {
        if self.stages.contains_key(&spec.id) {
            return;
        }
        match self.add_stage(spec) {
            Ok(()) => self.finish_stages(out),
            Err(error) => {
                self.fail(None, Failure::new(FailureKind::Internal, error.to_string()), out);
            }
        }
    }

    fn spare(&mut self, stage: StageId, out: &mut Vec<Action>) {
        if let Some(table) = self.stages.get_mut(&stage).filter(|table| table.in_flight() == 0) {
            table.spare();
            self.finish(stage, out);
        }
    }

    fn wish(&mut self, member: MemberId, stage: StageId, count: u32, out: &mut Vec<Action>) {
        let over = self.stages.get(&stage).is_some_and(|s| s.finished);
        if let Some(known) = self.members.get_mut(&member) {
            known.wishes.entry(stage).or_default().count = count;
        }
        if over || self.failed {
            out.push(Action::NoMoreSplits { member, stage });
            return;
        }
        self.fill(member, stage, out);
    }

    /// Gives the member leases up to what it wants.
    pub(crate) fn fill(&mut self, member: MemberId, stage: StageId, out: &mut Vec<Action>) {
        if self.retiring.contains(&member) {
            return;
        }
        while !self.failed && self.is_hungry(member, stage) {
            let Some((split, attempt)) = self.next_lease(member, stage) else { return };
            if let Some(wish) = self.members.get_mut(&member).and_then(|m| m.wishes.get_mut(&stage)) {
                wish.held += 1;
            }
            out.push(Action::Lease { member, stage, split, attempt });
        }
    }

    fn is_hungry(&self, member: MemberId, stage: StageId) -> bool {
        let wish = self.members.get(&member).and_then(|m| m.wishes.get(&stage));
        wish.is_some_and(|wish| wish.held < wish.count)
    }

    fn next_lease(&mut self, member: MemberId, stage: StageId) -> Option<(SplitId, Attempt)> {
        let (now_ms, patience) = (self.now_ms, self.policy.speculate_after_ms);
        let far = self.may_go_far(member, stage);
        let known = self.members.get_mut(&member)?;
        let (solo, seat, host) = (known.solo, known.seat, known.host);
        let (wish, table) = (known.wishes.get_mut(&stage)?, self.stages.get_mut(&stage)?);
        if solo {
            return if wish.held > 0 { None } else { table.lease_suspect(member, now_ms) };
        }
        let next = table.lease(Asker { member, host, far }, seat, now_ms);
        let is_local = next.is_some_and(|(split, _)| host.is_some_and(|h| table.near.hosts(split).contains(&h)));
        wish.lacks_since_ms = if is_local { None } else { wish.lacks_since_ms.or(Some(now_ms)) };
        next.or_else(|| patience.and_then(|age_ms| table.speculate(member, now_ms, age_ms)))
    }

    /// Gives every member leases up to what it wants: after splits have become free.
    pub(crate) fn fill_all(&mut self, stage: StageId, out: &mut Vec<Action>) {
        let hungry = |m: &Member| m.wishes.get(&stage).is_some_and(|w| w.held < w.count);
        let hungry: Vec<MemberId> = self.members.iter().filter(|(_, m)| hungry(m)).map(|(id, _)| *id).collect();
        for member in hungry {
            self.fill(member, stage, out);
        }
    }

    /// The leases are over: their holders may have others.
    pub(crate) fn give_back(&mut self, stage: StageId, leases: &[Lease]) {
        for lease in leases {
            let member = self.members.get_mut(&lease.member);
            if let Some(wish) = member.and_then(|m| m.wishes.get_mut(&stage)) {
                wish.held = wish.held.saturating_sub(1);
            }
        }
    }

    fn grant_wanted(&mut self, asked: Try, out: &mut Vec<Action>) {
        let Try { member, stage, split, attempt } = asked;
        let grant = Action::Grant { member, stage, split, attempt };
        let deny = Action::Deny { member, stage, split, attempt };
        let Some(table) = self.stages.get_mut(&stage).filter(|_| !self.failed) else {
            return out.push(deny);
        };
        if !self.policy.grants {
            return out.push(grant);
        }
        if table.won_by(split, attempt) {
            return; // It was granted and registered long ago: the question came twice.
        }
        if table.find(split, member, attempt).is_none() {
            return out.push(deny);
        }
        let rivals = table.grant(split, member, attempt);
        out.push(grant);
        if rivals.is_empty() {
            return;
        }
        self.give_back(stage, &rivals);
        for rival in rivals {
            out.push(Action::Revoke { member: rival.member, stage, split, attempt: rival.attempt });
            self.fill(rival.member, stage, out);
        }
    }

    fn registered(&mut self, by: Try, record: PartRecord, out: &mut Vec<Action>) {
        let Try { member, stage, split, attempt } = by;
        let deny = Action::Deny { member, stage, split, attempt };
        let Some(table) = self.stages.get_mut(&stage).filter(|_| !self.failed) else {
            return out.push(deny);
        };
        let lease = table.find(split, member, attempt).map(|lease| lease.granted);
        match lease {
            _ if !self.policy.grants => {}
            Some(true) => {}
            Some(false) => return, // Nothing may be registered without its grant.
            None if table.won_by(split, attempt) => {
                return out.push(Action::Accepted { member, stage, split, attempt });
            }
            None => return out.push(deny),
        }
        let over = table.register(split, attempt, &record);
        table.near.count(split, self.members.get(&member).and_then(|known| known.host));
        out.push(Action::Accepted { member, stage, split, attempt });
        if table.kind.logged() {
            let generation = table.generation;
            out.push(Action::Append(LogEntry::Part { stage, split, attempt, generation, record }));
        }
        self.give_back(stage, &over);
        self.fill(member, stage, out);
        self.finish(stage, out);
    }

    pub(crate) fn attempt_failed(&mut self, by: Try, failure: Failure, out: &mut Vec<Action>) {
        let Try { member, stage, split, attempt } = by;
        let Some(table) = self.stages.get_mut(&stage).filter(|_| !self.failed) else {
            return;
        };
        let Some(lease) = table.find(split, member, attempt).cloned() else {
            return;
        };
        // Granted records may have arrived already; a granted part is only a file that nobody has counted.
        if lease.granted && matches!(table.kind, StageKind::PipelinedMap { .. }) {
            return self.restart_group(stage, &failure, out);
        }
        let alone = table.release(split, member, attempt);
        let failures = table.count_failure(split);
        self.give_back(stage, &[lease]);
        if alone && failures >= self.policy.max_attempts(failure.kind) {
            self.give_up(stage, split, failure, out);
        } else {
            if alone && let Some(table) = self.stages.get_mut(&stage) {
                table.requeue(split);
            }
            out.push(Action::Retried { stage, split, attempt, failure });
        }
        self.fill_all(stage, out);
        self.finish(stage, out);
    }

    pub(crate) fn give_up(&mut self, stage: StageId, split: SplitId, failure: Failure, out: &mut Vec<Action>) {
        let allowed = match self.policy.on_error {
            OnError::Fail => 0,
            OnError::Skip { max } => max,
        };
        if !failure.kind.may_skip() || self.skipped >= allowed {
            return self.fail(Some((stage, split)), failure, out);
        }
        let Some(table) = self.stages.get_mut(&stage) else {
            return;
        };
        table.skip(split);
        self.skipped += 1;
        let (generation, failure2) = (table.generation, failure.clone());
        out.push(Action::Append(LogEntry::Skipped { stage, split, generation, failure }));
        out.push(Action::Skipped { stage, split, failure: failure2 });
    }

    /// Ends the job without a result. The first cause wins.
    pub(crate) fn fail(&mut self, at: Option<(StageId, SplitId)>, failure: Failure, out: &mut Vec<Action>) {
        if self.failed || self.done() {
            return;
        }
        self.failed = true;
        out.push(Action::JobFailed { at, failure });
    }

    fn done(&self) -> bool {
        self.started && self.stages.values().all(|stage| stage.finished)
    }

    fn finish_stages(&mut self, out: &mut Vec<Action>) {
        let ids: Vec<StageId> = self.stages.keys().copied().collect();
        for stage in ids {
            self.finish(stage, out);
        }
    }

    /// Announces the end of the stage, and of the job, when they are there.
    pub(crate) fn finish(&mut self, stage: StageId, out: &mut Vec<Action>) {
        let Some(table) = self.stages.get_mut(&stage) else {
            return;
        };
        if !table.complete() || table.finished || self.failed {
            return;
        }
        table.finished = true;
        for (member, known) in &self.members {
            if known.wishes.contains_key(&stage) {
                out.push(Action::NoMoreSplits { member: *member, stage });
            }
        }
        out.push(Action::StageDone { stage });
        if self.done() {
            out.push(Action::JobDone);
        }
    }
}

fn member_of(event: &Event) -> Option<MemberId> {
    match event {
        Event::Joined { member, .. }
        | Event::Seated { member, .. }
        | Event::Hosted { member, .. }
        | Event::LeaseWanted { member, .. }
        | Event::Heartbeat { member, .. }
        | Event::GrantWanted { member, .. }
        | Event::Registered { member, .. }
        | Event::Failed { member, .. } => Some(*member),
        _ => None,
    }
}
