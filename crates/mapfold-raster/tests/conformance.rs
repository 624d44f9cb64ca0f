//! Laws that every `RasterSource` keeps, run over each file of the test data and compared with what GDAL found there.
#![allow(clippy::unwrap_used)]

mod read_support;

use bytes::Bytes;
use mapfold_grid::{DType, Pixel, Window, convert};
use mapfold_raster::{RasterError, RasterSource, Want};
use read_support::{Dice, crop, data, open, read, whole};
use serde_json::Value;

/// The laws: windows are crops of the whole, bands come in any order, conversion is by the one rule, only named bytes
/// are used, the mask is 0 or 1, requests for what is not there are errors.
pub fn check(source: &dyn RasterSource, file: &Bytes) {
    match source.meta().bands[0].dtype {
        DType::U8 => check_as::<u8>(source, file),
        DType::I8 => check_as::<i8>(source, file),
        DType::U16 => check_as::<u16>(source, file),
        DType::I16 => check_as::<i16>(source, file),
        DType::U32 => check_as::<u32>(source, file),
        DType::I32 => check_as::<i32>(source, file),
        DType::F32 => check_as::<f32>(source, file),
        DType::F64 => check_as::<f64>(source, file),
    }
}

fn check_as<T: Pixel>(source: &dyn RasterSource, file: &Bytes) {
    let meta = source.meta();
    assert_eq!(meta.levels[0].shape, meta.geobox.shape);
    assert!(meta.levels.windows(2).all(|l| l[0].shape.pixels() > l[1].shape.pixels()), "finest first");
    for level in 0..meta.levels.len() {
        windows_are_crops::<T>(source, file, level);
    }
    let all = whole(source, 0);
    let (values, _) = read::<T>(source, file, &all).unwrap();
    converted::<T, u8>(source, file, &all, &values);
    converted::<T, i32>(source, file, &all, &values);
    converted::<T, f32>(source, file, &all, &values);
    converted::<T, f64>(source, file, &all, &values);
    refuses_what_is_not_there(source);
}

fn windows_are_crops<T: Pixel>(source: &dyn RasterSource, file: &Bytes, level: usize) {
    let all = whole(source, level);
    let (values, mask) = read::<T>(source, file, &all).unwrap();
    assert!(mask.iter().all(|m| *m <= 1) && (source.meta().has_mask || mask.iter().all(|m| *m == 1)));
    let (shape, n) = (all.window.shape(), all.window.pixels());
    let mut dice = Dice(12345 + level as u64);
    for _ in 0..25 {
        let (row, col) = (dice.below(shape.rows), dice.below(shape.cols));
        let (rows, cols) = (1 + dice.below(shape.rows - row), 1 + dice.below(shape.cols - col));
        let window = Window { row: row as i64, col: col as i64, rows, cols };
        let bands: Vec<usize> = (0..1 + dice.below(3)).map(|_| dice.below(all.bands.len())).collect();
        let want = Want { level, bands: bands.clone(), window };
        let (got, got_mask) = read::<T>(source, file, &want).unwrap();
        let expected: Vec<T> =
            bands.iter().flat_map(|b| crop(&values[b * n..(b + 1) * n], shape.cols, window)).collect();
        assert!(same(&got, &expected), "{}: {window} of bands {bands:?}, level {level}", source.loc());
        assert_eq!(got_mask, crop(&mask, shape.cols, window), "{}: mask of {window}", source.loc());
    }
}

fn converted<T: Pixel, D: Pixel>(source: &dyn RasterSource, file: &Bytes, want: &Want, values: &[T]) {
    let (got, _) = read::<D>(source, file, want).unwrap();
    let expected: Vec<D> = values.iter().map(|v| convert(*v)).collect();
    assert!(same(&got, &expected), "{}: {} read as {}", source.loc(), T::DTYPE, D::DTYPE);
}

fn refuses_what_is_not_there(source: &dyn RasterSource) {
    let all = whole(source, 0);
    let wrong = [
        Want { level: source.meta().levels.len(), ..all.clone() },
        Want { bands: vec![all.bands.len()], ..all.clone() },
        Want { window: Window { row: -1, ..all.window }, ..all.clone() },
        Want { window: Window { cols: all.window.cols + 1, ..all.window }, ..all.clone() },
        Want { window: Window { row: i64::MAX, rows: usize::MAX, ..all.window }, ..all },
    ];
    for want in wrong {
        let error = source.needs(&want, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, RasterError::Request { .. }), "{want:?}: {error}");
    }
}

fn same<T: Pixel>(a: &[T], b: &[T]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(*b))
}

// What GDAL found in the files.

