//! What `--resume` goes on with, what it refuses and how it says so, and what a stop does at the end of a run.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::wait_until;
use mapfold_tests::http::{Site, serve};
use mapfold_tests::{Desk, Ran, mapfold};
use serde_json::Value;

/// A run of 9 splits, killed when its first record was written. Gives its command line.
fn interrupted(desk: &Desk, more: &str) -> String {
    let line = format!("run ndvi {} --out out.tif --tile 256 --blocksize 64 {more}", desk.scene(600));
    let ran = desk.start_failing(mapfold(), &line, "logged=abort").wait();
    assert_eq!(ran.code, 137, "{ran}");
    line
}

#[track_caller]
fn refused(ran: Ran, words: &[&str]) {
    ran.refused(3, &[&["out.tif: this is not the run that was interrupted", "--overwrite"], words].concat())
        .with_remedy()
        .with_stage();
}

#[test]
fn another_parameter_or_option_is_named() {
    let desk = Desk::new();
    let line = interrupted(&desk, "--compress zstd");
    let resume = format!("{line} --resume");
    refused(desk.run(&format!("{resume} --eps 1")), &["eps was 0.0, is 1.0"]);
    refused(desk.run(&resume.replace("--tile 256", "--tile 512")), &["--tile was 256, is 512"]);
    refused(desk.run(&resume.replace("--tile 256", "")), &["--tile was 256, is not given"]);
    refused(desk.run(&resume.replace("zstd", "deflate")), &["--compress was zstd, is deflate"]);
    let red = line.split_whitespace().nth(3).unwrap();
    std::fs::copy(desk.path(red), desk.path("scene-copy.tif")).unwrap();
    refused(desk.run(&resume.replace(red, "scene-copy.tif")), &[&format!("red was {red}, is scene-copy.tif")]);
    desk.run(&resume).fine(); // The refusals have changed nothing.
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn an_input_that_has_changed_is_named_with_what_it_was_and_is() {
    let desk = Desk::new();
    let line = interrupted(&desk, "");
    let red = line.split_whitespace().nth(3).unwrap();
    let mut bytes = desk.bytes(red);
    let before = bytes.len();
    bytes.extend([0; 7]);
    std::fs::write(desk.path(red), &bytes).unwrap();
    let size = format!("{red} has changed: size was {before}, is {}", before + 7);
    refused(desk.run(&format!("{line} --resume")), &[&size, "modified was 20", "etag was "]);
    assert_eq!(desk.names(), [".out.tif.mapfold"]);
}

#[test]
fn another_program_is_named() {
    let desk = Desk::new();
    let line = interrupted(&desk, "");
    let mut program = std::fs::read(mapfold()).unwrap();
    program.push(0); // Behind the end of the program: it runs as before.
    let other = desk.path("scene-mapfold");
    std::fs::write(&other, program).unwrap();
    let run = std::process::Command::new("chmod").arg("+x").arg(&other).status();
    assert!(run.unwrap().success());
    refused(desk.start_failing(&other, &format!("{line} --resume"), "").wait(), &["the program has changed", "hash"]);
    desk.run(&format!("{line} --resume")).fine();
}

#[test]
fn counters_of_the_interrupted_run_are_in_the_final_report_once() {
    let counters = |ran: Ran| -> Value { ran.fine().json()["run"]["counters"].clone() };
    let desk = Desk::new();
    // NDVI as whole numbers: most valid pixels are 0, the value of nodata, and are moved and counted.
    let line = format!(
        "run ndvi {} --out out.tif --tile 128 --blocksize 64 --dtype int16 --nodata 0 --threads 1 --json",
        desk.scene(1000)
    );
    let whole = counters(desk.run(&line.replace("out.tif", "whole.tif")));
    assert!(whole.as_object().is_some_and(|c| c.values().any(|n| n.as_u64() > Some(0))), "{whole}");
    for step in ["logged:2", "before-decision", "decided", "revealed"] {
        let killed = desk.start_failing(mapfold(), &line, &format!("{step}=abort")).wait();
        assert_eq!(killed.code, 137, "{killed}");
        assert_eq!(counters(desk.run(&format!("{line} --resume"))), whole, "killed at {step}");
        std::fs::remove_file(desk.path("out.tif")).unwrap();
    }
}

/// Stopped while it waits before its decision.
fn stopped_late(signal: &str, code: i32) {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif --tile 256 --blocksize 64", desk.scene(600));
    let run = desk.start_failing(mapfold(), &line, "before-decision=delay:3000");
    // All nine splits take milliseconds; then the run waits for three seconds, with a record or two in its log.
    wait_until("splits are on record", || desk.logged() >= 1);
    std::thread::sleep(std::time::Duration::from_millis(700));
    run.signal(signal);
    run.wait().refused(code, &["--resume"]);
    assert_eq!(desk.names(), [".out.tif.mapfold"], "nothing is visible");
    desk.run(&format!("{line} --resume")).fine();
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn a_stop_before_the_decision_is_heard() {
    stopped_late("INT", 130);
    stopped_late("TERM", 143);
}

#[test]
fn a_stop_after_the_decision_lets_it_publish() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif --tile 256 --blocksize 64", desk.scene(600));
    let run = desk.start_failing(mapfold(), &line, "decided=delay:3000");
    wait_until("it is decided", || desk.path(".out.tif.mapfold/manifest.json").exists());
    run.signal("INT");
    run.wait().fine();
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn what_is_kept_of_a_run_holds_no_secret_of_its_urls() {
    let desk = Desk::new();
    let scene = desk.scene(600);
    let words: Vec<&str> = scene.split_whitespace().collect();
    let files = [("/red.tif", words[1]), ("/nir.tif", words[3])].map(|(at, file)| (at.into(), desk.bytes(file)));
    let at = serve(Site::Files(files.into()));
    let url = |band: &str| format!("{at}/{band}.tif?token=tell-nobody");
    let line = format!("run ndvi --red {} --nir {} --out out.tif --tile 256 --blocksize 64", url("red"), url("nir"));
    let killed = desk.start_failing(mapfold(), &line, "before-decision=abort").wait();
    assert_eq!(killed.code, 137, "{killed}");
    let plan = std::fs::read_to_string(desk.path(".out.tif.mapfold/plan.json")).unwrap();
    assert!(plan.contains("/red.tif") && !plan.contains("tell-nobody"), "{plan}");
    desk.run(&format!("{line} --resume")).fine();
}
