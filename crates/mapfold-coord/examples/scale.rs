//! A cluster that this machine cannot hold: the real state machine and the real commit log, a million splits, a thousand
//! simulated members that beat, die and are slow. Run with
//! `cargo run --release -p mapfold-coord --example scale [-- SPLITS MEMBERS]`.
//!
//! Time is simulated (an hour passes in seconds); what is measured is what the coordinator itself costs: processor time
//! by kind of event, the longest single event, memory, and bytes and time of the log. No sockets: what a frame costs is
//! measured with real members (`docs/src/correctness.md`).
#![allow(clippy::print_stdout)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::error::Error;
use std::time::{Duration, Instant};

use mapfold_coord::{
    Action, Attempt, Coordinator, Event, JobFolder, JobId, LogEntry, MemberId, PartRecord, Phase, Policy, SplitId,
    StageId, StageSpec,
};
use mapfold_store::{Loc, Stores};

const STAGE: StageId = StageId(0);
const LEASES: u32 = 4;
const BEAT_MS: u64 = 2_000;
const TICK_MS: u64 = 20;
const LOG_MS: u64 = 100;
/// A member dies this often, and another one comes.
const DEATH_MS: u64 = 5_000;

/// What comes at some time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Done(MemberId, SplitId, Attempt),
    Beat(MemberId),
    Death,
    Tick,
    Log,
}

/// Times that a kind of event came, what it took in all, and the longest.
#[derive(Default)]
struct Cost(u64, Duration, Duration);

struct World {
    coord: Coordinator,
    now: u64,
    due: BinaryHeap<Reverse<(u64, Due)>>,
    costs: BTreeMap<&'static str, Cost>,
    alive: Vec<MemberId>,
    next: u32,
    log: Vec<LogEntry>,
    leased: u64,
    over: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let (splits, members) = (args.next().unwrap_or(Ok(1_000_000))?, args.next().unwrap_or(Ok(1_000))?);
    let room = std::env::temp_dir().join(format!("mapfold-scale-{}", std::process::id()));
    std::fs::create_dir_all(&room)?;
    let done = simulate(splits, members, &Loc::parse(&room.join("out").to_string_lossy())?);
    std::fs::remove_dir_all(room)?;
    done
}

fn simulate(splits: u64, members: u64, output: &Loc) -> Result<(), Box<dyn Error>> {
    let (stores, id) = (Stores::new(), JobId::random()?);
    let mut folder = JobFolder::claim(&stores, output, &id, false)?;
    folder.write_plan(&serde_json::json!({ "splits": splits }))?;
    let (before, began) = (resident(), Instant::now());
    let policy = Policy { kill_overdue: true, ..Policy::cluster() };
    let mut world = World::new(Coordinator::new(vec![StageSpec::new(STAGE, splits)], policy)?);
    (0..members).for_each(|_| world.join());
    let (mut peak, mut written) = (0, Cost::default());
    while let Some(Reverse((at, due))) = world.due.pop().filter(|_| !world.over || !world.log.is_empty()) {
        world.now = at;
        if due == Due::Log {
            peak = peak.max(resident());
            written.1 += timed(|| folder.append(&std::mem::take(&mut world.log)))?;
            written.0 += 1;
            world.later(LOG_MS, Due::Log);
        } else {
            world.happen(due);
        }
    }
    let bytes = size(&output.sibling(".out.mapfold").join("log"));
    println!("{splits} splits, {members} members at a time, {} in all; {} leases", world.next, world.leased);
    println!("simulated {:.0} s in {:.1} s", world.now as f64 / 1e3, began.elapsed().as_secs_f64());
    report(&world, splits);
    println!("memory: {} KiB more at its peak", peak.saturating_sub(before));
    let each = written.1.as_secs_f64() * 1e6 / splits as f64;
    println!("log: {} files, {bytes} bytes, {} a split, {each:.1} us a split", written.0, bytes / splits);
    Ok(())
}

fn report(world: &World, splits: u64) {
    let mut all = Duration::ZERO;
    for (name, Cost(times, took, longest)) in &world.costs {
        all += *took;
        let each = took.as_nanos() as f64 / 1e3 / (*times).max(1) as f64;
        println!("{name:>12}: {times:>9} times, {each:8.2} us each, longest {longest:.1?}");
    }
    let busy = 100.0 * all.as_secs_f64() / (world.now as f64 / 1e3);
    println!(
        "in all {:.2} us a split; {busy:.2} % of a core while the job runs",
        all.as_secs_f64() * 1e6 / splits as f64
    );
}

