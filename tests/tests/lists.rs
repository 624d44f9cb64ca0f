//! Inputs by patterns and lists: the rows of each file are those of the file alone, whatever the threads; what names
//! nothing, or too much, says so.
#![allow(clippy::unwrap_used)]

use mapfold_tests::http::{Site, serve};
use mapfold_tests::{Desk, data, oracle};
use serde_json::Value;

/// Files of other grids and other types: name here, file of `tests/data`.
const TILES: [(&str, &str); 5] = [
    ("tiles/a.tif", "s2/S2_20150830.tif"),
    ("tiles/b.tif", "real/scene_band1.tif"),
    ("tiles/c.tif", "real/float_nan.tif"),
    ("tiles/deep/d.tif", "tiff/tiles64.tif"),
    ("tiles/e.tif", "real/cog_rgb_mask.tif"),
];

fn desk() -> Desk {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("tiles/deep")).unwrap();
    for (here, there) in TILES {
        std::fs::copy(data(there), desk.path(here)).unwrap();
    }
    desk
}

fn list(desk: &Desk, name: &str, text: &str) {
    std::fs::write(desk.path(name), text).unwrap();
}

fn rows(desk: &Desk, args: &str) -> Vec<Value> {
    desk.run(&format!("run stats {args} --json")).fine().json()["bands"].as_array().unwrap().clone()
}

fn of_file(rows: &[Value], file: &str) -> Vec<Value> {
    rows.iter().filter(|r| r["file"] == file).cloned().collect()
}

#[test]
fn every_file_of_a_pattern_has_the_rows_that_numpy_gives_it() {
    let desk = desk();
    let all = rows(&desk, "tiles/**/*.tif");
    let mut files: Vec<&str> = all.iter().map(|r| r["file"].as_str().unwrap()).collect();
    files.dedup();
    assert_eq!(files, ["tiles/a.tif", "tiles/b.tif", "tiles/c.tif", "tiles/deep/d.tif", "tiles/e.tif"]);
    for (file, _) in TILES {
        let own = serde_json::json!({ "bands": of_file(&all, file) });
        list(&desk, "own.json", &own.to_string());
        oracle("stats.py", &[desk.arg(file), desk.arg("own.json"), "--scale".into(), "raw".into()]);
    }
}

#[test]
fn threads_chunks_and_memory_change_nothing() {
    let desk = desk();
    let one = desk.run("run stats tiles/**/*.tif --threads 1").fine().out;
    assert!(one.lines().next().unwrap().contains("file"), "{one}");
    for how in ["--threads 3", "--threads 2 --chunks 17,33", "--chunks native --memory-limit 40MiB", "--tile 64"] {
        assert_eq!(desk.run(&format!("run stats tiles/**/*.tif {how}")).fine().out, one, "{how}");
    }
}

#[test]
fn a_list_a_pattern_and_arguments_name_the_same_files() {
    let desk = desk();
    list(&desk, "tiles/list.txt", "# the three\n\na.tif#B04\nc.tif\r\n  deep/*.tif\n");
    let listed = rows(&desk, "@tiles/list.txt");
    assert_eq!(rows(&desk, "tiles/a.tif#B04 tiles/c.tif tiles/deep/d.tif"), listed);
    assert_eq!(listed[0]["band"], "B04");
    let by_band = rows(&desk, "tiles/[ac].tif#1");
    assert_eq!(by_band.iter().map(|r| &r["file"]).collect::<Vec<_>>(), ["tiles/a.tif", "tiles/c.tif"]);
    assert_eq!(by_band[1], listed[1]);
}

#[test]
fn a_file_whose_name_has_signs_is_that_file() {
    let desk = desk();
    std::fs::rename(desk.path("tiles/b.tif"), desk.path("tiles/[ab].tif")).unwrap();
    let rows = rows(&desk, "tiles/[ab].tif");
    assert_eq!((rows.len(), &rows[0]["file"]), (1, &Value::from("tiles/[ab].tif")));
}

#[test]
fn windows_and_boxes_hold_for_every_file() {
    let desk = desk();
    let cut = rows(&desk, "tiles/[ab].tif#1 --window 10,20,30,40");
    assert!(cut.len() == 2 && cut.iter().all(|r| r["count"] == 1200), "{cut:?}");
    for (row, file) in cut.iter().zip(["tiles/a.tif#1", "tiles/b.tif#1"]) {
        assert_eq!(row["mean"], rows(&desk, &format!("{file} --window 10,20,30,40"))[0]["mean"]);
    }
    let info = desk.run("info tiles/deep/d.tif --json").fine().json();
    let text = info.to_string();
    assert!(text.contains("32633"), "{text}");
    // Inside of d.tif only, whose corner is 500000, 4600000.
    let boxed = desk.run("run stats tiles/**/[bd].tif --bbox 500000,4599900,500100,4600000 --json").fine();
    let got = boxed.json();
    let bands = got["bands"].as_array().unwrap();
    assert_eq!((bands.len(), bands[0]["count"].as_u64()), (1, Some(100)), "{got}");
    assert!(got["run"]["warnings"].to_string().contains("1 of 2 files"), "{got}");
    let none = desk.run("run stats tiles/**/[bd].tif --bbox 1,1,2,2").refused(2, &["--bbox", "no file"]);
    none.with_remedy();
}

