//! Short fault loops: whatever dies or stands still, numbered records are counted once; engines that are wrong on
//! purpose are found out by the same checker; nobody but this machine is listened to.
//!
//! The long ones, with their figures, are `tests/faults/*.py` (docs: Correctness). The checker here knows the three
//! parameters of `tests/trial` and none of its code.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mapfold_tests::desk::{Running, children, lives, signal};
use mapfold_tests::{Desk, Ran, program};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SPLITS: u64 = 160;
const RECORDS: u64 = 25;
const KEYS: u64 = 7;
const GROUPS: &str = "--splits 160 --records 25 --keys 7 --partitions 5 --uneven --json";
const PSEUDO: &str = "--mode pseudo --workers 4 --threads 1 --member-timeout 1 --speculate-after 0.1";

fn start(desk: &Desk, args: &str, control: &str) -> Running {
    desk.start_program(&program("mapfold-trial"), args, &[("MAPFOLD_CONTROL", control)])
}

/// Records of a report that are (lost, duplicated, foreign).
fn counted(ran: &Ran) -> (usize, usize, usize) {
    let mut seen = BTreeMap::<u64, usize>::new();
    for group in ran.json()["groups"].as_array().unwrap() {
        let number = |name: &str| group[name].as_u64().unwrap();
        let ids: Vec<u64> = group["ids"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap()).collect();
        assert!(ids.iter().all(|i| i % KEYS == number("key")), "a record under another key: {ran}");
        assert_eq!((number("count"), number("sum")), (ids.len() as u64, ids.iter().sum()), "{ran}");
        ids.into_iter().for_each(|id| *seen.entry(id).or_default() += 1);
    }
    let expected: BTreeSet<u64> = (0..SPLITS * RECORDS).collect();
    let lost = expected.iter().filter(|id| !seen.contains_key(id)).count();
    let foreign = seen.keys().filter(|id| !expected.contains(id)).count();
    (lost, seen.values().map(|n| n - 1).sum(), foreign)
}

/// SplitMix64: the seed in a message repeats the schedule, as far as the machine's own timing allows.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)) >> 11) % limit
    }
}

