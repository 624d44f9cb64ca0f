//! The job in the Lab: values that can be checked by hand.
#![allow(clippy::unwrap_used)]

use mapfold::testing::Lab;
use mapfold_job_normalize::{Normalize, normalize};

fn run(input: &str, ddof: u32, want: &str) {
    let lab = Lab::new();
    let job = Normalize { input: lab.raster(input).unwrap(), out: lab.loc("out.tif"), ddof };
    lab.run(normalize, &job).unwrap();
    lab.assert_raster(&job.out, want).unwrap();
}

#[test]
fn mean_5_and_standard_deviation_2() {
    run("2 4 4 4 | 5 5 7 9 | . . . .", 0, "-1.5 -0.5 -0.5 -0.5 | 0 0 1 2 | . . . .");
}

#[test]
fn bands_are_scored_by_themselves() {
    run("1 3 / 10 30", 0, "-1 1 / -1 1");
}

#[test]
fn a_sample_divides_by_one_less() {
    run("1 3", 1, "-0.70710678 0.70710678");
}

#[test]
fn a_band_of_one_value_or_of_none_has_no_scores() {
    run("7 7 | 7 .", 0, ". . | . .");
    run(". . | . .", 0, ". . | . .");
}
