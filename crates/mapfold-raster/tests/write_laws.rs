//! Laws of the writer: pixels come back, and the bytes depend on pixels and options only.
#![allow(clippy::unwrap_used)]

#[path = "write_support/decode.rs"]
mod decode;
mod write_support;

use decode::{directories, mask, pixels};
use mapfold_grid::{Pixel, Shape};
use mapfold_raster::write::*;
use write_support::*;

fn small(compress: Compress) -> WriteOptions {
    WriteOptions { blocksize: 64, compress, ..WriteOptions::default() }
}

fn comes_back<T: Pixel>(s: Shape, bands: usize, options: &WriteOptions, f: impl Fn(usize, usize, usize) -> T) {
    let image = image(s, bands, f);
    let file = write(&image, options, whole(s, options.blocksize)).unwrap();
    let levels = directories(&file.bytes);
    let got = pixels(&file.bytes, &levels[0], T::default());
    assert!(got.iter().zip(&image.values).all(|(a, b)| a.is(*b)), "{} {s} {options:?}", T::DTYPE);
}

#[test]
fn pixels_come_back_for_every_type_codec_and_shape() {
    for compress in [Compress::None, Compress::Deflate, Compress::Zstd] {
        for s in [shape(1, 1), shape(101, 100), shape(64, 64), shape(65, 129), shape(300, 9)] {
            let o = small(compress);
            comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as u8);
            comes_back(s, 3, &o, |b, r, c| noise(b, r, c) as i8);
            comes_back(s, 2, &o, |b, r, c| noise(b, r, c) as u16);
            comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as i16);
            comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as u32);
            comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as i32);
            comes_back(s, 2, &o, |b, r, c| if c % 7 == 3 { f32::NAN } else { noise(b, r, c) as f32 / 1e9 });
            comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as f64 / 1e9);
        }
    }
}

#[test]
fn predictors_and_bigtiff_on_request() {
    let s = shape(70, 130);
    for predictor in [Predictor::None, Predictor::Horizontal, Predictor::Float] {
        let o = WriteOptions { predictor, bigtiff: BigTiff::Yes, ..small(Compress::Deflate) };
        comes_back(s, 1, &o, |b, r, c| noise(b, r, c) as f32);
    }
}

fn cuts(s: Shape) -> Vec<Cut> {
    let superblock = shape(256, 256);
    let all = [
        shape(1, 256),
        shape(7, 256),
        shape(64, 256),
        shape(512, 512),
        shape(256, 5),
        shape(30, 41),
        shape(100, 100),
        shape(s.rows, 64),
    ];
    all.into_iter().flat_map(|block| [false, true].map(|reversed| Cut { superblock, block, reversed })).collect()
}

#[test]
fn bytes_depend_neither_on_the_cut_nor_on_the_order_of_superblocks() {
    let s = shape(500, 612);
    let mut bytes = image(s, 2, |b, r, c| (noise(b, r / 3, c / 3) % 900) as u16);
    bytes.mask = Some((0..s.pixels()).map(|i| u8::from(i % 613 > 40)).collect());
    bytes.spec.mask = true;
    let mut floats = image(s, 1, |b, r, c| (noise(b, r, c) % 1000) as f32 / 7.0);
    floats.values.iter_mut().step_by(3).for_each(|v| *v = f32::NAN);
    for format in [Format::Cog, Format::Gtiff] {
        let o = WriteOptions { format, ..small(Compress::Zstd) };
        let (first, second) = (write(&bytes, &o, cuts(s)[0]).unwrap(), write(&floats, &o, cuts(s)[0]).unwrap());
        for cut in &cuts(s)[1..] {
            assert!(write(&bytes, &o, *cut).unwrap().bytes == first.bytes, "{cut:?}");
            assert!(write(&floats, &o, *cut).unwrap().bytes == second.bytes, "{cut:?}");
        }
    }
}

