//! What the README tells a newcomer to type about a cluster, typed.
#![allow(clippy::unwrap_used)]

use mapfold_tests::parts::part;
use mapfold_tests::{Desk, checkout, mapfold, oracle};
use std::fs;

/// The lines of the first shell block below a heading of the README.
fn lines(heading: &str) -> String {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let below = readme.split_once(heading).unwrap_or_else(|| panic!("no {heading}")).1;
    let block = below.split_once("```sh\n").unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn a_newcomer_has_an_hdfs_data_on_it_a_result_and_a_picture() {
    if part("hdfs").is_none() {
        return;
    }
    let desk = Desk::new();
    std::os::unix::fs::symlink(checkout().join("tests"), desk.path("tests")).unwrap();
    let typed = lines("## The same on a cluster\n");
    let (before, last) = typed.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(last, "mapfold dev down");
    let programs = mapfold().parent().unwrap().display().to_string();
    // A local run and a copy of what is there are looked at before all is taken down, whatever happened before.
    let script = format!(
        "PATH={programs}:$PATH; trap 'mapfold dev down --delete' EXIT; set -ex\n{before}\n\
         mapfold cp hdfs:///results/ndvi.tif there.tif\n\
         mapfold run ndvi --red tests/data/s2/S2_20150711.tif#B04 --nir tests/data/s2/S2_20150711.tif#B08 --out here.tif -q\n"
    );
    let mut shell = desk.command("bash");
    let done = shell.args(["-c", &script]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    assert!(desk.bytes("here.tif") == desk.bytes("there.tif"), "other bytes: {err}");
    assert!(out.contains("float32") && err.contains("2 workers"), "{out}\n{err}");
    assert!(desk.bytes("ndvi.png").starts_with(b"\x89PNG"), "no picture");
    let bands = ["B04", "B08"].map(|band| desk.arg(&format!("tests/data/s2/S2_20150711.tif#{band}")));
    oracle("ndvi.py", &[&bands[0], &bands[1], &desk.arg("there.tif")]);
}
