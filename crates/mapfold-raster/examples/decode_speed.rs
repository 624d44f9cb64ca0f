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
    let repeats = args.get(2).map_or(Ok(30u32), |n| n.parse())?;
    let (stores, loc) = (Stores::new(), Loc::parse(file)?);
    let source = mapfold_raster::tiff::open(&stores, &loc)?;
    let whole = Whole(stores.get(&loc)?);
    let meta = source.meta();
    let block = meta.levels[0].block;
    println!(
        "{} bands of {} {}, {} predictor {}, tiles of {block}",
        meta.bands.len(),
        meta.geobox.shape,
        meta.bands[0].dtype,
        meta.compression,
        meta.predictor
    );
    let large = 2048.max(block.rows);
    let own = meta.bands[0].dtype;
    type Run<'a> = Box<dyn Fn() -> Result<usize, RasterError> + 'a>;
    let mut runs: Vec<(String, Run<'_>)> = vec![
        (format!("to {own} by {}", block.rows), Box::new(|| own_type(&source, &whole, block.rows))),
        (format!("to float32 by {}", block.rows), Box::new(|| decode::<f32>(&source, &whole, block.rows))),
        (format!("to {own} by {large}"), Box::new(|| own_type(&source, &whole, large))),
        (format!("to float32 by {large}"), Box::new(|| decode::<f32>(&source, &whole, large))),
    ];
    if meta.compression == "deflate" {
        runs.insert(0, ("libdeflate alone".into(), Box::new(|| inflate(&source, &whole))));
    }
    let mut spent = vec![0.0; runs.len()];
    let mut pixels = 0;
    // In turns, so that a neighbour's load hits all alike; sums, because the system counts CPU time in ticks of some
    // milliseconds and the best of short runs would be a multiple of a tick.
    for _ in 0..repeats {
        for ((_, run), spent) in runs.iter().zip(&mut spent) {
            let start = thread_seconds();
            pixels = run()?;
            *spent += thread_seconds() - start;
        }
    }
    for ((name, _), spent) in runs.iter().zip(&spent) {
        println!("{name:24} {:8.3} ms/MPix", spent * 1e9 / (f64::from(repeats) * pixels as f64));
    }
    Ok(())
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
