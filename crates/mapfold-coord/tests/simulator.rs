//! The coordinator under a hostile schedule: members that are slow, die, come back as zombies; a
//! network that delays, repeats and loses messages; all drawn from a seed that a failure prints.
//!
//! The check: every split is registered exactly once, the job ends, and the counters are those of
//! an undisturbed run. A coordinator without grants must fail it, else the check proves nothing.
#![allow(clippy::unwrap_used)]

mod sim;

use mapfold_coord::{Policy, StageKind};
use sim::{Seen, Setup, run};

const SEEDS: u64 = 300;

fn policy() -> Policy {
    Policy {
        io_attempts: 1_000,
        lost_after_ms: Some(400),
        lease_ms: Some(900),
        speculate_after_ms: Some(150),
        max_generations: 1_000,
        solo_deaths: 1_000,
        local_wait_ms: 100,
        ..Policy::default()
    }
}

fn run_all(kind: StageKind, seats: bool, hints: bool) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        match run(&Setup { seed, policy: policy(), kind, seats, hints, watch_grants: true }) {
            Ok(more) => seen.add(&more),
            Err(fault) => panic!("seed {seed}: {fault}"),
        }
    }
    seen
}

#[test]
fn every_split_counts_exactly_once_whatever_happens() {
    let seen = run_all(StageKind::LeaseOnly, false, false);
    let least = seen.denied.min(seen.revoked).min(seen.retried).min(seen.lost);
    assert!(least > SEEDS && seen.retired > SEEDS / 2, "a tame schedule proves nothing: {seen:?}");
}

#[test]
fn a_pipelined_stage_counts_one_generation_only() {
    let seen = run_all(StageKind::PipelinedReduce { group: 0 }, false, false);
    assert!(seen.restarts > SEEDS, "a tame schedule proves nothing: {seen:?}");
}

#[test]
fn hints_change_who_works_on_what_and_nothing_that_is_registered() {
    for kind in [StageKind::LeaseOnly, StageKind::PipelinedReduce { group: 0 }] {
        let seen = run_all(kind, false, true);
        let least = seen.denied.min(seen.revoked).min(seen.retried).min(seen.lost);
        assert!(least > SEEDS / 2, "a tame schedule proves nothing: {seen:?}");
    }
}

#[test]
fn members_in_seats_are_lost_together_and_each_gets_only_what_it_owns() {
    let seen = run_all(StageKind::PipelinedReduce { group: 0 }, true, false);
    assert!(seen.restarts > SEEDS / 2 && seen.lost > 4 * seen.restarts / 2, "too tame: {seen:?}");
}

#[test]
fn control_without_grants_the_same_check_fails() {
    let policy = Policy { grants: false, ..policy() };
    let failed = (0..SEEDS).filter(|seed| {
        let (policy, kind) = (policy.clone(), StageKind::LeaseOnly);
        run(&Setup { seed: *seed, policy, kind, seats: false, hints: false, watch_grants: false }).is_err()
    });
    let failed = failed.count() as u64;
    assert!(failed > SEEDS / 2, "the check saw a double count in {failed} of {SEEDS} runs only");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let setup =
        Setup { seed: 7, policy: policy(), kind: StageKind::LeaseOnly, seats: false, hints: true, watch_grants: true };
    assert_eq!(run(&setup), run(&setup));
    assert!(run(&setup).is_ok());
}
