//! Results equal what NumPy and GDAL say of the same real files.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, data, oracle};

const SCENES: [&str; 5] = ["20150711", "20150731", "20150820", "20150830", "20150909"];

fn scene(date: &str, band: &str) -> String {
    data(&format!("s2/S2_{date}.tif#{band}"))
}

#[test]
fn ndvi_of_every_real_scene_is_that_of_numpy() {
    let desk = Desk::new();
    for date in SCENES {
        let (red, nir, out) = (scene(date, "B04"), scene(date, "B08"), desk.arg(&format!("{date}.tif")));
        desk.run(&format!("run ndvi --red {red} --nir {nir} --out {out} -q")).fine();
        oracle("ndvi.py", &[&red, &nir, &out]);
        oracle("cog.py", &[&out, "--statistics"]);
    }
}

#[test]
fn bands_are_named_by_number_too_and_options_reach_the_formula() {
    let desk = Desk::new();
    let (red, nir, out) = (data("s2/S2_20150830.tif#4"), data("s2/S2_20150830.tif#8"), desk.arg("raw.tif"));
    desk.run(&format!("run ndvi --red {red} --nir {nir} --out {out} -q --eps 100 --scale raw")).fine();
    oracle("ndvi.py", &[&red, &nir, &out, "--eps", "100", "--scale", "raw"]);
}

#[test]
fn a_cog_of_many_levels_is_valid_and_its_overviews_are_averages() {
    let desk = Desk::new();
    let (red, nir) = (data("real/scene_band1.tif"), data("real/scene_band2.tif"));
    for (name, options) in [("plain", ""), ("small", "--blocksize 64"), ("zstd", "--blocksize 128 --compress zstd")] {
        let out = desk.arg(&format!("{name}.tif"));
        desk.run(&format!("run ndvi --red {red} --nir {nir} --out {out} -q {options}")).fine();
        oracle("ndvi.py", &[&red, &nir, &out]);
        let told = oracle("cog.py", &[&out, "--statistics"]);
        if let (Some(told), "small") = (told, name) {
            assert_eq!(told["overviews"], 4, "549 pixels in tiles of 64: {told}");
        }
    }
    let (red, nir, out) = (scene("20150830", "B04"), scene("20150830", "B08"), desk.arg("s2.tif"));
    desk.run(&format!("run ndvi --red {red} --nir {nir} --out {out} -q --blocksize 64")).fine();
    oracle("cog.py", &[&out, "--blocksize", "64", "--statistics"]);
}

#[test]
fn nodata_stays_nodata() {
    let desk = Desk::new();
    let bands = desk.scene(600); // has an empty wedge
    desk.run(&format!("run ndvi {bands} --out wedge.tif -q --blocksize 128")).fine();
    let words: Vec<&str> = bands.split_whitespace().collect();
    let (red, nir) = (desk.arg(words[1]), desk.arg(words[3]));
    if let Some(told) = oracle("ndvi.py", &[&red, &nir, &desk.arg("wedge.tif")]) {
        assert!(told["valid"].as_u64() < told["pixels"].as_u64(), "the wedge is empty: {told}");
    }
    oracle("cog.py", &[desk.arg("wedge.tif")]);
}

#[test]
fn statistics_are_exact() {
    let desk = Desk::new();
    let integers = ["s2/S2_20150830.tif", "real/scene_band1.tif", "real/RGB.byte.tif"];
    let others = ["real/float_nan.tif", "real/cog_rgb_mask.tif", "tiff/nodata_nan_f32.tif", "tiff/nodata_0_u16.tif"];
    for name in integers.into_iter().chain(others) {
        let stats = desk.run(&format!("run stats {} --json --scale raw", data(name))).fine();
        std::fs::write(desk.path("stats.json"), &stats.out).unwrap();
        oracle("stats.py", &[&data(name), &desk.arg("stats.json"), "--scale", "raw"]);
    }
}

#[test]
fn statistics_come_in_the_order_of_the_bands() {
    let desk = Desk::new();
    let stats = desk.run(&format!("run stats {} --json", data("s2/S2_20150830.tif"))).fine().json();
    let names: Vec<_> = stats["bands"].as_array().unwrap().iter().map(|b| b["band"].as_str().unwrap()).collect();
    let file = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"];
    assert_eq!(names, file);
}

#[test]
fn a_preview_has_the_size_that_was_asked_for() {
    let desk = Desk::new();
    let bands = desk.scene(600);
    desk.run(&format!("run ndvi {bands} --out ndvi.tif -q")).fine();
    desk.run("preview ndvi.tif -o ndvi.png --size 250 --ramp ndvi --no-legend").fine();
    let png = desk.bytes("ndvi.png");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let edge = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((edge(16), edge(20)), (250, 250));
    desk.run("preview ndvi.tif -o ndvi.png").refused(3, &["ndvi.png", "--overwrite"]);
}
