//! What the program says to a command that cannot be meant: the option and the value, what would be right, exit code 2,
//! no secret, nothing done. Files that are wrong are in `errors.rs`.
#![allow(clippy::unwrap_used)]

use mapfold_tests::http::{Site, serve};
use mapfold_tests::{Desk, data};

fn bands() -> String {
    format!("--red {} --nir {}", data("s2/S2_20150830.tif#B04"), data("s2/S2_20150830.tif#B08"))
}

#[test]
fn values_that_are_none_are_told_once_with_what_would_be_right() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif", bands());
    let wrong = [
        ("--chunks 0", "--chunks: \"0\": write auto, native, ROWS,COLS or BANDS,ROWS,COLS, all above 0"),
        ("--memory-limit 4XB", "--memory-limit: \"4XB\" is not a size; write 256MiB, 4GiB or 4GB"),
        ("--threads two", "--threads: \"two\" is not a whole number"),
        ("--tile 100", "--tile: \"100\": give a multiple of 64"),
        ("--nodata none", "--nodata: \"none\" is not a number; write -9999, 0.5 or nan"),
        ("--partitions 0", "--partitions: 0 is out of range: give 1 to 65536"),
        ("--window 0,0,10", "--window: \"0,0,10\": write COL,ROW,WIDTH,HEIGHT"),
        ("--bbox 3,0,1,1", "--bbox: \"3,0,1,1\": write WEST,SOUTH,EAST,NORTH with WEST < EAST"),
        ("--overviews many", "--overviews: overviews \"many\": auto, none or a number"),
    ];
    for (option, says) in wrong {
        desk.run(&format!("{line} {option}")).refused(2, &[says]);
    }
    desk.run("preview a.tif -o a.png --stretch=9").refused(2, &["--stretch: \"9\"", "--stretch=2,98"]);
    assert!(desk.names().is_empty(), "{:?}", desk.names());
}

#[test]
fn misspelt_values_get_the_nearest() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif", bands());
    let near = [
        ("--compress deflat", "deflate"),
        ("--dtype unit8", "uint8"),
        ("--predictor horizontl", "horizontal"),
        ("--overview-resampling avrage", "average"),
        ("--mask intern", "internal"),
        ("--scale rawe", "raw"),
        ("--on-error skp", "skip"),
        ("--color alwys", "always"),
        ("--mode standalon", "standalone"),
    ];
    for (option, name) in near {
        desk.run(&format!("{line} {option}"))
            .refused(2, &["possible values", &format!("tip: a similar value exists: '{name}'")]);
    }
    desk.run("preview a.tif -o a.png --ramp virdis").refused(2, &["'viridis'"]);
    desk.run("completion fsh").refused(2, &["'fish'"]);
    desk.run("gen scene s --bands B4").refused(2, &["\"B4\"", "B04"]);
    desk.run("gen scen s").refused(2, &["'scene'"]);
    desk.run("inf a.tif").refused(2, &["'info'"]);
    desk.run("list --jsn").refused(2, &["'--json'"]);
}

#[test]
fn what_is_required_is_named() {
    let desk = Desk::new();
    desk.run("run ndvi --red a.tif").refused(2, &["--nir <LOC>", "--out <LOC>"]);
    desk.run("run stats --histogram 3").refused(2, &["<INPUT>"]);
    desk.run("info").refused(2, &["<INPUT>"]);
    // A job can be asked about without them.
    assert_eq!(desk.run("run ndvi --describe").fine().json()["title"], "ndvi");
}

#[test]
fn words_of_spark_are_understood_or_clearly_refused() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif --explain --json", bands());
    let told = desk.run(&format!("{line} --num-executors 1 --executor-cores 3 --executor-memory 2g")).fine().json();
    assert_eq!((&told["threads"], &told["memory_limit_bytes"]), (&3.into(), &(2u64 << 30).into()), "{told}");
    let line = line.replace(" --json", "");
    desk.run(&format!("{line} --num-executors 4")).refused(2, &["--workers 4", "--mode pseudo"]);
    let scene = bands();
    let run = format!("run ndvi {scene} --out out.tif --mode pseudo --json --executor-memory 512m");
    let done = desk.run(&format!("{run} --num-executors 2..3 --executor-cores 1")).fine().json();
    let run = &done["run"];
    assert_eq!((&run["workers"], &run["threads"]), (&3.into(), &1.into()), "{done}");
    assert_eq!(run["memory"]["limit_bytes"], 512 << 20, "{done}");
    let help = desk.run("run ndvi --help").fine();
    assert!(!help.out.contains("executor"), "they are for scripts, not for help: {help}");
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let desk = Desk::new();
    let stats = format!("run stats {}", data("s2/S2_20150830.tif#B04"));
    let ran =
        desk.run(&format!("{stats} --compress zstd --nodata 0")).refused(2, &["--compress, --nodata", "no raster"]);
    ran.with_remedy();
    let line = format!("run ndvi {} --out out.tif", bands());
    desk.run(&format!("{line} --compress none --level 9")).refused(2, &["level 9", "--level"]);
    let beyond = desk.run(&format!("{line} --window 50,50,500,500")).fine();
    beyond.says(&["warning", "beyond the image"]);
}

