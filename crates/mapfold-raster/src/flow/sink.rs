//! GeoTIFF and COG as sinks of a plan: the encoder of [`crate::write`] on compute threads.

use super::files::input;
use super::options::WriteOverrides;
use crate::RasterError;
use crate::write::{
    Compress, Format, ImageSpec, Layout, PartMeta, STEP, Streams, TileIndex, WriteOptions, assemble, encode_coarse,
};
use crate::write::{EncodedPart, SuperblockEncoder};
use bytes::Bytes;
use mapfold_grid::{Block, DType, Pixel, Shape, Window, convert};
use mapfold_plan::{Assignment, Cut, Cx, Domain, Error, FinishCx, Output, Part, PartRecord, PartWriter, Place, Result};
use mapfold_plan::{Sink, SinkInput, SinkRun, Units};
use mapfold_store::Loc;
use std::marker::PhantomData;
use std::sync::Arc;

/// A cloud-optimised GeoTIFF. The command line's writer options (`--compress`, `--nodata`, …) go over these.
#[derive(Clone, Debug, Default)]
pub struct Cog {
    /// Everything that can be chosen.
    pub options: WriteOptions,
}

/// A plain tiled GeoTIFF without overviews.
#[derive(Clone, Debug)]
pub struct GTiff {
    /// Everything that can be chosen.
    pub options: WriteOptions,
}

impl Default for GTiff {
    fn default() -> Self {
        GTiff { options: WriteOptions { format: Format::Gtiff, ..WriteOptions::default() } }
    }
}

impl<T: Pixel> Sink<Block<T>> for Cog {
    fn open(self, input: SinkInput<'_, Block<T>>) -> Result<Box<dyn SinkRun<Block<T>>>> {
        open(&self.options, &input)
    }
}

impl<T: Pixel> Sink<Block<T>> for GTiff {
    fn open(self, input: SinkInput<'_, Block<T>>) -> Result<Box<dyn SinkRun<Block<T>>>> {
        open(&self.options, &input)
    }
}

fn open<T: Pixel>(options: &WriteOptions, input: &SinkInput<'_, Block<T>>) -> Result<Box<dyn SinkRun<Block<T>>>> {
    let over = input.plan.setting::<WriteOverrides>().map(|o| (*o).clone()).unwrap_or_default();
    let options = over.over(options);
    macro_rules! as_type {
        ($($d:ident => $t:ty),*) => {
            match over.dtype.unwrap_or(T::DTYPE) {
                $(DType::$d => Ok(Box::new(TiffSink::<T, $t>::new(input, &options)?)),)*
            }
        };
    }
    as_type!(U8 => u8, I8 => i8, U16 => u16, I16 => i16, U32 => u32, I32 => i32, F32 => f32, F64 => f64)
}

/// Blocks of `T`, written as `D`.
struct TiffSink<T, D> {
    layout: Arc<Layout>,
    loc: Loc,
    bands: usize,
    what: String,
    compressed: bool,
    grid: Arc<mapfold_grid::GeoBox>,
    _t: PhantomData<fn(T) -> D>,
}

