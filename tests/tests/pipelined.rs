//! Records exchanged in memory between processes: the result of the exchange through files, whatever dies.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, children, signal, until_event};
use mapfold_tests::{Desk, Ran, mapfold, shuffled};
use std::time::{Duration, Instant};

const PIPELINED: &str = "--mode pseudo --threads 1 --shuffle pipelined --json";

fn start(desk: &Desk, line: &str) -> Running {
    desk.start_failing(shuffled(), line, "")
}

fn digests(ran: &Ran) -> serde_json::Value {
    let json = ran.json();
    assert!(json["digests"][0][1].is_u64(), "{json}");
    json["digests"].clone()
}

/// The logs of all members, one after the other.
fn logs(desk: &Desk) -> String {
    let jobs = std::fs::read_dir(desk.path("state/mapfold/jobs")).unwrap();
    let folders = jobs.map(|job| job.unwrap().path().join("logs")).filter(|logs| logs.exists());
    let files = folders.flat_map(|logs| std::fs::read_dir(logs).unwrap());
    files.map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap()).collect()
}

/// Kills one of the members.
fn kill(run: &Running, which: usize) {
    let members = children(run.pid());
    signal("KILL", members[which % members.len()]);
}

#[test]
fn records_in_memory_and_through_files_give_the_same_bytes_for_any_number_of_members() {
    let desk = Desk::new();
    let line = "--splits 12 --mib 2 --skew 30 --partitions 7";
    let one = digests(&start(&desk, &format!("{line} --json")).wait().fine());
    let rows: u64 = one.as_array().unwrap().iter().map(|d| d[0].as_u64().unwrap()).sum();
    assert_eq!(rows, 12 * ((2 << 20) / 100));
    let durable = start(&desk, &format!("{line} --json --shuffle durable")).wait().fine();
    assert_eq!(digests(&durable), one, "through files within one process");
    for workers in 1..=4 {
        for shuffle in ["pipelined", "durable"] {
            let more = format!("--mode pseudo --threads 1 --workers {workers} --shuffle {shuffle} --json");
            let many = start(&desk, &format!("{line} {more}")).wait().fine();
            assert_eq!(digests(&many), one, "{shuffle}, {workers} workers");
        }
    }
}

#[test]
fn a_job_of_the_program_gives_the_same_statistics() {
    let desk = Desk::new();
    let scene = desk.scene(1024);
    let band = scene.split(' ').nth(1).unwrap();
    let line = format!("run stats {band} --histogram 16 --tile 256 --partitions 5 --json");
    let one = desk.run(&line).fine().json();
    let many = desk.run(&format!("{line} {PIPELINED} --workers 3").replacen("--json", "", 1)).fine().json();
    assert_eq!(many["bands"], one["bands"]);
}

/// Kills a member as soon as the event log of the run has `mark`; gives what the run came to.
fn killed_at(desk: &Desk, line: &str, mark: &str, which: usize) -> Ran {
    let mut run = start(desk, line);
    until_event(desk, &mut run, mark);
    kill(&run, which);
    run.wait()
}

#[test]
fn a_member_that_is_killed_in_either_part_ends_its_generation_and_the_next_gives_the_same_result() {
    let line = "--splits 24 --partitions 8 --map-millis 100 --reduce-millis 300";
    let whole = digests(&start(&Desk::new(), &format!("{line} --json")).wait().fine());
    let marks = [r#""event":"split_done","stage":0"#, r#""event":"split_done","stage":1"#];
    for (part, mark) in marks.iter().enumerate() {
        let desk = Desk::new();
        let ran = killed_at(&desk, &format!("{line} {PIPELINED} --workers 3"), mark, part + 1).fine();
        assert_eq!(digests(&ran), whole, "killed in part {part}");
        assert_eq!(ran.json()["run"]["replaced"], 1, "{ran}");
        let began = desk.events().matches("generation_began").count();
        assert_eq!(began, 2, "both stages once: {}", desk.events());
        assert!(logs(&desk).contains("stopped because member"), "{}", logs(&desk));
        assert!(!ran.err.contains("stopped because"), "{ran}");
    }
}

#[test]
fn a_panic_in_either_part_is_the_first_line_and_nothing_hangs() {
    for (bad, place) in [("--bad-split 5", "this split is bad"), ("--bad-reducer", "this reducer is bad")] {
        let (desk, _built) = (Desk::new(), shuffled());
        let began = Instant::now();
        let line =
            format!("--splits 24 --partitions 8 {bad} --mode pseudo --threads 2 --workers 3 --shuffle pipelined");
        let ran = start(&desk, &line).wait();
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.err.lines().next().unwrap_or_default().contains(place), "{ran}");
        assert!(began.elapsed() < Duration::from_secs(30), "slow to stop: {ran}");
    }
}

