//! Files of the writer as GDAL and rio-cogeo see them. Runs where `MAPFOLD_TEST_PYTHON` names a Python with rasterio and
//! rio-cogeo (`make test` sees to that).
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "write_support/decode.rs"]
mod decode;
mod write_support;

use decode::{Directory, directories, mask, pixels};
use mapfold_grid::{Pixel, Shape};
use mapfold_raster::write::*;
use std::path::{Path, PathBuf};
use write_support::*;

struct Case<'a> {
    folder: &'a Path,
    name: String,
    options: WriteOptions,
    names: &'a [&'a str],
}

impl Case<'_> {
    fn save<T: Pixel>(&self, mut image: Image<T>, superblock: usize) {
        image.spec.names = self.names.iter().map(|n| Some((*n).to_string())).collect();
        let s = image.spec.geobox.shape;
        let cut = Cut { superblock: shape(superblock, superblock), block: shape(200, superblock), reversed: false };
        let file = write(&image, &self.options, cut).unwrap();
        let at = |ending: &str| self.folder.join(format!("{}.{ending}", self.name));
        std::fs::write(at("tif"), &file.bytes).unwrap();
        let (masks, images): (Vec<_>, Vec<_>) = directories(&file.bytes).into_iter().partition(Directory::is_mask);
        let empty = file.layout.nodata().map_or(T::default(), T::from_f64);
        let empty = if file.layout.nodata().is_some_and(f64::is_nan) { T::FILL } else { empty };
        for (n, d) in images.iter().enumerate() {
            let mut raw = Vec::new();
            pixels(&file.bytes, d, empty).iter().for_each(|v| v.push_le(&mut raw));
            std::fs::write(at(&format!("{n}.raw")), raw).unwrap();
        }
        for (n, d) in masks.iter().enumerate() {
            std::fs::write(at(&format!("{n}.mask")), mask(&file.bytes, d)).unwrap();
        }
        let levels: Vec<[usize; 2]> = file.layout.levels().iter().map(|l| [l.shape.rows, l.shape.cols]).collect();
        let names: Vec<Option<&str>> = (0..image.spec.bands).map(|b| self.names.get(b).copied()).collect();
        let nodata =
            file.layout.nodata().map_or("null".into(), |v| if v.is_nan() { "NaN".into() } else { format!("{v:?}") });
        let json = format!(
            "{{\"levels\": {levels:?}, \"bands\": {}, \"dtype\": \"{}\", \"mask\": {}, \"nodata\": {nodata}, \"cog\": {}, \"names\": {}}}",
            image.spec.bands,
            T::DTYPE,
            file.layout.has_mask(),
            self.options.format == Format::Cog,
            serde_json::to_string(&names).unwrap(),
        );
        std::fs::write(at("json"), json).unwrap();
        assert_eq!(s, file.layout.levels()[0].shape);
    }
}

fn ndvi(_: usize, r: usize, c: usize) -> f32 {
    if (r / 40 + c / 90).is_multiple_of(7) {
        f32::NAN
    } else {
        (r as f32 / 50.0).sin() + noise(0, r, c) as f32 / u64::MAX as f32
    }
}

fn masked(s: Shape, bands: usize) -> Image<u8> {
    let mut image = image(s, bands, |b, r, c| (noise(b, r, c) % 256) as u8);
    image.mask =
        Some((0..s.pixels()).map(|i| u8::from(!(i / s.cols / 60 + i % s.cols / 60).is_multiple_of(3))).collect());
    image.spec.mask = true;
    image
}

fn write_all(folder: &Path) {
    let base = WriteOptions::default();
    let case = |name: &str, options| Case { folder, name: name.into(), options, names: &[] };
    let shapes = [
        ("1x1", 1, 1),
        ("101x100", 101, 100),
        ("512x512", 512, 512),
        ("513x511", 513, 511),
        ("tall", 10_000, 300),
        ("scene", 2196, 2196),
    ];
    for (name, rows, cols) in shapes {
        let s = shape(rows, cols);
        case(&format!("f32_{name}"), base.clone()).save(image(s, 1, ndvi), 1024);
        let deflate = WriteOptions { compress: Compress::Deflate, nodata: Some(0.0), ..base.clone() };
        let mut words =
            image(s, 2, |b, r, c| if r / 30 % 4 == 1 { 0 } else { 1 + (noise(b, r / 2, c / 2) % 9000) as u16 });
        words.nodata = Some(0);
        Case { folder, name: format!("u16_{name}"), options: deflate, names: &["B04", "B08 <nir> & \"more\""] }
            .save(words, 1024);
        let rgb = WriteOptions { compress: Compress::None, ..base.clone() };
        Case { folder, name: format!("rgb_{name}"), options: rgb, names: &["red", "green", "blue"] }
            .save(masked(s, 3), 1024);
    }
    let big = WriteOptions { bigtiff: BigTiff::Yes, ..base.clone() };
    case("big_f64", big.clone()).save(image(shape(700, 900), 1, |b, r, c| f64::from(ndvi(b, r, c))), 1024);
    case("big_mask", big).save(masked(shape(700, 900), 4), 1024);
    let horizontal = WriteOptions { predictor: Predictor::Horizontal, ..base.clone() };
    case("f32_predictor2", horizontal).save(image(shape(700, 900), 1, ndvi), 1024);
    let plain = WriteOptions { format: Format::Gtiff, blocksize: 256, ..base.clone() };
    case("plain_i16", plain.clone()).save(image(shape(700, 900), 1, |b, r, c| noise(b, r, c) as i16), 256);
    case("plain_u32", plain.clone()).save(image(shape(700, 900), 1, |b, r, c| noise(b, r, c) as u32), 256);
    case("plain_i32", plain.clone()).save(image(shape(70, 90), 1, |b, r, c| noise(b, r, c) as i32), 256);
    case("plain_i8", plain).save(image(shape(70, 90), 1, |b, r, c| noise(b, r, c) as i8), 256);
}

#[test]
fn gdal_and_rio_cogeo_read_what_was_written() {
    let Some(python) = std::env::var_os("MAPFOLD_TEST_PYTHON") else {
        eprintln!("MAPFOLD_TEST_PYTHON is not set: not compared with GDAL");
        return;
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("write_gdal");
    let _ = std::fs::remove_dir_all(&folder); // left by an earlier run
    std::fs::create_dir_all(&folder).unwrap();
    write_all(&folder);
    let script = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/write_support/check.py");
    let run = std::process::Command::new(python).arg(script).arg(&folder).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}{err}");
}