#[test]
fn pixels_and_statistics_do_not_depend_on_the_superblock() {
    let s = shape(512, 384);
    let image = image(s, 1, |b, r, c| (noise(b, r, c) % 1000) as f32 / 7.0);
    let o = small(Compress::Zstd);
    let one = write(&image, &o, whole(s, 512)).unwrap();
    let many = write(&image, &o, Cut { superblock: shape(128, 64), block: shape(64, 64), reversed: false }).unwrap();
    assert_eq!(one.assembly.statistics, many.assembly.statistics);
    assert!(one.layout.coarse_levels().start > many.layout.coarse_levels().start, "both ways of making overviews");
    for (a, b) in directories(&one.bytes).iter().zip(&directories(&many.bytes)) {
        assert_eq!(pixels(&one.bytes, a, 0f32), pixels(&many.bytes, b, 0f32));
    }
}

#[test]
fn a_file_of_one_level_is_its_header_and_the_segments_in_order() {
    let s = shape(200, 200);
    let image = image(s, 1, |b, r, c| noise(b, r, c) as u8);
    let o = WriteOptions { format: Format::Gtiff, ..small(Compress::Deflate) };
    let file = write(&image, &o, Cut { superblock: shape(128, 128), block: shape(128, 128), reversed: false }).unwrap();
    assert_eq!((file.layout.streams(), file.layout.has_mask()), (1, false));
    assert_eq!(file.assembly.pieces.iter().map(|p| p.part).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn cog_tiles_are_framed_by_their_length_and_coarse_levels_come_first() {
    let s = shape(400, 300);
    let mut image = image(s, 2, |b, r, c| noise(b, r, c) as u8);
    image.mask = Some((0..s.pixels()).map(|i| u8::from(i > 20_000)).collect());
    image.spec.mask = true;
    let file = write(&image, &small(Compress::Zstd), whole(s, 64)).unwrap().bytes;
    assert!(
        String::from_utf8_lossy(&file[8..200])
            .starts_with("GDAL_STRUCTURAL_METADATA_SIZE=000118 bytes\nLAYOUT=IFDS_BEFORE_DATA\n")
    );
    let mut before = u64::MAX;
    for d in directories(&file).iter().filter(|d| !d.is_mask()) {
        let places = d.numbers[&324].iter().zip(&d.numbers[&325]).filter(|(_, len)| **len > 0.0);
        let places: Vec<(usize, usize)> = places.map(|(at, len)| (*at as usize, *len as usize)).collect();
        for (at, len) in &places {
            assert_eq!(file[at - 4..*at], (*len as u32).to_le_bytes());
            assert_eq!(file[at + len..at + len + 4], file[at + len - 4..at + len]);
        }
        let last = places.iter().map(|p| p.0 as u64).max().unwrap();
        assert!(last < before, "levels from coarse to fine");
        before = places.iter().map(|p| p.0 as u64).min().unwrap();
    }
}

#[test]
fn masks_come_back_on_every_level() {
    let s = shape(130, 200);
    let mut image = image(s, 2, |b, r, c| 1 + (noise(b, r, c) % 200) as u8);
    let valid: Vec<u8> = (0..s.pixels()).map(|i| u8::from(i / 200 > 70 || i % 200 < 33)).collect();
    image.mask = Some(valid.clone());
    image.spec.mask = true;
    let file = write(&image, &small(Compress::Deflate), whole(s, 64)).unwrap();
    let all = directories(&file.bytes);
    assert_eq!(all.iter().filter(|d| d.is_mask()).count(), file.layout.levels().len());
    assert_eq!(mask(&file.bytes, &all[1]), valid);
    let got = pixels(&file.bytes, &all[0], 0u8);
    let want = image.values.iter().enumerate().map(|(i, v)| v * valid[i % s.pixels()]);
    assert!(got.iter().copied().eq(want));
}

#[test]
fn missing_and_repeated_pixels_are_told() {
    let s = shape(100, 100);
    let image = image(s, 1, |b, r, c| noise(b, r, c) as u8);
    let layout = std::sync::Arc::new(Layout::new(image.spec.clone(), &small(Compress::Zstd), shape(128, 128)).unwrap());
    let mut encoder = layout.encoder::<u8>(s.window()).unwrap();
    let top = image.block(mapfold_grid::Window { rows: 70, ..s.window() });
    encoder.push(&top).unwrap();
    assert!(encoder.push(&top).unwrap_err().to_string().contains("twice"));
    let mut encoder = layout.encoder::<u8>(s.window()).unwrap();
    encoder.push(&top).unwrap();
    assert!(encoder.finish().unwrap_err().to_string().contains("missing"));
    assert!(layout.encoder::<u16>(s.window()).is_err());
}
