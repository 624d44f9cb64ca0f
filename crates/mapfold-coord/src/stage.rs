//! The split table of one stage: which splits wait, fly, are done.
//!
//! One byte per split (five more where costs are given, some twelve to thirty where hints are), and a map entry only for splits that are in
//! flight or needed more than one attempt: 10^6 splits cost a megabyte. It keeps the table
//! consistent and knows nothing of members' wishes, policies or messages.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::error::CoordError;
use crate::ids::{Attempt, Generation, MemberId, Seat, SplitId, StageId};
use crate::measure::{Counters, PhaseTimes};
use crate::message::PartRecord;
use crate::near::{Asker, Near};
use crate::spec::{Costs, StageKind, StageSpec};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum State {
    Waiting,
    InFlight,
    Done,
    Skipped,
}

/// One attempt out with a member.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub member: MemberId,
    pub attempt: Attempt,
    pub since_ms: u64,
    pub granted: bool,
}

/// What is remembered of a split that needed more than one attempt.
#[derive(Clone, Debug)]
struct Tries {
    next: u32,
    failures: u32,
    winner: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub id: StageId,
    pub kind: StageKind,
    pub splits: u64,
    pub generation: Generation,
    pub done: u64,
    pub skipped: u64,
    pub retries: u64,
    pub cost_done: u64,
    pub cost_total: u64,
    pub counters: Counters,
    pub times: PhaseTimes,
    /// Its end was announced.
    pub finished: bool,
    states: Vec<State>,
    costs: Vec<u32>,
    /// Splits by descending cost, empty when costs are uniform.
    order: Vec<u32>,
    cursor: u64,
    /// Partitions go to the seats that own them: a cursor for each seat.
    owned: bool,
    cursors: BTreeMap<u32, u64>,
    /// The same for splits without hints, where others have some.
    pub plain: u64,
    /// Splits that wait again, best first: (rank by cost, split).
    again: BinaryHeap<Reverse<(u32, u64)>>,
    /// The same of splits that have hints: only who goes far looks here.
    again_far: BinaryHeap<Reverse<(u32, u64)>>,
    /// Which splits are best worked on where.
    pub near: Near,
    flights: HashMap<u64, Vec<Lease>>,
    tries: HashMap<u64, Tries>,
    /// First attempt number of this generation, and the highest given out so far.
    base: u32,
    top: u32,
    /// No split is old enough to be leased once more before then: asking again is not worth a look at all flights.
    calm_until_ms: u64,
    /// Splits that a member died with, and how often a solo member has died with them alone.
    suspects: BTreeMap<u64, u32>,
}

impl Stage {
    pub fn new(spec: StageSpec) -> Result<Stage, CoordError> {
        let bad = |why: String| CoordError::BadPlan { stage: spec.id, why };
        let length = usize::try_from(spec.splits).map_err(|_| bad(format!("{} splits are too many", spec.splits)))?;
        let costs = match spec.costs {
            Costs::Uniform => Vec::new(),
            Costs::PerSplit(costs) if costs.len() == length && u32::try_from(length).is_ok() => costs,
            Costs::PerSplit(costs) => {
                return Err(bad(format!("{} costs for {length} splits", costs.len())));
            }
        };
        let mut stage = Stage {
            id: spec.id,
            kind: spec.kind,
            splits: spec.splits,
            generation: spec.earlier.generation,
            done: 0,
            skipped: 0,
            retries: 0,
            cost_done: 0,
            cost_total: if costs.is_empty() { spec.splits } else { sum(&costs) },
            counters: spec.earlier.counters,
            times: spec.earlier.times,
            finished: false,
            states: vec![State::Waiting; length],
            order: longest_first(&costs),
            costs,
            cursor: 0,
            owned: spec.owned,
            cursors: BTreeMap::new(),
            plain: 0,
            again: BinaryHeap::new(),
            again_far: BinaryHeap::new(),
            near: Near::default(),
            flights: HashMap::new(),
            tries: HashMap::new(),
            base: 0,
            top: 0,
            calm_until_ms: 0,
            suspects: BTreeMap::new(),
        };
        stage.take_over(&spec.earlier.done, State::Done)?;
        stage.take_over(&spec.earlier.skipped, State::Skipped)?;
        Ok(stage)
    }

