//! Splits that kill the process that works on them: found, tried alone, named; the rest is done.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, Ran, program};

fn trial(desk: &Desk, args: &str) -> Ran {
    desk.start_program(&program("mapfold-trial"), args, &[]).wait()
}

/// The numbers that came out.
fn numbers(ran: &Ran) -> Vec<u64> {
    let report = ran.json()["numbers"].clone();
    let mut all: Vec<u64> = report.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    all.sort_unstable();
    all
}

const PSEUDO: &str = "--mode pseudo --workers 3 --threads 2";

#[test]
fn deadly_splits_are_named_and_the_rest_is_complete() {
    let desk = Desk::new();
    for harm in ["abort", "segv", "kill", "exit"] {
        let job = format!("--splits 200 --millis 2 --bad 7,113 --harm {harm} {PSEUDO}");
        let ran = trial(&desk, &format!("{job} --on-error quarantine --max-bad-splits 2 --json"));
        assert_eq!(ran.code, 4, "committed, with parts left out: {ran}");
        let expected: Vec<u64> = (0..200).filter(|n| ![7, 113].contains(n)).collect();
        assert_eq!(numbers(&ran), expected, "exactly those two are missing after {harm}");
        // Not allowed: no result, and the culprit by name.
        let ran = trial(&desk, &job).with_stage();
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.err.contains("alone") && ran.err.contains("twice"), "{ran}");
        assert!(ran.err.contains("unit 7") || ran.err.contains("unit 113"), "{ran}");
    }
}

#[test]
fn a_split_that_hangs_is_ended_by_its_deadline() {
    let desk = Desk::new();
    let job = format!("--splits 40 --bad 5 --harm hang --split-timeout 1 {PSEUDO}");
    let ran = trial(&desk, &format!("{job} --on-error skip --max-bad-splits 1 --json"));
    assert_eq!(ran.code, 4, "{ran}");
    assert_eq!(numbers(&ran), (0..40).filter(|n| *n != 5).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_data_in_every_process() {
    let desk = Desk::new();
    for (workers, threads) in [(1, 1), (2, 4), (4, 1)] {
        let job = format!("--splits 50 --bad 9 --harm panic --mode pseudo --workers {workers} --threads {threads}");
        let ran = trial(&desk, &job).with_stage();
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.err.lines().next().unwrap().contains("a harmful split"), "the root cause first: {ran}");
    }
}
