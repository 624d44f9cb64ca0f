//! Milliseconds of one thread per megapixel for decoding a whole TIFF file from memory, and what of it is libdeflate.
//!
//! `cargo run --release -p mapfold-raster --example decode_speed -- FILE [REPEATS]`
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use mapfold_grid::{DType, Pixel, Window};
use mapfold_raster::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want};
use mapfold_store::{Loc, Stores};
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Instant;

struct Whole(Bytes);

impl Fetched for Whole {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let file = args.get(1).ok_or("usage: decode_speed FILE [REPEATS]")?;
    let repeats = args.get(2).map_or(Ok(7), |n| n.parse())?;
    let (stores, loc) = (Stores::new(), Loc::parse(file)?);
    let source = mapfold_raster::tiff::open(&stores, &loc)?;
    let whole = Whole(stores.get(&loc)?);
    let meta = source.meta();
    let block = meta.levels[0].block;
    println!("{} bands of {} {}, {} predictor {}, tiles of {block}", meta.bands.len(), meta.geobox.shape, meta.bands[0].dtype, meta.compression, meta.predictor);
    if meta.compression == "deflate" {
        let bare = best(repeats, || inflate(&source, &whole))?;
        println!("libdeflate alone       {bare:8.3} ms/MPix");
    }
    for side in [block.rows, 2048.max(block.rows)] {
        println!("to {:8} by {side:5} {:8.3} ms/MPix", meta.bands[0].dtype, best(repeats, || own_type(&source, &whole, side))?);
        println!("to float32  by {side:5} {:8.3} ms/MPix", best(repeats, || decode::<f32>(&source, &whole, side))?);
    }
    Ok(())
}

/// The best of some runs: megapixels of all bands over time.
fn best(repeats: usize, mut run: impl FnMut() -> Result<usize, RasterError>) -> Result<f64, RasterError> {
    let mut least = f64::INFINITY;
    for _ in 0..repeats {
        let start = thread_seconds();
        let pixels = run()?;
        least = least.min((thread_seconds() - start) * 1e9 / pixels as f64);
    }
    Ok(least)
}

/// CPU time of this thread where the system tells it (a loaded machine does not matter then), else the wall clock.
fn thread_seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |n| n / 1e9)
}

fn windows(source: &dyn RasterSource, side: usize) -> impl Iterator<Item = Window> {
    let block = mapfold_grid::Shape { rows: side, cols: side.max(source.meta().levels[0].block.cols) };
    source.meta().levels[0].shape.window().tiles(block)
}

fn inflate(source: &dyn RasterSource, file: &Whole) -> Result<usize, RasterError> {
    let meta = source.meta();
    let shape = meta.levels[0].shape;
    let want = Want { level: 0, bands: (0..meta.bands.len()).collect(), window: shape.window() };
    let mut ranges = Vec::new();
    source.needs(&want, &mut ranges)?;
    let mut room = vec![0; meta.levels[0].block.pixels() * meta.bands.len() * meta.bands[0].dtype.size()];
    let mut tool = libdeflater::Decompressor::new();
    for range in ranges {
        let _ = tool.zlib_decompress(&file.bytes(range)?, &mut room);
    }
    Ok(shape.pixels() * meta.bands.len())
}

fn own_type(source: &dyn RasterSource, file: &Whole, side: usize) -> Result<usize, RasterError> {
    match source.meta().bands[0].dtype {
        DType::U8 => decode::<u8>(source, file, side),
        DType::I8 => decode::<i8>(source, file, side),
        DType::U16 => decode::<u16>(source, file, side),
        DType::I16 => decode::<i16>(source, file, side),
        DType::U32 => decode::<u32>(source, file, side),
        DType::I32 => decode::<i32>(source, file, side),
        DType::F32 => decode::<f32>(source, file, side),
        DType::F64 => decode::<f64>(source, file, side),
    }
}

fn decode<T: Pixel>(source: &dyn RasterSource, file: &Whole, side: usize) -> Result<usize, RasterError> {
    let bands: Vec<usize> = (0..source.meta().bands.len()).collect();
    let (mut values, mut scratch, mut pixels) = (Vec::new(), Scratch::default(), 0);
    for window in windows(source, side) {
        values.resize(window.pixels() * bands.len(), T::FILL);
        let want = Want { level: 0, bands: bands.clone(), window };
        source.decode(&want, file, &mut scratch, PixelsMut::of(&mut values), None)?;
        pixels += values.len();
    }
    Ok(pixels)
}
