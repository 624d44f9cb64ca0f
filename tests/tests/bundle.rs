//! `mapfold bundle`: a program and its libraries run elsewhere, and the C library that is asked for is old enough.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::Running;
use mapfold_tests::{Desk, mapfold};
use std::fs;

/// The C library of the oldest system that must run mapfold: Amazon Linux 2023 and RHEL 9, so EMR 7.
const CEILING: [u32; 2] = [2, 34];

#[test]
fn the_program_needs_no_newer_c_library_than_the_ceiling() {
    let told = Desk::new().run("bundle --json").fine().json();
    let version = told["glibc"].as_str().unwrap();
    let numbers: Vec<u32> = version.split('.').map(|n| n.parse().unwrap()).collect();
    assert!(numbers.as_slice() >= [2, 2].as_slice(), "it is linked to some: {told}");
    assert!(numbers.as_slice() <= CEILING.as_slice(), "glibc {version} is newer than 2.34: {told}");
}

#[test]
fn a_bundle_runs_from_any_folder() {
    let desk = Desk::new();
    desk.run("bundle -o packed.tar.gz").fine();
    assert_eq!(desk.names(), ["packed.tar.gz"], "nothing beside it");
    let unpacked = desk.command("tar").args(["-xzf", "packed.tar.gz"]).status().unwrap();
    assert!(unpacked.success());
    let name = mapfold().file_name().unwrap().to_str().unwrap();
    fs::create_dir(desk.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(desk.path(name).join(name), desk.path("elsewhere/link")).unwrap();
    let mut linked = desk.command(desk.path("elsewhere/link"));
    linked.current_dir(desk.path("elsewhere")).arg("list");
    assert!(Running::start(linked, "link list".into()).wait().fine().out.contains("ndvi"));
    // All libraries but those of the C library come from the bundle.
    let libraries = fs::read_dir(desk.path(name).join("lib")).unwrap().count();
    assert!(libraries > 0, "at least the compiler's own");
    desk.run("bundle -o packed.tar.gz").refused(3, &["packed.tar.gz", "there already"]);
    desk.run("bundle in.txt").refused(3, &["in.txt"]);
}
