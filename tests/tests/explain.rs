//! `--explain` answers from headers alone, for a million tiles too, and agrees with what a run reports.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, patch};

#[test]
fn explain_reads_no_pixel() {
    let desk = Desk::new();
    let scene = desk.scene(600);
    let line = format!("run ndvi {scene} --out out.tif --explain");
    let (text, json) = (desk.run(&line).fine(), desk.run(&format!("{line} --json")).fine().json());
    assert!(text.err.is_empty(), "{text}");
    for band in [1, 3] {
        let path = desk.path(scene.split_whitespace().nth(band).unwrap());
        let modified = path.metadata().unwrap().modified().unwrap();
        patch::garbage(&path, 0.2..0.98);
        std::fs::File::open(&path).unwrap().set_modified(modified).unwrap(); // the plan's name holds its inputs' times
    }
    desk.run(&format!("run ndvi {scene} --out out.tif -q")).refused(3, &["corrupt"]); // there was something to read
    assert_eq!(desk.run(&line).fine().out, text.out);
    assert_eq!(desk.run(&format!("{line} --json")).fine().json(), json);
    assert!(desk.names().is_empty(), "explaining leaves nothing: {:?}", desk.names());
}

#[test]
fn explain_says_what_will_be_done() {
    let desk = Desk::new();
    let scene = desk.scene(1000);
    let line = format!("run ndvi {scene} --out out.tif --tile 256 --blocksize 128");
    let told = desk.run(&format!("{line} --explain --json")).fine().json();
    let done = desk.run(&format!("{line} --json")).fine().json();
    let (plan, run) = (&told["stages"][0], &done["run"]["stages"][0]);
    assert_eq!(plan["splits"], 16, "{told}");
    assert_eq!((&plan["splits"], &plan["label"]), (&run["splits"], &run["label"]));
    assert_eq!(told["predicted_peak_bytes"], done["run"]["memory"]["predicted_bytes"]);
    let (bytes, most) = (done["run"]["outputs"][0]["bytes"].as_u64().unwrap(), plan["output"]["most_bytes"].as_u64());
    assert!(bytes <= most.unwrap(), "{bytes} of at most {most:?}");
    let text = desk.run(&format!("{line} --explain --overwrite")).fine().out;
    for word in ["stage", "splits", "16", "input", "recompute factor", "memory", "peak", "output", "out.tif"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn explain_refuses_what_a_run_would_refuse() {
    let desk = Desk::new();
    let scene = desk.scene(300);
    desk.run(&format!("run ndvi {scene} --out out.tif -q")).fine();
    desk.run(&format!("run ndvi {scene} --out out.tif --explain --memory-limit 1MiB")).refused(2, &["1 MiB"]);
    desk.run("run ndvi --red nowhere.tif --nir nowhere.tif --out o.tif --explain").refused(3, &["nowhere.tif"]);
}

#[test]
fn explain_of_a_million_tiles() {
    let desk = Desk::new();
    patch::sparse(&desk.path("big.tif"), 1000); // 512,000 x 512,000 pixels, 16 MB of holes
    let info = desk.run("info big.tif --json").fine();
    assert!(info.out.contains("512000"), "{info}");
    let line = "run ndvi --red big.tif --nir big.tif --out out.tif --explain --json";
    let told = desk.run(line).fine();
    assert_eq!(told.json()["stages"][0]["splits"], 62_500, "{told}");
    let small = desk.run(&format!("{line} --tile 512")).fine();
    assert_eq!(small.json()["stages"][0]["splits"], 1_000_000, "{small}");
    assert!(small.peak < 512 << 20, "{} bytes to plan", small.peak);
}
