//! `mapfold fsck`: what interrupted jobs have left is named, and removed only where nobody needs it.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, mapfold};

#[test]
fn what_is_left_is_told_and_removed_as_asked() {
    let desk = Desk::new();
    assert!(desk.run("fsck .").fine().out.contains("nothing is left"));
    let line = format!("run ndvi {} --out out.tif --tile 256 --blocksize 256", desk.scene(512));

    // Unfinished: --clean leaves it, --discard does not.
    assert_eq!(desk.start_failing(mapfold(), &line, "logged=abort").wait().code, 137);
    let told = desk.run("fsck .");
    assert_eq!(told.code, 1, "{told}");
    assert!(told.out.contains("out.tif") && told.out.contains("--resume"), "{told}");
    assert_eq!(desk.run("fsck . --clean").code, 1);
    assert_eq!(desk.names(), [".out.tif.mapfold"]);
    desk.run("fsck out.tif --discard").fine();
    assert!(desk.names().is_empty());

    // Decided but not published: neither, until it is published.
    assert_eq!(desk.start_failing(mapfold(), &line, "decided=abort").wait().code, 137);
    let told = desk.run("fsck out.tif --clean --discard --json");
    assert_eq!((told.code, &told.json()["found"][0]["traces"]["stage"]), (1, &"committed".into()), "{told}");
    desk.run(&format!("{line} --resume")).fine();
    assert_eq!(desk.names(), ["out.tif"]);

    // Published, but killed before the work was removed.
    desk.run(&line.replace("out.tif", "again.tif")).fine();
    assert_eq!(desk.start_failing(mapfold(), &format!("{line} --overwrite"), "before-cleaning=abort").wait().code, 137);
    assert!(desk.run("fsck").out.contains("is published"));
    desk.run("fsck --clean").fine();
    assert_eq!(desk.names(), ["again.tif", "out.tif"]);
    assert!(desk.bytes("again.tif") == desk.bytes("out.tif"));
}