impl<T: Pixel, D: Pixel> TiffSink<T, D> {
    fn new(input: &SinkInput<'_, Block<T>>, options: &WriteOptions) -> Result<Self> {
        let Domain::Raster(domain) = input.domain else {
            return Err(Error::usage("a raster output needs blocks of one grid"));
        };
        if domain.times.len() > 1 {
            let what = format!("the flow has {} scenes, one file holds one", domain.times.len());
            return Err(
                Error::usage(what).with_remedy("reduce over time first: `.over(Time).median()` or `.group_by(Tile)`")
            );
        }
        let Some(block) = input.template else {
            return Err(Error::usage("the flow gives no value on the template, so the output's shape is unknown"));
        };
        let mut spec = ImageSpec::plain((*domain.grid).clone(), D::DTYPE, block.band_count());
        (spec.nodata, spec.mask) = validity::<T, D>(block);
        let (tile, whole) = (options.blocksize, domain.grid.shape);
        let uneven = |side: usize, whole: usize| {
            (64..=4096).contains(&tile) && tile.is_multiple_of(16) && side < whole && !side.is_multiple_of(tile)
        };
        if uneven(domain.superblock.rows, whole.rows) || uneven(domain.superblock.cols, whole.cols) {
            let what = format!("--tile {} is not a multiple of --blocksize {tile}", domain.superblock);
            let remedy = format!("--tile {}, or a --blocksize that divides it", tile.max(64) * 4);
            return Err(Error::usage(what).with_remedy(remedy));
        }
        let layout = Layout::new(spec, options, domain.superblock).map_err(self::input)?;
        let what = describe::<D>(&layout, options, block.band_count());
        Ok(TiffSink {
            layout: Arc::new(layout),
            loc: input.loc.clone(),
            bands: block.band_count(),
            what,
            compressed: options.compress != Compress::None,
            grid: domain.grid.clone(),
            _t: PhantomData,
        })
    }

    fn pixels(&self) -> u64 {
        let shape = self.layout.levels()[0].shape;
        shape.pixels() as u64
    }

    fn part(encoded: EncodedPart) -> Result<Part> {
        let segments = encoded.segments.into_iter().map(|s| (s.stream, s.bytes)).collect();
        Ok(Part { segments, meta: postcard::to_stdvec(&encoded.meta)?, ..Part::default() })
    }

    /// A part for a superblock that no split delivered: nothing valid in it.
    fn empty_part(&self, window: Window) -> Result<Part> {
        let mut encoder = self.layout.encoder::<D>(window).map_err(input)?;
        encoder.push(&Block::invalid(self.grid.clone(), window, self.bands)).map_err(input)?;
        Self::part(encoder.finish().map_err(input)?)
    }

    /// The records of all superblocks, those left out filled with nodata.
    fn complete(&self, cx: &FinishCx<'_>) -> Result<Vec<PartRecord>> {
        let grid = self.layout.superblocks();
        let mut all: Vec<Option<PartRecord>> = vec![None; grid.len()];
        for p in cx.parts {
            all[p.split as usize] = Some(p.clone());
        }
        let missing: Vec<usize> = (0..grid.len()).filter(|i| all[*i].is_none()).collect();
        let made = cx.units.run(missing.len() as u64, &|i, _| self.empty_part(grid.window(missing[i as usize])))?;
        missing.iter().zip(made).for_each(|(i, record)| all[*i] = Some(record));
        Ok(all.into_iter().flatten().collect())
    }

    fn coarse_level(
        &self,
        level: usize,
        index: &TileIndex,
        stored: &Stored<'_>,
        cx: &FinishCx<'_>,
    ) -> Result<Vec<PartRecord>> {
        let units = self.layout.coarse_units(level);
        cx.units.run(units.len() as u64, &|i, _| {
            let made = encode_coarse::<D>(&self.layout, level, units[i as usize], index, stored);
            Self::part(made.map_err(input)?)
        })
    }
}

/// How the output says "invalid": the nodata value that the blocks carry, or a mask where only a mask can tell.
fn validity<T: Pixel, D: Pixel>(block: &Block<T>) -> (Option<f64>, bool) {
    if D::IN_BAND.is_some() {
        return (Some(f64::NAN), false);
    }
    let mut values = block.nodata().iter().map(|n| n.map(Pixel::to_f64));
    let first = values.next().flatten();
    let (low, high) = D::DTYPE.range();
    let fits = first.filter(|v| *v >= low && *v <= high && v.fract() == 0.0);
    let same = values.all(|v| v == first);
    match fits.filter(|_| same && block.band_mask(0).is_none()) {
        Some(v) => (Some(v), false),
        None => (None, true),
    }
}

