//! A job crate outside the workspace: what `mapfold new` writes builds, tests and runs by the words of its README.
//!
//! The crate gets this checkout's Cargo.lock (the same dependencies as everything else here, no look at a registry)
//! and the profile of this workspace (their builds are shared). Nothing else is changed, until the job panics.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::Running;
use mapfold_tests::{Desk, Ran, checkout, oracle, target};
use std::fs;
use std::time::Duration;

/// The job's features are not those of the workspace's tests, so mapfold is compiled once more here.
const COMPILING: Duration = Duration::from_secs(1800);

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
    Running::start(c, format!("cargo {} -- {args}", verb.join(" "))).wait_for(COMPILING)
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

#[test]
fn a_job_runs_by_the_path_of_its_crate_here_and_on_other_hosts() {
    let desk = Desk::new();
    desk.run(&format!("new my-job --mapfold {}", checkout().display())).fine();
    fs::copy(checkout().join("Cargo.lock"), desk.path("my-job/Cargo.lock")).unwrap();
    // The profile of this workspace, so that their builds are shared.
    fs::create_dir(desk.path("my-job/.cargo")).unwrap();
    let profile = "[profile.dev]\ndebug = false\nincremental = false\n[profile.dev.package.\"*\"]\nopt-level = 2\n";
    fs::write(desk.path("my-job/.cargo/config.toml"), profile).unwrap();
    let target = target().0.display().to_string();
    let client = mapfold_tests::sshd::Hosts::two().map(|hosts| (hosts.client(), hosts));
    let run = |args: &str, client: &str| {
        let own = [("CARGO_TARGET_DIR", target.as_str()), ("MAPFOLD_JOB_PROFILE", "dev"), ("MAPFOLD_SSH", client)];
        let mut c = desk.command(mapfold_tests::mapfold());
        let clean = mapfold_tests::cargo();
        for (name, _) in clean.get_envs().filter(|(_, v)| v.is_none()) {
            c.env_remove(name);
        }
        c.args(args.split_whitespace()).envs(own);
        Running::start(c, format!("mapfold {args}")).wait_for(COMPILING)
    };
    let scene = desk.run("gen scene scene --size 600 --bands B04,B08").fine();
    let band = |b: &str| scene.out.lines().find(|l| l.contains(b)).unwrap().trim().to_owned();
    let help = run("run ./my-job --help", "").fine();
    assert!(help.out.contains("--explain"), "all options of a run: {help}");
    let readme = fs::read_to_string(desk.path("my-job/README.md")).unwrap();
    let line = readme.lines().map(str::trim).find(|l| l.starts_with("cargo run --release -- ")).unwrap();
    let words = line["cargo run --release -- ".len()..].split(' ');
    let args: Vec<String> = words
        .map(|w| {
            if w.ends_with("B04.tif") {
                band("B04")
            } else if w.ends_with("B08.tif") {
                band("B08")
            } else {
                w.into()
            }
        })
        .collect();
    let args = args.join(" ");
    run(&format!("run ./my-job {args} --tile 256 --blocksize 256"), "").fine();
    oracle("ndvi.py", &[band("B04"), band("B08"), desk.arg("out.tif")].map(|p| desk.arg(&p)));
    if let Some((client, _hosts)) = &client {
        let before = desk.bytes("out.tif");
        run(&format!("run ./my-job {args} --tile 256 --blocksize 256 --overwrite --target ssh://host1,host2"), client)
            .fine();
        assert!(desk.bytes("out.tif") == before, "the same bytes on other hosts");
    }
    // What cannot be run is told, and names of jobs are still guessed.
    run("run ndvy --red a", "").refused(2, &["ndvi"]);
    run("run ./my-jop", "").refused(2, &["my-jop", "no such job"]);
    let job = fs::read_to_string(desk.path("my-job/src/main.rs")).unwrap();
    fs::write(desk.path("my-job/src/main.rs"), job + "fn broken() -> u8 { \"text\" }\n").unwrap();
    let broken = run("run ./my-job --help", "");
    assert_eq!(broken.code, 2, "{broken}");
    broken.says(&["mismatched types", "does not build"]);
}
