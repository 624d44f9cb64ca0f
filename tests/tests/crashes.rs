//! A job of two outputs that is killed, or fails, at every step of the commit protocol: `--resume` gives the bytes of an
//! undisturbed run, both outputs, nothing beside them; before the decision nothing is to be seen.
//!
//! With members in processes of their own the same holds; that test prints a table (`-- --nocapture`).
//!
//! The steps and how they are named are in `mapfold-coord`, `failpoint.rs`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mapfold_tests::{Desk, Ran, indices, patch};
use std::time::{Duration, Instant};

/// Steps before the decision, in order.
const BEFORE: &[&str] = &["claimed", "planned", "logged", "laid-out", "before-decision"];
/// Steps after it.
const AFTER: &[&str] = &["decided", "revealed", "before-cleaning", "cleaned"];

/// A scene, and what an undisturbed run makes of it.
struct Room {
    desk: Desk,
    scene: String,
    /// Options that say where it runs.
    mode: &'static str,
    whole: [Vec<u8>; 2],
}

impl Room {
    fn new() -> Room {
        Room::of("")
    }

    fn of(mode: &'static str) -> Room {
        let desk = Desk::new();
        let scene = desk.scene(600);
        std::fs::create_dir(desk.path("scene-whole")).unwrap();
        let room = Room { desk, scene, mode, whole: [Vec::new(), Vec::new()] };
        room.run("scene-whole", "", "").fine();
        Room { whole: room.bytes("scene-whole"), ..room }
    }

    /// A folder of its own for a case (`scene…`: not listed by [`Desk::names`]).
    fn case(&self, name: &str) -> String {
        let folder = format!("scene-{}", name.replace([':', '=', ','], "-"));
        std::fs::create_dir(self.desk.path(&folder)).unwrap();
        folder
    }

    fn line(&self, folder: &str, more: &str) -> String {
        format!(
            "{} --ndvi {folder}/a.tif --sum {folder}/b.tif --tile 256 --blocksize 64 {} {more}",
            self.scene, self.mode
        )
    }

    fn run(&self, folder: &str, more: &str, points: &str) -> Ran {
        self.desk.start_failing(indices(), &self.line(folder, more), points).wait()
    }

    fn bytes(&self, folder: &str) -> [Vec<u8>; 2] {
        ["a.tif", "b.tif"].map(|name| self.desk.bytes(&format!("{folder}/{name}")))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        mapfold_tests::desk::names(&self.desk.path(folder))
    }

    /// Goes on to the undisturbed result.
    #[track_caller]
    fn goes_on(&self, folder: &str) {
        let ran = self.run(folder, "--resume", "").fine();
        assert_eq!(self.names(folder), ["a.tif", "b.tif"], "{folder}: {ran}");
        assert!(self.bytes(folder) == self.whole, "{folder}: other bytes after --resume");
    }

    /// Does this at the first, second, … time that the step is reached, until it is reached no more. Gives how often.
    fn each_time(&self, step: &str, action: &str, check: impl Fn(&str, Ran)) -> usize {
        for n in 1.. {
            let folder = self.case(&format!("{step}:{n}={action}"));
            let ran = self.run(&folder, "", &format!("{step}:{n}={action}"));
            if ran.code == 0 {
                return n - 1;
            }
            check(&folder, ran);
            self.goes_on(&folder);
        }
        unreachable!("a run has an end")
    }
}

#[test]
fn killed_at_any_step_it_goes_on_to_the_same_bytes() {
    let room = Room::new();
    for step in BEFORE.iter().chain(AFTER) {
        let reached = room.each_time(step, "abort", |folder, ran| {
            assert_eq!((ran.code, ran.out.as_str()), (137, ""), "{ran}");
            let seen = room.names(folder).iter().filter(|n| !n.starts_with('.')).count();
            let may_be_seen = AFTER.contains(step);
            assert!(seen == 0 || may_be_seen, "{folder}: visible before the decision");
        });
        let least = if ["claimed", "laid-out", "revealed"].contains(step) { 2 } else { 1 };
        assert!(reached >= least, "{step} was reached {reached} times only");
    }
}

#[test]
fn an_error_at_any_step_is_told_and_leaves_what_can_be_gone_on_with_or_nothing() {
    let room = Room::new();
    for step in BEFORE.iter().chain(AFTER) {
        let reached = room.each_time(step, "error", |folder, ran| {
            let ran = ran.refused(3, &[&format!("fail point {step}")]);
            let left = room.names(folder);
            assert_eq!(left.is_empty(), !ran.err.contains("--resume"), "{left:?}: {ran}");
            assert!(AFTER.contains(step) || left.iter().all(|n| n.starts_with('.')), "{left:?}: {ran}");
        });
        assert!(reached >= 1, "{step} was not reached");
    }
}