/// Hurts members until the run ends: most are killed, some stand still and wake when they were replaced.
fn hurt(run: &mut Running, dice: &mut Dice, most: usize) -> usize {
    let (mut hurt, mut asleep) = (0, Vec::<(Instant, u32)>::new());
    let mut next = Instant::now() + Duration::from_millis(50);
    while !run.ended() {
        let now = Instant::now();
        let (woken, still) = asleep.into_iter().partition(|(wake, _)| *wake <= now);
        asleep = still;
        let woken: Vec<(Instant, u32)> = woken;
        for (_, pid) in &woken {
            signal("CONT", *pid);
        }
        let members = children(run.pid());
        if hurt < most && now >= next && !members.is_empty() {
            next = now + Duration::from_millis(40 + dice.below(160));
            let pid = members[dice.below(members.len() as u64) as usize];
            let sleeps = dice.below(6) == 0 && asleep.len() < 2;
            hurt += usize::from(signal(if sleeps { "STOP" } else { "KILL" }, pid));
            if sleeps {
                asleep.push((now + Duration::from_millis(1500), pid));
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    hurt
}

#[test]
fn kills_zombies_and_slow_attempts_count_every_record_once() {
    let desk = Desk::new();
    let (runs, mut all) = (6, 0);
    for seed in 0..runs {
        let mut run = start(&desk, &format!("{GROUPS} --millis 12 --stumble 3 {PSEUDO}"), "");
        all += hurt(&mut run, &mut Dice(seed), 10);
        let ran = run.wait().fine();
        assert_eq!(counted(&ran), (0, 0, 0), "(lost, duplicated, foreign) with seed {seed}");
    }
    println!("{runs} runs, {all} members hurt: 0 lost, 0 duplicated, 0 foreign");
    assert!(all >= 3 * runs as usize, "only {all} were hurt in {runs} runs");
}

#[test]
fn a_killed_coordinator_leaves_nobody_and_its_report_starts_over() {
    let desk = Desk::new();
    for pause in [60, 200, 400] {
        let mut run = start(&desk, &format!("{GROUPS} --millis 12 {PSEUDO}"), "");
        std::thread::sleep(Duration::from_millis(pause));
        let members = children(run.pid());
        if !run.ended() {
            run.signal("KILL");
        }
        run.wait();
        let began = Instant::now();
        while members.iter().any(|pid| lives(*pid)) {
            assert!(began.elapsed() < Duration::from_secs(10), "a member outlives its coordinator");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let ran = start(&desk, &format!("{GROUPS} {PSEUDO}"), "").wait().fine();
    assert_eq!(counted(&ran), (0, 0, 0));
}

#[test]
fn an_engine_without_grants_is_found_out() {
    if !cfg!(debug_assertions) {
        return mapfold_tests::skipped("the control without grants: this build has none", false);
    }
    let desk = Desk::new();
    // Every fifth attempt is slow and is given to a second member: both count.
    let line = format!("{GROUPS} --millis 8 --stumble 20 {PSEUDO}");
    let wrong = (0..10).any(|_| counted(&start(&desk, &line, "no-grants").wait().fine()).1 > 0);
    assert!(wrong, "the checker has not seen what ten runs without grants must do");
    assert_eq!(counted(&start(&desk, &line, "").wait().fine()), (0, 0, 0), "with grants they are counted once");
}

#[test]
fn a_committer_that_renames_as_it_goes_is_found_out() {
    let desk = Desk::new();
    let folder = desk.path("visible");
    for seed in 0..10 {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let mut run = start(&desk, &format!("{GROUPS} --millis 8 {PSEUDO} --visible {}", folder.display()), "");
        hurt(&mut run, &mut Dice(seed), 10);
        assert_eq!(counted(&run.wait().fine()), (0, 0, 0), "the report of the same run is right");
        let files = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
        let seen = files.filter(|f| !f.file_name().unwrap().to_string_lossy().starts_with('_'));
        let lines: usize = seen.map(|f| std::fs::read_to_string(f).unwrap().lines().count()).sum();
        if lines as u64 != SPLITS * RECORDS {
            return;
        }
    }
    panic!("ten runs with kills have not shown a record twice: the loop proves nothing");
}

#[test]
fn an_unknown_control_is_refused() {
    let desk = Desk::new();
    let ran = start(&desk, "--splits 3", "no-brakes").wait();
    ran.refused(2, &["MAPFOLD_CONTROL=no-brakes", "unset"]);
}

/// Addresses that a process listens on, as the kernel writes them.
fn listens(pid: u32) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets: BTreeSet<String> = links
        .filter_map(|l| Some(std::fs::read_link(l.path()).ok()?.to_str()?.strip_prefix("socket:[")?.replace(']', "")))
        .collect();
    let tables = ["tcp", "tcp6"].map(|t| std::fs::read_to_string(format!("/proc/net/{t}")).unwrap_or_default());
    let lines = tables.iter().flat_map(|t| t.lines().skip(1)).map(|l| l.split_whitespace().collect::<Vec<_>>());
    let mine = lines.filter(|w| w[3] == "0A" && sockets.contains(w[9]));
    mine.map(|w| w[1].rsplit_once(':').unwrap().0.to_string()).collect()
}

#[test]
fn launcher_and_members_listen_on_the_loopback_alone() {
    let desk = Desk::new();
    let mut run = start(&desk, &format!("{GROUPS} --millis 40 {PSEUDO}"), "");
    let (mut seen, mut members) = (BTreeSet::new(), 0);
    while !run.ended() {
        let all = children(run.pid());
        members = members.max(all.len());
        seen.extend(all.into_iter().chain([run.pid()]).flat_map(listens));
        std::thread::sleep(Duration::from_millis(20));
    }
    run.wait().fine();
    assert_eq!(members, 4);
    assert_eq!(Vec::from_iter(seen), ["0100007F"], "127.0.0.1 and nothing else");
}

/// Wall seconds from the panic to the end are printed by `tests/faults/panics.py`; here only that there is an end.
#[test]
fn a_panic_ends_every_process_with_the_cause_first() {
    let desk = Desk::new();
    for (workers, threads, more) in [(1, 3, ""), (2, 1, "--records 5 --keys 3"), (3, 4, ""), (4, 2, "--records 5")] {
        let line = format!("--splits 120 --millis 3 --bad 61 --harm panic --mode pseudo --workers {workers}");
        let mut run = start(&desk, &format!("{line} --threads {threads} {more}"), "");
        let mut members = BTreeSet::new();
        while !run.ended() {
            members.extend(children(run.pid()));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(!members.iter().any(|pid| lives(*pid)), "{workers} x {threads}: a member lives on");
        let ran = run.wait();
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.err.lines().next().unwrap().contains("a harmful split"), "{workers} x {threads}: {ran}");
    }
}
