//! Servers that fail while a job reads from them: the job ends as if nothing had been, or says what is wrong and goes on.
//!
//! Nothing is imitated: data nodes and name nodes are killed and started, a proxy hurts real requests to MinIO, temporary
//! credentials end. The times of a storm are measured by `tests/faults/reads.py`; here only the bytes count.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, wait_until};
use mapfold_tests::fault_proxy::FaultProxy;
use mapfold_tests::parts::{OwnPart, Part, own_part, part};
use mapfold_tests::{Desk, mapfold, skipped};
use std::fs;
use std::process::Command;
use std::time::Duration;

const FILES: usize = 60;
const PSEUDO: &str = "--mode pseudo --workers 2 --threads 1";

fn start(desk: &Desk, vars: &[(&str, &str)], args: &str) -> Running {
    desk.start_program(mapfold(), args, vars)
}

/// Many files in `in/` of this desk, each a split.
fn many_files(desk: &Desk) {
    desk.files_of_lines(FILES);
    desk.script("slow.sh", "#!/bin/sh\nsleep 0.25\nexec cat\n");
}

/// Passes all lines on, a quarter of a second a file.
fn slow_copy(desk: &Desk, input: &str, out: &str) -> String {
    format!("run streaming {input} --out {out} --mapper {} {PSEUDO}", desk.arg("slow.sh"))
}

/// Splits on record of a run to `out`.
fn logged(desk: &Desk) -> usize {
    fs::read_dir(desk.path(".out.mapfold/log")).map_or(0, Iterator::count)
}

/// Waits until some splits are done and others are not.
fn until_half_way(desk: &Desk, run: &mut Running) {
    wait_until("some splits", || logged(desk) >= 4 || run.ended());
    assert!(!run.ended(), "over before it could be disturbed");
}

fn same_lines(desk: &Desk) {
    desk.run(&slow_copy(desk, "in", "one").replace(&desk.arg("slow.sh"), "cat")).fine();
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("out/part-m-00000"), "the lines differ");
}

/// A job over files on a cluster that this test may hurt, when some of it is done.
fn half_way_on_hdfs(desk: &Desk, hdfs: &OwnPart) -> Running {
    many_files(desk);
    let there = hdfs.folder();
    start(desk, &hdfs.vars(), &format!("cp -r in {there}")).wait().fine();
    let mut run = start(desk, &hdfs.vars(), &slow_copy(desk, &there, "out"));
    until_half_way(desk, &mut run);
    run
}

#[test]
fn a_data_node_that_dies_is_not_noticed() {
    let Some(hdfs) = own_part("hdfs") else { return };
    let desk = Desk::new();
    let run = half_way_on_hdfs(&desk, &hdfs);
    hdfs.kill9("dn1");
    run.wait().fine();
    same_lines(&desk);
}

/// Bytes of the file that is being copied to this desk.
fn arrived(desk: &Desk) -> u64 {
    let files = fs::read_dir(desk.path("")).unwrap().flatten();
    let made = files.filter(|f| f.file_name().to_string_lossy().starts_with(".mapfold-tmp-"));
    made.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

/// Packets go into the file as they come: what came before the end of a data node is not asked for again, and what it had
/// still to give comes from the other. Which of the two is read is HDFS's choice, so each dies once.
#[test]
fn a_copy_goes_on_where_a_data_node_died() {
    let Some(hdfs) = own_part("hdfs") else { return };
    let desk = Desk::new();
    let bytes: Vec<u8> = (0..100_u32 << 20).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(desk.path("big"), &bytes).unwrap();
    let there = hdfs.folder();
    start(&desk, &hdfs.vars(), &format!("cp big {there}/big --parents")).wait().fine();
    for node in ["dn1", "dn2"] {
        let mut run = start(&desk, &hdfs.vars(), &format!("cp {there}/big back-{node}"));
        wait_until("the first bytes", || arrived(&desk) > 0 || run.ended());
        hdfs.kill9(node);
        assert!(!run.ended(), "over before it could be disturbed");
        run.wait().fine();
        assert!(desk.bytes(&format!("back-{node}")) == bytes, "{node}: other bytes");
        hdfs.start(node);
        hdfs.heal();
    }
}

#[test]
fn a_name_node_that_restarts_and_is_in_safe_mode_is_waited_for() {
    let Some(hdfs) = own_part("hdfs") else { return };
    let desk = Desk::new();
    let mut run = half_way_on_hdfs(&desk, &hdfs);
    hdfs.kill9("nn");
    // Longer than all files take: who opens one waits.
    std::thread::sleep(Duration::from_secs(10));
    assert!(!run.ended(), "it has not needed the name node: the test proves nothing");
    let done_without = logged(&desk);
    hdfs.start("nn");
    hdfs.heal();
    hdfs.hadoop("hdfs", &["dfsadmin", "-safemode", "enter"]);
    std::thread::sleep(Duration::from_secs(2));
    hdfs.hadoop("hdfs", &["dfsadmin", "-safemode", "leave"]);
    run.wait().fine();
    assert!(done_without > 0, "nothing was done before");
    same_lines(&desk);
}

/// The variables of a bucket, its server behind a proxy.
fn through<'a>(s3: &'a Part, proxy: &'a FaultProxy) -> Vec<(&'a str, &'a str)> {
    let endpoint = |name: &str| name.starts_with("AWS_ENDPOINT");
    s3.vars().into_iter().map(|(n, v)| (n, if endpoint(n) { proxy.address() } else { v })).collect()
}