#[test]
fn a_url_in_a_refusal_shows_no_secret() {
    let desk = Desk::new();
    let s3 = "s3://me:secret-word@bucket/x.tif?X-Amz-Signature=tell-nobody";
    let ran = desk.run(&format!("run stats {s3}")).refused(2, &["s3://", "a user or a key in a URL", "settings"]);
    let hdfs = desk.run("run stats hdfs://me:secret-word@h/x.tif").refused(2, &["hdfs://", "a user or a key in a URL"]);
    let twice = desk.run("info https://me:secret-word@h/a.tif https://me:secret-word@h/b.tif?sig=tell-nobody");
    let twice = twice.refused(2, &["unexpected argument", "https://REDACTED@h/b.tif"]);
    for ran in [ran, hdfs, twice] {
        assert!(!ran.err.contains("secret-word") && !ran.err.contains("tell-nobody"), "{ran}");
    }
    desk.run("run stats htp://h/x.tif").refused(2, &["htp://", "did you mean http://"]);
}

#[test]
fn no_input_is_ever_an_output() {
    let desk = Desk::new();
    let original = std::fs::read(data("s2/S2_20150830.tif")).unwrap();
    std::fs::create_dir(desk.path("folder")).unwrap();
    std::fs::write(desk.path("s.tif"), &original).unwrap();
    std::os::unix::fs::symlink("s.tif", desk.path("link.tif")).unwrap();
    for out in ["s.tif", "./folder/../s.tif", "link.tif"] {
        let line = format!("run ndvi --red s.tif#B04 --nir s.tif#B08 --out {out} --overwrite");
        desk.run(&line).refused(2, &[out, "one of the inputs"]).with_remedy().with_stage();
    }
    std::os::unix::fs::symlink("s.tif", desk.path("link.png")).unwrap();
    desk.run("preview s.tif -o link.png --overwrite").refused(2, &["link.png", "replace the raster"]);
    assert!(desk.bytes("s.tif") == original, "the input is as it was");
}

#[test]
fn pictures_and_folders_that_cannot_be_made() {
    let desk = Desk::new();
    let scene = data("s2/S2_20150830.tif");
    desk.run(&format!("preview {scene} -o picture.jpg")).refused(2, &["picture.jpg", ".png"]);
    desk.run(&format!("preview {scene} -o no/x.png")).refused(3, &["no: there is no such folder"]).with_remedy();
    desk.run(&format!("preview {scene} -o x.png")).fine();
    desk.run(&format!("preview {scene} -o x.png")).refused(3, &["x.png: already exists", "--overwrite"]);
    desk.run(&format!("preview {scene} -o y.png --bands 4,3")).refused(2, &["1, 3 or 4 bands", "--bands 4,3,2"]);
    desk.run("gen scene deep/er/s2 --size 64 --bands B04").fine();
    desk.run("gen scene x.png --size 64").refused(3, &["x.png", "folder"]).with_remedy();
    desk.run("man x.png").refused(3, &["x.png"]).with_remedy();
    assert_eq!(desk.names(), ["deep", "x.png"]);
}

#[test]
fn one_file_with_many_bands_where_one_band_was_meant() {
    let desk = Desk::new();
    let scene = data("s2/S2_20150830.tif");
    let ran = desk.run(&format!("run ndvi --red {scene} --nir {scene}#B08 --out out.tif"));
    ran.refused(2, &["takes 2 bands", "14", "scene.tif#B04"]).with_remedy();
}

#[test]
fn servers_that_refuse_are_named_with_the_remedy_that_fits() {
    let desk = Desk::new();
    for (status, word, remedy) in [(404, "not found", "spelling"), (403, "access denied (HTTP 403", "expired")] {
        let at = serve(Site::Broken(status));
        desk.run(&format!("run stats {at}/a.tif")).refused(3, &["127.0.0.1", "/a.tif", word, remedy]).with_remedy();
        desk.run(&format!("info {at}/a.tif")).refused(3, &["/a.tif", word]).with_remedy();
        desk.run(&format!("preview {at}/a.tif -o a.png")).refused(3, &["/a.tif", word]).with_remedy();
    }
}

#[test]
fn colour_only_where_it_is_wanted() {
    let desk = Desk::new();
    let run = |vars: &[(&str, &str)], more: &str| {
        let mut c = desk.command(mapfold_tests::mapfold());
        c.env_remove("NO_COLOR")
            .envs(vars.iter().copied())
            .args(format!("run stats nowhere.tif {more}").split_whitespace());
        mapfold_tests::desk::Running::start(c, format!("{vars:?} {more}")).wait().err
    };
    let red = |text: String| text.contains("\u{1b}[");
    assert!(!red(run(&[], "")), "no terminal");
    assert!(red(run(&[("CLICOLOR_FORCE", "1")], "")) && red(run(&[], "--color always")));
    assert!(!red(run(&[("CLICOLOR_FORCE", "1")], "--color never")));
    assert!(!red(run(&[("NO_COLOR", "1")], "")));
}

#[test]
fn the_log_goes_where_it_is_asked_to() {
    let desk = Desk::new();
    let line = format!("run ndvi {} --out out.tif --overwrite -q", bands());
    assert_eq!(desk.run(&line).fine().err, "");
    desk.run(&format!("{line} -v")).fine().says(&["INFO planned write out.tif", "1 splits", "memory limit"]);
    let log = |value: &str| {
        let mut c = desk.command(mapfold_tests::mapfold());
        c.env("RUST_LOG", value).args(line.split_whitespace());
        mapfold_tests::desk::Running::start(c, format!("RUST_LOG={value} {line}")).wait().fine()
    };
    log("debug").says(&["DEBUG input", "S2_20150830.tif"]);
    log("bogus=x=y").says(&["warning: RUST_LOG=\"bogus=x=y\" is not understood"]);
}
