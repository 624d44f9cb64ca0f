//! A durable exchange outlives its coordinator: `--resume` reads what was exchanged instead of making it again.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, mapfold};
use std::fmt::Write;

#[test]
fn what_was_exchanged_before_a_kill_is_not_made_again() {
    let desk = Desk::new();
    let mut text = String::new();
    (0..400_000).for_each(|i| writeln!(text, "word{} and word{}", i % 1009, i % 31).unwrap());
    std::fs::write(desk.path("text.txt"), text).unwrap();
    let line = "run wordcount text.txt --out counts --mode pseudo --workers 2 --threads 1";
    let killed = desk.start_failing(mapfold(), line, "logged=abort").wait();
    assert_eq!(killed.code, 137, "{killed}");
    assert_eq!(desk.names(), [".counts.mapfold", "text.txt"], "nothing is visible");

    let done = desk.run(&format!("{line} --resume --json")).fine().json();
    let map = &done["run"]["stages"][0];
    assert!(map["earlier"].as_u64() > Some(0), "nothing was kept: {done}");
    assert_eq!(desk.names(), ["counts", "text.txt"], "nothing is left beside the output");
    desk.run("run wordcount text.txt --out undisturbed").fine();
    for part in std::fs::read_dir(desk.path("undisturbed")).unwrap() {
        let name = part.unwrap().file_name().into_string().unwrap();
        if name.starts_with("part-") {
            let bytes = |folder: &str| desk.bytes(&format!("{folder}/{name}"));
            assert!(bytes("counts") == bytes("undisturbed"), "{name} differs");
        }
    }
}
