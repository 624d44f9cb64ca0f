//! `mapfold split`: one split of a job that ran or failed, run again here, without an output.
#![allow(clippy::unwrap_used)]

use mapfold_tests::http::{Site, serve};
use mapfold_tests::{Desk, Ran, program};
use std::path::PathBuf;

fn trial(desk: &Desk, args: &str) -> Ran {
    desk.start_program(&program("mapfold-trial"), args, &[]).wait()
}

/// The command that an error names: `mapfold split 1a2b3c4d 5 …`.
fn command_of(text: &str) -> String {
    let at = text.find("mapfold split ").unwrap_or_else(|| panic!("no command in {text}"));
    let words = text[at..].split_whitespace().skip(1);
    words.take_while(|w| *w != "runs").collect::<Vec<_>>().join(" ")
}

#[test]
fn a_split_of_a_finished_job_is_run_again_and_leaves_nothing() {
    let desk = Desk::new();
    let scene = desk.scene(1024);
    desk.run(&format!("run ndvi {scene} --out out.tif --tile 512")).fine();
    let bytes = desk.bytes("out.tif");
    let told = desk.run("split ndvi 3 --json").fine().json();
    assert_eq!((&told["split"], &told["stage"]), (&3.into(), &0.into()), "{told}");
    assert_eq!(told["place"], "rows 512..1024, columns 512..1024", "{told}");
    let reads = told["reads"].as_array().unwrap();
    assert_eq!(reads.len(), 2, "red and infrared: {told}");
    assert!(reads.iter().all(|r| r["bytes"].as_u64() > Some(1000)), "{told}");
    assert!(told["bytes_out"].as_u64() > Some(1000) && told["seconds"]["compute"].as_f64() > Some(0.0), "{told}");
    let words = desk.run("split ndvi 3").fine();
    for word in ["split 3 of stage 0", "B04.tif", "made     a part of", "decode", "peak"] {
        assert!(words.out.contains(word), "{word}: {words}");
    }
    assert!(desk.bytes("out.tif") == bytes && desk.names() == ["out.tif"], "nothing is written: {:?}", desk.names());
    desk.run("split ndvi 4").refused(2, &["no split 4", "0 to 3"]);
    desk.run("split ndvi 0 --stage 1").refused(2, &["no stage 1"]);
}

#[test]
fn a_partition_is_reduced_again_from_the_records_of_its_maps() {
    let desk = Desk::new();
    let line = "--splits 40 --records 10 --keys 7 --partitions 5 --json";
    let done = trial(&desk, &format!("{line} --mode pseudo --workers 2 --threads 1")).fine().json();
    assert_eq!(done["groups"].as_array().unwrap().len(), 7);
    let which = desk.run("split mapfold-trial 2").says(&["of which stage", "1 (report groups", "--stage 0"]);
    assert_eq!(which.code, 2, "{which}");
    let counts: Vec<u64> = (0..5)
        .map(|n| {
            let told = desk.run(&format!("split mapfold-trial {n} --stage 1 --json")).fine().json();
            assert_eq!(told["splits_before"], 40, "{told}");
            let made = told["made"].as_str().unwrap();
            made.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 7, "each key is in one partition: {counts:?}");
}

#[test]
fn a_panic_is_told_with_its_backtrace_and_the_error_of_the_job_names_the_command() {
    let desk = Desk::new();
    let ran = trial(&desk, "--splits 20 --bad 13 --harm panic --threads 2");
    assert_eq!(ran.code, 1, "{ran}");
    let command = command_of(&ran.err);
    assert!(command.starts_with("split ") && command.contains(" 13"), "{command}");
    let plain = desk.run(&command);
    assert_eq!(plain.code, 1, "{plain}");
    assert!(plain.err.contains("a harmful split") && !plain.err.contains("do_harm"), "{plain}");
    let traced = desk.run(&format!("{command} --backtrace"));
    assert!(traced.err.contains("do_harm"), "{traced}");
    let good = desk.run(&command.replace(" 13", " 12")).fine();
    assert!(good.out.contains("made     1 values"), "{good}");
    // `why` names it too.
    assert!(desk.run("why mapfold-trial").fine().out.contains(&command));
}

#[test]
fn a_split_that_kills_its_process_does_so_here_too_and_a_quarantined_one_names_the_command() {
    let desk = Desk::new();
    let mark: PathBuf = desk.path("mark");
    let line = format!("--splits 12 --bad 5 --harm abort --mark {} --threads 1", mark.display());
    let pseudo = format!("{line} --mode pseudo --workers 2");
    let ran = trial(&desk, &pseudo);
    assert_eq!(ran.code, 1, "{ran}");
    let command = command_of(&ran.err);
    std::fs::remove_file(&mark).unwrap();
    let again = desk.run(&command);
    assert_eq!(again.code, 134, "killed by signal 6, as it was there: {again}");
    assert!(mark.exists(), "the split ran");
    let left_out = trial(&desk, &format!("{pseudo} --on-error quarantine --max-bad-splits 1"));
    assert_eq!(left_out.code, 4, "{left_out}");
    let why = desk.run("why mapfold-trial").fine();
    let id = desk.run("status mapfold-trial --json").fine().json()["id"].as_str().unwrap()[..8].to_owned();
    assert!(why.out.contains(&format!("mapfold split {id} 5 --stage 0")), "{why}");
}

#[test]
fn secrets_are_not_kept_and_are_asked_for() {
    let desk = Desk::new();
    let scene = desk.scene(512);
    let words: Vec<&str> = scene.split_whitespace().collect();
    let files = [("/red.tif", words[1]), ("/nir.tif", words[3])];
    let at = serve(Site::Files(files.map(|(at, file)| (at.into(), desk.bytes(file))).into()));
    let red = format!("{at}/red.tif?token=tell-nobody");
    desk.run(&format!("run ndvi --red {red} --nir {at}/nir.tif --out out.tif -q")).fine();
    for file in walk(&desk.path("state")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("tell-nobody"), "{}: {text}", file.display());
    }
    let asked = desk.run("split ndvi 0").refused(2, &["red held a secret", "--param red=URL"]);
    assert!(!asked.err.contains("nir"), "that one held none: {asked}");
    desk.run("split ndvi 0 --param blue=x").refused(2, &["no such parameter", "red"]);
    let told = desk.run(&format!("split ndvi 0 --param red={red} --json")).fine();
    assert!(told.json()["bytes_out"].as_u64() > Some(0) && !told.out.contains("tell-nobody"), "{told}");
    assert!(!told.err.contains("the plan is not the job's"), "a secret is no part of the plan: {told}");
    let other = desk.run(&format!("split ndvi 0 --param red={at}/nir.tif --json")).fine();
    assert!(other.err.contains("the plan is not the job's"), "another input is: {other}");
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}
