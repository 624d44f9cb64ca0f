//! Members on other hosts, by ssh: the bytes of one process, whatever dies, and nothing left behind.
//!
//! The hosts are two sshds on loopback. What they do not show: a slow network, another CPU, a folder that is not shared.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, wait_until};
use mapfold_tests::parts::part;
use mapfold_tests::sshd::Hosts;
use mapfold_tests::{Desk, Ran, mapfold, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const TARGET: &str = "--target ssh://host1,host2 --threads 1";

fn start(desk: &Desk, hosts: &Hosts, args: &str) -> Running {
    desk.start_program(mapfold(), args, &[("MAPFOLD_SSH", &hosts.client())])
}

fn run(desk: &Desk, hosts: &Hosts, args: &str) -> Ran {
    start(desk, hosts, args).wait()
}

/// A text of several splits.
fn text(desk: &Desk) {
    let lines = (0..9000u64).map(|i| {
        let word = |k: u64| format!("word{}", i.wrapping_mul(6364136223846793005).wrapping_add(k * 977) >> 20 & 4095);
        [word(1), word(2), word(3), word(4)].join(" ") + "\n"
    });
    fs::write(desk.path("in.txt"), lines.collect::<String>()).unwrap();
}

/// Name and bytes of every file in a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap()).collect();
    all.sort_by_key(fs::DirEntry::file_name);
    let named = all.iter().map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).unwrap()));
    named.filter(|(name, _)| name != "_SUCCESS").collect()
}

/// The members of a job that have finished a split. (Their CPU time would not tell: a kernel may count it in ticks of 10 ms.)
fn worked(desk: &Desk, id: &str) -> BTreeSet<u64> {
    let text = fs::read_to_string(desk.path(&format!("state/mapfold/jobs/{id}/events.ndjson"))).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|e| e["event"] == "split_done").map(|e| e["member"].as_u64().unwrap()).collect()
}

fn nothing_is_left(hosts: &Hosts) {
    for n in [1, 2] {
        wait_until("no process is left", || hosts.processes(n).is_empty());
        wait_until("no file is left", || hosts.litter(n).is_empty());
    }
}

#[test]
fn rasters_words_and_lines_have_the_bytes_of_one_process() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let scene = desk.scene(2048);
    text(&desk);
    // Some seconds of work: a host that comes in late finds some.
    let slow = "--format gtiff --compress deflate --level 12 --tile 256 --blocksize 256";
    let line = |out: &str, more: &str| format!("run ndvi {scene} --out {out} {slow} {more}");
    desk.run(&line("one.tif", "")).fine();
    let done = run(&desk, &hosts, &line("many.tif", &format!("{TARGET} --json"))).fine().json();
    assert_eq!(done["run"]["workers"], 2, "{done}");
    assert_eq!(worked(&desk, done["run"]["id"].as_str().unwrap()), BTreeSet::from([0, 1]), "both have splits: {done}");
    assert!(desk.bytes("one.tif") == desk.bytes("many.tif"), "NDVI differs");
    for job in ["wordcount", "sort"] {
        let line = |out: &str, more: &str| {
            format!("run {job} in.txt --out {out} --split-size 65536 --partitions 5 -q --overwrite {more}")
        };
        desk.run(&line("one", "")).fine();
        for shuffle in ["durable", "pipelined"] {
            for workers in [2, 3] {
                let more = format!("{TARGET} --workers {workers} --shuffle {shuffle}");
                run(&desk, &hosts, &line("many", &more)).fine();
                assert!(files(&desk.path("many")) == files(&desk.path("one")), "{job}, {shuffle}, {workers} members");
            }
        }
    }
    // A report has no folder: records go through memory, unless one is named.
    let band = scene.split(' ').nth(1).unwrap();
    let line = format!("run stats {band} --histogram 16 --tile 256 --partitions 5 --json");
    let one = desk.run(&line).fine().json();
    let many = run(&desk, &hosts, &format!("{line} {TARGET}")).fine().json();
    assert_eq!(many["bands"], one["bands"]);
    run(&desk, &hosts, &format!("{line} {TARGET} --shuffle durable").replace("--json", ""))
        .refused(2, &["--shuffle durable", "--scratch"]);
    let many = run(&desk, &hosts, &format!("{line} {TARGET} --shuffle durable --scratch {}", desk.arg("."))).fine();
    assert_eq!(many.json()["bands"], one["bands"]);
    nothing_is_left(&hosts);
    assert_eq!(desk.names(), ["in.txt", "many", "many.tif", "one", "one.tif"], "nothing beside the outputs");
}

