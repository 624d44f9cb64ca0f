//! What the program says when something is wrong: one message, at most five lines, that names the file, the place, the
//! cause and what to do; the exit code of `docs/src/errors.md`; nothing left behind.
#![allow(clippy::unwrap_used)]

use mapfold_tests::desk::{Running, names};
use mapfold_tests::{Desk, Ran, data, mapfold, patch, skipped};
use std::process::Command;

/// `--red … --nir …` of a real scene.
fn bands() -> String {
    format!("--red {} --nir {}", data("s2/S2_20150830.tif#B04"), data("s2/S2_20150830.tif#B08"))
}

/// NDVI of these inputs to `out.tif`, which must not appear in any form.
#[track_caller]
fn fails(desk: &Desk, inputs: &str, code: i32, words: &[&str]) -> Ran {
    let before = desk.names();
    let ran = desk.run(&format!("run ndvi {inputs} --out out.tif")).refused(code, words);
    assert_eq!(desk.names(), before, "something was left: {ran}");
    ran
}

#[test]
fn a_missing_file() {
    let (desk, nir) = (Desk::new(), data("real/scene_band2.tif"));
    fails(&desk, &format!("--red nowhere.tif --nir {nir}"), 3, &["nowhere.tif", "not found"]).with_remedy();
    let far = "--red nowhere/deep/a.tif --nir nowhere/deep/b.tif";
    fails(&desk, far, 3, &["nowhere/deep/a.tif", "not found"]).with_remedy();
    desk.run("run stats nowhere.tif").refused(3, &["nowhere.tif", "not found"]).with_remedy();
    desk.run("info nowhere.tif").refused(3, &["nowhere.tif", "not found"]).with_remedy();
}

#[test]
fn a_file_that_is_no_raster() {
    let desk = Desk::new();
    let text = data("tiff/corrupt_text.tif");
    desk.run(&format!("run stats {text}")).refused(3, &["corrupt_text.tif", "not a TIFF", "HTML"]).with_remedy();
    let header = data("tiff/corrupt_tile_0.tif");
    desk.run(&format!("run stats {header}")).refused(3, &["corrupt_tile_0.tif", "tile size"]).with_remedy();
    let desk_file = |name: &str, bytes: &[u8]| std::fs::write(desk.path(name), bytes).unwrap();
    desk_file("empty.tif", b"");
    desk_file("png.tif", b"\x89PNG\r\n\x1a\n and so on");
    desk_file("words.tif", b"hello, these are words");
    for (name, why) in [("empty", "it is empty"), ("png", "looks like a PNG file"), ("words", "begins with \"hell\"")] {
        for verb in ["run stats", "info", "preview -o x.png"] {
            let ran = desk.run(&format!("{verb} {name}.tif")).refused(3, &[name, "not a TIFF", why]);
            ran.with_remedy();
        }
    }
    std::fs::create_dir(desk.path("folder")).unwrap();
    desk.run("run stats folder").refused(3, &["folder", "is a folder, not a file"]).with_remedy();
    let short = data("tiff/corrupt_header_only.tif");
    desk.run(&format!("run stats {short}")).refused(3, &["corrupt_header_only.tif", "8 bytes"]).with_remedy();
}

#[test]
fn a_truncated_file() {
    let desk = Desk::new();
    let whole = std::fs::read(data("real/scene_band1.tif")).unwrap();
    std::fs::write(desk.path("half.tif"), &whole[..whole.len() / 2]).unwrap();
    let inputs = format!("--red half.tif --nir {}", data("real/scene_band2.tif"));
    let bytes = format!("{}", whole.len() / 2);
    fails(&desk, &inputs, 3, &["half.tif", "tile", "truncated", &bytes]).with_remedy();
}

