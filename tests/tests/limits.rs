//! Limits of memory and disks: a job that reaches one spills, or stops with a message that helps; what it has done it keeps.
//!
//! Small versions of `bench/limits.sh`, which shows the same with gigabytes. Disks here are file systems in memory of a few
//! MiB, mounted where nobody else sees them, and enlarged when the user "frees some space".
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, Ran, mapfold, skipped};
use std::fmt::Write;
use std::fs;
use std::process::Command;

const MIB: u64 = 1 << 20;
const MODES: [&str; 2] = ["--threads 2", "--mode pseudo --workers 2 --threads 1"];

/// Numbered lines in no order, about `mib` MiB.
fn lines(desk: &Desk, mib: u64) {
    let (mut text, mut random) = (String::new(), 1u64);
    while (text.len() as u64) < mib * MIB {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        writeln!(text, "{:016x} the quick brown fox jumps over the lazy dog {:016x}", random, !random).unwrap();
    }
    fs::write(desk.path("in.txt"), text).unwrap();
}

/// The bytes of all parts, one behind the other.
fn joined(desk: &Desk, out: &str) -> Vec<u8> {
    let mut parts: Vec<_> = fs::read_dir(desk.path(out)).unwrap().map(|e| e.unwrap().path()).collect();
    parts.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")));
    parts.sort();
    parts.iter().flat_map(|p| fs::read(p).unwrap()).collect()
}

/// How this machine lets a test mount something that only itself sees.
fn unshare() -> Option<&'static str> {
    let works = |how: &&&str| {
        let probe = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"];
        Command::new("unshare").arg(how).args(probe).output().is_ok_and(|o| o.status.success())
    };
    ["-m", "-rm"].iter().find(works).copied()
}

/// Runs the command with a disk of `mib` MiB on the folder `disk`, enlarges it, and runs the command again, with `--resume`
/// where the first run said so. Gives both runs.
/// What is on the disk at the end is copied to `saved`.
fn filled_then_enlarged(desk: &Desk, how: &str, mib: u64, command: &str) -> (Ran, Ran) {
    fs::create_dir_all(desk.path("disk")).unwrap();
    let program = mapfold().display();
    let run = |name: &str, more: &str| {
        format!("{program} {command} {more} > {name}.out 2> {name}.err; echo $? > {name}.code")
    };
    let script = format!(
        "mount -t tmpfs -o size={mib}m tmpfs disk || exit 99; {}; mount -o remount,size=512m disk || exit 98; {}; \
         rm -rf saved; cp -r disk saved",
        run("first", ""),
        run("second", "$(grep -o -m 1 -e --resume first.err)"),
    );
    let done = desk.command("unshare").args([how, "sh", "-c", &script]).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    let ran = |name: &str| {
        let text = |end: &str| String::from_utf8(desk.bytes(&format!("{name}.{end}"))).unwrap();
        let code = text("code").trim().parse().unwrap();
        Ran {
            line: format!("({name}, disk of {mib} MiB) mapfold {command}"),
            code,
            out: text("out"),
            err: text("err"),
            peak: 0,
        }
    };
    (ran("first"), ran("second"))
}

#[test]
fn a_full_spill_disk_is_named_and_the_job_goes_on_when_there_is_space() {
    let Some(how) = unshare() else { return skipped("full spill disk: this machine lets no test mount one", false) };
    let desk = Desk::new();
    lines(&desk, 24);
    desk.run("run sort in.txt --out want -q").fine();
    for mode in MODES {
        let command = format!("run sort in.txt --out out -q --scratch disk --memory-limit 80MiB {mode}");
        let (first, second) = filled_then_enlarged(&desk, how, 8, &command);
        let first = first.refused(3, &["disk: no space left for exchanged records", "--scratch", "--memory-limit"]);
        let first = first.with_remedy().with_stage();
        // Members have put their records on record; in one process nothing has come so far, and nothing is promised.
        assert_eq!(first.err.contains("--resume"), mode.contains("pseudo"), "{first}");
        second.fine();
        assert!(joined(&desk, "out") == joined(&desk, "want"), "{first}");
        assert_eq!(fs::read_dir(desk.path("saved")).unwrap().count(), 0, "spilled records are left: {first}");
        fs::remove_dir_all(desk.path("out")).unwrap();
    }
}

