//! Ctrl-C, TERM and kill -9 in the middle of a run: no output, no process, and `--resume` goes on to the same bytes.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, Ran};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Nothing to see, nothing running.
fn gone(desk: &Desk, pid: u32, ran: &Ran) {
    let names = desk.names();
    assert!(names.iter().all(|n| n == ".out.tif.mapfold"), "{names:?} is visible: {ran}");
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "process {pid} lives: {ran}");
}

/// Goes on, in `line`'s own way, to the bytes of an undisturbed run.
fn goes_on(desk: &Desk, line: &str, resume: &str) {
    let done = desk.run(resume).fine().json();
    let (earlier, splits) = (&done["run"]["stages"][0]["earlier"], &done["run"]["stages"][0]["splits"]);
    assert!(earlier.as_u64().unwrap() > 0, "nothing was kept: {done}");
    assert!(earlier.as_u64() < splits.as_u64(), "nothing was left to do: {done}");
    assert_eq!(desk.names(), ["out.tif"], "the work folder is gone");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ after --resume");
}

/// The command that the program printed, without the program.
fn resume_line(ran: &Ran) -> String {
    let line = ran.err.lines().find_map(|l| l.trim().strip_prefix("resume: "));
    let line = line.unwrap_or_else(|| panic!("no resume line: {ran}"));
    line.split_once(' ').unwrap().1.to_owned()
}

#[test]
fn ctrl_c_stops_cleanly_and_the_printed_line_goes_on() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&line, 8);
    let pid = run.pid();
    let began = Instant::now();
    run.signal("INT");
    let ran = run.wait().refused(130, &["interrupted", "--resume"]);
    assert!(began.elapsed() < Duration::from_secs(10), "slow to stop: {:?}", began.elapsed());
    gone(&desk, pid, &ran);
    let resume = resume_line(&ran);
    assert_eq!(resume, format!("{line} --resume"));
    // Without --resume it is refused, and says what can be done.
    desk.run(&line).refused(3, &["out.tif", "did not finish", "--resume", "--overwrite"]).with_stage();
    goes_on(&desk, &line, &format!("{resume} --json"));
}

#[test]
fn term_does_the_same_with_its_own_code() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&line, 8);
    let pid = run.pid();
    run.signal("TERM");
    let ran = run.wait().refused(143, &["--resume"]);
    gone(&desk, pid, &ran);
    assert_eq!(resume_line(&ran), format!("{line} --resume"));
}

#[test]
fn kill_9_loses_little() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&line, 8);
    let pid = run.pid();
    // While it lives, its output is taken; who has it is said.
    for more in ["", " --resume", " --overwrite"] {
        desk.run(&format!("{line}{more}")).refused(3, &["out.tif", "is writing", &pid.to_string()]);
    }
    run.signal("KILL");
    let ran = run.wait();
    assert_eq!((ran.code, ran.out.as_str()), (137, ""), "{ran}");
    gone(&desk, pid, &ran);
    goes_on(&desk, &line, &format!("{line} --resume --json --threads 1"));
}

#[test]
fn overwrite_starts_afresh_after_an_interrupted_run() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&line, 8);
    run.signal("KILL");
    run.wait();
    let done = desk.run(&format!("{line} --overwrite --json")).fine().json();
    assert_eq!(done["run"]["stages"][0]["earlier"], 0);
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn resume_of_another_command_is_refused() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_until_logged(&line, 8);
    run.signal("KILL");
    run.wait();
    // Other results would be mixed: refused by name. Other circumstances would not: see kill_9_loses_little.
    desk.run(&format!("{line} --resume --eps 1")).refused(3, &["out.tif", "--overwrite"]);
    assert_eq!(desk.names(), [".out.tif.mapfold"], "the interrupted run can still be resumed");
}

#[test]
fn a_run_goes_on_with_urls_that_were_signed_anew() {
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let words: Vec<&str> = line.split_whitespace().collect();
    let (red, nir) = (words[3], words[5]);
    let files = [("/red.tif".to_string(), desk.bytes(red)), ("/nir.tif".to_string(), desk.bytes(nir))];
    let at = mapfold_tests::http::serve(mapfold_tests::http::Site::Files(files.into()));
    let signed = |with: &str| {
        let red_url = format!("{at}/red.tif?sig={with}&se={with}");
        line.replace(red, &red_url).replace(nir, &format!("{at}/nir.tif?token={with}"))
    };
    let run = desk.start_until_logged(&signed("monday"), 8);
    run.signal("KILL");
    run.wait();
    goes_on(&desk, &line, &format!("{} --resume --json", signed("tuesday-and-longer")));
}
