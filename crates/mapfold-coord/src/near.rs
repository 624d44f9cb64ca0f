//! Which splits are best worked on where: on a host that holds what they read.
//!
//! A hint, never a need. A member gets a split of its own host first, then one that nobody has a hint for. When neither
//! waits it takes any, but not at once: for [`Policy::local_wait_ms`](crate::Policy::local_wait_ms) it leaves those of
//! other hosts to them. A member whose host holds nothing of the stage does not wait, nor does one of no known host.
//! So nobody is idle for longer than that, and no split waits for one host alone.
//!
//! One number per split and one entry per split and copy; a lease looks at each entry once. Without hints there is
//! nothing of all this, and no split costs more than a comparison.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::coordinator::Coordinator;
use crate::ids::{HostId, MemberId, SplitId, StageId};
use crate::message::Action;
use crate::stage::Stage;

/// The group of splits that have no hint.
const NOWHERE: u32 = u32::MAX;

/// Registered splits by where they were worked on, of stages that have hints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// On a host that holds what they read.
    pub local: u64,
    /// On another host.
    pub remote: u64,
    /// There was no hint, or nobody knows where the member was.
    pub anywhere: u64,
}

impl Placed {
    /// Adds those of another stage.
    pub fn merge(&mut self, other: &Placed) {
        self.local += other.local;
        self.remote += other.remote;
        self.anywhere += other.anywhere;
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.local + self.remote + self.anywhere
    }
}

/// The hints of one stage.
#[derive(Debug, Default)]
pub(crate) struct Near {
    /// The group of each split; empty without hints.
    of: Vec<u32>,
    /// Hosts that hold the same splits.
    groups: Vec<Vec<HostId>>,
    numbers: HashMap<Vec<HostId>, u32>,
    /// What waits for each host; an entry of a split that waits no more is passed over.
    queues: HashMap<HostId, VecDeque<u64>>,
    /// Splits that are registered before the first hint comes are of no known host.
    placed: Placed,
}

impl Near {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The hosts that hold what a split reads, as far as that is known.
    pub fn hosts(&self, split: SplitId) -> &[HostId] {
        let group = self.of.get(split.0 as usize).copied().unwrap_or(NOWHERE);
        self.groups.get(group as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a host holds, or held, anything of the stage.
    fn knows(&self, host: HostId) -> bool {
        self.queues.contains_key(&host)
    }

    fn group(&mut self, mut hosts: Vec<HostId>) -> u32 {
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.is_empty() {
            return NOWHERE;
        }
        let next = self.groups.len() as u32;
        let groups = &mut self.groups;
        *self.numbers.entry(hosts).or_insert_with_key(|hosts| {
            groups.push(hosts.clone());
            next
        })
    }

    /// Takes the hint for a split of `splits`.
    fn note(&mut self, split: u64, hosts: Vec<HostId>, splits: u64) {
        let group = self.group(hosts);
        if group == NOWHERE {
            return;
        }
        if self.of.is_empty() {
            self.of = vec![NOWHERE; splits as usize];
        }
        self.of[split as usize] = group;
    }

    /// A split waits; behind the others, or before them ([`Near::again`]).
    fn enqueue(&mut self, split: u64, put: fn(&mut VecDeque<u64>, u64)) {
        let Near { of, groups, queues, .. } = self;
        let group = of.get(split as usize).and_then(|group| groups.get(*group as usize));
        for host in group.into_iter().flatten() {
            put(queues.entry(*host).or_default(), split);
        }
    }

    /// A split waits again: it goes before the others.
    pub fn again(&mut self, split: SplitId) {
        self.enqueue(split.0, VecDeque::push_front);
    }

    fn pop(&mut self, host: HostId) -> Option<u64> {
        self.queues.get_mut(&host)?.pop_front()
    }

    /// A split was registered by a member of this host.
    pub fn count(&mut self, split: SplitId, host: Option<HostId>) {
        let hosts = self.hosts(split);
        match host {
            Some(host) if hosts.contains(&host) => self.placed.local += 1,
            Some(_) if !hosts.is_empty() => self.placed.remote += 1,
            _ => self.placed.anywhere += 1,
        }
    }

    /// What was worked on where; nothing of a stage without hints.
    fn placed(&self) -> Placed {
        if self.is_empty() { Placed::default() } else { self.placed }
    }

    /// Every split waits again.
    pub fn restart(&mut self) {
        self.placed = Placed::default();
        self.queues.values_mut().for_each(VecDeque::clear);
        (0..self.of.len() as u64).for_each(|split| self.enqueue(split, VecDeque::push_back));
    }
}

/// Who asks for a split, and how far it may go for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub member: MemberId,
    pub host: Option<HostId>,
    /// Splits of other hosts will do.
    pub far: bool,
}

impl Stage {
    /// Hints for the splits from `first` on. Those that are over need none.
    fn hint(&mut self, first: SplitId, hosts: Vec<Vec<HostId>>) {
        for (split, hosts) in (first.0..self.splits).zip(hosts) {
            self.near.note(split, hosts, self.splits);
            if self.is_free(SplitId(split)) {
                self.near.enqueue(split, VecDeque::push_back);
            }
        }
    }

    /// The next split for one who asks; what waits again first, of each kind.
    pub(crate) fn next_for(&mut self, who: Asker) -> Option<SplitId> {
        if self.near.is_empty() {
            return self.next_waiting();
        }
        let local = who.host.and_then(|host| self.next_local(host));
        let near = local.or_else(|| self.next_plain());
        near.or_else(|| if who.far { self.next_waiting() } else { None })
    }

    fn next_local(&mut self, host: HostId) -> Option<SplitId> {
        self.first_free(|stage| stage.near.pop(host))
    }

    /// The next split without a hint.
    fn next_plain(&mut self) -> Option<SplitId> {
        if let Some(split) = self.next_again() {
            return Some(split);
        }
        while self.plain < self.splits {
            let split = self.ordered(self.plain);
            self.plain += 1;
            if self.is_free(split) && self.near.hosts(split).is_empty() {
                return Some(split);
            }
        }
        None
    }
}

impl Coordinator {
    /// What was worked on where.
    #[must_use]
    pub fn placed(&self) -> Placed {
        let mut sum = Placed::default();
        self.stages.values().for_each(|stage| sum.merge(&stage.near.placed()));
        sum
    }

    /// Hints have come: who waits may find something of its own.
    pub(crate) fn hint(&mut self, stage: StageId, first: SplitId, hosts: Vec<Vec<HostId>>, out: &mut Vec<Action>) {
        if let Some(table) = self.stages.get_mut(&stage).filter(|table| !table.finished) {
            table.hint(first, hosts);
            self.fill_all(stage, out);
        }
    }

    /// Whether a member that found nothing of its own host may have what others hold: after a while, and at once where
    /// its host holds nothing.
    pub(crate) fn may_go_far(&self, member: MemberId, stage: StageId) -> bool {
        let (Some(known), Some(table)) = (self.members.get(&member), self.stages.get(&stage)) else { return false };
        if !known.host.is_some_and(|host| table.near.knows(host)) {
            return true;
        }
        let since = known.wishes.get(&stage).and_then(|wish| wish.lacks_since_ms).unwrap_or(self.now_ms);
        self.now_ms.saturating_sub(since) >= self.policy.local_wait_ms
    }
}