#[test]
fn a_job_that_kills_its_members_fails_and_says_how_they_died() {
    let desk = Desk::new();
    let mut run =
        start(&desk, &format!("--splits 200 --map-millis 50 {} --workers 2", PIPELINED.replace("--json", "")));
    let began = Instant::now();
    while !run.ended() && began.elapsed() < Duration::from_secs(120) {
        if children(run.pid()).len() == 2 {
            kill(&run, 0);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran = run.wait(); // A handshake that was cut off may be told before the cause.
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("killed by signal 9"), "{ran}");
}

#[test]
fn an_exchange_of_384_mib_through_two_members_stays_below_128_mib_each() {
    let desk = Desk::new();
    let line = "--splits 48 --mib 8 --skew 60 --partitions 6";
    let tight = format!("{line} {PIPELINED} --workers 2 --memory-limit 128MiB --scratch .");
    let ran = start(&desk, &tight).wait().fine();
    let run = &ran.json()["run"];
    let peak = run["memory"]["peak_bytes"].as_u64().unwrap();
    assert!(peak <= 128 << 20, "{} MiB: {ran}", peak >> 20);
    let wide = start(&desk, &format!("{line} --json --memory-limit 2GiB")).wait().fine();
    assert_eq!(digests(&ran), digests(&wide));
}

/// Words counted into files by a reducer that takes its time, so that some partitions are committed before others.
fn slow_counts(desk: &Desk, out: &str) -> std::process::Command {
    let mut line = desk.command(mapfold());
    let input = desk.arg("words.txt");
    line.args(["run", "streaming", &input, "--out", out, "--partitions", "8", "--json"]);
    line.args(["--mapper", "tr ' ' '\\n'", "--reducer", "sleep 0.4; uniq -c"]);
    line
}

#[test]
fn files_of_reducers_are_gone_on_with_by_resume_and_their_bytes_are_those_of_an_undisturbed_run() {
    let desk = Desk::new();
    let words: String = (0..40_000).map(|i| format!("w{} x{}\n", i * 7919 % 997, i % 13)).collect();
    std::fs::write(desk.path("words.txt"), words).unwrap();
    let mut whole = slow_counts(&desk, "whole");
    whole.args(["--threads", "2"]);
    Running::start(whole, "undisturbed".into()).wait().fine();
    // The coordinator dies at its first record of committed partitions, and in the next life at a later one.
    let mut lives = Vec::new();
    for points in ["logged:1=abort", "logged:2=abort", ""] {
        let mut line = slow_counts(&desk, "out");
        line.args(["--mode", "pseudo", "--workers", "2", "--threads", "1", "--shuffle", "pipelined"]);
        line.args((!lives.is_empty()).then_some("--resume")).env("MAPFOLD_FAIL_POINTS", points);
        let ran = Running::start(line, format!("streaming with {points}")).wait();
        if points.is_empty() {
            lives.push(ran.fine());
            break;
        }
        assert_eq!(ran.code, 137, "{ran}");
        assert!(!desk.path("out").exists(), "nothing is visible before all is there");
        lives.push(ran);
    }
    let done = lives.pop().unwrap().json();
    let stages = done["run"]["stages"].as_array().unwrap();
    let earlier: Vec<u64> = stages.iter().map(|s| s["earlier"].as_u64().unwrap()).collect();
    assert!(earlier[0] == 0 && (1..8).contains(&earlier[1]), "reduced partitions stay, records do not: {done}");
    let names = |out: &str| -> Vec<String> {
        let mut all: Vec<_> = std::fs::read_dir(desk.path(out)).unwrap().flatten().map(|e| e.file_name()).collect();
        all.sort();
        all.into_iter().map(|n| n.into_string().unwrap()).collect()
    };
    assert_eq!(names("out"), names("whole"));
    for name in names("whole").iter().filter(|n| n.starts_with("part-")) {
        let (ours, theirs) = (desk.bytes(&format!("out/{name}")), desk.bytes(&format!("whole/{name}")));
        assert!(ours == theirs, "{name} differs");
    }
    assert!(!desk.path(".out.mapfold").exists(), "nothing is left beside it");
}
