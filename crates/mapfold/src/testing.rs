//! A laboratory for jobs: rasters from literals, everything in memory, results that must not depend on how it ran.

use crate::{Error, Result};
use mapfold_engine::{RunOptions, RunOutcome};
use mapfold_grid::{Affine, Block, Crs, DType, GeoBox, Shape};
use mapfold_plan::memory::Chunks;
use mapfold_plan::{Plan, PlanOptions};
use mapfold_raster::write::{EncodedPart, Format, ImageSpec, Layout, TileIndex, WriteOptions, assemble};
use mapfold_raster::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want, tiff};
use mapfold_store::{Loc, Stores};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An in-memory place to run jobs in.
///
/// Raster literals: values by spaces, rows by `|`, bands by `/`, nodata is `.`: `"0 1 | 2 ."`.
pub struct Lab {
    stores: Stores,
    names: AtomicUsize,
}

impl Default for Lab {
    fn default() -> Self {
        Lab::new()
    }
}

/// One way to run a job.
#[derive(Clone, Copy, Debug)]
struct Way {
    workers: usize,
    threads: usize,
    chunks: Chunks,
    shuffle: Option<u64>,
}

/// What must not depend on the way: reports, and every output byte for byte.
type Outputs = (Vec<mapfold_plan::Reported>, Vec<(Loc, bytes::Bytes)>);

impl Lab {
    /// An empty lab.
    pub fn new() -> Lab {
        Lab { stores: Stores::new(), names: AtomicUsize::new(0) }
    }

    /// Its stores, to look at.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// A location in the lab.
    pub fn loc(&self, name: &str) -> Loc {
        Loc::parse(&format!("memory://lab/{name}")).expect("a plain name is a good location")
    }

    /// A float32 GeoTIFF from a literal (EPSG:32633, 10 m pixels, nodata NaN).
    ///
    /// # Errors
    /// When the literal is not a rectangle of numbers.
    pub fn raster(&self, literal: &str) -> Result<Loc> {
        let (shape, bands, values) = parse(literal)?;
        let loc = self.loc(&format!("raster-{}.tif", self.names.fetch_add(1, Relaxed)));
        self.stores.put(&loc, encode(shape, bands, values)?.into())?;
        Ok(loc)
    }

    /// Runs a job with 1, 2 and 3 workers, several cuts and shuffled orders; all must give the same.
    ///
    /// # Errors
    /// The job's; or which way gave another result than the first.
    pub fn run<P: Clone + serde::Serialize>(
        &self,
        job: impl Fn(P, &Plan) -> Result<()>,
        params: &P,
    ) -> Result<RunOutcome> {
        let cut = |rows, cols| Chunks::Shape(Shape { rows, cols });
        let ways = [
            Way { workers: 1, threads: 1, chunks: Chunks::Auto, shuffle: None },
            Way { workers: 2, threads: 2, chunks: cut(1, 1 << 20), shuffle: Some(1) },
            Way { workers: 3, threads: 2, chunks: cut(3, 2), shuffle: Some(2) },
            Way { workers: 1, threads: 4, chunks: cut(2, 5), shuffle: Some(3) },
        ];
        let mut first: Option<(RunOutcome, Outputs)> = None;
        for way in ways {
            let outcome = self.run_one(&job, params, way)?;
            let result = self.result_of(&outcome)?;
            match &first {
                None => first = Some((outcome, result)),
                Some((_, before)) if *before == result => {}
                Some(_) => return Err(Error::job(format!("{way:?} gives another result than {:?}", ways[0]))),
            }
        }
        first.map(|(outcome, _)| outcome).ok_or_else(|| Error::job("no way to run"))
    }

    fn run_one<P: Clone + serde::Serialize>(
        &self,
        job: &impl Fn(P, &Plan) -> Result<()>,
        params: &P,
        way: Way,
    ) -> Result<RunOutcome> {
        let plan = Plan::new(self.stores.clone(), PlanOptions::default());
        job(params.clone(), &plan)?;
        let opts = RunOptions {
            workers: way.workers,
            threads: way.threads,
            chunks: way.chunks,
            shuffle: way.shuffle,
            overwrite: true,
            params: serde_json::to_value(params)?,
            ..RunOptions::default()
        };
        mapfold_engine::run(&plan, &opts)
    }

    fn result_of(&self, outcome: &RunOutcome) -> Result<Outputs> {
        let read = |o: &mapfold_engine::OutputDone| self.files_of(&o.loc);
        let files = outcome.outputs.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok((outcome.reports.clone(), files.concat()))
    }

    /// An output: its file, or the part files of a folder, by name.
    fn files_of(&self, loc: &Loc) -> Result<Vec<(Loc, bytes::Bytes)>> {
        let inside = if self.stores.is_folder(loc, true) { self.stores.list(loc)? } else { vec![loc.clone()] };
        let parts = inside.into_iter().filter(|l| !l.name().starts_with('_'));
        parts.map(|l| Ok((l.clone(), self.stores.get(&l)?))).collect()
    }