#[test]
fn the_program_is_brought_once_and_what_spills_is_read_back() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let ran = |args: &str| {
        let client = hosts.client();
        desk.start_program(mapfold_tests::shuffled(), args, &[("MAPFOLD_SSH", &client)]).wait().fine().json()
    };
    let line = "--splits 24 --mib 8 --skew 60 --partitions 6 --json";
    let one = ran(&format!("{line} --memory-limit 2GiB"));
    let tight = format!("{line} {TARGET} --memory-limit 128MiB -v");
    let many = ran(&tight);
    assert_eq!(many["digests"], one["digests"]);
    assert!(many["run"]["bytes_spilled"].as_u64() > Some(50 << 20), "more than memory holds: {many}");
    let programs: Vec<_> = (1..=2).map(|n| hosts.programs(n)).collect();
    let made = |n: usize| programs[n - 1][0].metadata().unwrap().created().ok();
    let before = [made(1), made(2)];
    assert!(programs.iter().all(|p| p.len() == 1), "{programs:?}");
    let digest = Command::new("sha256sum").arg(&programs[0][0]).output().unwrap();
    let name = programs[0][0].file_name().unwrap().to_str().unwrap();
    assert!(String::from_utf8_lossy(&digest.stdout).starts_with(name), "its name is its digest");
    ran(&tight);
    assert_eq!([made(1), made(2)], before, "it was there");
    assert_eq!((hosts.programs(1).len(), hosts.programs(2).len()), (1, 1));
    nothing_is_left(&hosts);
}

#[test]
fn members_and_hosts_that_die_are_replaced_and_change_nothing() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let run = desk.start_program(
        mapfold(),
        &format!("{line} {TARGET} --workers 4 --json"),
        &[("MAPFOLD_SSH", &hosts.client())],
    );
    wait_until("some splits", || desk.logged() >= 3);
    let victim = hosts.members(1)[0];
    assert!(mapfold_tests::desk::signal("KILL", victim));
    let at = desk.logged();
    wait_until("progress", || desk.logged() > at);
    hosts.cut(2);
    // And maybe one more, which tries alone what the victim worked on.
    wait_until("all are on the host that is left", || hosts.members(1).len() >= 4);
    let done = run.wait().fine().json();
    assert!((3..=4).contains(&done["run"]["replaced"].as_u64().unwrap()), "{done}");
    let id = done["run"]["id"].as_str().unwrap();
    let events = fs::read_to_string(desk.path(&format!("state/mapfold/jobs/{id}/events.ndjson"))).unwrap();
    assert!(events.contains("killed by signal 9") && events.contains("on host1"), "{events}");
    assert!(events.contains("on host2"), "{events}");
    desk.run(&line.replace("out.tif", "undisturbed.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("undisturbed.tif"), "bytes differ");
    nothing_is_left(&hosts);
}

#[test]
fn deadly_splits_are_found_on_other_hosts() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let args = format!(
        "--splits 100 --millis 2 --bad 7,63 --harm segv {TARGET} --on-error quarantine --max-bad-splits 2 --json"
    );
    let ran = desk.start_program(&program("mapfold-trial"), &args, &[("MAPFOLD_SSH", &hosts.client())]).wait();
    assert_eq!(ran.code, 4, "{ran}");
    let report = ran.json()["numbers"].clone();
    assert_eq!(report.as_array().unwrap().len(), 98, "{ran}");
}