#[test]
fn a_corrupt_tile() {
    let desk = Desk::new();
    for (name, codec) in [("corrupt_deflate.tif", "DEFLATE"), ("corrupt_zstd.tif", "ZSTD")] {
        let words = [name, "tile (0, 0)", "corrupt", codec, "rows", "columns"];
        let ran = desk.run(&format!("run stats {}", data(&format!("tiff/{name}")))).refused(3, &words);
        assert!(ran.has("at"), "names the pixels: {ran}");
        ran.with_remedy().with_stage();
    }
    let scene = desk.scene(600);
    let red = scene.split_whitespace().nth(1).unwrap();
    patch::garbage(&desk.path(red), 0.7..0.8);
    fails(&desk, &scene, 3, &[red, "tile (", "corrupt", "write out.tif"]).with_remedy().with_stage();
}

#[test]
fn a_corrupt_tile_in_the_last_of_many_splits() {
    let desk = Desk::new();
    let scene = desk.scene(1000);
    let red = scene.split_whitespace().nth(1).unwrap();
    patch::garbage(&desk.path(red), 0.9..0.99);
    let line = format!("run ndvi {scene} --out out.tif --tile 256 --blocksize 64");
    let ran = desk.run(&line).refused(3, &[red, "tile (", "corrupt"]).with_remedy().with_stage();
    // What was done may stay, hidden, if the message says how to go on with it.
    let left = desk.names();
    assert!(
        left.is_empty() || (left == [".out.tif.mapfold"] && ran.err.contains("--resume")),
        "{left:?} is left: {ran}"
    );
}

#[test]
fn grids_that_differ_say_how() {
    let desk = Desk::new();
    let band = data("tiff/tiles64.tif");
    let fails = |other: &str, words: &[&str]| {
        let all = [&["tiles64.tif", other][..], words].concat();
        fails(&desk, &format!("--red {band} --nir {other}"), 3, &all).with_remedy();
    };
    let x = |x: f64| x.to_le_bytes();
    patch::replace(&band, &desk.path("shifted.tif"), &x(500_000.0), &x(500_005.0));
    fails("shifted.tif", &["shifted by 0.5"]);
    patch::replace(&band, &desk.path("zone.tif"), &32633_u16.to_le_bytes(), &32634_u16.to_le_bytes());
    fails("zone.tif", &["32633", "32634"]);
    patch::replace(&band, &desk.path("coarse.tif"), &x(10.0), &x(20.0));
    fails("coarse.tif", &["10", "20"]);
    let other = data("real/scene_band1.tif");
    let words = ["not on one grid", "549", "100", "101"];
    let inputs = format!("--red {} --nir {other}", data("s2/S2_20150830.tif#4"));
    self::fails(&desk, &inputs, 3, &words).with_remedy();
}

#[test]
fn an_output_that_exists() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif", bands());
    desk.run(&line).fine();
    let first = desk.bytes("out.tif");
    desk.run(&line).refused(3, &["out.tif exists", "--overwrite"]).with_stage();
    assert_eq!(desk.bytes("out.tif"), first);
    desk.run(&format!("{line} --overwrite")).fine();
    assert_eq!(desk.bytes("out.tif"), first);
    assert_eq!(desk.names(), ["out.tif"], "nothing beside it");
    std::fs::write(desk.path("note.txt"), "mine").unwrap();
    desk.run(&line.replace("out.tif", "note.txt")).refused(3, &["note.txt exists", "--overwrite"]);
    assert_eq!(desk.bytes("note.txt"), b"mine");
}

#[test]
fn a_failed_run_leaves_the_old_output_as_it_was() {
    let desk = Desk::new();
    let scene = desk.scene(600);
    desk.run(&format!("run ndvi {scene} --out out.tif -q")).fine();
    let first = desk.bytes("out.tif");
    patch::garbage(&desk.path(scene.split_whitespace().nth(1).unwrap()), 0.7..0.8);
    desk.run(&format!("run ndvi {scene} --out out.tif --overwrite")).refused(3, &["corrupt"]);
    assert_eq!(desk.bytes("out.tif"), first);
    assert_eq!(desk.names(), ["out.tif"]);
}