    /// The text of an output: that of all part files, one after the other.
    ///
    /// # Errors
    /// When it is not there, or is no text.
    pub fn text(&self, loc: &Loc) -> Result<String> {
        let bytes: Vec<u8> = self.files_of(loc)?.iter().flat_map(|(_, b)| b.to_vec()).collect();
        String::from_utf8(bytes).map_err(|e| Error::job(format!("{loc} is no text: {e}")))
    }

    /// Values of an output as a literal, `.` where invalid.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn literal(&self, loc: &Loc) -> Result<String> {
        let (shape, bands, values) = self.read(loc)?;
        let text = |v: &Option<f64>| v.map_or(".".to_string(), |v| format!("{v}"));
        let band = |b: usize| {
            let rows = values[b * shape.pixels()..(b + 1) * shape.pixels()].chunks(shape.cols.max(1));
            rows.map(|r| r.iter().map(text).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" | ")
        };
        Ok((0..bands).map(band).collect::<Vec<_>>().join(" / "))
    }

    /// Compares an output with a literal: exactly, or within 1e-6 for values that are not whole.
    ///
    /// # Errors
    /// Shows both when they differ.
    pub fn assert_raster(&self, loc: &Loc, literal: &str) -> Result<()> {
        let (shape, bands, want) = parse(literal)?;
        let (got_shape, got_bands, got) = self.read(loc)?;
        let same = |(w, g): (&Option<f64>, &Option<f64>)| match (w, g) {
            (Some(w), Some(g)) => (w - g).abs() <= if w.fract() == 0.0 { 0.0 } else { 1e-6 },
            (None, None) => true,
            _ => false,
        };
        if (shape, bands) == (got_shape, got_bands) && want.iter().zip(&got).all(same) {
            return Ok(());
        }
        Err(Error::job(format!("{loc} is {:?}, not {literal:?}", self.literal(loc)?)))
    }

    fn read(&self, loc: &Loc) -> Result<(Shape, usize, Vec<Option<f64>>)> {
        let file = self.stores.get(loc)?;
        let source = tiff::open_bytes(file.clone(), loc)?;
        let meta = source.meta();
        let (shape, bands) = (meta.geobox.shape, meta.bands.len());
        let want = Want { level: 0, bands: (0..bands).collect(), window: shape.window() };
        let (mut values, mut mask) = (vec![0f64; bands * shape.pixels()], vec![1u8; shape.pixels()]);
        let masked = meta.has_mask.then_some(mask.as_mut_slice());
        source.decode(&want, &Whole(file), &mut Scratch::default(), PixelsMut::of(&mut values), masked)?;
        let nodata = |i: usize| meta.bands[i / shape.pixels()].nodata;
        let valid = |(i, v): (usize, &f64)| {
            let ok = !v.is_nan() && nodata(i) != Some(*v) && mask[i % shape.pixels()] != 0;
            ok.then_some(*v)
        };
        Ok((shape, bands, values.iter().enumerate().map(valid).collect()))
    }
}

struct Whole(bytes::Bytes);

impl Fetched for Whole {
    fn bytes(&self, range: Range<u64>) -> Result<bytes::Bytes, RasterError> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

fn parse(literal: &str) -> Result<(Shape, usize, Vec<Option<f64>>)> {
    let bad = |why: String| Error::usage(format!("raster literal {literal:?}: {why}"));
    let bands: Vec<&str> = literal.split('/').collect();
    let mut shape = None;
    let mut values = Vec::new();
    for band in &bands {
        let rows: Vec<Vec<&str>> = band.split('|').map(|r| r.split_whitespace().collect()).collect();
        let this = Shape { rows: rows.len(), cols: rows[0].len() };
        if rows.iter().any(|r| r.len() != this.cols) || *shape.get_or_insert(this) != this || this.cols == 0 {
            return Err(bad("rows and bands must be equally long".into()));
        }
        for word in rows.into_iter().flatten() {
            let number = || word.parse().map(Some).map_err(|_| bad(format!("{word:?} is neither a number nor `.`")));
            values.push(if word == "." { None } else { number()? });
        }
    }
    let shape = shape.ok_or_else(|| bad("it is empty".into()))?;
    Ok((shape, bands.len(), values))
}

fn encode(shape: Shape, bands: usize, values: Vec<Option<f64>>) -> Result<Vec<u8>> {
    let geobox =
        GeoBox { shape, affine: Affine::north_up(500_000.0, 5_000_000.0, 10.0, 10.0), crs: Crs::from_epsg(32633) };
    let grid = Arc::new(geobox.clone());
    let spec = ImageSpec { nodata: Some(f64::NAN), ..ImageSpec::plain(geobox, DType::F32, bands) };
    let options = WriteOptions { format: Format::Gtiff, blocksize: 64, ..WriteOptions::default() };
    let layout = Arc::new(Layout::new(spec, &options, shape)?);
    let data = values.into_iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect();
    let mut encoder = layout.encoder::<f32>(shape.window())?;
    encoder.push(&Block::new(grid, shape.window(), bands, data)?)?;
    let EncodedPart { segments, meta } = encoder.finish()?;
    let mut index = TileIndex::new(&layout);
    index.add_superblocks(&layout, std::slice::from_ref(&meta))?;
    let file = assemble(&layout, &index, &[meta])?;
    Ok(segments.iter().fold(file.header, |mut f, s| {
        f.extend_from_slice(&s.bytes);
        f
    }))
}
