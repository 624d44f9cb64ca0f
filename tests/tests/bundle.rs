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
    desk.run("bundle -o packed.tar.gz").refused(3, &["packed.tar.gz", "there already"]);
    desk.run("bundle in.txt").refused(3, &["in.txt"]);
}

#[test]
fn shared_libraries_are_brought_along() {
    let desk = Desk::new();
    let told = desk.run("bundle /bin/ls -o packed --json").fine().json();
    let libraries = told["libraries"].as_array().unwrap();
    for library in libraries {
        let name = std::path::Path::new(library.as_str().unwrap()).file_name().unwrap();
        assert!(desk.path("packed/lib").join(name).is_file(), "{told}");
        assert!(!name.to_str().unwrap().starts_with("libc.so"), "the C library is the host's: {told}");
    }
    assert_eq!(fs::read_dir(desk.path("packed/lib")).unwrap().count(), libraries.len(), "{told}");
    if libraries.is_empty() {
        mapfold_tests::skipped("a program with shared libraries of its own (ls has none here)", false);
    }
    let mut listed = desk.command(desk.path("packed/ls"));
    listed.arg("packed");
    let listed = Running::start(listed, "packed/ls packed".into()).wait().fine();
    assert_eq!(listed.out, "bin\nlib\nls\n", "{listed}");
}
