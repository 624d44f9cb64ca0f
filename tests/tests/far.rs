//! Outputs in stores on servers: the bytes of a local run, whole or not at all, nothing beside them, no upload left open.
//!
//! What lies in a store is asked by another client (`tests/oracle/far.py`). The servers are started by `cluster/part.sh`.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Far, far, mapfold};
use std::fmt::Write as _;
use std::fs;

/// Lines of words: enough for several splits of 64 KiB.
fn text(far: &Far) {
    let mut text = String::new();
    for i in 0..40_000u64 {
        let mixed = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "word{} and{} {i}", (mixed >> 33) % 5000, mixed % 31).unwrap();
    }
    fs::write(far.desk.path("in.txt"), text).unwrap();
}

/// Name and bytes of every part of a local output.
fn local_parts(far: &Far, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> =
        fs::read_dir(far.desk.path(out)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "_SUCCESS");
    names.sort();
    names.into_iter().map(|name| (name.clone(), far.desk.bytes(&format!("{out}/{name}")))).collect()
}

/// The same of one in the store.
fn far_parts(far: &Far, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut names = far.names(out);
    assert!(names.contains(&"_SUCCESS".to_owned()), "{}: {names:?}", far.name);
    names.retain(|name| name != "_SUCCESS");
    names.into_iter().map(|name| (name.clone(), far.bytes(&format!("{out}/{name}")))).collect()
}

/// Nothing but outputs is in the test's folder of the store.
#[track_caller]
fn nothing_beside(far: &Far, outputs: &[&str]) {
    let strange = |name: &String| !outputs.iter().any(|out| name == out || name.starts_with(&format!("{out}/")));
    let left: Vec<String> = far.names("").into_iter().filter(strange).collect();
    assert_eq!(left, [""; 0], "{}: left beside the outputs", far.name);
    let open: Vec<String> = outputs.iter().flat_map(|out| far.uploads(out)).collect();
    assert_eq!(open, [""; 0], "{}: uploads left open", far.name);
}

const MODES: [&str; 2] = ["", "--mode pseudo --workers 2"];

fn image_is_that_of_a_local_run(part: &'static str) {
    let Some(far) = far(part) else { return };
    let scene = far.desk.scene(900);
    let line = |out: &str, more: &str| format!("run ndvi {scene} --out {out} --tile 256 --blocksize 128 -q {more}");
    far.run(&line("out.tif", "")).fine();
    let want = far.desk.bytes("out.tif");
    for mode in MODES {
        far.run(&line(&far.loc("out.tif"), mode)).fine();
        assert!(far.bytes("out.tif") == want, "{part} {mode}: other bytes");
        nothing_beside(&far, &["out.tif"]);
        far.run(&line(&far.loc("out.tif"), mode)).refused(3, &["out.tif", "--overwrite"]);
        far.run(&line(&far.loc("out.tif"), &format!("{mode} --overwrite --compress none"))).fine();
        assert!(far.bytes("out.tif") != want, "{part} {mode}: it was not replaced");
        far.run(&line(&far.loc("out.tif"), &format!("{mode} --overwrite"))).fine();
        assert!(far.bytes("out.tif") == want, "{part} {mode}: other bytes over an older file");
        nothing_beside(&far, &["out.tif"]);
        far.run(&format!("rm {}", far.loc("out.tif"))).fine();
    }
}

fn folders_are_those_of_a_local_run(part: &'static str) {
    let Some(far) = far(part) else { return };
    text(&far);
    for job in ["wordcount", "sort"] {
        let line = |out: &str, more: &str| format!("run {job} in.txt --out {out} --split-size 65536 -q {more}");
        far.run(&line(job, "")).fine();
        for mode in MODES {
            far.run(&line(&far.loc(job), &format!("{mode} --overwrite"))).fine();
            assert!(far_parts(&far, job) == local_parts(&far, job), "{part} {job} {mode}: other bytes");
            nothing_beside(&far, &["wordcount", "sort"]);
        }
        far.run(&line(&far.loc(job), "")).refused(3, &[job, "--overwrite"]);
    }
    // Fewer parts than before: what the older output had more of is gone.
    far.run(&format!("run wordcount in.txt --out {} --partitions 1 --overwrite -q", far.loc("wordcount"))).fine();
    assert_eq!(far.names("wordcount"), ["_SUCCESS", "part-r-00000"], "{part}");
}