#[test]
fn hosts_that_are_of_no_use_are_named_with_what_to_do() {
    let Some(mut hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let job = format!("run stats {} --quiet", mapfold_tests::data("tiff/tiles64.tif"));
    let try_it = |hosts: &Hosts, target: &str| run(&desk, hosts, &format!("{job} --target {target}"));
    try_it(&hosts, "ssh://no-such-host.invalid")
        .refused(3, &["no-such-host.invalid", "no host of that name"])
        .with_remedy();
    hosts.close(2);
    try_it(&hosts, "ssh://host1,host2").refused(3, &["host2", "nothing listens", "sshd"]).with_remedy();
    // Another key.
    let config = fs::read_to_string(hosts.path("config")).unwrap();
    let other = config.replace("/user\n", "/key1\n");
    assert_ne!(config, other);
    fs::write(hosts.path("config"), other).unwrap();
    try_it(&hosts, "ssh://host1").refused(3, &["host1", "not let in", "ssh-copy-id"]).with_remedy();
    // What is wrong on the command line is said before anything is reached.
    for (more, words) in [
        ("--mode cluster", &["--target"][..]),
        ("--target yarm", &["yarm", "yarn"]),
        ("--target ssh://-oProxyCommand=x", &["-oProxyCommand=x"]),
        ("--mode pseudo --target ssh://host1", &["--target", "--mode cluster"]),
        ("--bind 127.0.0.1", &["--bind", "--mode cluster"]),
        ("--target ssh://host1 --bind nonsense", &["nonsense"]),
    ] {
        run(&desk, &hosts, &format!("{job} {more}")).refused(2, words);
    }
    fs::write(desk.path("hosts"), "host1 slots=1\n").unwrap();
    run(&desk, &hosts, &format!("{job} --target hosts --workers 2")).refused(2, &["--workers", "1 slots"]);
}

/// Words of 64 hexadecimal digits.
fn secrets(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|w| w.len() >= 64).map(str::to_owned).collect()
}

#[test]
fn nothing_secret_is_seen_and_no_process_is_left_when_the_launcher_dies() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    for (name, code) in [("INT", 130), ("TERM", 143), ("KILL", 137)] {
        let _ = fs::remove_dir_all(desk.path(".out.tif.mapfold"));
        let run = start(&desk, &hosts, &format!("{line} {TARGET} --workers 4"));
        wait_until("some splits", || desk.logged() >= 2);
        let mut seen = String::new();
        for n in [1, 2] {
            for (pid, line) in hosts.processes(n) {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                seen += &format!("{line}\n{}\n", String::from_utf8_lossy(&environment));
            }
        }
        let ssh: Vec<u32> = mapfold_tests::desk::children(run.pid());
        assert_eq!(ssh.len(), 2, "a session a host");
        ssh.iter().for_each(|pid| seen += &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap()));
        let name_of_program = hosts.programs(1)[0].file_name().unwrap().to_string_lossy().into_owned();
        let found = secrets(&seen);
        assert!(found.len() > 4 && found.iter().all(|f| *f == name_of_program), "only its digest: {found:?}");
        let began = Instant::now();
        run.signal(name);
        assert_eq!(run.wait().code, code);
        for n in [1, 2] {
            wait_until("no process is left", || hosts.processes(n).is_empty());
        }
        assert!(!ssh.iter().any(|pid| mapfold_tests::desk::lives(*pid)), "ssh lives");
        assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
        assert!(!desk.path("out.tif").exists(), "nothing is visible");
    }
    nothing_is_left(&hosts);
}

#[test]
fn a_job_on_other_hosts_is_watched_and_stopped_like_any() {
    let Some(hosts) = Hosts::two() else { return };
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let begun = run(&desk, &hosts, &format!("{line} {TARGET} --detach --json")).fine().json();
    let id = begun["id"].as_str().unwrap().to_owned();
    wait_until("some splits", || desk.logged() >= 2);
    // What the log of events says is told a moment later.
    let members = || desk.run(&format!("status {id} --json")).fine().json()["members"].as_array().map(Vec::len);
    wait_until("both members in the status", || members() == Some(2));
    assert!(desk.run("jobs").fine().out.contains("ndvi"));
    desk.run(&format!("kill {id}")).fine();
    let over = desk.run(&format!("status {id} --json")).fine().json();
    assert_eq!(over["state"], "stopped", "{over}");
    nothing_is_left(&hosts);
    // An error of a member comes home.
    let deadly = format!("--splits 40 --bad 5 --harm panic {TARGET}");
    let ran = desk.start_program(&program("mapfold-trial"), &deadly, &[("MAPFOLD_SSH", &hosts.client())]).wait();
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.lines().next().unwrap().contains("a harmful split"), "{ran}");
    desk.run("logs mapfold-trial").fine();
}

