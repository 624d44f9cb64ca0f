//! Jobs of two passes: what the first leaves to the second is the same however it ran, whatever died.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{children, signal, until_event};
use mapfold_tests::{Desk, data, mapfold, oracle};

const OUT: &str = "--out out.tif -q --overwrite --tile 128 --blocksize 64";

/// A raster of 600 x 600 pixels with an empty wedge.
fn wedge(desk: &Desk) -> String {
    desk.scene(600).split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn scores_are_those_of_numpy_band_by_band() {
    let desk = Desk::new();
    let files = ["s2/S2_20150830.tif", "real/RGB.byte.tif", "real/scene_band1.tif", "real/float_nan.tif"];
    for file in files.map(data).into_iter().chain([desk.arg(&wedge(&desk))]) {
        desk.run(&format!("run normalize --input {file} --out out.tif -q --overwrite")).fine();
        oracle("normalize.py", &[&file, &desk.arg("out.tif")]);
    }
    let file = data("s2/S2_20150830.tif");
    desk.run(&format!("run normalize --input {file} --out out.tif -q --overwrite --ddof 1")).fine();
    oracle("normalize.py", &[&file, &desk.arg("out.tif"), "--ddof", "1"]);
}

#[test]
fn the_same_bytes_for_any_members_threads_windows_and_exchange() {
    let desk = Desk::new();
    let line = format!("run normalize --input {} {OUT}", wedge(&desk));
    desk.run(&format!("{line} --threads 1")).fine();
    let first = desk.bytes("out.tif");
    let here = ["--threads 3", "--threads 2 --chunks 17,33", "--shuffle durable", "--memory-limit 64MiB"];
    let pseudo = |workers: u32, how: &str| format!("--mode pseudo --workers {workers} --threads 1 --shuffle {how}");
    let many = (1..=3).flat_map(|w| [pseudo(w, "durable"), pseudo(w, "pipelined")]);
    for how in here.map(str::to_owned).into_iter().chain(many) {
        desk.run(&format!("{line} {how}")).fine();
        assert_eq!(desk.bytes("out.tif"), first, "{how}");
    }
}

#[test]
fn a_member_that_comes_in_the_second_pass_is_told_what_the_first_has_found() {
    let slow = "--out out.tif -q --overwrite --format gtiff --compress deflate --level 12 --tile 128 --blocksize 128";
    let whole = Desk::new();
    whole.run(&format!("run normalize --input {} {slow}", whole.scene(1024).split(' ').nth(1).unwrap())).fine();
    for shuffle in ["durable", "pipelined"] {
        let desk = Desk::new();
        let input = desk.scene(1024).split(' ').nth(1).unwrap().to_owned();
        let more = format!("--mode pseudo --workers 2 --threads 1 --shuffle {shuffle} --json");
        let mut run = desk.start(&format!("run normalize --input {input} {slow} {more}"));
        until_event(&desk, &mut run, r#""event":"split_done","stage":2"#);
        signal("KILL", children(run.pid())[0]);
        let ran = run.wait().fine();
        assert_eq!(ran.json()["run"]["replaced"], 1, "{ran}");
        assert_eq!(desk.bytes("out.tif"), whole.bytes("out.tif"), "{shuffle}");
    }
}

#[test]
fn an_interrupted_run_goes_on_with_the_side_that_it_had() {
    for (mode, shuffle) in
        [("standalone", "auto"), ("pseudo --workers 2", "durable"), ("pseudo --workers 2", "pipelined")]
    {
        let desk = Desk::new();
        let line = format!("run normalize --input {} {} ", wedge(&desk), OUT.replace("--overwrite", "--json"));
        let line = format!("{line} --threads 1 --mode {mode} --shuffle {shuffle}");
        desk.run(&line).fine();
        let whole = desk.bytes("out.tif");
        let mut with_the_side = 0;
        for record in 1..=20 {
            std::fs::remove_file(desk.path("out.tif")).unwrap();
            let ran = desk.start_failing(mapfold(), &line, &format!("logged:{record}=abort")).wait();
            if ran.code == 0 {
                break; // It had fewer records.
            }
            let resumed = desk.run(&format!("{line} --resume")).fine();
            assert_eq!(desk.bytes("out.tif"), whole, "{mode}, {shuffle}, record {record}");
            let stages = resumed.json()["run"]["stages"].as_array().unwrap().clone();
            with_the_side += u32::from(stages[1]["earlier"] == 1);
        }
        assert!(with_the_side > 0, "no run had the side from the log: {mode}, {shuffle}");
    }
}