fn killed_at_any_step_it_goes_on(part: &'static str) {
    let Some(far) = far(part) else { return };
    text(&far);
    let scene = far.desk.scene(600);
    let image = |out: &str, more: &str| format!("run ndvi {scene} --out {out} --tile 256 --blocksize 64 -q {more}");
    let words = |out: &str, more: &str| format!("run wordcount in.txt --out {out} --split-size 65536 -q {more}");
    far.run(&image("out.tif", "")).fine();
    far.run(&words("counts", "")).fine();
    let want = far.desk.bytes("out.tif");
    for step in STEPS {
        let points = format!("{step}=abort");
        let out = format!("{}.tif", step.replace(':', "-"));
        let killed = far.start(mapfold(), &image(&far.loc(&out), ""), &points).wait();
        assert_eq!(killed.code, 137, "{part} {step} was not reached: {killed}");
        let seen = far.names("").iter().any(|name| *name == out);
        assert_eq!(seen, AFTER.contains(step), "{part} {step}: visible before the decision, or not after it");
        far.run(&image(&far.loc(&out), "--resume")).fine();
        assert!(far.bytes(&out) == want, "{part} {step}: other bytes after --resume");
        nothing_beside(&far, &[&out, "counts"]);
        far.run(&format!("rm {}", far.loc(&out))).fine();

        let killed = far.start(mapfold(), &words(&far.loc("counts"), "--overwrite"), &points).wait();
        assert_eq!(killed.code, 137, "{part} {step} was not reached: {killed}");
        far.run(&words(&far.loc("counts"), "--resume")).fine();
        assert!(far_parts(&far, "counts") == local_parts(&far, "counts"), "{part} {step}: other bytes after --resume");
        nothing_beside(&far, &["counts"]);
    }
}

/// Steps of the commit protocol, in order (crate `mapfold-coord`, `failpoint.rs`).
const STEPS: &[&str] =
    &["claimed", "planned", "logged:1", "laid-out", "before-decision", "decided", "revealed", "before-cleaning"];
/// Those after which the output is to be seen.
const AFTER: &[&str] = &["revealed", "before-cleaning"];

fn what_is_given_up_is_swept(part: &'static str) {
    let Some(far) = far(part) else { return };
    text(&far);
    let line = format!("run wordcount in.txt --out {} --split-size 65536 -q", far.loc("counts"));
    let killed = far.start(mapfold(), &line, "before-decision=abort").wait();
    assert_eq!(killed.code, 137, "{killed}");
    let open = far.uploads("counts").len();
    assert_eq!(open > 0, ["s3", "gcs"].contains(&part), "{part}: {open} uploads are open");
    let kept = far.run(&format!("fsck {} --clean", far.loc("counts")));
    assert_eq!(kept.code, 1, "undecided work is not removed by --clean: {kept}");
    assert_eq!(far.uploads("counts").len(), open, "{part}: fsck ended uploads of work that can be resumed");
    far.run(&format!("fsck {} --discard", far.loc("counts"))).fine();
    assert_eq!((far.names(""), far.uploads("counts")), (Vec::new(), Vec::new()), "{part}");
}

macro_rules! for_each_store {
    ($($store:ident)*) => {
        $(mod $store {
            #[test]
            fn an_image_is_that_of_a_local_run() {
                super::image_is_that_of_a_local_run(stringify!($store));
            }

            #[test]
            fn folders_are_those_of_a_local_run() {
                super::folders_are_those_of_a_local_run(stringify!($store));
            }

            #[test]
            fn killed_at_any_step_it_goes_on() {
                super::killed_at_any_step_it_goes_on(stringify!($store));
            }

            #[test]
            fn what_is_given_up_is_swept() {
                super::what_is_given_up_is_swept(stringify!($store));
            }
        })*
    };
}

for_each_store!(s3 azure gcs hdfs);
