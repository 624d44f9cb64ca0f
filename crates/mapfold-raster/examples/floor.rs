//! The floor of an NDVI job: decoding both bands and encoding the index, one thread, tile by tile, nothing else.
//!
//!     floor RED NIR
//!
//! No engine, no output file, no overviews, no statistics: inflate, undo the predictor, one division, predictor 3,
//! DEFLATE 6 with the bare library. Prints the CPU seconds of inflate and deflate alone; the process as a whole is
//! what `make bench` times. What a job needs beyond this is its overhead.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // A measuring tool for people.

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};
use mapfold_grid::{BlockGrid, Window};
use mapfold_raster::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want, tiff};
use mapfold_store::{Loc, Stores};
use std::ops::Range;

struct Read<'a>(&'a Stores, &'a Loc);

impl Fetched for Read<'_> {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        Ok(self.0.block_on(self.0.read(self.1, range))?)
    }
}

fn cpu() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Predictor 3 of 512 values a row: bytes by significance, then differences.
fn predict(values: &[f32], cols: usize, out: &mut Vec<u8>) {
    out.clear();
    for row in values.chunks(cols) {
        let start = out.len();
        (0..4).rev().for_each(|b| out.extend(row.iter().map(|v| v.to_le_bytes()[b])));
        (start + 1..out.len()).rev().for_each(|i| out[i] = out[i].wrapping_sub(out[i - 1]));
    }
}

fn main() {
    let paths: Vec<Loc> = std::env::args().skip(1).map(|p| Loc::parse(&p).unwrap()).collect();
    let stores = Stores::new();
    let files: Vec<_> = paths.iter().map(|l| (tiff::open(&stores, l).unwrap(), Read(&stores, l))).collect();
    let level = &files[0].0.meta().levels[0];
    let n = level.block.pixels();
    let mut deflate = Compressor::new(CompressionLvl::new(6).unwrap());
    let (mut bands, mut scratch) = (vec![vec![0f32; n]; 2], Scratch::default());
    let (mut raw, mut packed) = (Vec::new(), vec![0; deflate.zlib_compress_bound(4 * n)]);
    let (mut decode, mut encode) = (0.0, 0.0);
    let grid = BlockGrid::new(level.shape, level.block);
    for window in (0..grid.len()).map(|i| grid.window(i)) {
        let t = cpu();
        for ((source, read), band) in files.iter().zip(&mut bands) {
            tile(source, read, window, &mut scratch, &mut band[..window.pixels()]);
        }
        decode += cpu() - t;
        let (red, nir) = (&bands[0], &bands[1]);
        let index: Vec<f32> = red.iter().zip(nir).take(window.pixels()).map(|(r, n)| (n - r) / (n + r)).collect();
        predict(&index, window.cols, &mut raw);
        let t = cpu();
        deflate.zlib_compress(&raw, &mut packed).unwrap();
        encode += cpu() - t;
    }
    println!("decode {decode:.3} s, deflate {encode:.3} s: {:.3} s of CPU", decode + encode);
}

fn tile(source: &tiff::TiffSource, read: &Read<'_>, window: Window, scratch: &mut Scratch, out: &mut [f32]) {
    let want = Want { level: 0, bands: vec![0], window };
    source.decode(&want, read, scratch, PixelsMut::of(out), None).unwrap();
}