#[test]
fn misspelt_words_are_answered_with_the_nearest() {
    let desk = Desk::new();
    let s2 = data("s2/S2_20150830.tif");
    let nir = format!("--nir {s2}#B08 --out out.tif");
    desk.run(&format!("run ndvi --redd {s2}#B04 {nir}")).refused(2, &["--redd", "'--red'"]);
    desk.run(&format!("run ndvi --red {s2}#B04 {nir} --overwite")).refused(2, &["--overwite", "'--overwrite'"]);
    desk.run(&format!("run ndvii --red {s2}#B04 {nir}")).refused(2, &["ndvii", "'ndvi'"]);
    desk.run("rum ndvi").refused(2, &["rum", "'run'"]);
    let band =
        desk.run(&format!("run ndvi --red {s2}#B0X {nir}")).refused(2, &["S2_20150830.tif", "\"B0X\"", "did you mean"]);
    band.with_remedy();
    desk.run(&format!("run ndvi --red {s2}#b04 {nir}")).refused(2, &["b04", "\"B04\""]);
    desk.run(&format!("run ndvi --red {s2}#14 {nir}")).refused(2, &["14", "13"]).with_remedy();
    desk.run(&format!("run ndvi --red {s2}#0 {nir}")).refused(2, &["0", "13"]).with_remedy();
    desk.run(&format!("run ndvi --red {s2}#B04 {nir} --compress deflat")).refused(2, &["deflat", "deflate", "zstd"]);
    desk.run(&format!("run ndvi --red {s2}#B04 {nir} --format jpeg")).refused(2, &["jpeg", "cog", "gtiff"]);
    desk.run(&format!("run ndvi --red {s2}#B04 {nir} --dtype unit8")).refused(2, &["unit8", "uint8"]);
    assert!(desk.names().is_empty(), "{:?}", desk.names());
}

#[test]
fn options_that_do_not_fit_together() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif", desk.scene(600));
    desk.run(&format!("{line} --tile 256 --blocksize 512")).refused(2, &["--tile", "--blocksize"]).with_remedy();
    desk.run(&format!("{line} --threads 0")).refused(2, &["--threads 0"]);
    desk.run(&format!("{line} --resume --overwrite")).refused(2, &["--resume", "--overwrite"]);
    desk.run(&format!("{line} --blocksize 100")).refused(2, &["100", "16"]);
    let little = desk.run(&format!("{line} --memory-limit 4MiB")).refused(2, &["4 MiB", "--memory-limit"]);
    little.with_remedy().with_stage();
    assert!(desk.names().is_empty(), "{:?}", desk.names());
}

#[test]
fn an_output_in_a_missing_folder() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out missing/deep/out.tif", bands());
    let ran = desk.run(&line).refused(3, &["missing/deep", "folder"]).with_remedy().with_stage();
    assert!(desk.names().is_empty(), "{ran}");
}

#[test]
fn an_output_that_is_a_folder_or_below_a_file() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("folder")).unwrap();
    std::fs::write(desk.path("file"), "x").unwrap();
    desk.run(&format!("run ndvi {} --out folder --overwrite", bands())).refused(3, &["folder"]).with_remedy();
    desk.run(&format!("run ndvi {} --out file/out.tif", bands())).refused(3, &["file", "not a"]).with_remedy();
    assert_eq!(desk.names(), ["file", "folder"]);
    assert!(names(&desk.path("folder")).is_empty());
}

#[test]
fn an_output_where_nothing_can_be_written() {
    let desk = Desk::new();
    // Mounted everywhere, and even root writes no file there.
    let ran = desk.run(&format!("run ndvi {} --out /proc/out.tif", bands())).refused(3, &["/proc"]);
    ran.with_remedy();
}

