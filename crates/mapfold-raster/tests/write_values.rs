//! What is written: nodata, overviews and statistics against naive computations made here.
#![allow(clippy::unwrap_used)]

#[path = "write_support/decode.rs"]
mod decode;
mod write_support;

use decode::{directories, pixels};
use mapfold_grid::{Pixel, Shape};
use mapfold_raster::write::*;
use write_support::*;

fn small() -> WriteOptions {
    WriteOptions { blocksize: 64, ..WriteOptions::default() }
}

/// Area-weighted mean by overlaps of real intervals: slow, in f64, from the definition. Footprints drift by less than
/// one pixel from twice the index. Rounding forgives what intervals in f64 lose (whole numbers here are 1e-5 off a half
/// or on it).
fn coarser(fine: &[Option<f64>], m: Shape, whole_numbers: bool) -> (Vec<Option<f64>>, Shape) {
    let n = m.halved();
    let overlap = |i: usize, j: usize, m: usize, n: usize| {
        let scale = m as f64 / n as f64;
        ((i + 1) as f64 * scale).min((j + 1) as f64) - (i as f64 * scale).max(j as f64)
    };
    let mut out = Vec::new();
    for (r, c) in (0..n.rows).flat_map(|r| (0..n.cols).map(move |c| (r, c))) {
        let (mut sum, mut weight) = (0.0, 0.0);
        for y in (2 * r).saturating_sub(2)..(2 * r + 3).min(m.rows) {
            for x in (2 * c).saturating_sub(2)..(2 * c + 3).min(m.cols) {
                let w = overlap(r, y, m.rows, n.rows).max(0.0) * overlap(c, x, m.cols, n.cols).max(0.0);
                if let (Some(v), true) = (fine[y * m.cols + x], w > 1e-9) {
                    sum += w * v;
                    weight += w;
                }
            }
        }
        let mean = sum / weight;
        let mean = if whole_numbers { (mean + 0.5 + 1e-6).floor() } else { mean };
        out.push((weight > 0.0).then_some(mean));
    }
    (out, n)
}

fn overviews_match<T: Pixel>(s: Shape, nodata: T, tolerance: f64, cut: Cut, f: impl Fn(usize, usize, usize) -> T) {
    let mut image = image(s, 1, f);
    image.nodata = Some(nodata);
    let o = WriteOptions { nodata: Some(nodata.to_f64()), overviews: Overviews::Count(6), ..small() };
    let file = write(&image, &o, cut).unwrap().bytes;
    let mut level: Vec<Option<f64>> = image.values.iter().map(|v| (!v.is(nodata)).then(|| v.to_f64())).collect();
    let mut m = s;
    for d in &directories(&file)[1..] {
        let (want, n) = coarser(&level, m, !T::DTYPE.is_float());
        let got = pixels(&file, d, nodata);
        assert_eq!((d.one(257), d.one(256)), (n.rows, n.cols));
        for (g, w) in got.iter().zip(&want) {
            assert_eq!(g.is(nodata), w.is_none());
            let gap = w.map_or(0.0, |w| (g.to_f64() - w).abs());
            assert!(gap <= tolerance, "{g} is not {w:?} at {n}");
        }
        level = got.iter().map(|v| (!v.is(nodata)).then(|| v.to_f64())).collect();
        m = n;
    }
}

#[test]
fn overviews_are_area_weighted_means_at_any_size() {
    for s in [shape(256, 256), shape(101, 100), shape(257, 300), shape(1, 77), shape(130, 131), shape(236, 372)] {
        let sparse = |b, r, c| if noise(9, r, c).is_multiple_of(5) { 0.0 } else { (noise(b, r, c) % 1000) as f64 };
        let cut = Cut { superblock: shape(128, 128), block: shape(50, 60), reversed: false };
        overviews_match(
            s,
            f64::NAN,
            1e-9,
            cut,
            |b, r, c| if sparse(b, r, c) == 0.0 { f64::NAN } else { sparse(b, r, c) },
        );
        overviews_match(s, -1i16, 0.0, cut, |b, r, c| if sparse(b, r, c) == 0.0 { -1 } else { sparse(b, r, c) as i16 });
        overviews_match(
            s,
            0u8,
            0.0,
            cut,
            |b, r, c| if sparse(b, r, c) == 0.0 { 0 } else { 1 + (noise(b, r, c) % 255) as u8 },
        );
        overviews_match(s, 0u32, 0.0, cut, |b, r, c| {
            if sparse(b, r, c) == 0.0 { 0 } else { 1 + noise(b, r, c) as u32 % 4_000_000 }
        });
    }
}

fn level_one(resampling: Resampling, s: Shape, values: &[u8]) -> Vec<u8> {
    let mut image = image(s, 1, |_, r, c| values[r * s.cols + c]);
    image.nodata = Some(0);
    let o =
        WriteOptions { overview_resampling: resampling, overviews: Overviews::Count(1), nodata: Some(0.0), ..small() };
    let file = write(&image, &o, whole(s, 64)).unwrap().bytes;
    pixels(&file, &directories(&file)[1], 0)
}