    fn take_over(&mut self, splits: &[SplitId], state: State) -> Result<(), CoordError> {
        for split in splits {
            if split.0 >= self.splits {
                let why = format!("the log names split {split} of {}: another plan?", self.splits);
                return Err(CoordError::BadPlan { stage: self.id, why });
            }
            if self.state(*split) == State::Waiting {
                self.close(*split, state);
            }
        }
        Ok(())
    }

    fn state(&self, split: SplitId) -> State {
        let index = usize::try_from(split.0).unwrap_or(usize::MAX);
        self.states.get(index).copied().unwrap_or(State::Skipped)
    }

    fn set(&mut self, split: SplitId, state: State) {
        // Every caller got the split from the table or asked `state` first.
        self.states[split.0 as usize] = state;
    }

    fn cost(&self, split: SplitId) -> u32 {
        self.costs.get(split.0 as usize).copied().unwrap_or(1)
    }

    fn close(&mut self, split: SplitId, state: State) {
        self.set(split, state);
        self.cost_done += u64::from(self.cost(split));
        match state {
            State::Done => self.done += 1,
            _ => self.skipped += 1,
        }
    }

    pub fn complete(&self) -> bool {
        self.done + self.skipped == self.splits
    }

    /// Whether the split is registered.
    pub fn is_done(&self, split: SplitId) -> bool {
        self.state(split) == State::Done
    }

    pub fn in_flight(&self) -> u64 {
        self.flights.len() as u64
    }

    pub fn waiting(&self) -> u64 {
        self.splits - self.done - self.skipped - self.in_flight()
    }

    /// The first of what `next` gives that is free.
    pub(crate) fn first_free(&mut self, mut next: impl FnMut(&mut Stage) -> Option<u64>) -> Option<SplitId> {
        while let Some(split) = next(self).map(SplitId) {
            if self.is_free(split) {
                return Some(split);
            }
        }
        None
    }

    /// The next split that waits again and has no hint.
    pub(crate) fn next_again(&mut self) -> Option<SplitId> {
        self.first_free(|stage| stage.again.pop().map(|Reverse((_, split))| split))
    }

    /// The next split that waits, whatever hints say.
    pub(crate) fn next_waiting(&mut self) -> Option<SplitId> {
        let far = |stage: &mut Stage| stage.again_far.pop().map(|Reverse((_, split))| split);
        if let Some(split) = self.next_again().or_else(|| self.first_free(far)) {
            return Some(split);
        }
        while self.cursor < self.splits {
            let split = self.ordered(self.cursor);
            self.cursor += 1;
            if self.is_free(split) {
                return Some(split);
            }
        }
        None
    }

    /// The split at a place of the order in which they are leased.
    pub(crate) fn ordered(&self, at: u64) -> SplitId {
        SplitId(self.order.get(at as usize).map_or(at, |s| u64::from(*s)))
    }

    /// The next waiting split of those that a seat owns.
    fn next_owned(&mut self, seat: Seat) -> Option<SplitId> {
        let waits = |split: u64| seat.owns(split) && self.is_free(SplitId(split));
        let again = self.again.iter().map(|Reverse(ranked)| *ranked).filter(|(_, split)| waits(*split)).min();
        if let Some((_, split)) = again {
            return Some(SplitId(split)); // It stays in the heap, and is not free any more.
        }
        let mut cursor = self.cursors.get(&seat.index).copied().unwrap_or(0);
        while cursor < self.splits && !waits(self.ordered(cursor).0) {
            cursor += 1;
        }
        self.cursors.insert(seat.index, cursor + 1);
        (cursor < self.splits).then(|| self.ordered(cursor))
    }

    pub(crate) fn is_free(&self, split: SplitId) -> bool {
        self.state(split) == State::Waiting && !self.suspects.contains_key(&split.0)
    }

    /// Leases a suspect that waits.
    pub fn lease_suspect(&mut self, member: MemberId, now_ms: u64) -> Option<(SplitId, Attempt)> {
        let waits = |split: &&u64| self.state(SplitId(**split)) == State::Waiting;
        let split = SplitId(*self.suspects.keys().find(waits)?);
        self.set(split, State::InFlight);
        Some((split, self.add_lease(split, member, now_ms)))
    }