#[test]
fn a_server_that_fails_one_request_in_seven_gives_the_same_bytes() {
    let Some(s3) = part("s3") else { return };
    let storm = "--seed 11 --error-500 0.05 --error-503 0.05 --reset 0.02 --lost-answer 0.02 --cut 0.02";
    let Some(proxy) = FaultProxy::start(s3.var("AWS_ENDPOINT"), storm) else { return };
    let desk = Desk::new();
    let words = desk.scene(2048);
    let files: Vec<&str> = words.split(' ').filter(|w| !w.starts_with("--")).collect();
    let there = s3.folder();
    start(&desk, &s3.vars(), &format!("cp {} {there}/", files.join(" "))).wait().fine();
    let far = files.iter().fold(words.clone(), |line, file| {
        line.replace(file, &format!("{there}/{}", file.rsplit('/').next().unwrap_or(file)))
    });
    let job = |scene: &str, out: &str| format!("run ndvi {scene} --out {out} --tile 256 --blocksize 256");
    start(&desk, &through(&s3, &proxy), &format!("{} {PSEUDO}", job(&far, "out.tif"))).wait().fine();
    let did = proxy.report();
    let faults: u64 = did["faults"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    assert!(faults > 5, "too tame: {did}");
    desk.run(&job(&words, "one.tif")).fine();
    assert!(desk.bytes("one.tif") == desk.bytes("out.tif"), "bytes differ");
}

/// New temporary credentials of a bucket, as variables.
fn temporary(s3: &Part) -> Option<Vec<(&'static str, String)>> {
    let Some(python) = std::env::var_os("MAPFOLD_TEST_PYTHON") else {
        skipped("temporary credentials (Python is set up by `make test`)", true);
        return None;
    };
    let script = mapfold_tests::checkout().join("cluster/sts.py");
    let done = Command::new(python).arg("-B").arg(script).envs(s3.vars()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let field = |name: &str| said[name].as_str().unwrap().to_owned();
    let names = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "token")];
    Some(names.into_iter().map(|(variable, name)| (variable, field(name))).collect())
}

/// The variables of a bucket with other keys.
fn with_keys<'a>(s3: &'a Part, keys: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let plain = s3.vars().into_iter().filter(|(name, _)| !name.contains("KEY"));
    plain.chain(keys.iter().map(|(name, value)| (*name, value.as_str()))).collect()
}

/// Temporary credentials last a quarter of an hour at least: the server is made to forget them, as it does when they have
/// ended, and answers as it does then.
fn end_temporary(s3: &OwnPart) {
    s3.stop("minio");
    let kept = s3.home().join("data/.minio.sys/config/iam/sts");
    assert!(kept.is_dir(), "{kept:?}: the server keeps them elsewhere");
    fs::remove_dir_all(kept).unwrap();
    s3.start("minio");
    s3.heal();
}

#[test]
fn credentials_that_end_are_told_and_the_job_goes_on_with_new_ones() {
    let Some(s3) = own_part("s3") else { return };
    let desk = Desk::new();
    many_files(&desk);
    let there = s3.folder();
    start(&desk, &s3.vars(), &format!("cp -r in {there}")).wait().fine();
    let Some(keys) = temporary(&s3) else { return };
    let line = slow_copy(&desk, &there, "out");
    let mut run = start(&desk, &with_keys(&s3, &keys), &line);
    until_half_way(&desk, &mut run);
    end_temporary(&s3);
    let ended = run.wait();
    let ended = ended.refused(3, &[&there, "--resume"]).with_remedy();
    for (_, key) in &keys {
        assert!(!ended.err.contains(key.as_str()), "a key is told: {ended}");
    }
    assert!(logged(&desk) > 0 && !desk.path("out").exists(), "some splits were done, and nothing is visible");
    fs::write(desk.path("slow.sh"), "#!/bin/sh\nexec cat\n").unwrap();
    let Some(keys) = temporary(&s3) else { return };
    let done = start(&desk, &with_keys(&s3, &keys), &format!("{line} --resume --json")).wait().fine().json();
    assert!(done["run"]["stages"][0]["earlier"].as_u64() > Some(0), "nothing was taken over: {done}");
    same_lines(&desk);
}