#[test]
fn nearest_takes_the_pixel_under_the_centre_and_mode_the_heaviest_value() {
    let even = [1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(level_one(Resampling::Nearest, shape(2, 4), &even), [1, 3]);
    assert_eq!(level_one(Resampling::Nearest, shape(1, 3), &[1, 2, 3]), [1, 3]); // centres at 0.75 and 2.25
    assert_eq!(level_one(Resampling::Mode, shape(2, 4), &[9, 4, 0, 8, 4, 9, 0, 0]), [9, 8]); // first of equals; nodata has no vote
    assert_eq!(level_one(Resampling::Mode, shape(1, 3), &[5, 7, 5]), [5, 5]); // 1 against 0.5
}

#[test]
fn results_equal_to_nodata_are_moved_beside_it_and_counted() {
    let s = shape(2, 4);
    let mut image = image(s, 1, |_, _, c| c as u8); // 0 is a valid value here
    image.values = vec![0, 1, 2, 4, 5, 255, 4, 2];
    let o = WriteOptions { nodata: Some(3.0), overviews: Overviews::Count(1), ..small() };
    let file = write(&image, &o, whole(s, 64)).unwrap();
    let levels = directories(&file.bytes);
    assert_eq!(pixels(&file.bytes, &levels[0], 3u8), image.values);
    assert_eq!(pixels(&file.bytes, &levels[1], 3u8), [65, 4]); // the mean of 2 4 4 2 is 3, which would read as nodata
    assert_eq!(file.assembly.moved_off_nodata, 0);

    let o = WriteOptions { nodata: Some(255.0), ..o };
    let file = write(&image, &o, whole(s, 64)).unwrap();
    assert_eq!(pixels(&file.bytes, &directories(&file.bytes)[0], 255u8)[5], 254);
    assert_eq!((file.assembly.moved_off_nodata, file.assembly.statistics[0].max), (1, 254.0));

    let mut floats = write_support::image(shape(1, 3), 1, |_, _, c| c as f32);
    floats.values[2] = f32::NAN;
    let o = WriteOptions { nodata: Some(0.0), ..small() };
    let file = write(&floats, &o, whole(shape(1, 3), 64)).unwrap();
    let got = pixels(&file.bytes, &directories(&file.bytes)[0], 0f32);
    assert_eq!((got[0] > 0.0, got[1], got[2]), (true, 1.0, 0.0));
    assert_eq!((file.assembly.moved_off_nodata, file.assembly.statistics[0].valid), (1, 2));
}

#[test]
fn nodata_is_told_in_the_header_and_refused_when_the_type_cannot_hold_it() {
    let s = shape(4, 4);
    let text = |nodata: Option<f64>| {
        let o = WriteOptions { nodata, ..small() };
        let file = write(&image(s, 1, |_, _, c| c as f32), &o, whole(s, 64)).unwrap().bytes;
        directories(&file)[0].texts[&42113].clone()
    };
    assert_eq!((text(None), text(Some(-9999.0))), ("nan".into(), "-9999".into()));
    assert_eq!(text(Some(-3.4e38)).parse::<f64>().unwrap() as f32, -3.4e38f32);
    let refused = |nodata: f64| {
        let o = WriteOptions { nodata: Some(nodata), ..small() };
        write(&image(s, 1, |_, _, c| c as u8), &o, whole(s, 64)).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(refused(-9999.0), "nodata -9999 cannot stand in uint8 (whole numbers from 0 to 255)");
    assert!(refused(0.5).starts_with("nodata 0.5 cannot stand in uint8"));
    assert!(refused(f64::NAN).starts_with("nodata NaN cannot stand in uint8"));
}

#[test]
fn invalid_integers_without_nodata_or_mask_are_an_error_not_a_loss() {
    let s = shape(4, 4);
    let mut image = image(s, 1, |_, _, c| c as u8);
    image.nodata = Some(2);
    let error = write(&image, &small(), whole(s, 64)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("give a nodata value"), "{error}");
}

fn statistics_match<T: Pixel>(s: Shape, nodata: Option<T>, f: impl Fn(usize, usize, usize) -> T) {
    let mut image = image(s, 2, f);
    image.nodata = nodata;
    let o = WriteOptions { nodata: nodata.map(Pixel::to_f64), ..small() };
    let cut = Cut { superblock: shape(128, 64), block: shape(11, 200), reversed: true };
    let file = write(&image, &o, cut).unwrap();
    for (band, got) in image.values.chunks(s.pixels()).zip(&file.assembly.statistics) {
        let v: Vec<f64> =
            band.iter().filter(|v| !v.is_nan() && nodata.is_none_or(|n| !v.is(n))).map(|v| v.to_f64()).collect();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let std = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        assert_eq!(got.count, v.len() as u64);
        assert_eq!(
            (got.min, got.max),
            (v.iter().copied().fold(f64::MAX, f64::min), v.iter().copied().fold(f64::MIN, f64::max))
        );
        assert!(
            (got.mean - mean).abs() <= 1e-12 * mean.abs() && (got.std - std).abs() <= 1e-9 * std,
            "{got:?} {mean} {std}"
        );
    }
}

#[test]
fn statistics_are_those_of_the_valid_pixels() {
    let s = shape(150, 133);
    statistics_match(s, Some(7), |b, r, c| noise(b, r, c) as u8);
    statistics_match(s, None, |b, r, c| noise(b, r, c) as i16);
    statistics_match(s, Some(0), |b, r, c| noise(b, r, c) as u32);
    statistics_match(s, None, |b, r, c| noise(b, r, c) as i32);
    statistics_match(
        s,
        None,
        |b, r, c| if noise(5, r, c).is_multiple_of(3) { f32::NAN } else { noise(b, r, c) as f32 },
    );
    statistics_match(s, Some(-1.0), |b, r, c| if r < 64 { -1.0 } else { 1e6 + (noise(b, r, c) % 1000) as f64 });
}

#[test]
fn tiles_without_valid_pixels_take_no_room() {
    let s = shape(300, 300);
    let empty = write(&image(s, 1, |_, _, _| f32::NAN), &small(), whole(s, 64)).unwrap();
    assert_eq!((empty.bytes.len() as u64, empty.assembly.pieces.len()), (empty.layout.header_size(), 0));
    assert_eq!(empty.assembly.statistics[0].count, 0);
}