fn expected() -> Vec<Value> {
    let text = std::fs::read_to_string(data("tiff/expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["files"].as_array().unwrap().clone()
}

fn of_kind(kinds: &[&str]) -> Vec<(String, Value)> {
    let all = expected().into_iter().filter(|e| kinds.contains(&e["kind"].as_str().unwrap()));
    all.map(|e| (e["file"].as_str().unwrap().to_owned(), e)).collect()
}

/// Values of a raw file as f64: exact for all types here.
fn raw(name: &str, dtype: &str) -> Vec<f64> {
    let bytes = std::fs::read(data(&format!("tiff/{name}"))).unwrap();
    let of = |n: usize, f: fn(&[u8]) -> f64| bytes.chunks_exact(n).map(f).collect();
    match dtype {
        "u8" => of(1, |b| u8::from_le(b[0]).into()),
        "i8" => of(1, |b| i8::from_le(b[0] as i8).into()),
        "u16" => of(2, |b| u16::from_le_bytes(b.try_into().unwrap()).into()),
        "i16" => of(2, |b| i16::from_le_bytes(b.try_into().unwrap()).into()),
        "u32" => of(4, |b| u32::from_le_bytes(b.try_into().unwrap()).into()),
        "i32" => of(4, |b| i32::from_le_bytes(b.try_into().unwrap()).into()),
        "f32" => of(4, |b| f32::from_le_bytes(b.try_into().unwrap()).into()),
        _ => of(8, |b| f64::from_le_bytes(b.try_into().unwrap())),
    }
}

fn check_pixels(file: &str, e: &Value, source: &dyn RasterSource, bytes: &Bytes) {
    let dtype = e["dtype"].as_str().unwrap();
    let (got, mask) = read::<f64>(source, bytes, &whole(source, 0)).unwrap();
    let pixels = raw(e["pixels"].as_str().unwrap(), dtype);
    assert!(same(&got, &pixels[..got.len()]), "{file}: pixels differ from GDAL's");
    if let Some(name) = e["mask"].as_str() {
        let valid: Vec<u8> = raw(name, "u8").iter().map(|v| u8::from(*v != 0.0)).collect();
        assert_eq!(mask, valid, "{file}: mask");
    }
    let levels = e["overviews"].as_array().unwrap();
    assert_eq!(source.meta().levels.len(), levels.len() + 1, "{file}: {:?}", source.meta().warnings);
    for (i, level) in levels.iter().enumerate() {
        let (got, _) = read::<f64>(source, bytes, &whole(source, i + 1)).unwrap();
        assert!(same(&got, &raw(level[2].as_str().unwrap(), dtype)), "{file}: overview {i}");
    }
}

fn check_meta(file: &str, e: &Value, source: &dyn RasterSource) {
    let meta = source.meta();
    let shape: Vec<u64> = [meta.bands.len(), meta.geobox.shape.rows, meta.geobox.shape.cols].map(|n| n as u64).into();
    assert_eq!(serde_json::json!(shape), e["shape"], "{file}: shape");
    assert_eq!(meta.geobox.crs.epsg.map(u64::from), e["epsg"].as_u64(), "{file}: EPSG");
    let a = meta.geobox.affine;
    for (got, want) in [a.a, a.b, a.c, a.d, a.e, a.f].iter().zip(e["transform"].as_array().unwrap()) {
        let want = want.as_f64().unwrap();
        assert!((got - want).abs() <= 1e-9 * want.abs(), "{file}: {a:?} is not {}", e["transform"]);
    }
    if let Some(text) = e["citation"].as_str() {
        assert!(format!("{:?}", meta.geobox.crs.geokeys).contains(text), "{file}: citation");
    }
    for (i, band) in meta.bands.iter().enumerate() {
        assert_eq!(band.name.as_deref(), e["descriptions"][i].as_str(), "{file}: description");
        assert_eq!(
            (Some(band.scale), Some(band.offset)),
            (e["scales"][i].as_f64(), e["offsets"][i].as_f64()),
            "{file}"
        );
        match (&e["nodata"], band.nodata) {
            (Value::Null, got) => assert_eq!(got, None, "{file}: nodata"),
            (Value::String(_), got) => assert!(got.unwrap().is_nan(), "{file}: nodata"),
            // The JSON reader may be off in the last digit; the value in the file's own type is exact.
            (n, got) => assert_eq!(got.map(|v| v as f32), n.as_f64().map(|v| v as f32), "{file}: nodata"),
        }
    }
    assert_eq!(
        (meta.compression.as_str(), u64::from(meta.predictor)),
        (e["codec"].as_str().unwrap(), e["predictor"].as_u64().unwrap())
    );
}

#[test]
fn pixels_and_metadata_are_gdals() {
    let files = of_kind(&["read"]);
    assert!(files.len() > 80, "only {} files", files.len());
    for (file, e) in files {
        let (source, bytes) = open(&format!("tiff/{file}")).unwrap_or_else(|why| panic!("{file}: {why}"));
        check_meta(&file, &e, &source);
        check_pixels(&file, &e, &source, &bytes);
    }
}

#[test]
fn every_file_keeps_the_laws() {
    for (file, _) in of_kind(&["read"]) {
        let (source, bytes) = open(&format!("tiff/{file}")).unwrap();
        check(&source, &bytes);
    }
}

#[test]
fn unknown_features_are_refused_by_name() {
    for (file, e) in of_kind(&["refuse"]) {
        let why = open(&format!("tiff/{file}")).unwrap_err();
        assert!(matches!(why, RasterError::Unsupported { .. }), "{file}: {why}");
        for name in e["names"].as_array().unwrap() {
            let (text, name) = (why.to_string().to_lowercase(), name.as_str().unwrap().to_lowercase());
            assert!(text.contains(&name), "{file}: {why}");
        }
    }
}

#[test]
fn either_the_pixels_or_a_named_refusal() {
    for (file, e) in of_kind(&["either"]) {
        match open(&format!("tiff/{file}")) {
            Ok((source, bytes)) => check_pixels(&file, &e, &source, &bytes),
            Err(why) => {
                assert!(matches!(why, RasterError::Unsupported { .. } | RasterError::Header { .. }), "{file}: {why}");
            }
        }
    }
}

#[test]
fn damaged_files_are_errors_that_say_where() {
    for (file, _) in of_kind(&["corrupt"]) {
        let why = match open(&format!("tiff/{file}")) {
            Err(why) => why,
            Ok((source, bytes)) => read::<f64>(&source, &bytes, &whole(&source, 0)).unwrap_err(),
        };
        let said = matches!(
            why,
            RasterError::NotARaster { .. }
                | RasterError::Header { .. }
                | RasterError::Tile { .. }
                | RasterError::Unsupported { .. }
        );
        assert!(said && why.to_string().contains(&file), "{file}: {why}");
    }
}
