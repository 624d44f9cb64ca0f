//! Blocks that are computed once and read again: the bytes of computing them again, however it ran, whatever died.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{children, signal, until_event};
use mapfold_tests::{Desk, Ran, smoothed};
use serde_json::Value;
use std::path::Path;

const OUTS: &str = "--once once.tif --twice twice.tif --tile 128 --blocksize 64";

/// A raster of 600 x 600 pixels with an empty wedge.
fn wedge(desk: &Desk) -> String {
    desk.scene(600).split(' ').nth(1).unwrap().to_owned()
}

fn run(desk: &Desk, line: &str) -> Ran {
    desk.start_program(smoothed(), line, &[]).wait().fine()
}

fn both(desk: &Desk) -> [Vec<u8>; 2] {
    ["once.tif", "twice.tif"].map(|name| desk.bytes(name))
}

/// Folders of exchanges and stored blocks at any depth.
fn scratch(at: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("mapfold-exchange-") {
            found.push(name);
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(scratch(&entry.path()));
        }
    }
    found
}

#[test]
fn the_same_bytes_with_and_without_for_any_members_threads_and_windows() {
    let desk = Desk::new();
    let line = format!("--input {} {OUTS} -q --overwrite", wedge(&desk));
    run(&desk, &line);
    let computed = both(&desk);
    let here = ["", "--threads 1", "--threads 3 --chunks 17,33", "--chunks native --memory-limit 64MiB"];
    let pseudo = (1..=3).map(|w| format!("--mode pseudo --threads 1 --workers {w}"));
    for how in here.map(str::to_owned).into_iter().chain(pseudo) {
        run(&desk, &format!("{line} --keep {how}"));
        assert!(both(&desk) == computed, "{how:?}");
        assert_eq!(scratch(&desk.path(".")), [""; 0], "nothing is left: {how:?}");
    }
}

fn stages(ran: &Ran) -> Vec<Value> {
    ran.json()["run"]["stages"].as_array().unwrap().clone()
}

#[test]
fn the_source_is_read_once_and_explain_says_what_is_kept() {
    let desk = Desk::new();
    let line = format!("--input {} {OUTS} --overwrite --chunks native", wedge(&desk));
    let explained = run(&desk, &format!("{line} --keep --explain"));
    assert!(explained.out.contains("materialise at "), "{explained}");
    assert!(explained.out.contains("  blocks  1.4 MiB in the scratch folder until the run ends"), "{explained}");
    let told = run(&desk, &format!("{line} --keep --explain --json")).json();
    assert_eq!(told["stages"][0]["stored_bytes"], 600 * 600 * 4 + 600 * 600 / 8, "{told}");
    let factor = |told: &Value, stage: usize| told["stages"][stage]["recompute_factor"].as_f64().unwrap();
    let without = run(&desk, &format!("{line} --explain --json")).json();
    assert!(factor(&told, 2) < factor(&without, 1), "{told}\n{without}");
    // What the stages asked of the source: with it one stage does, without it both outputs do.
    let of_source = |ran: &Ran, labels: &[&str]| -> u64 {
        let all = stages(ran);
        let named = all.iter().filter(|s| labels.iter().any(|l| s["label"].as_str().unwrap().starts_with(l)));
        named.map(|s| s["bytes_read"].as_u64().unwrap()).sum()
    };
    let kept = of_source(&run(&desk, &format!("{line} --keep --json")), &["materialise"]);
    let again = of_source(&run(&desk, &format!("{line} --json")), &["write"]);
    assert!(kept > 0 && 2 * kept <= again, "{kept} and {again} bytes of the source");
}

#[test]
fn a_member_that_is_killed_while_blocks_are_stored_or_read_changes_nothing() {
    let whole = Desk::new();
    let line = |desk: &Desk| format!("--input {} {OUTS} --radius 4 --overwrite --keep", wedge(desk));
    run(&whole, &line(&whole));
    for stage in 0..2 {
        let desk = Desk::new();
        let line = format!("{} --mode pseudo --workers 2 --threads 1 --json", line(&desk));
        let mut running = desk.start_program(smoothed(), &line, &[]);
        until_event(&desk, &mut running, &format!(r#""event":"split_done","stage":{stage}"#));
        signal("KILL", children(running.pid())[0]);
        let ran = running.wait().fine();
        assert!(both(&desk) == both(&whole), "killed in stage {stage}: {ran}");
    }
}

#[test]
fn an_interrupted_run_goes_on_with_the_blocks_that_are_stored() {
    let desk = Desk::new();
    let line = format!("--input {} {OUTS} --radius 4 --keep --json", wedge(&desk));
    run(&desk, &line);
    let whole = both(&desk);
    let mut kept = 0;
    for (mode, record) in [("", 1), ("--mode pseudo --workers 2", 1), ("--mode pseudo --workers 2", 3)] {
        ["once.tif", "twice.tif"].iter().for_each(|name| std::fs::remove_file(desk.path(name)).unwrap());
        let line = format!("{line} {mode} --threads 1");
        let ran = desk.start_failing(smoothed(), &line, &format!("logged:{record}=abort")).wait();
        assert_eq!(ran.code, 137, "{ran}");
        let resumed = run(&desk, &format!("{line} --resume"));
        assert!(both(&desk) == whole, "{mode}, record {record}");
        kept += stages(&resumed)[0]["earlier"].as_u64().unwrap();
        assert_eq!(scratch(&desk.path(".")), [""; 0], "nothing is left: {mode}");
    }
    assert!(kept > 0, "no stored block was taken up");
}

#[test]
fn a_disk_without_room_for_the_blocks_is_an_error_before_the_run() {
    let desk = Desk::new();
    let line = format!("--input {} {OUTS} --keep --scratch /proc/none", wedge(&desk));
    let ran = desk.start_program(smoothed(), &line, &[]).wait();
    ran.refused(3, &["/proc"]).with_remedy();
}
