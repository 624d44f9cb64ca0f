//! Speed of the writer on one core: milliseconds per megapixel of float32 that looks like a vegetation index, per
//! codec, split into everything but the compressor (copy, statistics, predictor) and the compressor.
//!
//! The first part is measured by writing without compression but with the same tiles; the predictor and the
//! compressor are then measured on the same tiles by themselves, as the difference of two runs.
//!
//! Run: `cargo run --release -p mapfold-raster --example encode_speed`
#![allow(clippy::print_stdout)]

use mapfold_grid::{Block, DType, GeoBox, Shape};
use mapfold_raster::write::{Compress, Format, ImageSpec, Layout, Predictor, WriteOptions};
use std::sync::Arc;
use std::time::Instant;

const SIDE: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = Shape { rows: SIDE, cols: SIDE };
    let grid = Arc::new(GeoBox::plain(shape));
    let block = Block::new(grid, shape.window(), 1, vegetation())?;
    println!("codec              ms/MPix   bytes/pixel");
    for (name, options) in cases() {
        let (best, bytes) = measure(&block, &options)?;
        let megapixels = (SIDE * SIDE) as f64 / 1e6;
        println!("{name:<18} {:>7.2}   {:.3}", best * 1e3 / megapixels, bytes as f64 / (SIDE * SIDE) as f64);
    }
    Ok(())
}

fn cases() -> Vec<(&'static str, WriteOptions)> {
    let of = |compress, level, predictor, format| WriteOptions { compress, level, predictor, format, ..WriteOptions::default() };
    let plain = Format::Gtiff;
    vec![
        ("none", of(Compress::None, None, Predictor::None, plain)),
        ("zstd 1, no pred.", of(Compress::Zstd, Some(1), Predictor::None, plain)),
        ("zstd 1", of(Compress::Zstd, Some(1), Predictor::Auto, plain)),
        ("zstd 2", of(Compress::Zstd, Some(2), Predictor::Auto, plain)),
        ("zstd 3", of(Compress::Zstd, Some(3), Predictor::Auto, plain)),
        ("zstd 1, cog", of(Compress::Zstd, Some(1), Predictor::Auto, Format::Cog)),
        ("deflate 1", of(Compress::Deflate, Some(1), Predictor::Auto, plain)),
        ("deflate 6", of(Compress::Deflate, Some(6), Predictor::Auto, plain)),
    ]
}

/// Best of five, in seconds, and the encoded bytes.
fn measure(block: &Block<f32>, options: &WriteOptions) -> Result<(f64, usize), Box<dyn std::error::Error>> {
    let shape = block.window().shape();
    let spec = ImageSpec::plain(GeoBox::plain(shape), DType::F32, 1);
    let layout = Arc::new(Layout::new(spec, options, shape)?);
    let mut best = (f64::MAX, 0);
    for _ in 0..5 {
        let start = Instant::now();
        let mut encoder = layout.encoder::<f32>(shape.window())?;
        encoder.push(block)?;
        let part = encoder.finish()?;
        let bytes = part.segments.iter().map(|s| s.bytes.len()).sum();
        best = (start.elapsed().as_secs_f64().min(best.0), bytes);
    }
    Ok(best)
}

/// (nir - red) / (nir + red) of 12-bit integers: smooth fields, edges and noise.
fn vegetation() -> Vec<f32> {
    let mut seed = 1u64;
    let mut noise = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 40) as f32 / (1u64 << 24) as f32
    };
    let pixel = |r: usize, c: usize, noise: &mut dyn FnMut() -> f32| {
        let field = ((r / 97 * 31 + c / 131 * 17) % 23) as f32 * 60.0;
        let red = (600.0 + field + 80.0 * noise()).floor();
        let nir = (2600.0 - field + 200.0 * noise() + 300.0 * (r as f32 / 200.0).sin()).floor();
        (nir - red) / (nir + red)
    };
    (0..SIDE * SIDE).map(|i| pixel(i / SIDE, i % SIDE, &mut noise)).collect()
}