fn describe<D: Pixel>(layout: &Layout, options: &WriteOptions, bands: usize) -> String {
    let shape = layout.levels()[0].shape;
    let format = match options.format {
        Format::Cog => "COG",
        Format::Gtiff => "GeoTIFF",
    };
    let overviews = layout.levels().len() - 1;
    let effort = options.level.unwrap_or_else(|| options.compress.default_level());
    let codec = if options.compress == Compress::None {
        "uncompressed".into()
    } else {
        format!("{} {effort}", options.compress)
    };
    let bands = if bands == 1 { String::new() } else { format!(" x {bands} bands") };
    format!("{format} {shape}{bands} {}, {codec}, {overviews} overviews", D::DTYPE)
}

/// Where segments lie, for coarse levels and the layout.
struct Stored<'a> {
    levels: Vec<Vec<(u64, u64)>>,
    units: &'a dyn Units,
}

impl Stored<'_> {
    fn enter(&mut self, records: &[PartRecord], only: Option<u32>) {
        for r in records {
            for s in r.segments.iter().filter(|s| only.is_none_or(|l| l == s.stream)) {
                self.levels[s.stream as usize].push((s.offset, s.len));
            }
        }
    }
}

impl Streams for Stored<'_> {
    fn read(&self, stream: u32, part: usize, offset: u64, len: usize) -> Result<Bytes, RasterError> {
        let (start, _) = self.levels[stream as usize][part];
        let got = self.units.read(stream, start + offset, len);
        got.map_err(|e| RasterError::Options { what: e.to_string() })
    }
}

impl<T: Pixel, D: Pixel> Output for TiffSink<T, D> {
    fn loc(&self) -> &Loc {
        &self.loc
    }

    fn describe(&self) -> String {
        self.what.clone()
    }

    fn streams(&self) -> u32 {
        self.layout.streams() as u32
    }

    fn reserve(&self, _stream: u32) -> u64 {
        if self.layout.streams() == 1 { self.layout.header_size() } else { 0 }
    }

    fn estimate(&self) -> (u64, u64) {
        let raw = self.pixels() * (self.bands * D::DTYPE.size()) as u64;
        let all = if self.layout.streams() > 1 { raw * 4 / 3 } else { raw };
        let likely = if self.compressed { all * 6 / 10 } else { all };
        (likely + self.layout.header_size(), all + all / 50 + self.layout.header_size() + STEP)
    }

    fn writer_bytes(&self, split: &Place, cut: Cut) -> u64 {
        let (_, window) = split.window();
        let cut = match cut {
            Cut::Windows(s) => Shape { rows: s.rows.min(window.rows), cols: s.cols.min(window.cols) },
            Cut::Whole => window.shape(),
        };
        // The value in the file's type, and the validity of two bands while they are compared.
        let converted = if T::DTYPE == D::DTYPE { 0 } else { self.bands * (D::DTYPE.size() + 1) };
        let compared = if self.layout.has_mask() && self.bands > 1 { 2 } else { 0 };
        (self.layout.encoder_bytes(cut) + cut.pixels() * (converted + compared)) as u64
    }

    fn part_bytes(&self, split: &Place) -> u64 {
        let (_, window) = split.window();
        self.layout.max_part_bytes(window)
    }

    fn finish_bytes(&self, threads: u64) -> u64 {
        // The largest units of a level, side by side.
        let level = |k| {
            let bytes = |unit: &Window| self.layout.coarse_bytes(k, *unit) as u64;
            let mut units: Vec<u64> = self.layout.coarse_units(k).iter().map(bytes).collect();
            units.sort_unstable_by(|a, b| b.cmp(a));
            units.iter().take(threads as usize).sum::<u64>()
        };
        self.layout.coarse_levels().map(level).max().unwrap_or(0)
    }