#[test]
fn a_full_output_disk_is_named_and_the_job_goes_on_when_there_is_space() {
    let Some(how) = unshare() else { return skipped("full output disk: this machine lets no test mount one", false) };
    let desk = Desk::new();
    lines(&desk, 24);
    desk.run("run sort in.txt --out want -q").fine();
    for mode in MODES {
        let command = format!("run sort in.txt --out disk/out -q --scratch . --memory-limit 80MiB {mode}");
        let (first, second) = filled_then_enlarged(&desk, how, 12, &command);
        let first = first.refused(3, &["disk/out", "no space left", "--resume"]).with_remedy().with_stage();
        assert!(!first.err.contains(".mapfold/"), "our working files mean nothing to a user: {first}");
        second.fine();
        assert!(joined(&desk, "saved/out") == joined(&desk, "want"), "{first}");
        let left: Vec<String> = desk.names().into_iter().filter(|n| n.contains("mapfold")).collect();
        assert!(left.is_empty(), "{left:?} are left: {first}");
    }
}

/// Rows of a CSV table with `keys` different keys, each twice, far apart.
fn table(desk: &Desk, keys: u64) {
    let mut text = "k,v\n".to_string();
    for i in (0..2 * keys).map(|i| i * 7_919 % keys) {
        writeln!(text, "key{i},{}.5", i % 1000).unwrap();
    }
    fs::write(desk.path("t.csv"), text).unwrap();
}

#[test]
fn more_groups_than_memory_holds_make_one_file_the_same_in_all_modes() {
    const KEYS: u64 = 400_000;
    let desk = Desk::new();
    table(&desk, KEYS);
    let mut want: Vec<String> = (0..KEYS).map(|i| format!("key{i},{0}.5,2,{0}.5\n", i % 1000)).collect();
    want.sort_unstable();
    let want = "k,v_mean,v_count,v_max\n".to_string() + &want.concat();
    for mode in MODES.into_iter().chain(["--threads 1 --memory-limit 4GiB"]) {
        let limit = if mode.contains("limit") { "" } else { "--memory-limit 112MiB" };
        let line = format!(
            "run aggregate t.csv --by k --agg v:mean,count,max --out out.csv --overwrite --json {mode} {limit}"
        );
        let ran = desk.run(&line).fine();
        assert!(desk.bytes("out.csv") == want.as_bytes(), "{ran}");
        let memory = ran.json()["run"]["memory"].clone();
        let peak = memory["peak_bytes"].as_u64().unwrap();
        assert!(limit.is_empty() || peak <= 112 * MIB, "{peak}: {ran}");
    }
}

/// A sort of far more than its memory, within it.
#[test]
fn a_sort_larger_than_memory_spills_and_stays_below_its_limit() {
    let desk = Desk::new();
    lines(&desk, 96);
    let mut want: Vec<u8> = desk.bytes("in.txt");
    let mut sorted: Vec<&[u8]> = want.split_inclusive(|b| *b == b'\n').collect();
    sorted.sort_unstable();
    want = sorted.concat();
    for mode in MODES {
        let line = format!("run sort in.txt --out out --overwrite --json --memory-limit 64MiB {mode}");
        let ran = desk.run(&line).fine();
        let run = ran.json()["run"].clone();
        let (peak, spilled) = (run["memory"]["peak_bytes"].as_u64().unwrap(), run["bytes_spilled"].as_u64().unwrap());
        assert!(peak <= 64 * MIB && spilled >= 64 * MIB, "{peak} used, {spilled} spilled: {ran}");
        assert!(joined(&desk, "out") == want, "{ran}");
    }
}
