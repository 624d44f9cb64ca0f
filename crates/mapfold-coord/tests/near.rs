//! Splits go to members of the hosts that hold what they read, and nobody waits long for that.
#![allow(clippy::unwrap_used)]

use mapfold_coord::{
    Action, Attempt, Coordinator, Event, HostId, MemberId, PartRecord, Placed, Policy, SplitId, StageId, StageSpec,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

const STAGE: StageId = StageId(0);
const WAIT_MS: u64 = 500;

fn mix(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

/// A calm cluster: members that work, one event after the other.
struct Cluster {
    coordinator: Coordinator,
    now: u64,
    /// What is done when, by whom.
    due: BinaryHeap<Reverse<(u64, MemberId, SplitId, Attempt)>>,
    hosts: BTreeMap<MemberId, HostId>,
    hints: Vec<Vec<HostId>>,
    /// Leases on a host that holds the split, and all.
    local: u64,
    all: u64,
    /// The longest time that a member wanted more than it had while splits waited.
    longest: u64,
    hungry_since: BTreeMap<MemberId, u64>,
    held: BTreeMap<MemberId, u32>,
    done: Vec<u32>,
}

const WANTED: u32 = 4;

impl Cluster {
    fn new(hints: Vec<Vec<HostId>>) -> Cluster {
        let spec = StageSpec::new(STAGE, hints.len() as u64);
        let policy = Policy { local_wait_ms: WAIT_MS, ..Policy::default() };
        Cluster {
            coordinator: Coordinator::new(vec![spec], policy).unwrap(),
            now: 0,
            due: BinaryHeap::new(),
            hosts: BTreeMap::new(),
            done: vec![0; hints.len()],
            hints,
            local: 0,
            all: 0,
            longest: 0,
            hungry_since: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    fn tell(&mut self, event: Event) {
        let mut out = Vec::new();
        self.coordinator.handle(event, &mut out);
        out.into_iter().for_each(|action| self.act(&action));
    }

    fn act(&mut self, action: &Action) {
        let Action::Lease { member, split, attempt, .. } = action else { return };
        let local = self.hosts.get(member).is_some_and(|h| self.hints[split.0 as usize].contains(h));
        self.local += u64::from(local);
        self.all += 1;
        *self.held.entry(*member).or_default() += 1;
        let takes = 80 + mix(split.0) % 60;
        self.due.push(Reverse((self.now + takes, *member, *split, *attempt)));
    }

    fn join(&mut self, member: u32, host: Option<u32>) {
        let member = MemberId(member);
        self.tell(Event::Joined { member, solo: false });
        if let Some(host) = host.map(HostId) {
            self.hosts.insert(member, host);
            self.tell(Event::Hosted { member, host });
        }
        self.held.insert(member, 0);
        self.tell(Event::LeaseWanted { member, stage: STAGE, count: WANTED });
    }

    /// Hints for all splits, in pieces.
    fn hint(&mut self) {
        for (i, piece) in self.hints.clone().chunks(100).enumerate() {
            let first = SplitId(100 * i as u64);
            self.tell(Event::Near { stage: STAGE, first, hosts: piece.to_vec() });
        }
    }

    fn watch_hunger(&mut self) {
        let waits = self.coordinator.progress().stages[0].waiting > 0;
        for (member, held) in &self.held {
            if !waits || *held == WANTED {
                self.hungry_since.remove(member);
                continue;
            }
            let since = *self.hungry_since.entry(*member).or_insert(self.now);
            self.longest = self.longest.max(self.now - since);
        }
    }

    /// So many of the splits that are out are done at once.
    fn finish_first(&mut self, count: usize) {
        for _ in 0..count {
            let Some(Reverse((_, member, split, attempt))) = self.due.pop() else { return };
            self.finish(member, split, attempt);
        }
    }

    fn finish(&mut self, member: MemberId, split: SplitId, attempt: Attempt) {
        *self.held.get_mut(&member).unwrap() -= 1;
        self.done[split.0 as usize] += 1;
        self.tell(Event::GrantWanted { member, stage: STAGE, split, attempt });
        let record = PartRecord::default();
        self.tell(Event::Registered { member, stage: STAGE, split, attempt, record });
    }

    /// Until all is done, 20 ms at a time.
    fn run(&mut self) -> Placed {
        while !self.coordinator.is_complete() {
            self.now += 20;
            assert!(self.now < 10_000_000, "no end");
            self.tell(Event::Tick { now_ms: self.now });
            while let Some(Reverse((_, member, split, attempt))) = self.due.pop_if_due(self.now) {
                self.finish(member, split, attempt);
            }
            self.watch_hunger();
        }
        assert!(self.done.iter().all(|n| *n == 1), "each split once");
        self.coordinator.placed()
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: u64) -> Option<Reverse<(u64, MemberId, SplitId, Attempt)>>;
}

impl PopIfDue for BinaryHeap<Reverse<(u64, MemberId, SplitId, Attempt)>> {
    fn pop_if_due(&mut self, now: u64) -> Option<Reverse<(u64, MemberId, SplitId, Attempt)>> {
        self.peek().filter(|Reverse((at, ..))| *at <= now)?;
        self.pop()
    }
}

/// Hints as HDFS gives them: so many copies of each, anywhere.
fn spread(splits: u64, hosts: u64, copies: u64) -> Vec<Vec<HostId>> {
    (0..splits).map(|s| (0..copies).map(|c| HostId((mix(s * 8 + c) % hosts) as u32)).collect()).collect()
}

#[test]
fn nine_of_ten_leases_are_local_where_each_host_has_enough() {
    for (hosts, copies) in [(2, 1), (8, 1), (8, 3), (40, 3)] {
        let mut cluster = Cluster::new(spread(4000, hosts, copies));
        cluster.hint();
        (0..2 * hosts as u32).for_each(|m| cluster.join(m, Some(m % hosts as u32)));
        let placed = cluster.run();
        let share = cluster.local as f64 / cluster.all as f64;
        assert!(share >= 0.9, "{hosts} hosts, {copies} copies: {share} of the leases are local");
        assert_eq!((placed.local, placed.all()), (cluster.local, 4000));
        assert!(cluster.longest <= WAIT_MS + 40, "a member was hungry for {} ms", cluster.longest);
    }
}

/// The control: the same without hints is a matter of luck.
#[test]
fn without_hints_one_lease_in_eight_is_local() {
    let mut cluster = Cluster::new(spread(4000, 8, 1));
    (0..16).for_each(|m| cluster.join(m, Some(m % 8)));
    let placed = cluster.run();
    assert!(cluster.local < 1000, "{} of {}", cluster.local, cluster.all);
    assert_eq!(placed, Placed::default(), "nothing is said where nothing is known");
}

#[test]
fn what_one_host_holds_is_worked_on_by_all_after_a_while() {
    let mut cluster = Cluster::new(vec![vec![HostId(0)]; 400]);
    cluster.hints[1] = vec![HostId(1)];
    cluster.hint();
    (0..4).for_each(|m| cluster.join(m, Some(m % 2)));
    let placed = cluster.run();
    assert!(placed.local > 200 && placed.remote > 100, "{placed:?}");
    assert!(cluster.longest <= WAIT_MS + 40, "a member was hungry for {} ms", cluster.longest);
}

#[test]
fn members_elsewhere_and_members_of_no_known_host_do_not_wait() {
    for host in [Some(77), None] {
        let mut cluster = Cluster::new(spread(400, 8, 2));
        cluster.hint();
        (0..4).for_each(|m| cluster.join(m, host));
        let placed = cluster.run();
        assert_eq!((placed.local, cluster.longest), (0, 0), "{host:?}");
        assert_eq!(placed.remote > 0, host.is_some(), "{placed:?}");
    }
}

#[test]
fn hints_may_come_late_for_some_splits_and_twice() {
    let mut cluster = Cluster::new(spread(1000, 4, 1));
    (0..400).for_each(|split| cluster.hints[split] = Vec::new());
    (0..8).for_each(|m| cluster.join(m, Some(m % 4)));
    cluster.finish_first(10);
    cluster.hint();
    cluster.hint();
    let placed = cluster.run();
    assert!(placed.local >= 500 && placed.anywhere >= 350 && placed.all() == 1000, "{placed:?}");
}

/// Whoever holds a million hints must not look for long.
#[test]
fn a_million_hints_cost_little() {
    let splits = 1_000_000;
    let mut coordinator =
        Coordinator::new(vec![StageSpec::new(STAGE, splits)], Policy { local_wait_ms: WAIT_MS, ..Policy::default() })
            .unwrap();
    let (mut out, began) = (Vec::new(), std::time::Instant::now());
    for (i, hosts) in spread(splits, 100, 3).chunks(4096).enumerate() {
        let first = SplitId(4096 * i as u64);
        coordinator.handle(Event::Near { stage: STAGE, first, hosts: hosts.to_vec() }, &mut out);
    }
    let hinted = began.elapsed();
    for member in (0..100).map(MemberId) {
        coordinator.handle(Event::Hosted { member, host: HostId(member.0) }, &mut out);
    }
    let mut leased = 0;
    for round in 1..=10_000_u32 {
        out.clear();
        let member = MemberId(round % 100);
        let count = 100 * round.div_ceil(100);
        coordinator.handle(Event::LeaseWanted { member, stage: STAGE, count }, &mut out);
        leased += out.len();
    }
    assert!(leased > 900_000, "{leased} leases");
    // Two microseconds a split in a release build; the bound is for the slowest machine without optimisation.
    assert!(began.elapsed().as_secs() < 60, "hints {hinted:?}, all {:?}", began.elapsed());
}