    fn lay_out(&self, cx: &FinishCx<'_>) -> Result<Vec<Assignment>> {
        let records = self.complete(cx)?;
        let metas = metas(&records)?;
        let mut index = TileIndex::new(&self.layout);
        index.add_superblocks(&self.layout, &metas).map_err(input)?;
        let mut stored = Stored { levels: vec![Vec::new(); self.layout.streams()], units: cx.units };
        stored.enter(&records, None);
        for level in self.layout.coarse_levels() {
            let made = self.coarse_level(level, &index, &stored, cx)?;
            index.add_level(&self.layout, level, &self::metas(&made)?).map_err(input)?;
            stored.enter(&made, Some(level as u32));
        }
        let file = assemble(&self.layout, &index, &metas).map_err(input)?;
        let piece = |p: &crate::write::Piece| {
            let (offset, _) = stored.levels[p.stream as usize][p.part];
            Assignment::Stored { stream: p.stream, offset, len: p.len }
        };
        let pieces: Vec<Assignment> = file.pieces.iter().map(piece).collect();
        Ok(std::iter::once(Assignment::Bytes(file.header)).chain(pieces).collect())
    }
}

fn metas(records: &[PartRecord]) -> Result<Vec<PartMeta>> {
    records.iter().map(|r| Ok(postcard::from_bytes(&r.meta)?)).collect()
}

impl<T: Pixel, D: Pixel> SinkRun<Block<T>> for TiffSink<T, D> {
    fn open_part(&self, split: &Place) -> Result<Box<dyn PartWriter<Block<T>>>> {
        let (_, window) = split.window();
        let encoder = self.layout.encoder::<D>(window).map_err(input)?;
        Ok(Box::new(TiffPart::<T, D> {
            encoder,
            bands: self.bands,
            masked: self.layout.has_mask(),
            grid: self.grid.clone(),
            _t: PhantomData,
        }))
    }

    fn as_output(&self) -> &dyn Output {
        self
    }
}

struct TiffPart<T, D> {
    encoder: SuperblockEncoder<D>,
    bands: usize,
    masked: bool,
    grid: Arc<mapfold_grid::GeoBox>,
    _t: PhantomData<fn(T)>,
}

/// One internal mask holds for all bands: a pixel that is valid in some bands only would be lost in them.
fn check_one_mask<T: Pixel>(block: &Block<T>) -> Result<()> {
    let valid = |band: usize| {
        let mut ok = vec![0; block.pixel_count()];
        block.band_valid(band, 0, &mut ok);
        ok
    };
    let first = valid(0);
    if (1..block.band_count()).all(|band| valid(band) == first) {
        return Ok(());
    }
    let what = "bands are invalid at different pixels, but one internal mask holds for all bands";
    Err(Error::job(what).with_remedy("--nodata VALUE keeps the validity of each band"))
}

impl<T: Pixel, D: Pixel> PartWriter<Block<T>> for TiffPart<T, D> {
    fn put(&mut self, at: &Place, value: Option<Block<T>>, _: &Cx<'_>) -> Result<()> {
        let (_, window) = at.window();
        let block = value.unwrap_or_else(|| Block::invalid(self.grid.clone(), window, self.bands));
        if block.window() != window || block.band_count() != self.bands {
            let what = format!(
                "a block of {} bands at {} came where the plan expects {} bands at {window}",
                block.band_count(),
                block.window(),
                self.bands
            );
            return Err(Error::job(what).with_remedy("the closures must give blocks of one shape: as on the template"));
        }
        if self.masked && self.bands > 1 {
            check_one_mask(&block)?;
        }
        let pushed = match (&block as &dyn std::any::Any).downcast_ref::<Block<D>>() {
            Some(same) => self.encoder.push(same),
            None => self.encoder.push(&block.values(convert::<T, D>)),
        };
        pushed.map_err(input)
    }

    fn finish(self: Box<Self>, cx: &Cx<'_>) -> Result<Part> {
        let encoded = self.encoder.finish().map_err(input)?;
        if encoded.meta.moved_off_nodata > 0 {
            cx.count("valid pixels moved off the nodata value", encoded.meta.moved_off_nodata);
        }
        TiffSink::<T, D>::part(encoded)
    }
}
