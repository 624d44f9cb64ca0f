//! An output lies where its input lies, in every way that a TIFF can say so: GDAL reads both the same.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, oracle, skipped};
use std::process::Command;

#[test]
fn points_user_defined_crs_and_rotated_grids_come_out_as_they_went_in() {
    let desk = Desk::new();
    if oracle("place.py", &["make", &desk.arg("")]).is_none() {
        return;
    }
    for name in ["point", "user", "rotated", "both"] {
        for format in ["cog", "gtiff"] {
            let bands = format!("--red {name}.tif#1 --nir {name}.tif#2");
            desk.run(&format!("run ndvi {bands} --out out.tif --overwrite --format {format}")).fine();
            oracle("place.py", &["check", &desk.arg(&format!("{name}.tif")), &desk.arg("out.tif")]);
        }
    }
}

/// GDAL's own opinion, where GDAL's Python is installed (Debian: python3-gdal); tests/oracle/layout.py asks the same.
#[test]
fn gdals_own_validation_takes_every_cog() {
    let gdal = "import sys; from osgeo_utils.samples import validate_cloud_optimized_geotiff as v; \
                sys.exit(v.main(['v', '--full-check=yes', *sys.argv[1:]]))";
    let there = Command::new("/usr/bin/python3").args(["-c", "import osgeo_utils, osgeo.gdal"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        return skipped("validate_cloud_optimized_geotiff.py (Debian: python3-gdal)", false);
    }
    let desk = Desk::new();
    let scene = desk.scene(1500);
    for options in ["", "--dtype uint8", "--compress none --blocksize 256", "--tile 512", "--bigtiff yes"] {
        desk.run(&format!("run ndvi {scene} --out out.tif --overwrite {options}")).fine();
        let said = desk.command("/usr/bin/python3").args(["-c", gdal, "out.tif"]).output().unwrap();
        assert!(said.status.success(), "{options}: {}", String::from_utf8_lossy(&said.stdout));
    }
}