    /// A member died with the split, `alone` or not: how often one has died alone with it.
    pub fn suspect(&mut self, split: SplitId, alone: bool) -> u32 {
        let deaths = self.suspects.entry(split.0).or_default();
        *deaths += u32::from(alone);
        *deaths
    }

    /// Suspects that wait are none any more; whether there were any.
    pub fn pardon(&mut self) -> bool {
        let waits = |split: &u64| self.state(SplitId(*split)) == State::Waiting;
        let waiting: Vec<u64> = self.suspects.keys().copied().filter(waits).collect();
        for split in &waiting {
            self.suspects.remove(split);
            self.requeue(SplitId(*split));
        }
        !waiting.is_empty()
    }

    /// Suspects that wait for a solo member.
    pub fn waiting_suspects(&self) -> u64 {
        self.suspects.keys().filter(|split| self.state(SplitId(**split)) == State::Waiting).count() as u64
    }

    /// Leases the next waiting split.
    pub fn lease(&mut self, who: Asker, seat: Option<Seat>, now_ms: u64) -> Option<(SplitId, Attempt)> {
        let split = if self.owned { self.next_owned(seat?)? } else { self.next_for(who)? };
        self.set(split, State::InFlight);
        Some((split, self.add_lease(split, who.member, now_ms)))
    }

    /// Leases a split once more that one other member has held for `age_ms` or longer.
    pub fn speculate(&mut self, member: MemberId, now_ms: u64, age_ms: u64) -> Option<(SplitId, Attempt)> {
        if self.owned || now_ms < self.calm_until_ms {
            return None; // Nobody else has the records of an owned one.
        }
        let alone = |leases: &[Lease]| match leases {
            [one] if !one.granted => Some((one.since_ms, one.member)),
            _ => None,
        };
        let all = || self.flights.iter().filter_map(|(split, l)| alone(l).map(|(since, who)| (since, *split, who)));
        // A lease that comes later is younger still; one whose rival is gone counts again (`release`).
        let oldest = all().map(|(since, ..)| since).min().unwrap_or(now_ms);
        if now_ms.saturating_sub(oldest) < age_ms {
            self.calm_until_ms = oldest.saturating_add(age_ms);
            return None;
        }
        let slow = |since: u64| now_ms.saturating_sub(since) >= age_ms;
        let split = SplitId(all().filter(|(since, _, who)| slow(*since) && *who != member).min()?.1);
        Some((split, self.add_lease(split, member, now_ms)))
    }

    fn add_lease(&mut self, split: SplitId, member: MemberId, now_ms: u64) -> Attempt {
        let leases = self.flights.entry(split.0).or_default();
        if !leases.is_empty() {
            self.tries.entry(split.0).or_insert(Tries::first(self.base));
        }
        let attempt = match self.tries.get_mut(&split.0) {
            None => self.base,
            Some(tries) => {
                tries.next += 1;
                self.retries += 1;
                tries.next - 1
            }
        };
        self.top = self.top.max(attempt);
        let attempt = Attempt(attempt);
        leases.push(Lease { member, attempt, since_ms: now_ms, granted: false });
        attempt
    }

    pub fn find(&self, split: SplitId, member: MemberId, attempt: Attempt) -> Option<&Lease> {
        let leases = self.flights.get(&split.0)?;
        leases.iter().find(|lease| lease.member == member && lease.attempt == attempt)
    }

    /// Whether the split was registered by just this attempt.
    pub fn won_by(&self, split: SplitId, attempt: Attempt) -> bool {
        let winner = self.tries.get(&split.0).map_or(Some(self.base), |tries| tries.winner);
        self.state(split) == State::Done && winner == Some(attempt.0)
    }

    /// Marks the lease as granted; returns the rivals' leases, which are over.
    pub fn grant(&mut self, split: SplitId, member: MemberId, attempt: Attempt) -> Vec<Lease> {
        let Some(leases) = self.flights.get_mut(&split.0) else {
            return Vec::new();
        };
        let mine = |lease: &Lease| lease.member == member && lease.attempt == attempt;
        for lease in leases.iter_mut().filter(|lease| mine(lease)) {
            lease.granted = true;
        }
        if leases.len() == 1 {
            return Vec::new();
        }
        leases.extract_if(.., |lease| !mine(lease)).collect()
    }

