//! What the coordinator and the event log themselves cost per split: run with
//! `cargo run --release -p mapfold-coord --example cost`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

use mapfold_coord::{
    Action, Coordinator, Costs, Event, EventLog, HostId, JobEvent, MemberId, PartRecord, Phase, PhaseTimes, Policy,
    SplitId, StageId, StageSpec,
};

const SPLITS: u32 = 1_000_000;
const MEMBER: MemberId = MemberId(0);
const STAGE: StageId = StageId(0);

fn main() -> Result<(), Box<dyn Error>> {
    machine("ascending", Costs::Uniform, false)?;
    machine("with three copies each on 100 hosts", Costs::Uniform, true)?;
    let scattered = (0..SPLITS).map(|split| split.wrapping_mul(2_654_435_761) >> 12);
    machine("longest first", Costs::PerSplit(scattered.collect()), false)?;
    event_log()
}

/// Lease, grant and register every split, with three counters each.
fn machine(name: &str, costs: Costs, hints: bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let spec = StageSpec { costs, ..StageSpec::new(STAGE, SPLITS.into()) };
    let mut coordinator = Coordinator::new(vec![spec], Policy::default())?;
    let mut out = Vec::new();
    for first in (0..SPLITS).step_by(1024).filter(|_| hints) {
        let copies = |split: u32| {
            (0..3).map(move |copy| HostId((split.wrapping_mul(2_654_435_761) >> 7).wrapping_add(copy * 31) % 100))
        };
        let hosts = (first..SPLITS.min(first + 1024)).map(|split| copies(split).collect()).collect();
        coordinator.handle(Event::Near { stage: STAGE, first: SplitId(first.into()), hosts }, &mut out);
    }
    let made = start.elapsed();
    coordinator.handle(Event::Hosted { member: MEMBER, host: HostId(7) }, &mut out);
    let wish = Event::LeaseWanted { member: MEMBER, stage: STAGE, count: 16 };
    coordinator.handle(wish, &mut out);
    let mut inbox: Vec<Action> = Vec::new();
    while !out.is_empty() {
        std::mem::swap(&mut inbox, &mut out);
        inbox.drain(..).filter_map(|action| answer(&action)).for_each(|event| coordinator.handle(event, &mut out));
    }
    let done = coordinator.progress().done();
    report(&format!("state machine, {name} ({made:.1?} to make)"), start.elapsed(), done);
    Ok(())
}

fn answer(action: &Action) -> Option<Event> {
    match *action {
        Action::Lease { member, stage, split, attempt } => Some(Event::GrantWanted { member, stage, split, attempt }),
        Action::Grant { member, stage, split, attempt } => {
            let mut record = PartRecord::default();
            record.counters.add("pixels", 262_144);
            record.counters.add("bytes in", 500_000);
            record.counters.add("bytes out", 200_000);
            record.times.add(Phase::Compute, Duration::from_micros(800));
            Some(Event::Registered { member, stage, split, attempt, record })
        }
        _ => None,
    }
}

fn event_log() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("mapfold-cost-{}", std::process::id()));
    let log = EventLog::open_at(&folder.join("events.ndjson"));
    let start = Instant::now();
    for split in 0..u64::from(SPLITS) {
        log.emit(&JobEvent::SplitDone {
            stage: STAGE,
            split: mapfold_coord::SplitId(split),
            attempt: mapfold_coord::Attempt(0),
            member: MEMBER,
            times: PhaseTimes { nanos: [1_000; 7] },
            bytes_in: 500_000,
            bytes_out: 200_000,
        });
    }
    log.end();
    report("event log, one event per split", start.elapsed(), SPLITS.into());
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn report(what: &str, took: Duration, splits: u64) {
    println!("{what}: {:.0} ns per split", took.as_nanos() as f64 / splits as f64);
}