#[test]
fn what_names_nothing_is_an_error_of_the_input() {
    let desk = desk();
    list(&desk, "empty.txt", "# nothing\n\n");
    list(&desk, "odd.txt", "tiles/a.tif\ntiles/*.jp2\n");
    let refused = |args: &str, words: &[&str]| desk.run(&format!("run stats {args}")).refused(3, words).with_remedy();
    refused("tiles/*.jp2", &["tiles/*.jp2", "names no file", "a.tif"]);
    refused("tils/*.tif", &["tils/*.tif", "did you mean tiles?"]);
    refused("@empty.txt", &["@empty.txt", "empty"]);
    refused("@odd.txt", &["@odd.txt", "line 2", "tiles/*.jp2"]);
    refused("@nowhere.txt", &["nowhere.txt", "not found"]);
    refused("@tiles/a.tif", &["@tiles/a.tif", "no UTF-8 text"]);
    desk.run("info @empty.txt").refused(3, &["@empty.txt"]).with_remedy();
}

#[test]
fn one_file_is_one_file() {
    let desk = desk();
    let nir = "--nir tiles/a.tif#B08 --out out.tif";
    desk.run(&format!("run ndvi --red tiles/[ab].tif#1 {nir}")).refused(2, &["2 files", "a.tif, b.tif"]).with_remedy();
    desk.run(&format!("run ndvi --red tiles/a*.tif#B04 {nir} -q")).fine();
    list(&desk, "red.txt", "tiles/a.tif#B04\n");
    desk.run("run ndvi --red @red.txt --nir tiles/a.tif#B08 --out listed.tif -q").fine();
    assert!(desk.bytes("listed.tif") == desk.bytes("out.tif"), "the same file by two names");
    desk.run(&format!("run ndvi --red tiles/a.tif#1 {nir}").replace("out.tif", "@red.txt"))
        .refused(3, &["@red.txt", "is a list"])
        .with_remedy();
    assert_eq!(desk.bytes("red.txt"), b"tiles/a.tif#B04\n");
}

#[test]
fn a_list_over_http_names_what_lies_beside_it() {
    let desk = desk();
    let text = "a.tif#B04\n../far.tif\n/root.tif\n";
    let files =
        [("/x/list.txt", text), ("/x/a.tif", "tiles/a.tif"), ("/far.tif", "tiles/b.tif"), ("/root.tif", "tiles/c.tif")];
    let bytes =
        |(at, file): (&str, &str)| (at.to_string(), if at.ends_with("txt") { file.into() } else { desk.bytes(file) });
    let at = serve(Site::Files(files.map(bytes).into()));
    let ran = desk.run(&format!("run stats @{at}/x/list.txt?token=tell-nobody --json")).fine();
    assert!(!ran.out.contains("tell-nobody"), "{ran}");
    let got = ran.json();
    let local = rows(&desk, "tiles/a.tif#B04 tiles/b.tif tiles/c.tif");
    for (row, same) in got["bands"].as_array().unwrap().iter().zip(&local) {
        assert_eq!((&row["mean"], &row["count"]), (&same["mean"], &same["count"]));
    }
    assert_eq!(got["bands"][1]["file"], format!("{at}/far.tif?token=REDACTED"));
    // Whoever serves a list does not choose what is read from this machine's disk.
    let files = [("/bad.txt".to_string(), b"file:///etc/hostname\n".to_vec())];
    let bad = serve(Site::Files(files.into()));
    desk.run(&format!("run stats @{bad}/bad.txt")).refused(3, &["bad.txt", "line 1", "a file of this machine"]);
    desk.run(&format!("run stats {at}/x/*.tif")).refused(3, &["/x/*.tif", "HTTP cannot list", "@FILE"]).with_remedy();
}

#[test]
fn stats_apply_scale_and_offset_when_they_are_asked_to() {
    let desk = desk();
    for (args, scale) in [("", "raw"), ("--scale raw", "raw"), ("--scale auto", "auto")] {
        for (file, _) in TILES {
            let told = desk.run(&format!("run stats {file} --json {args}")).fine().out;
            list(&desk, "stats.json", &told);
            oracle("stats.py", &[desk.arg(file), desk.arg("stats.json"), "--scale".into(), scale.into()]);
        }
    }
    let scaled = rows(&desk, "tiles/a.tif#B04 --scale auto");
    assert_eq!(scaled[0]["max"], 0.1371, "1371 x 0.0001");
    let ran = desk.run("run stats tiles/a.tif --scale auto --histogram 4").refused(2, &["float64", "range"]);
    ran.with_remedy();
}