fn timed<T, E>(what: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let began = Instant::now();
    what().map(|_| began.elapsed())
}

impl World {
    fn new(coord: Coordinator) -> World {
        let mut world = World {
            coord,
            now: 0,
            due: BinaryHeap::new(),
            costs: BTreeMap::new(),
            alive: Vec::new(),
            next: 0,
            log: Vec::new(),
            leased: 0,
            over: false,
        };
        world.later(DEATH_MS, Due::Death);
        world.later(TICK_MS, Due::Tick);
        world.later(LOG_MS, Due::Log);
        world
    }

    fn later(&mut self, ms: u64, due: Due) {
        self.due.push(Reverse((self.now + ms, due)));
    }

    fn join(&mut self) {
        let member = MemberId(self.next);
        self.next += 1;
        self.alive.push(member);
        self.tell("joined", Event::Joined { member, solo: false });
        self.tell("lease wanted", Event::LeaseWanted { member, stage: STAGE, count: LEASES });
        self.later(u64::from(member.0) % BEAT_MS, Due::Beat(member));
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Done(member, split, attempt) if self.lives(member) => {
                self.tell("grant wanted", Event::GrantWanted { member, stage: STAGE, split, attempt });
            }
            Due::Beat(member) if self.lives(member) => {
                self.tell("heartbeat", Event::Heartbeat { member, at_ms: self.now });
                self.later(BEAT_MS, Due::Beat(member));
            }
            Due::Death => {
                let member = self.alive.swap_remove(mix(self.now) as usize % self.alive.len());
                self.tell("member lost", Event::MemberLost { member });
                self.join();
                self.later(DEATH_MS, Due::Death);
            }
            Due::Tick => {
                self.tell("tick", Event::Tick { now_ms: self.now });
                self.later(TICK_MS, Due::Tick);
            }
            _ => {}
        }
    }

    fn lives(&self, member: MemberId) -> bool {
        self.alive.contains(&member)
    }

    /// One event, measured, and what members do about its actions.
    fn tell(&mut self, kind: &'static str, event: Event) {
        let mut actions = Vec::new();
        let began = Instant::now();
        self.coord.handle(event, &mut actions);
        let took = began.elapsed();
        let cost = self.costs.entry(kind).or_default();
        *cost = Cost(cost.0 + 1, cost.1 + took, cost.2.max(took));
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Lease { member, split, attempt, .. } => {
                self.leased += 1;
                self.later(work_ms(split, attempt), Due::Done(member, split, attempt));
            }
            Action::Grant { member, stage, split, attempt } => {
                let record = record(split);
                self.tell("registered", Event::Registered { member, stage, split, attempt, record });
            }
            Action::Append(entry) => self.log.push(entry),
            Action::JobDone => self.over = true,
            _ => {}
        }
    }
}

/// 0.5 to 1.5 s for each of a member's leases; one attempt in a thousand takes three minutes.
fn work_ms(split: SplitId, attempt: Attempt) -> u64 {
    let dice = mix(split.0 ^ (u64::from(attempt.0) << 40));
    if dice.is_multiple_of(1000) { 180_000 } else { 500 + dice % 1000 }
}

/// What a part of a raster registers: counters, thread times, and as text (hexadecimal digits) where its bytes are, with a hash
/// of them and the sizes of its 16 codec tiles. No two are alike, as in a real job.
fn record(split: SplitId) -> PartRecord {
    use std::fmt::Write;
    let dice = |i: u64| mix(split.0 * 64 + i);
    let mut text =
        format!("{:06x}0100{:08x}{:06x}{:016x}10", split.0, split.0 * 200_000, dice(0) % 400_000, hash(split.0));
    for tile in 1..=16 {
        let _ = write!(text, "{:04x}", dice(tile) % 0x1_0000);
    }
    let mut record = PartRecord { data: serde_json::Value::String(text), ..PartRecord::default() };
    record.counters.add("pixels", 262_144);
    record.counters.add("nodata", dice(17) % 3 * 1000);
    for (i, phase) in [Phase::Read, Phase::Decode, Phase::Compute, Phase::Encode].into_iter().enumerate() {
        record.times.add(phase, Duration::from_nanos(400_000 + dice(18 + i as u64) % 900_000));
    }
    record
}

fn hash(n: u64) -> u64 {
    mix(n) ^ (mix(n ^ 0xabcd) << 24)
}

fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20
}

/// KiB of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn size(folder: &Loc) -> u64 {
    let files = folder.local_path().and_then(|p| std::fs::read_dir(p).ok()).into_iter().flatten().flatten();
    files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}