    /// Registers the split for good. Returns its leases, which are over.
    pub fn register(&mut self, split: SplitId, attempt: Attempt, record: &PartRecord) -> Vec<Lease> {
        if self.state(split) != State::Done && split.0 < self.splits {
            self.close(split, State::Done);
        }
        if let Some(tries) = self.tries.get_mut(&split.0) {
            tries.winner = Some(attempt.0);
        }
        self.suspects.remove(&split.0);
        self.counters.merge(&record.counters);
        self.times.merge(&record.times);
        self.flights.remove(&split.0).unwrap_or_default()
    }

    /// Gives up the split.
    pub fn skip(&mut self, split: SplitId) {
        self.suspects.remove(&split.0);
        self.close(split, State::Skipped);
    }

    /// Every split that waits is done without being worked on.
    pub fn spare(&mut self) {
        let waiting = |split: &SplitId| self.state(*split) == State::Waiting;
        let left: Vec<SplitId> = (0..self.splits).map(SplitId).filter(waiting).collect();
        left.into_iter().for_each(|split| self.close(split, State::Done));
    }

    /// Takes one lease back. `true` when no other attempt at the split is out: the caller then
    /// decides whether it waits again ([`Stage::requeue`]) or is given up.
    pub fn release(&mut self, split: SplitId, member: MemberId, attempt: Attempt) -> bool {
        self.calm_until_ms = 0;
        let Some(leases) = self.flights.get_mut(&split.0) else {
            return false;
        };
        leases.retain(|lease| lease.member != member || lease.attempt != attempt);
        self.tries.entry(split.0).or_insert(Tries::first(self.base));
        if !leases.is_empty() {
            return false;
        }
        self.flights.remove(&split.0);
        true
    }

    /// Counts a failure of the split; returns how many it has had.
    pub fn count_failure(&mut self, split: SplitId) -> u32 {
        let tries = self.tries.entry(split.0).or_insert(Tries::first(self.base));
        tries.failures += 1;
        tries.failures
    }

    pub fn requeue(&mut self, split: SplitId) {
        self.set(split, State::Waiting);
        let ranked = Reverse((u32::MAX - self.cost(split), split.0));
        if self.near.hosts(split).is_empty() {
            return self.again.push(ranked);
        }
        self.near.again(split);
        self.again_far.push(ranked);
    }

    /// All leases that `wanted` picks, in ascending order of split and attempt.
    pub fn leases(&self, wanted: impl Fn(&Lease) -> bool) -> Vec<(SplitId, Lease)> {
        let mut found: Vec<(SplitId, Lease)> = Vec::new();
        for (split, leases) in &self.flights {
            let picked = leases.iter().filter(|lease| wanted(lease));
            found.extend(picked.map(|lease| (SplitId(*split), lease.clone())));
        }
        found.sort_unstable_by_key(|(split, lease)| (*split, lease.attempt));
        found
    }

    /// Forgets everything but the attempt numbers: a new generation begins.
    pub fn restart(&mut self) {
        self.generation.0 += 1;
        self.base = self.top + 1;
        self.top = self.base;
        self.states.fill(State::Waiting);
        self.flights.clear();
        self.tries.clear();
        self.again.clear();
        self.again_far.clear();
        self.near.restart();
        self.suspects.clear();
        (self.cursor, self.plain, self.calm_until_ms) = (0, 0, 0);
        self.cursors.clear();
        (self.done, self.skipped, self.cost_done) = (0, 0, 0);
        self.counters = Counters::default();
        self.times = PhaseTimes::default();
        self.finished = false;
    }
}

impl Tries {
    fn first(base: u32) -> Tries {
        Tries { next: base + 1, failures: 0, winner: None }
    }
}

fn sum(costs: &[u32]) -> u64 {
    costs.iter().map(|cost| u64::from(*cost)).sum()
}

fn longest_first(costs: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(costs.len()).collect();
    order.sort_by_key(|split| Reverse(costs[*split as usize]));
    order
}