/// The launcher alone has the keys of a bucket: the hosts get them with their orders, and not in an environment.
#[test]
fn hosts_read_a_bucket_with_the_launchers_keys_which_nobody_sees() {
    let (Some(hosts), Some(s3)) = (Hosts::two(), part("s3")) else { return };
    let desk = Desk::new();
    let line = desk.slow_ndvi();
    let (scene, there) = (line.split(" --out").next().unwrap(), s3.folder());
    let files: Vec<&str> = scene.split(' ').filter(|w| w.ends_with(".tif")).collect();
    desk.start_program(mapfold(), &format!("cp {} {there}/", files.join(" ")), &s3.vars()).wait().fine();
    let far = files.iter().fold(line.clone(), |line, file| {
        line.replace(file, &format!("{there}/{}", file.rsplit('/').next().unwrap_or(file)))
    });
    let (client, secret) = (hosts.client(), s3.var("AWS_SECRET_ACCESS_KEY"));
    let mut vars = s3.vars();
    vars.push(("MAPFOLD_SSH", &client));
    let run = desk.start_program(mapfold(), &format!("{far} {TARGET}"), &vars);
    wait_until("some splits", || desk.logged() >= 2);
    for n in [1, 2] {
        let all = hosts.processes(n);
        assert!(all.len() >= 2, "the launcher's end and a member: {all:?}");
        for (pid, line) in all {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let seen = format!("{line} {}", String::from_utf8_lossy(&environment));
            assert!(!seen.contains(secret), "process {pid} of host{n} shows the secret");
        }
    }
    run.wait().fine();
    desk.run(&line.replace("out.tif", "one.tif")).fine();
    assert!(desk.bytes("out.tif") == desk.bytes("one.tif"), "bytes differ");
    nothing_is_left(&hosts);
}

/// The line between two hosts is cut, not closed: connections stay open and hear nothing.
#[test]
fn a_cut_cable_costs_the_work_of_the_host_behind_it_and_no_more() {
    let Some(hosts) = Hosts::apart() else { return };
    let desk = Desk::new();
    fs::create_dir(desk.path("in")).unwrap();
    for file in 0..40 {
        let text: String = (0..2000).map(|n| format!("{file} {}\n", n * 7919 % 1009)).collect();
        fs::write(desk.path(&format!("in/{file:02}.txt")), text).unwrap();
    }
    let slow = desk.script("slow.sh", "#!/bin/sh\nsleep 0.3\nexec cat\n");
    desk.run("run streaming in --out one --mapper cat").fine();
    let job = format!("{} run streaming {} --out {}", mapfold().display(), desk.arg("in"), desk.arg("out"));
    let line = format!("{}{job} --mapper {slow} {TARGET} --member-timeout 3 --json", hosts.within());
    let logged = || fs::read_dir(desk.path(".out.mapfold/log")).map_or(0, Iterator::count);
    let mut running = desk.start_program(Path::new("ip"), &line, &[("MAPFOLD_SSH", &hosts.client())]);
    wait_until("work on both hosts", || (hosts.members(2).len() == 1 && logged() >= 6) || running.ended());
    assert!(!running.ended(), "over before it could be disturbed: {}", running.wait());
    hosts.cable("cut");
    // Nothing is mended before all is done: the host behind the cut is not needed for that.
    let done = running.wait().fine();
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("out/part-m-00000"), "other lines: {done}");
    assert!(!desk.path(".out.mapfold").exists(), "work is left");
    wait_until("the member behind the cut ends by itself", || hosts.members(2).is_empty());
    hosts.cable("mend");
    wait_until("no process is left", || [1, 2].iter().all(|n| hosts.processes(*n).is_empty()));
}
