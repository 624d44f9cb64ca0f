//! The job in the Lab: values that can be checked by hand.
#![allow(clippy::unwrap_used)]

use mapfold::testing::Lab;
use mapfold_job_ndvi::{Ndvi, ndvi};

fn run(red: &str, nir: &str, eps: f32, want: &str) {
    let lab = Lab::new();
    let job = Ndvi { red: lab.raster(red).unwrap(), nir: lab.raster(nir).unwrap(), out: lab.loc("out.tif"), eps };
    lab.run(ndvi, &job).unwrap();
    lab.assert_raster(&job.out, want).unwrap();
}

#[test]
fn four_pixels_by_hand() {
    run("0 1 | 2 .", "2 1 | 6 4", 0.0, "1 0 | 0.5 .");
}

#[test]
fn zero_by_zero_and_any_by_zero_are_nodata() {
    run("0 1 -1", "0 -1 3", 0.0, ". . 2");
}

#[test]
fn eps_goes_into_the_denominator() {
    run("0", "3", 1.0, "0.75");
}

#[test]
fn grids_that_differ_are_an_error_that_says_how() {
    let lab = Lab::new();
    let (red, nir) = (lab.raster("1 2").unwrap(), lab.raster("1 | 2").unwrap());
    let e = lab.run(ndvi, &Ndvi { red, nir, out: lab.loc("out.tif"), eps: 0.0 }).unwrap_err();
    assert!(e.to_string().contains("shapes differ: 1x2 against 2x1"), "{e}");
}
