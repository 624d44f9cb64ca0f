//! Members as processes of their own: the same bytes for any number of them, whatever dies.
#![allow(clippy::unwrap_used)]

use mapfold_tests::Desk;
use mapfold_tests::desk::{children, lives, signal, wait_until};
use std::time::{Duration, Instant};

#[test]
fn any_number_of_members_gives_the_bytes_of_one_process() {
    let desk = Desk::new();
    let scene = desk.scene(1024);
    for format in ["cog", "gtiff"] {
        let line = |out: &str, more: &str| format!("run ndvi {scene} --out {out} --tile 512 --format {format} {more}");
        desk.run(&line("one.tif", "--overwrite")).fine();
        for (workers, threads) in [(1, 2), (2, 1), (3, 2), (4, 1)] {
            let more = format!("--mode pseudo --workers {workers} --threads {threads} --overwrite --json");
            let done = desk.run(&line("many.tif", &more)).fine().json();
            assert_eq!(done["run"]["workers"], workers, "{done}");
            assert!(desk.bytes("one.tif") == desk.bytes("many.tif"), "{format}, {workers} x {threads} differ");
        }
    }
    assert_eq!(desk.names(), ["many.tif", "one.tif"], "nothing beside the outputs");
}

#[test]
fn an_exchange_between_processes_gives_the_result_of_one() {
    let desk = Desk::new();
    let scene = desk.scene(1024);
    let band = scene.split(' ').nth(1).unwrap();
    let line = format!("run stats {band} --histogram 16 --tile 256 --partitions 5 --json");
    let one = desk.run(&line).fine().json();
    assert!(one["bands"][0]["count"].as_u64() > Some(1_000_000 / 2), "{one}");
    for workers in [1, 2, 3] {
        let many = desk.run(&format!("{line} --mode pseudo --workers {workers} --threads 1")).fine().json();
        assert_eq!(many["bands"], one["bands"], "{workers} workers");
    }
}

#[test]
fn members_that_are_killed_are_replaced_and_change_nothing() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let mut run = desk.start_until_logged(&format!("{line} --mode pseudo --workers 4 --threads 1 --json"), 4);
    let mut killed = 0;
    for turn in 0_usize.. {
        let members = children(run.pid());
        if run.ended() || killed == 8 {
            break;
        }
        // Not faster than splits are done: members that never finish one are a reason to give up.
        let done = desk.logged();
        if let Some(pid) = members.get(turn % members.len().max(1)) {
            signal("KILL", *pid);
            killed += 1;
        }
        wait_until("progress", || desk.logged() > done || run.ended());
    }
    let done = run.wait().fine().json();
    assert!(killed >= 3, "only {killed} were killed before the end: {done}");
    // One that dies when nothing is left to do is not replaced, and neither is a solo one that dies with its suspect.
    let replaced = done["run"]["replaced"].as_u64().unwrap();
    assert!((killed / 2..=killed).contains(&replaced), "{killed} killed: {done}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ after {killed} kills");
}

#[test]
fn a_member_that_stands_still_is_replaced_and_changes_nothing_when_it_wakes() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let mut run =
        desk.start_until_logged(&format!("{line} --mode pseudo --workers 2 --threads 1 --member-timeout 1 --json"), 4);
    let zombie = children(run.pid())[0];
    signal("STOP", zombie);
    wait_until("the replacement", || children(run.pid()).len() > 2 || run.ended());
    let at = desk.logged();
    wait_until("progress", || desk.logged() > at || run.ended());
    signal("CONT", zombie);
    let done = run.wait().fine().json();
    assert!(done["run"]["replaced"].as_u64() >= Some(1), "{done}");
    assert!(!lives(zombie), "it has ended by itself");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
}

#[test]
fn a_killed_coordinator_takes_its_members_along_and_its_job_goes_on() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&format!("{line} --mode pseudo --workers 2 --threads 1"), 4);
    let members = children(run.pid());
    assert_eq!(members.len(), 2);
    run.signal("KILL");
    run.wait();
    wait_until("no member is left", || !members.iter().any(|pid| lives(*pid)));
    assert_eq!(desk.names(), [".out.tif.mapfold"], "nothing is visible");
    // It goes on in the other mode: nothing in what is kept depends on who did it.
    let done = desk.run(&format!("{line} --resume --json")).fine().json();
    assert!(done["run"]["stages"][0]["earlier"].as_u64() > Some(0), "{done}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ after --resume");
}

#[test]
fn ctrl_c_leaves_no_process_and_no_output() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&format!("{line} --mode pseudo --workers 3 --threads 1"), 4);
    let members = children(run.pid());
    let began = Instant::now();
    run.signal("INT");
    let ran = run.wait().refused(130, &["interrupted", "--resume"]);
    assert!(began.elapsed() < Duration::from_secs(10), "slow to stop: {ran}");
    assert!(!members.iter().any(|pid| lives(*pid)), "a member lives: {ran}");
    assert_eq!(desk.names(), [".out.tif.mapfold"], "nothing is visible");
    assert!(desk.path(".out.tif.mapfold").exists());
}
