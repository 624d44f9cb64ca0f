//! The simulated world: a clock, a network, members. One random stream decides everything.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use mapfold_coord::{
    Action, Attempt, Coordinator, Counters, Earlier, Event, Failure, FailureKind, HostId, LogEntry, MemberId,
    PartRecord, Policy, Replay, Seat, SplitId, StageId, StageKind, StageSpec,
};

const STAGE: StageId = StageId(0);
const MEMBERS: u32 = 4;
const END_MS: u64 = 200_000;

pub struct Setup {
    pub seed: u64,
    pub policy: Policy,
    pub kind: StageKind,
    /// Members sit in seats and own what they reduce.
    pub seats: bool,
    /// Members are on hosts, and hints say which of those hold what; they come late and in pieces.
    pub hints: bool,
    /// Watch every grant as it is given; the control is judged by its result alone.
    pub watch_grants: bool,
}

/// What a schedule did: a test of a tame one would prove nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub messages: u64,
    pub denied: u64,
    pub revoked: u64,
    pub retried: u64,
    pub lost: u64,
    pub restarts: u64,
    pub retired: u64,
}

impl Seen {
    fn note(&mut self, action: &Action) {
        match action {
            Action::Deny { .. } => self.denied += 1,
            Action::Revoke { .. } => self.revoked += 1,
            Action::Retried { .. } => self.retried += 1,
            Action::MemberGone { .. } => self.lost += 1,
            Action::NewGeneration { .. } => self.restarts += 1,
            Action::Retired { .. } => self.retired += 1,
            _ => {}
        }
    }

