//! The job in the Lab: several files by lists and patterns, values that can be checked by hand.
#![allow(clippy::unwrap_used)]

use mapfold::prelude::*;
use mapfold::testing::Lab;
use mapfold_job_stats::{Stats, stats};
use serde_json::Value;

/// A lab with three rasters of different shapes: `raster-0.tif`, `-1`, `-2`.
fn lab() -> Lab {
    let lab = Lab::new();
    for literal in ["0 1 | 2 .", "5 6 7", "-1 / 3"] {
        lab.raster(literal).unwrap();
    }
    lab
}

fn run(lab: &Lab, inputs: &[&str]) -> Result<Vec<Value>> {
    let input = inputs.iter().map(|i| Loc::parse(i).unwrap()).collect();
    let done = lab.run(stats, &Stats { input, histogram: None, range: None })?;
    Ok(done.reports[0].values.clone())
}

/// File, band, count, sum of a row.
fn row(v: &Value) -> (String, String, u64, f64) {
    let text = |key: &str| v[key].as_str().unwrap_or("").to_owned();
    let count = v["count"].as_u64().unwrap();
    (text("file"), text("band"), count, v["mean"].as_f64().unwrap() * count as f64)
}

fn rows(lab: &Lab, inputs: &[&str]) -> Vec<(String, String, u64, f64)> {
    run(lab, inputs).unwrap().iter().map(row).collect()
}

fn named(n: usize, band: &str, count: u64, sum: f64) -> (String, String, u64, f64) {
    (format!("memory://lab/raster-{n}.tif"), band.into(), count, sum)
}

#[test]
fn a_pattern_gives_the_rows_of_each_file_in_order() {
    let want = [named(0, "1", 3, 3.0), named(1, "1", 3, 18.0), named(2, "1", 1, -1.0), named(2, "2", 1, 3.0)];
    assert_eq!(rows(&lab(), &["memory://lab/*.tif"]), want);
}

#[test]
fn a_list_keeps_its_order_and_its_bands() {
    let lab = lab();
    let text = "# two of three\nraster-2.tif#2\n\nraster-0.tif\n";
    lab.stores().put(&lab.loc("list.txt"), text.into()).unwrap();
    assert_eq!(rows(&lab, &["@memory://lab/list.txt"]), [named(2, "2", 1, 3.0), named(0, "1", 3, 3.0)]);
    let both = rows(&lab, &["memory://lab/raster-1.tif", "@memory://lab/list.txt"]);
    assert_eq!(both.len(), 3, "arguments and lists mix: {both:?}");
}

#[test]
fn many_files_are_two_stages_and_every_row_is_that_of_the_file_alone() {
    let lab = Lab::new();
    for i in 0..40 {
        lab.raster(&format!("{i} {} | . {}", i * i, 3 * i)).unwrap();
    }
    let input = vec![Loc::parse("memory://lab/*.tif").unwrap()];
    let done = lab.run(stats, &Stats { input, histogram: Some(4), range: Some("0,2000".into()) }).unwrap();
    assert_eq!((done.stages.len(), done.reports[0].values.len()), (2, 40));
    for all in &done.reports[0].values {
        let file = vec![Loc::parse(all["file"].as_str().unwrap()).unwrap()];
        let alone = lab.run(stats, &Stats { input: file, histogram: Some(4), range: Some("0,2000".into()) }).unwrap();
        let mut all = all.clone();
        all.as_object_mut().unwrap().remove("file");
        assert_eq!(alone.reports[0].values, [all]);
    }
}

#[test]
fn one_plain_file_has_no_column_of_files() {
    assert_eq!(rows(&lab(), &["memory://lab/raster-1.tif"]), [(String::new(), "1".into(), 3, 18.0)]);
}

#[test]
fn nothing_named_is_an_error_of_the_input() {
    let e = run(&lab(), &["memory://lab/*.jp2"]).unwrap_err();
    assert!(e.exit_code() == 3 && e.what().contains("memory://lab/*.jp2"), "{e}");
}

#[test]
fn where_one_file_is_wanted_a_pattern_may_name_one() {
    let lab = lab();
    let first = |input: Loc, p: &Plan| {
        let pixels = p.raster::<f32>([&input])?.map(|b| ((), b.pixel_count() as u64));
        pixels.combine::<Sum<u64>>().map(|(_, n)| n).report("pixels")
    };
    let done = lab.run(first, &Loc::parse("memory://lab/raster-[0].tif").unwrap()).unwrap();
    assert_eq!(done.reports[0].values, [4]);
    let e = lab.run(first, &Loc::parse("memory://lab/*.tif").unwrap()).unwrap_err();
    assert_eq!(e.exit_code(), 2);
    assert!(e.what().contains("names 3 files (raster-0.tif, raster-1.tif, raster-2.tif)"), "{e}");
}

#[test]
fn a_series_is_the_files_of_a_pattern_in_order() {
    let lab = Lab::new();
    for literal in ["1 5", "2 .", "6 7"] {
        lab.raster(literal).unwrap();
    }
    let latest = |(images, out): (Loc, Loc), p: &Plan| {
        let last = |values: &mut Vec<f32>| values.last().copied();
        p.series::<f32>(p.scenes([&images])?)?.over(Time).reduce_pixels(last).write(&out, Cog::default())
    };
    let job = (Loc::parse("memory://lab/raster-[01].tif").unwrap(), lab.loc("out.tif"));
    lab.run(latest, &job).unwrap();
    lab.assert_raster(&job.1, "2 5").unwrap();
}