#[test]
fn with_members_in_processes_of_their_own_every_step_holds() {
    let room = Room::of("--mode pseudo --workers 2 --threads 1");
    println!("| step | killed | failed | delayed | violations |\n|---|--:|--:|--:|--:|");
    for step in BEFORE.iter().chain(AFTER) {
        let visible = |folder: &str| room.names(folder).iter().any(|n| !n.starts_with('.'));
        let killed = room.each_time(step, "abort", |folder, ran| {
            assert_eq!((ran.code, ran.out.as_str()), (137, ""), "{ran}");
            assert!(!visible(folder) || AFTER.contains(step), "{folder}: visible before the decision");
        });
        let failed = room.each_time(step, "error", |folder, ran| {
            let ran = ran.refused(3, &[&format!("fail point {step}")]);
            assert!(!visible(folder) || AFTER.contains(step), "visible before the decision: {ran}");
        });
        let folder = room.case(&format!("{step}=delay"));
        room.run(&folder, "", &format!("{step}=delay:200")).fine();
        assert!(room.bytes(&folder) == room.whole, "{step}: other bytes after a delay");
        assert!(killed >= 1 && failed >= 1, "{step} was not reached");
        println!("| {step} | {killed} | {failed} | 1 | 0 |");
    }
}

#[test]
fn delays_anywhere_change_nothing() {
    let room = Room::new();
    let all: Vec<String> = BEFORE.iter().chain(AFTER).map(|step| format!("{step}=delay:30")).collect();
    let folder = room.case("delays");
    room.run(&folder, "", &all.join(",")).fine();
    assert!(room.bytes(&folder) == room.whole);
}

#[test]
fn killed_again_and_again_on_its_way() {
    let room = Room::new();
    let folder = room.case("again");
    let mut more = "";
    let steps = ["claimed", "claimed:2", "planned", "logged:2", "laid-out", "laid-out:2", "before-decision", "decided"];
    for step in steps.into_iter().chain(["revealed", "revealed:2", "before-cleaning", "cleaned"]) {
        let ran = room.run(&folder, more, &format!("{step}=abort"));
        assert_eq!(ran.code, 137, "{step}: {ran}");
        more = "--resume";
    }
    room.goes_on(&folder);
}

#[test]
fn after_a_kill_between_two_renames_the_second_output_alone_is_not_taken_over() {
    let room = Room::new();
    let folder = room.case("half");
    assert_eq!(room.run(&folder, "", "revealed=abort").code, 137);
    assert_eq!(room.names(&folder), [".a.tif.mapfold", ".b.tif.mapfold", "a.tif"]);
    let b = format!("{folder}/b.tif");
    let other = format!("run ndvi {} --out {b}", room.scene);
    room.desk.run(&other).refused(3, &[&b, "did not finish", "--resume", "--overwrite"]);
    let words = [b.as_str(), "a.tif", "belongs to the interrupted run"];
    room.desk.run(&format!("{other} --resume")).refused(3, &words).with_remedy();
    room.goes_on(&folder);
}

#[test]
fn what_was_published_and_then_lost_is_not_passed_over() {
    let room = Room::new();
    let folder = room.case("lost");
    assert_eq!(room.run(&folder, "", "revealed=abort").code, 137);
    std::fs::write(room.desk.path(&folder).join("a.tif"), "mine").unwrap();
    let ran = room.run(&folder, "--resume", "").refused(3, &["a.tif", "4 bytes", "--overwrite"]).with_remedy();
    assert_eq!(room.desk.bytes(&format!("{folder}/a.tif")), b"mine", "{ran}");
    room.run(&folder, "--overwrite", "").fine();
    assert!(room.bytes(&folder) == room.whole && room.names(&folder) == ["a.tif", "b.tif"]);
}

#[test]
fn a_stop_while_files_are_laid_out_is_heard_there() {
    let room = Room::new();
    let folder = room.case("stopped");
    let run = room.desk.start_failing(indices(), &room.line(&folder, ""), "laid-out=delay:8000");
    // The file may be completed in place, so nothing new appears: its bytes stand still for two of the eight seconds.
    let parts = room.desk.path(&folder).join(".a.tif.mapfold/parts");
    let bytes = || -> u64 {
        let files = std::fs::read_dir(&parts).into_iter().flatten().flatten();
        files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
    };
    let (began, mut last, mut since) = (Instant::now(), 0, Instant::now());
    while last == 0 || since.elapsed() < Duration::from_secs(2) {
        assert!(began.elapsed() < Duration::from_secs(60), "not laid out in a minute");
        std::thread::sleep(Duration::from_millis(20));
        let now = bytes();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    run.signal("INT");
    // Only laying out knows the stage; the check before the decision does not.
    let ran = run.wait().refused(130, &["interrupted", "--resume"]).with_stage();
    assert!(room.names(&folder).iter().all(|n| n.starts_with('.')), "{ran}");
    room.goes_on(&folder);
}

#[test]
fn splits_left_out_are_still_left_out_when_only_publishing_was_left() {
    let desk = Desk::new();
    let scene = desk.scene(1000);
    patch::garbage(&desk.path(scene.split_whitespace().nth(1).unwrap()), 0.9..0.99);
    let line = format!("run ndvi {scene} --out out.tif --tile 256 --blocksize 64 --on-error skip --max-bad-splits 9");
    let killed = desk.start_failing(mapfold_tests::mapfold(), &line, "decided=abort").wait();
    assert_eq!(killed.code, 137, "{killed}");
    let ran = desk.run(&format!("{line} --resume"));
    assert_eq!(ran.code, 4, "{ran}");
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn a_misspelt_fail_point_is_refused() {
    let room = Room::new();
    let folder = room.case("misspelt");
    room.run(&folder, "", "loged=abort").refused(2, &["MAPFOLD_FAIL_POINTS", "loged", "logged"]);
    assert!(room.names(&folder).is_empty());
}
