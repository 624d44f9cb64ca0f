//! A job crate outside the workspace: what `mapfold new` writes builds, tests and runs by the words of its README.
//!
//! The crate gets this checkout's Cargo.lock (the same dependencies as everything else here, no look at a registry)
//! and the profile of this workspace (their builds are shared). Nothing else is changed, until the job panics.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::Running;
use mapfold_tests::{Desk, Ran, checkout, oracle, target};
use std::fs;

const PROFILE: [&str; 8] = [
    "--config",
    "profile.dev.debug=false",
    "--config",
    "profile.dev.incremental=false",
    "--config",
    "profile.dev.package.\"*\".opt-level=2",
    "--config",
    "profile.test.debug=false",
];

/// `cargo VERB … -- ARGS` in the crate.
fn cargo(desk: &Desk, verb: &[&str], args: &str) -> Ran {
    let mut c = desk.command("cargo");
    let clean = mapfold_tests::cargo(); // for what it takes out of the environment
    for (name, _) in clean.get_envs().filter(|(_, v)| v.is_none()) {
        c.env_remove(name);
    }
    c.current_dir(desk.path("my-job")).env("CARGO_TARGET_DIR", target().0);
    c.args(PROFILE).args(verb);
    if !args.is_empty() {
        c.arg("--").args(args.split_whitespace());
    }
    Running::start(c, format!("cargo {} -- {args}", verb.join(" "))).wait()
}

#[test]
fn a_new_job_is_tested_and_run_by_the_words_of_its_readme() {
    let desk = Desk::new();
    desk.run(&format!("new my-job --mapfold {}", checkout().display())).fine();
    fs::copy(checkout().join("Cargo.lock"), desk.path("my-job/Cargo.lock")).unwrap();
    let job = fs::read_to_string(desk.path("my-job/src/main.rs")).unwrap();
    assert!(job.lines().count() <= 35, "a job is short");
    let readme = fs::read_to_string(desk.path("my-job/README.md")).unwrap();

    // cargo test
    let tested = cargo(&desk, &["test"], "").fine();
    assert!(tested.out.contains("1 passed"), "{tested}");

    // mapfold gen scene …; cargo run -- …; mapfold preview …
    let line = |start: &str| readme.lines().map(str::trim).find(|l| l.starts_with(start)).unwrap().to_owned();
    let scene = line("mapfold gen scene").replace("2048", "300");
    let at = |name: &str| desk.path("my-job").join(name).display().to_string();
    let made = desk.run(&scene["mapfold ".len()..].replace("scene scene", &format!("scene {}", at("scene")))).fine();
    assert!(made.out.contains("S2_20230108/B08.tif"), "the README names this folder: {made}");
    let run = line("cargo run --release -- ");
    let run = &run["cargo run --release -- ".len()..];
    cargo(&desk, &["run", "--quiet"], run).fine();
    oracle("ndvi.py", &[at("scene/S2_20230108/B04.tif"), at("scene/S2_20230108/B08.tif"), at("out.tif")]);
    oracle("cog.py", &[at("out.tif")]);
    desk.run(&format!("preview {} -o {} --ramp ndvi", at("out.tif"), at("out.png"))).fine();

    // A stranger's bug is an error with a place, not a crash.
    fs::write(desk.path("my-job/src/main.rs"), job.replace("ratio(a - b, a + b)", "oops(a, b)") + OOPS).unwrap();
    let before = fs::read(at("out.tif")).unwrap();
    let broken = cargo(&desk, &["run", "--quiet"], &format!("{run} --overwrite"));
    assert_eq!(broken.code, 1, "{broken}");
    assert_eq!(broken.out, "", "{broken}");
    assert!(broken.err.lines().filter(|l| !l.trim().is_empty()).count() <= 5, "at most five lines: {broken}");
    assert!(!broken.err.contains("backtrace"), "{broken}");
    let broken = broken.says(&["a stranger's mistake", "src/main.rs"]).with_stage();
    assert!(broken.has("at"), "names the pixels: {broken}");
    assert_eq!(fs::read(at("out.tif")).unwrap(), before, "the old result is as it was");
}

const OOPS: &str = "
#[allow(unused)]
fn oops(a: f32, b: f32) -> f32 {
    if a > 0.0 { panic!(\"a stranger's mistake\") }
    b
}
";
