//! Members that come and go while a job runs: the bytes are those of a fixed number, who joins takes splits, who leaves
//! finishes what it holds, and one that cannot be had is done without.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, children, lives, signal, wait_for, wait_until};
use mapfold_tests::{Desk, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Some seconds of work, and a report of every number.
const COUNT: &str = "--splits 500 --millis 60 --threads 1 --mode pseudo --json";

fn trial(desk: &Desk, args: &str) -> Running {
    desk.start_program(&program("mapfold-trial"), args, &[])
}

/// All events of the one job of a state folder.
fn events(desk: &Desk, job: &str) -> Vec<Value> {
    let id = desk.run(&format!("status {job} --json")).fine().json()["id"].as_str().unwrap().to_owned();
    let text = std::fs::read_to_string(desk.path(&format!("state/mapfold/jobs/{id}/events.ndjson"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

fn members(events: &[Value], kind: &str) -> BTreeSet<u64> {
    of(events, kind).iter().map(|e| e["member"].as_u64().unwrap()).collect()
}

/// Waits until so many members are there.
fn here(desk: &Desk, job: &str, count: u64) -> Value {
    wait_for(&format!("{count} members"), || {
        let ran = desk.run(&format!("status {job} --json"));
        let status = (ran.code == 0).then(|| ran.json())?;
        (status["crew"]["here"].as_u64()? == count || status["ended_ms"].is_u64()).then_some(status)
    })
}

#[test]
fn a_run_that_grows_and_shrinks_gives_the_bytes_of_one_that_does_not() {
    let desk = Desk::new();
    let slow = "--format gtiff --compress deflate --level 12 --tile 256 --blocksize 256";
    let line = format!("run ndvi {} --out out.tif {slow}", desk.scene(4096));
    let run = desk.start_until_logged(&format!("{line} --mode pseudo --workers 1..4 --threads 1 --json"), 1);
    assert!(here(&desk, "ndvi", 4)["ended_ms"].is_null(), "too fast to be disturbed");
    desk.run("scale ndvi 1").fine();
    wait_until("one member", || children(run.pid()).len() == 1);
    let ran = desk.run("scale ndvi 3").fine();
    assert!(ran.out.contains("3 members are wanted (before: 1"), "{ran}");
    wait_until("three members", || children(run.pid()).len() == 3);
    let done = run.wait().fine().json();
    assert_eq!(done["run"]["replaced"], 0, "none was lost: {done}");
    desk.run(&line.replace("out.tif", "fixed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("fixed.tif"), "bytes differ");

    let events = events(&desk, &done["run"]["id"].as_str().unwrap()[..8]);
    assert_eq!(of(&events, "member_lost").len(), 0);
    assert_eq!(members(&events, "member_retired"), BTreeSet::from([1, 2, 3]), "the youngest go");
    let splits = of(&events, "split_done").len();
    assert_eq!(of(&events, "split_leased").len(), splits, "nothing was done twice");
    let worked = members(&events, "split_done");
    assert!(worked.contains(&4) && worked.contains(&5), "who joined took splits: {worked:?} of {splits}");
}

#[test]
fn records_that_are_exchanged_survive_who_comes_and_goes() {
    let desk = Desk::new();
    let work = "--splits 800 --records 5 --keys 7 --partitions 6 --millis 40 --threads 1 --json";
    let fixed = trial(&Desk::new(), work).wait().fine().json();
    let run = trial(&desk, &format!("{work} --mode pseudo --workers 1..4"));
    here(&desk, "mapfold-trial", 4);
    desk.run("scale mapfold-trial 2").fine();
    wait_until("two members", || children(run.pid()).len() == 2);
    desk.run("scale mapfold-trial 4").fine();
    let done = run.wait().fine().json();
    assert_eq!(done["groups"], fixed["groups"], "the pieces of those who went are still read");
    let events = events(&desk, &done["run"]["id"].as_str().unwrap()[..8]);
    assert_eq!(of(&events, "member_retired").len(), 2);
}

#[test]
fn a_lost_member_that_cannot_be_had_again_is_done_without_above_the_least() {
    let desk = Desk::new();
    for (range, code) in [("1..3", 0), ("3", 1)] {
        let copy = desk.path("trial");
        std::fs::copy(program("mapfold-trial"), &copy).unwrap();
        let run = desk.start_program(&copy, &format!("{COUNT} --workers {range}"), &[]);
        let status = wait_for("splits of three members", || {
            let ran = desk.run("status trial --json");
            let status = (ran.code == 0).then(|| ran.json())?;
            let came = status["crew"]["here"].as_u64()? == 3;
            (came && status["splits"]["done"].as_u64()? > 6 && status["ended_ms"].is_null()).then_some(status)
        });
        assert_eq!(status["crew"]["wanted"].as_u64(), (code == 0).then_some(3), "{status}");
        remove_program(&copy);
        let victim = children(run.pid())[0];
        assert!(signal("KILL", victim));
        let ran = run.wait();
        assert_eq!(ran.code, code, "{ran}");
        if code == 1 {
            assert!(ran.err.contains("cannot start"), "a fixed number is a promise: {ran}");
            continue;
        }
        let numbers: Vec<u64> = ran.json()["numbers"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        let events = events(&desk, &ran.json()["run"]["id"].as_str().unwrap()[..8]);
        let missing = of(&events, "member_missing");
        assert!(!missing.is_empty() && missing.iter().all(|e| e["why"].as_str().unwrap().contains("cannot start")));
        assert_eq!(of(&events, "member_lost").len(), 1);
        assert!(!lives(victim));
    }
}

/// No member can be started from it any more.
fn remove_program(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_cannot_be_scaled_says_why_and_changes_nothing() {
    let desk = Desk::new();
    desk.run("scale nothing 2").refused(3, &["no job"]);
    let run = trial(&desk, &format!("{COUNT} --workers 2"));
    here_at_all(&desk);
    desk.run("scale mapfold-trial 3").refused(2, &["fixed number", "--workers 1..8"]);
    run.signal("TERM");
    run.wait();
    desk.run("scale mapfold-trial 3").refused(3, &["does not run", "stopped"]);
    let desk = Desk::new();
    let run = trial(&desk, &format!("{COUNT} --workers 2..4"));
    here(&desk, "mapfold-trial", 4);
    for n in ["1", "5", "0"] {
        desk.run(&format!("scale mapfold-trial {n}")).refused(2, &["--workers 2..4", "give 2 to 4"]);
    }
    desk.run("scale mapfold-trial two").refused(2, &["two"]);
    let words = desk.run("status mapfold-trial").fine();
    assert!(words.out.contains("4 of 4 that are wanted (2 to 4 can be)"), "{words}");
    run.signal("TERM");
    run.wait();
}

fn here_at_all(desk: &Desk) {
    wait_until("a job", || desk.run("status mapfold-trial --json").code == 0);
}

#[test]
fn a_range_is_refused_where_the_number_is_fixed() {
    let desk = Desk::new();
    let work = "--splits 10 --records 5 --keys 3 --mode pseudo --workers 2..4 --shuffle pipelined";
    trial(&desk, work).wait().refused(2, &["--workers 2..4", "fixed", "--shuffle durable"]);
    let map_only = "--splits 10 --mode pseudo --workers 2..4 --shuffle pipelined --json";
    assert_eq!(trial(&desk, map_only).wait().fine().json()["numbers"].as_array().unwrap().len(), 10);
    trial(&desk, "--splits 3 --mode pseudo --workers 4..2").wait().refused(2, &["4..2", "2..4"]);
    trial(&desk, "--splits 3 --workers 1..2").wait().refused(2, &["--workers 1..2", "--mode pseudo"]);
}
