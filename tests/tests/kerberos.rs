//! HDFS that asks for Kerberos: a real KDC, a name node and a data node. Who has a ticket works as everywhere, in this
//! process and in members; who has none is told at once what to do.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, wait_until};
use mapfold_tests::{Desk, Gate, Part, Ran, data, mapfold, own_part, own_part_with, part};
use std::process::Command;
use std::time::{Duration, Instant};

const PSEUDO: &str = "--mode pseudo --workers 2";

/// Starts the program as a client of the part, with some variables set otherwise.
fn start(desk: &Desk, hdfs: &Part, args: &str, other: &[(&str, &str)]) -> Running {
    desk.start_program(mapfold(), args, &[&hdfs.vars(), other].concat())
}

fn run(desk: &Desk, hdfs: &Part, args: &str) -> Ran {
    start(desk, hdfs, args, &[]).wait().fine()
}

/// Gets a ticket that ends after `life` into a file of the desk; gives its name as `KRB5CCNAME` wants it.
fn ticket(desk: &Desk, hdfs: &Part, name: &str, life: &str) -> String {
    let cache = format!("FILE:{}", desk.arg(name));
    let words = ["-l", life, "-c", &cache, "-k", "-t", hdfs.var("MAPFOLD_PART_KRB_KEYTAB"), "mapfold"];
    let done = Command::new("kinit").args(words).envs(hdfs.vars()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    cache
}

/// Waits until the ticket in a cache has ended.
fn until_ended(hdfs: &Part, cache: &str) {
    let good = || Command::new("klist").args(["-s", "-c", cache]).envs(hdfs.vars()).status().unwrap().success();
    wait_until("the ticket has ended", || !good());
}

/// A file of many packets there and back, NDVI from HDFS to HDFS in some modes.
fn works(desk: &Desk, hdfs: &Part, modes: &[&str]) {
    let there = hdfs.folder();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(desk.path("big"), &bytes).unwrap();
    let local = data("s2/S2_20150830.tif");
    run(desk, hdfs, &format!("cp big {local} {there}/ --parents"));
    let names = run(desk, hdfs, &format!("ls {there}")).out;
    assert_eq!(names, format!("{there}/S2_20150830.tif\n{there}/big\n"));
    run(desk, hdfs, &format!("cp {there}/big back"));
    assert!(desk.bytes("back") == bytes, "bytes differ");

    let ndvi = |at: &str, out: &str| format!("run ndvi --red {at}#B04 --nir {at}#B08 --out {out}");
    desk.run(&ndvi(&local, "one.tif")).fine();
    for (n, mode) in modes.iter().enumerate() {
        let name = format!("{n}.tif");
        let line = ndvi(&format!("{there}/S2_20150830.tif"), &format!("{there}/{name}"));
        run(desk, hdfs, &format!("{line} {mode}"));
        run(desk, hdfs, &format!("cp {there}/{name} {name}"));
        assert!(desk.bytes("one.tif") == desk.bytes(&name), "{mode}: bytes differ");
    }
}

#[test]
fn with_a_ticket_all_goes_as_everywhere() {
    let Some(hdfs) = part("hdfs-krb") else { return };
    let desk = Desk::new();
    works(&desk, &hdfs, &["", PSEUDO]);
    let (there, other) = (hdfs.folder(), [("HADOOP_USER_NAME", "somebody")]);
    start(&desk, &hdfs, &format!("cp big {there}/big --parents"), &other).wait().fine();
    let owner = hdfs.hadoop("hdfs", &["dfs", "-stat", "%u", &format!("{there}/big")]);
    assert_eq!(owner, "mapfold\n", "the ticket says who we are");
}

#[test]
fn weaker_protections_are_spoken_too() {
    for protection in ["authentication", "integrity"] {
        let Some(hdfs) = own_part_with("hdfs-krb", &[("MAPFOLD_PARTS_PROTECTION", protection)]) else { return };
        let site = std::fs::read_to_string(hdfs.home().join("conf/core-site.xml")).unwrap();
        assert!(site.contains(&format!("<name>hadoop.rpc.protection</name><value>{protection}</value>")), "{site}");
        works(&Desk::new(), &hdfs, &[PSEUDO]);
    }
}

#[test]
fn without_a_ticket_the_remedy_is_said_at_once() {
    let Some(hdfs) = part("hdfs-krb") else { return };
    let desk = Desk::new();
    let (there, scene) = (hdfs.folder(), data("s2/S2_20150830.tif"));
    let none = format!("FILE:{}", desk.arg("none"));
    let ended = ticket(&desk, &hdfs, "ended", "1s");
    until_ended(&hdfs, &ended);
    for (cache, word) in [(&none, "No Kerberos credentials available"), (&ended, "expired")] {
        for line in [
            format!("ls {there}"),
            format!("cp {scene} {there}/x.tif"),
            format!("run stats {there}/scene.tif {PSEUDO}"),
            format!("run ndvi --red {scene}#B04 --nir {scene}#B08 --out {there}/out.tif"),
        ] {
            let began = Instant::now();
            let ran = start(&desk, &hdfs, &line, &[("KRB5CCNAME", cache)]).wait();
            ran.refused(3, &[hdfs.uri(), word, "kinit"]).with_remedy();
            assert!(began.elapsed() < Duration::from_secs(20), "no use in trying that again: {line}");
        }
    }
    let ran = start(&desk, &hdfs, &format!("ls {there}"), &[("HADOOP_CONF_DIR", "")]).wait();
    ran.refused(3, &[hdfs.uri(), "Kerberos", "HADOOP_CONF_DIR"]).with_remedy();
}

#[test]
fn a_ticket_that_ends_in_the_middle_is_told_and_the_job_goes_on_with_a_new_one() {
    let Some(hdfs) = own_part("hdfs-krb") else { return };
    let desk = Desk::new();
    let there = hdfs.folder();
    let gate = Gate::new(&desk);
    desk.files_of_lines(8);
    run(&desk, &hdfs, &format!("cp -r in {there}/in --parents"));
    let cache = ticket(&desk, &hdfs, "ticket", "1h");
    let line = gate.job(&format!("{there}/in"), &format!("{there}/out"));
    let mut running = start(&desk, &hdfs, &line, &[("KRB5CCNAME", &cache)]);
    gate.reached(&mut running);
    let logged = || start(&desk, &hdfs, &format!("ls {there}/.out.mapfold/log"), &[]).wait();
    wait_until("a split on record", || Some(logged()).is_some_and(|ran| ran.code == 0 && !ran.out.is_empty()));
    let cache = ticket(&desk, &hdfs, "ticket", "1s");
    until_ended(&hdfs, &cache);
    hdfs.kill9("nn"); // connections outlive a ticket: these end
    hdfs.heal();
    gate.open();
    let ended = running.wait().refused(3, &[&there, "expired", "kinit", "--resume"]);
    assert!(ended.has("try"), "{ended}");
    ticket(&desk, &hdfs, "ticket", "1h");
    let again = start(&desk, &hdfs, &format!("{line} --resume --json"), &[("KRB5CCNAME", &cache)]).wait().fine().json();
    assert!(again["run"]["stages"][0]["earlier"].as_u64() > Some(0), "nothing was taken over: {again}");
    run(&desk, &hdfs, &format!("cp -r {there}/out back"));
    desk.run(&gate.job("in", "one")).fine();
    assert!(desk.bytes("one/part-m-00000") == desk.bytes("back/part-m-00000"), "the lines differ");
}
