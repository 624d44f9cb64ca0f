//! The process stays below `--memory-limit` (or does not start), and the prediction is near.
//!
//! The peak is what the system says of the process (VmHWM), not what it says of itself.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use mapfold_tests::Desk;

const MIB: u64 = 1 << 20;

/// Runs under a limit and gives `(measured, predicted)` in bytes.
fn peak(desk: &Desk, line: &str, limit: u64) -> (u64, u64) {
    let ran = desk.run(&format!("{line} --json --overwrite --memory-limit {limit}MiB")).fine();
    let memory = ran.json()["run"]["memory"].clone();
    let (told, predicted) = (memory["peak_bytes"].as_u64().unwrap(), memory["predicted_bytes"].as_u64().unwrap());
    assert!(told + MIB >= ran.peak, "says {told}, has been seen with {}: {ran}", ran.peak);
    let measured = told.max(ran.peak);
    assert!(measured <= limit * MIB, "{} MiB of {limit}: {ran}", measured / MIB);
    eprintln!("{:>4} MiB limit, {:>4} measured, {:>4} predicted: {line}", limit, measured / MIB, predicted / MIB);
    (measured, predicted)
}

#[test]
fn ndvi_stays_below_its_limit_and_near_its_prediction() {
    let desk = Desk::new();
    let scene = desk.scene(3000);
    for options in
        ["--threads 2", "--threads 1", "--threads 2 --tile 512", "--threads 2 --format gtiff --compress zstd"]
    {
        for limit in [160, 256, 1024] {
            near(&desk, &format!("run ndvi {scene} --out out.tif {options}"), limit);
        }
    }
}

#[test]
fn statistics_stay_below_their_limit() {
    let desk = Desk::new();
    let scene = desk.scene(3000);
    let red = scene.split_whitespace().nth(1).unwrap();
    for threads in [1, 4] {
        // Not how near: an exchange is counted with all that it may hold before it spills.
        let (measured, predicted) = peak(&desk, &format!("run stats {red} --threads {threads}"), 256);
        assert!(measured <= predicted, "{threads} threads: {measured} measured, {predicted} predicted");
    }
}

/// The law of the prediction: not below what is measured, and not far above.
fn near(desk: &Desk, line: &str, limit: u64) {
    let (measured, predicted) = peak(desk, line, limit);
    assert!(measured <= predicted, "{line}, {limit} MiB: {measured} measured, {predicted} predicted");
    let far = measured + measured / 4 + 48 * MIB;
    assert!(predicted <= far, "{line}, {limit} MiB: {measured} measured, {predicted} predicted");
}

/// What does not exist is not counted: threads without a split, windows and tiles larger than the image, overviews
/// of an image of one tile. (bench/memory.py measures many more cells.)
#[test]
fn small_images_are_not_taken_for_large_ones() {
    let desk = Desk::new();
    for size in [64, 512, 2048] {
        let scene = desk.scene(size);
        let red = scene.split_whitespace().nth(1).unwrap();
        for threads in if size < 2048 { [1, 2, 8] } else { [1, 2, 3] } {
            let (measured, predicted) = peak(&desk, &format!("run stats {red} --threads {threads}"), 4096);
            assert!(measured <= predicted, "{threads} threads: {measured} measured, {predicted} predicted");
            for options in ["--format gtiff", "--format cog", "--dtype uint8", "--compress deflate --chunks native"] {
                near(&desk, &format!("run ndvi {scene} --out out.tif --threads {threads} {options}"), 4096);
            }
        }
    }
}

#[test]
fn windows_that_cut_codec_tiles_are_warned_of() {
    let desk = Desk::new();
    let scene = desk.scene(1024);
    let explain = |chunks: &str| {
        let ran = desk.run(&format!("run ndvi {scene} --out out.tif --chunks {chunks} --explain --json")).fine();
        let plan = ran.json();
        let warned = plan.to_string().contains("windows cut codec tiles");
        (plan.to_string(), warned)
    };
    for (chunks, cut) in [("auto", false), ("native", false), ("64,64", true)] {
        let (plan, warned) = explain(chunks);
        assert_eq!(warned, cut, "--chunks {chunks}: {plan}");
    }
}
