//! A name service of HDFS: two real name nodes, of which one is active. The client finds that one, and when it is killed
//! in the middle of a job, the job waits for the other and ends with the bytes of a local run.
//!
//! Fail-over is by hand, as an administrator does it: there is no ZooKeeper here.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, wait_until};
use mapfold_tests::{Desk, Gate, OwnPart, Ran, data, mapfold, own_part};
use std::time::Duration;

/// Splits of the job: one a file.
const FILES: usize = 8;

fn start(desk: &Desk, hdfs: &OwnPart, args: &str) -> Running {
    desk.start_program(mapfold(), args, &hdfs.vars())
}

fn run(desk: &Desk, hdfs: &OwnPart, args: &str) -> Ran {
    start(desk, hdfs, args).wait().fine()
}

/// What each name node says it is: the last word of a line.
fn states(hdfs: &OwnPart) -> Vec<String> {
    let said = hdfs.hadoop("hdfs", &["haadmin", "-getAllServiceState"]);
    said.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

/// NDVI from HDFS to HDFS by two members.
fn ndvi(desk: &Desk, hdfs: &OwnPart, there: &str) {
    let scene = |at: &str| format!("--red {at}#B04 --nir {at}#B08");
    let local = data("s2/S2_20150830.tif");
    desk.run(&format!("run ndvi {} --out one.tif", scene(&local))).fine();
    run(desk, hdfs, &format!("cp {local} {there}/scene.tif --parents"));
    let words = format!("run ndvi {} --out {there}/out.tif", scene(&format!("{there}/scene.tif")));
    run(desk, hdfs, &format!("{words} --mode pseudo --workers 2"));
    run(desk, hdfs, &format!("cp {there}/out.tif back.tif"));
    assert!(desk.bytes("one.tif") == desk.bytes("back.tif"), "bytes differ");
}

/// The name nodes are asked where blocks are; only the active one tells. The members are on the data node's host.
fn blocks_are_told(desk: &Desk, hdfs: &OwnPart, scene: &str) {
    let line = format!("run stats {scene} --mode pseudo --workers 2 --json");
    let vars = [&hdfs.vars()[..], &[("MAPFOLD_HOST", "127.0.0.2")]].concat();
    wait_until("blocks on the host of a member", || {
        let done = desk.start_program(mapfold(), &line, &vars).wait().fine().json();
        // A server is slow to answer its first question, and nobody waits for a hint for long.
        done["run"]["splits_placed"]["local"].as_u64() > Some(0)
    });
}

#[test]
fn a_job_goes_on_with_the_other_name_node() {
    let Some(hdfs) = own_part("hdfs-ha") else { return };
    assert_eq!(hdfs.uri(), "hdfs://twins");
    let desk = Desk::new();
    let there = hdfs.folder();
    let job = Gate::new(&desk);
    desk.files_of_lines(FILES);
    run(&desk, &hdfs, &format!("cp -r in {there}/in --parents"));
    assert_eq!(run(&desk, &hdfs, &format!("ls {there}")).out, format!("{there}/in/\n"));

    hdfs.hadoop("hdfs", &["haadmin", "-failover", "nn1", "nn2"]);
    assert_eq!(states(&hdfs), ["standby", "active"]);
    assert_eq!(
        run(&desk, &hdfs, &format!("ls {there}")).out,
        format!("{there}/in/\n"),
        "the first named is on standby"
    );
    ndvi(&desk, &hdfs, &format!("{there}/ndvi"));
    blocks_are_told(&desk, &hdfs, &format!("{there}/ndvi/scene.tif"));

    let mut running = start(&desk, &hdfs, &job.job(&format!("{there}/in"), &format!("{there}/out")));
    job.reached(&mut running);
    hdfs.kill9("nn2");
    job.open();
    let mut listing = start(&desk, &hdfs, &format!("ls {there}/in"));
    std::thread::sleep(Duration::from_secs(3));
    assert!(!running.ended() && !listing.ended(), "no name node is active: who goes on?");
    hdfs.hadoop("hdfs", &["haadmin", "-transitionToActive", "--forceactive", "nn1"]);
    assert_eq!(listing.wait().fine().out.lines().count(), FILES, "a new process waits for an active one too");
    running.wait().fine();
    run(&desk, &hdfs, &format!("cp -r {there}/out back"));
    desk.run(&job.job("in", "one")).fine();
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("back/part-m-00000"), "the lines differ");

    hdfs.heal();
    assert_eq!(states(&hdfs), ["active", "standby"], "who comes back is on standby");
    run(&desk, &hdfs, &format!("rm -r {there} -q"));
}

#[test]
fn a_service_without_addresses_is_refused() {
    let desk = Desk::new();
    let ran = desk.run("ls hdfs://prod/x -D dfs.ha.namenodes.prod=a,b");
    ran.refused(3, &["hdfs://prod/x", "No NameNode"]).with_remedy();
}