    pub fn add(&mut self, other: &Seen) {
        self.messages += other.messages;
        self.denied += other.denied;
        self.revoked += other.revoked;
        self.retried += other.retried;
        self.lost += other.lost;
        self.restarts += other.restarts;
        self.retired += other.retired;
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What arrives somewhere at some time.
#[derive(Debug)]
enum Arrival {
    AtCoordinator(Event),
    AtMember(MemberId, Action),
    /// The member has finished computing, or it is time to ask again.
    Work(MemberId, SplitId, Attempt),
    Beat(MemberId),
    Tick,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Computing,
    Asking,
    Registering,
}

#[derive(Default)]
struct Member {
    dead: bool,
    /// It was started for suspects.
    solo: bool,
    /// It was told to go when it has finished what it holds.
    retires: bool,
    /// Silent (and so declared lost) until then, but alive: a zombie.
    silent_until: u64,
    work: BTreeMap<(SplitId, Attempt), Option<Step>>,
}

struct World {
    random: Random,
    now: u64,
    arrivals: BinaryHeap<Reverse<(u64, u64)>>,
    letters: BTreeMap<u64, Arrival>,
    sent: u64,
    members: BTreeMap<MemberId, Member>,
    next_member: u32,
    deaths_left: u32,
    retires_left: u32,
    log: Vec<LogEntry>,
    /// The living grant of each split, as the actions say.
    grants: BTreeMap<SplitId, (MemberId, Attempt)>,
    ended: bool,
    fault: Option<String>,
    watch_grants: bool,
    /// Members with a seat that are not lost, when there are seats.
    seated: Option<BTreeMap<MemberId, Seat>>,
    hints: bool,
    seen: Seen,
}

/// Runs the world to its end and checks the result.
pub fn run(setup: &Setup) -> Result<Seen, String> {
    let mut random = Random(setup.seed);
    let splits = 1 + random.below(200);
    let spec = StageSpec { kind: setup.kind, owned: setup.seats, ..StageSpec::new(STAGE, splits) };
    let mut coordinator = Coordinator::new(vec![spec], setup.policy.clone()).unwrap();
    let mut world = World::new(random, setup.watch_grants);
    world.hints = setup.hints;
    world.post_hints(splits);
    if setup.seats {
        world.seated = Some(BTreeMap::new());
        world.start_generation();
    } else {
        (0..MEMBERS).for_each(|_| world.start_member(false));
    }
    world.post(1, Arrival::Tick);
    let mut actions = Vec::new();
    while let Some(letter) = world.next_letter() {
        world.deliver(letter, &mut coordinator, &mut actions);
        let done = std::mem::take(&mut actions);
        done.into_iter().for_each(|action| world.act(action));
        if let Some(fault) = world.fault.take() {
            return Err(fault);
        }
        if world.now > END_MS {
            return Err(format!("no end: {:?}", coordinator.progress()));
        }
    }
    check(&world, &coordinator, splits)?;
    world.seen.messages = world.sent;
    Ok(world.seen)
}

/// The oracle: what an undisturbed run gives.
fn check(world: &World, coordinator: &Coordinator, splits: u64) -> Result<(), String> {
    let mut expected = Counters::default();
    (0..splits).for_each(|split| expected.merge(&record(SplitId(split)).counters));
    let Earlier { done, counters, generation, .. } = Replay::of(&world.log).earlier(STAGE);
    let last = world.log.iter().filter(|e| e.generation() == generation);
    let parts = last.filter(|e| matches!(e, LogEntry::Part { .. })).count() as u64;
    if !done.iter().copied().eq((0..splits).map(SplitId)) {
        return Err(format!("registered {done:?} of {splits}"));
    }
    if parts != splits {
        return Err(format!("{parts} parts in the log for {splits} splits"));
    }
    if counters != expected || coordinator.counters() != expected {
        return Err(format!("counters {:?}, not {expected:?}", coordinator.counters()));
    }
    match world.ended {
        true => Ok(()),
        false => Err("the end was not announced".to_owned()),
    }
}

fn record(split: SplitId) -> PartRecord {
    let mut counters = Counters::default();
    counters.add("splits", 1);
    counters.add("pixels", 100 + split.0 * split.0);
    PartRecord { counters, ..PartRecord::default() }
}

impl World {
    fn new(random: Random, watch_grants: bool) -> World {
        World {
            random,
            now: 0,
            arrivals: BinaryHeap::new(),
            letters: BTreeMap::new(),
            sent: 0,
            members: BTreeMap::new(),
            next_member: 0,
            deaths_left: 3,
            retires_left: 2,
            log: Vec::new(),
            grants: BTreeMap::new(),
            ended: false,
            fault: None,
            watch_grants,
            seated: None,
            hints: false,
            seen: Seen::default(),
        }
    }

    fn post(&mut self, delay: u64, arrival: Arrival) {
        self.sent += 1;
        self.arrivals.push(Reverse((self.now + delay, self.sent)));
        self.letters.insert(self.sent, arrival);
    }

    fn next_letter(&mut self) -> Option<Arrival> {
        let Reverse((at, number)) = self.arrivals.pop()?;
        self.now = at;
        self.letters.remove(&number)
    }

    fn start_member(&mut self, solo: bool) {
        let member = MemberId(self.next_member);
        self.next_member += 1;
        self.members.insert(member, Member { solo, ..Member::default() });
        // Its process is started by the coordinator's own shell: this word is not lost.
        self.post(1, Arrival::AtCoordinator(Event::Joined { member, solo }));
        if self.hints {
            let host = HostId(member.0 % MEMBERS);
            self.tell(Event::Hosted { member, host }); // May be lost: then nobody knows where it is.
        }
        self.post(1, Arrival::Beat(member));
    }

    /// Hints for pieces of the stage, each at its time. Host 4 has no members, and some splits have no hint.
    fn post_hints(&mut self, splits: u64) {
        let mut first = 0;
        while self.hints && first < splits {
            let piece = 1 + self.random.below(40);
            let copies = |random: &mut Random| (0..random.below(4)).map(|_| HostId(random.below(5) as u32)).collect();
            let hosts: Vec<Vec<HostId>> = (0..piece).map(|_| copies(&mut self.random)).collect();
            let late = self.delay();
            self.post(late, Arrival::AtCoordinator(Event::Near { stage: STAGE, first: SplitId(first), hosts }));
            first += piece;
        }
    }

    /// One member for each seat.
    fn start_generation(&mut self) {
        for index in 0..MEMBERS {
            let (member, seat) = (MemberId(self.next_member), Seat { index, of: MEMBERS });
            self.start_member(false);
            self.post(1, Arrival::AtCoordinator(Event::Seated { member, seat }));
            self.seated.get_or_insert_default().insert(member, seat);
        }
    }

    /// Who sat is gone; after the last of them the next generation begins.
    fn left(&mut self, member: MemberId) {
        let Some(seated) = self.seated.as_mut() else { return };
        if seated.remove(&member).is_some() && seated.is_empty() {
            self.start_generation();
        }
    }

    fn check_owner(&mut self, member: MemberId, split: SplitId) {
        let Some(seated) = &self.seated else { return };
        if !seated.get(&member).is_some_and(|seat| seat.owns(split.0)) {
            self.fault = Some(format!("split {split}: leased to member {member}, which does not own it"));
        }
    }

    /// Delay in ms: mostly short, sometimes longer than a lease.
    fn delay(&mut self) -> u64 {
        if self.random.percent(4) { self.random.below(1_500) } else { 1 + self.random.below(20) }
    }

    /// A message to the coordinator: lost, late, or twice.
    fn tell(&mut self, event: Event) {
        if self.random.percent(10) {
            let late = self.delay();
            self.post(late, Arrival::AtCoordinator(event.clone()));
        }
        if !self.random.percent(8) {
            let late = self.delay();
            self.post(late, Arrival::AtCoordinator(event));
        }
    }

    /// A message to a member: lost, late, or twice.
    fn answer(&mut self, member: MemberId, action: Action) {
        if self.random.percent(10) {
            let late = self.delay();
            self.post(late, Arrival::AtMember(member, action.clone()));
        }
        if !self.random.percent(8) {
            let late = self.delay();
            self.post(late, Arrival::AtMember(member, action));
        }
    }

    fn deliver(&mut self, letter: Arrival, coordinator: &mut Coordinator, out: &mut Vec<Action>) {
        match letter {
            Arrival::AtCoordinator(event) => coordinator.handle(event, out),
            Arrival::AtMember(member, action) => self.hear(member, &action),
            Arrival::Work(member, split, attempt) => self.work(member, split, attempt),
            Arrival::Beat(member) => {
                self.retire(member, coordinator, out);
                self.beat(member);
            }
            Arrival::Tick if self.ended => {}
            Arrival::Tick => {
                coordinator.handle(Event::Tick { now_ms: self.now }, out);
                let solo = self.members.values().any(|m| m.solo && !m.dead);
                if coordinator.waiting_suspects() > 0 && !solo {
                    self.start_member(true);
                }
                self.post(25, Arrival::Tick);
            }
        }
    }

    /// What the coordinator wants done.
    fn act(&mut self, action: Action) {
        self.seen.note(&action);
        match &action {
            Action::Append(entry) => {
                self.check_append(entry);
                self.log.push(entry.clone());
            }
            Action::StageDone { .. } | Action::JobDone => self.ended = true,
            Action::NewGeneration { .. } => {
                self.ended = false;
                self.grants.clear();
            }
            Action::JobFailed { failure, .. } => self.fault = Some(failure.message.clone()),
            Action::Grant { split, member, attempt, .. } => {
                self.check_grant(*split, *member, *attempt);
            }
            Action::Revoke { split, member, attempt, .. } => {
                self.end_grants(|s, m, a| s == *split && m == *member && a == *attempt);
            }
            Action::Lease { member, split, .. } => {
                self.check_owner(*member, *split);
                self.check_stays(*member, *split);
            }
            Action::Retired { member } => self.leave(*member),
            Action::MemberGone { member } => {
                self.end_grants(|_, m, _| m == *member);
                self.left(*member);
            }
            Action::Retried { split, attempt, .. } => {
                self.end_grants(|s, _, a| s == *split && a == *attempt);
            }
            _ => {}
        }
        if let Some(member) = addressee(&action) {
            self.answer(member, action);
        }
    }

    /// Now and then the job is made smaller by one member and bigger by another.
    fn retire(&mut self, member: MemberId, coordinator: &mut Coordinator, out: &mut Vec<Action>) {
        let me = self.members.get_mut(&member).unwrap();
        if self.ended || me.dead || me.solo || me.retires || self.seated.is_some() || self.retires_left == 0 {
            return;
        }
        if self.random.percent(3) {
            me.retires = true;
            self.retires_left -= 1;
            coordinator.handle(Event::Retire { member }, out);
            self.start_member(false);
        }
    }

    fn check_stays(&mut self, member: MemberId, split: SplitId) {
        if self.members[&member].retires {
            self.fault = Some(format!("split {split}: leased to member {member}, which retires"));
        }
    }

    /// A member that was told to go has nothing that counts and was not counted.
    fn leave(&mut self, member: MemberId) {
        if let Some((split, _)) = self.grants.iter().find(|(split, (m, _))| *m == member && !self.is_logged(**split)) {
            self.fault = Some(format!("member {member} goes with split {split} granted and not registered"));
        }
        self.members.get_mut(&member).unwrap().dead = true;
    }

    fn is_logged(&self, split: SplitId) -> bool {
        self.log.iter().any(|e| matches!(e, LogEntry::Part { split: s, .. } if *s == split))
    }

    fn end_grants(&mut self, over: impl Fn(SplitId, MemberId, Attempt) -> bool) {
        self.grants.retain(|split, (member, attempt)| !over(*split, *member, *attempt));
    }

    fn check_grant(&mut self, split: SplitId, member: MemberId, attempt: Attempt) {
        match self.grants.insert(split, (member, attempt)) {
            Some(other) if self.watch_grants && other != (member, attempt) => {
                self.fault = Some(format!("split {split}: granted to {other:?} and to {member}"));
            }
            _ => {}
        }
    }

    fn check_append(&mut self, entry: &LogEntry) {
        let LogEntry::Part { split, attempt, .. } = entry else {
            return;
        };
        let other = self.grants.get(split).is_none_or(|(_, granted)| granted != attempt);
        if self.watch_grants && other {
            self.fault = Some(format!("split {split}: attempt {attempt} registered, not granted"));
        }
    }

    fn hear(&mut self, member: MemberId, action: &Action) {
        let now = self.now;
        let Some(me) = self.members.get_mut(&member).filter(|m| !m.dead) else {
            return;
        };
        match action {
            Action::Lease { split, attempt, .. } => {
                if me.work.contains_key(&(*split, *attempt)) {
                    return;
                }
                me.work.insert((*split, *attempt), Some(Step::Computing));
                let slow = self.random.percent(10);
                let takes = 1 + self.random.below(if slow { 1_200 } else { 60 });
                self.post(takes, Arrival::Work(member, *split, *attempt));
            }
            Action::Grant { split, attempt, .. } => {
                if let Some(step) = me.work.get_mut(&(*split, *attempt))
                    && *step == Some(Step::Asking)
                {
                    *step = Some(Step::Registering);
                    self.post(1, Arrival::Work(member, *split, *attempt));
                }
            }
            Action::Deny { split, attempt, .. }
            | Action::Revoke { split, attempt, .. }
            | Action::Accepted { split, attempt, .. } => {
                me.work.insert((*split, *attempt), None);
            }
            Action::MemberGone { .. } if me.silent_until <= now => self.die(member),
            _ => {}
        }
    }

    /// The next step of an attempt; asking and registering are repeated until they are answered.
    fn work(&mut self, member: MemberId, split: SplitId, attempt: Attempt) {
        let Some(me) = self.members.get_mut(&member).filter(|m| !m.dead) else {
            return;
        };
        let Some(Some(step)) = me.work.get_mut(&(split, attempt)) else {
            return;
        };
        let stage = STAGE;
        let event = match step {
            Step::Computing if self.random.percent(6) => {
                let failure = Failure::new(FailureKind::Io, "connection reset");
                me.work.insert((split, attempt), None);
                return self.tell(Event::Failed { member, stage, split, attempt, failure });
            }
            Step::Computing | Step::Asking => {
                *step = Step::Asking;
                Event::GrantWanted { member, stage, split, attempt }
            }
            Step::Registering => {
                let record = record(split);
                Event::Registered { member, stage, split, attempt, record }
            }
        };
        self.tell(event);
        self.post(80, Arrival::Work(member, split, attempt));
    }

    /// Heartbeat and wish, every 100 ms; now and then a death, or a silence longer than the limit.
    fn beat(&mut self, member: MemberId) {
        let now = self.now;
        if self.ended || self.members[&member].dead {
            return;
        }
        if self.deaths_left > 0 && self.random.percent(3) {
            self.deaths_left -= 1;
            if self.seated.is_none() {
                self.start_member(false);
            }
            if self.random.percent(50) {
                return self.die(member);
            }
            let until = now + 600 + self.random.below(600);
            self.members.get_mut(&member).unwrap().silent_until = until;
        }
        if self.members[&member].silent_until <= now {
            self.tell(Event::Heartbeat { member, at_ms: now });
            self.tell(Event::LeaseWanted { member, stage: STAGE, count: 3 });
        }
        self.post(100, Arrival::Beat(member));
    }

    fn die(&mut self, member: MemberId) {
        let me = self.members.get_mut(&member).unwrap();
        me.dead = true;
        let work: Vec<(StageId, SplitId)> = std::mem::take(&mut me.work).into_keys().map(|(s, _)| (STAGE, s)).collect();
        match self.random.below(4) {
            0 => self.tell(Event::MemberLost { member }),
            1 => {
                let failure = Failure::new(FailureKind::Crash, "killed by signal 11");
                self.tell(Event::Crashed { member, splits: work.into_iter().take(1).collect(), failure });
            }
            _ => {} // Only its silence tells.
        }
        let alive = self.members.values().filter(|m| !m.dead && !m.solo).count();
        if alive == 0 && self.seated.is_none() {
            self.start_member(false);
        }
    }
}

fn addressee(action: &Action) -> Option<MemberId> {
    match action {
        Action::Lease { member, .. }
        | Action::NoMoreSplits { member, .. }
        | Action::Grant { member, .. }
        | Action::Deny { member, .. }
        | Action::Revoke { member, .. }
        | Action::Accepted { member, .. }
        | Action::MemberGone { member } => Some(*member),
        _ => None,
    }
}