#[test]
fn a_codec_that_is_not_read_is_refused_by_name() {
    let desk = Desk::new();
    let refused = [("lzw", "LZW"), ("jpeg", "JPEG"), ("webp", "WebP"), ("lerc", "LERC"), ("lzma", "LZMA")];
    for (name, codec) in refused {
        let ran = desk.run(&format!("run stats {}", data(&format!("tiff/refuse_{name}.tif")))).refused(3, &[name]);
        assert!(ran.err.to_lowercase().contains(&codec.to_lowercase()), "by name: {ran}");
        ran.says(&["gdal_translate"]).with_remedy();
    }
    let real = data("real/cogeo.tif");
    desk.run(&format!("run stats {real}")).refused(3, &["cogeo.tif", "JPEG"]).with_remedy();
    let complex = data("tiff/refuse_complex.tif");
    desk.run(&format!("run stats {complex}")).refused(3, &["refuse_complex.tif", "complex"]).with_remedy();
}

#[test]
fn json_gets_the_error_too() {
    let ran = Desk::new().run("run stats nowhere.tif --json");
    let error = ran.json()["error"].clone();
    assert!(error["what"].as_str().unwrap().contains("nowhere.tif"), "{ran}");
    assert_eq!((ran.code, error["exit_code"].as_i64()), (3, Some(3)), "{ran}");
}

/// How this machine lets a test mount: as root, in a user namespace, or not at all.
fn unshare() -> Option<&'static str> {
    let works = |how: &str| {
        let line = "mount -t tmpfs -o size=1m tmpfs /mnt";
        Command::new("unshare").args([how, "sh", "-c", line]).output().is_ok_and(|o| o.status.success())
    };
    ["-m", "-rm"].into_iter().find(|how| works(how))
}

/// Runs NDVI of a scene in a file system of its own, which nobody else sees; gives what it left there too.
fn on_a_disk(desk: &Desk, how: &str, options: &str, scene: &str) -> (Ran, String) {
    std::fs::create_dir_all(desk.path("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs disk || exit 99; {} run ndvi {scene} --out disk/out.tif; code=$?; \
         ls -A disk > left.txt; exit $code",
        mapfold().display()
    );
    let mut c = desk.command("unshare");
    c.args([how, "sh", "-c", &script]);
    let ran = Running::start(c, format!("(disk of {options}) mapfold run ndvi {scene} --out disk/out.tif")).wait();
    (ran, String::from_utf8(desk.bytes("left.txt")).unwrap())
}

#[test]
fn a_disk_that_is_read_only() {
    let Some(how) = unshare() else { return skipped("read-only disk: this machine lets no test mount one", false) };
    let desk = Desk::new();
    let scene = desk.scene(300);
    let (ran, left) = on_a_disk(&desk, how, "ro,size=1m", &scene);
    let ran = ran.refused(3, &["disk", "read-only"]).with_remedy().with_stage();
    assert_eq!(left, "", "{ran}");
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_the_run() {
    let Some(how) = unshare() else { return skipped("small disk: this machine lets no test mount one", false) };
    let desk = Desk::new();
    let scene = desk.scene(1000);
    let (ran, left) = on_a_disk(&desk, how, "size=1m", &scene);
    let ran = ran.refused(3, &["disk/out.tif", "needs about", "MiB", "free"]).with_remedy();
    assert_eq!(left, "", "{ran}");
}

#[test]
fn a_disk_that_fills_up_during_the_run() {
    let Some(how) = unshare() else { return skipped("full disk: this machine lets no test mount one", false) };
    let desk = Desk::new();
    let scene = desk.scene(1000);
    // 1000 x 1000 float32 are 3.8 MiB, but whole tiles and the program's own notes do not fit into 4: whether that is
    // known before or found out on the way, it is one message, about the user's file and not about ours.
    let (ran, left) = on_a_disk(&desk, how, "size=4m", &format!("{scene} --compress none --overviews none"));
    let ran = ran.refused(3, &["disk/out.tif", "space"]).with_remedy().with_stage();
    assert!(!ran.err.contains(".mapfold/"), "{ran}");
    assert!(left.is_empty() || ran.err.contains("--resume"), "{left} is left: {ran}");
}
