//! The source node: fetched bytes in, blocks out.
//!
//! Bands of several files become one block. Values are converted while they are decoded. Nodata stays in the band
//! as the file's value (converted and scaled like the pixels); where conversion could make another value equal to
//! it (uint32 into float32, floats into integers), a mask is made from the values as stored.

use super::files::{OpenRaster, input};
use super::options::Scale;
use crate::{Fetched, Interleave, PixelsMut, RasterError, Scratch, Want};
use bytes::Bytes;
use mapfold_grid::{Block, DType, Pixel, Window};
use mapfold_plan::{Cx, Domain, FetchedFiles, FileId, Need, Node, Phase, Place, Result, Step};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// Some bands of one file, and how they become values.
pub(super) struct Input {
    raster: OpenRaster,
    /// Scale and offset per band, when they are applied.
    linear: Vec<Option<(f64, f64)>>,
    /// A mask must be made from the stored values.
    exact: bool,
}

impl Input {
    pub(super) fn new<T: Pixel>(raster: OpenRaster, scale: Scale) -> Input {
        let meta = |b: &usize| &raster.meta().bands[*b];
        let linear = raster.bands.iter().map(|b| {
            let (s, o) = (meta(b).scale, meta(b).offset);
            let applied = scale == Scale::Auto && T::DTYPE.is_float() && (s != 1.0 || o != 0.0);
            applied.then_some((s, o))
        });
        let linear = linear.collect();
        let exact = holds(T::DTYPE, raster.dtype());
        Input { raster, linear, exact }
    }

    fn want(&self, window: Window) -> Want {
        Want { level: 0, bands: self.raster.bands.clone(), window }
    }

    fn has_mask(&self) -> bool {
        self.raster.meta().has_mask
    }

    fn nodata_of(&self, i: usize) -> Option<f64> {
        self.raster.meta().bands[self.raster.bands[i]].nodata
    }

    fn needs_mask(&self) -> bool {
        let any = (0..self.raster.bands.len()).any(|i| self.nodata_of(i).is_some());
        !self.exact && (any || self.raster.dtype().is_float())
    }

    /// Nodata of band `i` as it stands in the loaded block.
    fn loaded_nodata<T: Pixel>(&self, i: usize) -> Option<T> {
        if !self.exact || self.has_mask() {
            return None;
        }
        let v = self.nodata_of(i)?;
        Some(self.linear[i].map_or(T::from_f64(v), |(s, o)| T::from_f64(T::from_f64(v).to_f64() * s + o)))
    }
}

/// Whether every value of `from` is a value of `to`.
fn holds(to: DType, from: DType) -> bool {
    match (to, from) {
        (DType::F64, _) => true,
        (DType::F32, f) => f.size() <= 2 || f == DType::F32,
        (_, f) if f.is_float() => false,
        (t, f) => t.range().0 <= f.range().0 && t.range().1 >= f.range().1,
    }
}

/// Reads blocks of one or several scenes.
pub(super) struct Load<T> {
    scenes: Vec<Vec<Input>>,
    domain: Domain,
    crop: Window,
    bands: usize,
    bytes: u64,
    _t: PhantomData<fn() -> T>,
}

struct Ahead<'a> {
    files: &'a dyn FetchedFiles,
    file: FileId,
}

impl Fetched for Ahead<'_> {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        let got = self.files.bytes(self.file, &range);
        got.map_err(|e| RasterError::Options { what: e.to_string() })
    }
}

impl<T: Pixel> Load<T> {
    pub(super) fn new(scenes: Vec<Vec<Input>>, domain: Domain, crop: Window) -> Load<T> {
        let bands = scenes.first().map_or(0, |s| s.iter().map(|i| i.raster.bands.len()).sum());
        let mut files: Vec<(FileId, u64)> =
            scenes.iter().flatten().map(|i| (i.raster.file, i.raster.info.size)).collect();
        files.sort_unstable();
        files.dedup();
        let bytes = files.iter().map(|f| f.1).sum();
        Load { scenes, domain, crop, bands, bytes, _t: PhantomData }
    }

    /// A window of the flow's grid as one of the file's.
    fn in_file(&self, w: Window) -> Window {
        Window { row: w.row + self.crop.row, col: w.col + self.crop.col, ..w }
    }

    fn masked(&self) -> bool {
        self.scenes.iter().flatten().any(|i| i.has_mask() || i.needs_mask())
    }

    fn read(&self, scene: usize, window: Window, cx: &Cx<'_>) -> Result<Block<T>> {
        let Domain::Raster(r) = &self.domain else { unreachable!("rasters live on a grid") };
        let n = window.pixels();
        let mut data = vec![T::default(); self.bands * n];
        let mut nodata = Vec::with_capacity(self.bands);
        let mut valid = self.masked().then(|| vec![1u8; n]);
        let mut at = 0;
        for file in &self.scenes[scene] {
            let count = file.raster.bands.len();
            self.read_file(file, window, cx, &mut data[at * n..(at + count) * n], valid.as_mut())?;
            nodata.extend((0..count).map(|i| file.loaded_nodata::<T>(i)));
            at += count;
        }
        let block = Block::new(r.grid.clone(), window, self.bands, data)?;
        Ok(block.with_nodata(nodata).with_valid(valid))
    }

    fn read_file(
        &self,
        file: &Input,
        window: Window,
        cx: &Cx<'_>,
        data: &mut [T],
        valid: Option<&mut Vec<u8>>,
    ) -> Result<()> {
        let fetched = cx.fetched();
        let ahead = Ahead { files: fetched.as_ref(), file: file.raster.file };
        let want = file.want(self.in_file(window));
        cx.with_room::<Scratch, _>(|scratch| {
            let mut mask = file.has_mask().then(|| vec![1u8; window.pixels()]);
            let source = &file.raster.source;
            source.decode(&want, &ahead, scratch, PixelsMut::of(&mut *data), mask.as_deref_mut()).map_err(input)?;
            let stored = file.needs_mask().then(|| stored_mask(file, &want, &ahead, scratch)).transpose()?;
            if let Some(valid) = valid {
                [mask, stored].into_iter().flatten().for_each(|m| valid.iter_mut().zip(m).for_each(|(v, m)| *v &= m));
            }
            Ok::<(), mapfold_plan::Error>(())
        })?;
        for (i, band) in data.chunks_mut(window.pixels().max(1)).enumerate() {
            if let Some((s, o)) = file.linear.get(i).copied().flatten() {
                band.iter_mut().for_each(|v| *v = T::from_f64(v.to_f64() * s + o));
            }
        }
        Ok(())
    }
}

/// Validity from the values as stored: 0 where any band is nodata or NaN.
fn stored_mask(file: &Input, want: &Want, ahead: &Ahead<'_>, scratch: &mut Scratch) -> Result<Vec<u8>> {
    let n = want.window.pixels();
    let (mut valid, mut values) = (vec![1u8; n], vec![0f64; n]);
    for (i, band) in want.bands.iter().enumerate() {
        let one = Want { bands: vec![*band], ..want.clone() };
        file.raster.source.decode(&one, ahead, scratch, PixelsMut::of(&mut values), None).map_err(input)?;
        let nodata = file.nodata_of(i).filter(|_| !file.has_mask());
        valid.iter_mut().zip(&values).for_each(|(ok, v)| *ok &= u8::from(!v.is_nan() && nodata != Some(*v)));
    }
    Ok(valid)
}

impl<T: Pixel> Node<Block<T>> for Load<T> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(Block<T>) -> Result<()>) -> Result<()> {
        let (scene, window) = at.window();
        let Domain::Raster(r) = &self.domain else { unreachable!("rasters live on a grid") };
        if cx.is_template() {
            return emit(self.template(Block::invalid(r.grid.clone(), window, self.bands)));
        }
        let block =
            cx.during(Phase::Decode, || self.read(scene, window, cx)).map_err(|e| e.at_place(at.to_string()))?;
        emit(block)
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        let (scene, window) = at.window();
        let mut ranges = Vec::new();
        for file in &self.scenes[scene] {
            ranges.clear();
            file.raster.source.needs(&file.want(self.in_file(window)), &mut ranges).map_err(input)?;
            out.extend(ranges.drain(..).map(|range| Need { file: file.raster.file, range }));
        }
        Ok(())
    }

    fn held(&self, at: &Place) -> u64 {
        at.pixels() * (self.bands * T::DTYPE.size() + usize::from(self.masked())) as u64
    }

    fn memory(&self, at: &Place) -> u64 {
        let tile = self.scenes.iter().flatten().map(|i| {
            let (m, block) = (i.raster.meta(), i.raster.meta().levels[0].block);
            let bands = if m.interleave == Interleave::Band { 1 } else { m.bands.len() };
            // The tile and one row of it more, for predictors; decompressors.
            (block.pixels() + block.cols) * bands * m.bands.first().map_or(1, |b| b.dtype.size()) + (256 << 10)
        });
        let any = |what: fn(&Input) -> bool| self.scenes.iter().flatten().any(what);
        // The file's own mask, and one made from the stored values, beside the block's.
        let masks = u64::from(any(Input::has_mask)) + if any(Input::needs_mask) { 9 } else { 0 };
        self.held(at) + masks * at.pixels() + tile.max().unwrap_or(0) as u64
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        let name = |i: &Input| {
            format!("{}{:?}", i.raster.source.loc().name(), i.raster.bands.iter().map(|b| b + 1).collect::<Vec<_>>())
        };
        let files: Vec<String> = self.scenes.iter().flatten().take(4).map(name).collect();
        let more = self.scenes.iter().map(Vec::len).sum::<usize>() - files.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push(Step { what: format!("read {}{more} as {}", files.join(", "), T::DTYPE), at: String::new() });
    }

    fn input_bytes(&self) -> u64 {
        self.bytes
    }
}

impl<T: Pixel> Load<T> {
    /// The invalid pixel of the template says "invalid" as real blocks do: by the file's own nodata value, when there
    /// is one.
    fn template(&self, block: Block<T>) -> Block<T> {
        let nodata: Vec<Option<T>> =
            self.scenes[0].iter().flat_map(|f| (0..f.raster.bands.len()).map(|i| f.loaded_nodata::<T>(i))).collect();
        if self.masked() || nodata.iter().any(Option::is_none) {
            return block.with_nodata(nodata.iter().map(|n| n.or(T::IN_BAND)).collect());
        }
        let (grid, window) = (block.grid().clone(), block.window());
        let data = nodata.iter().flat_map(|n| vec![n.unwrap_or(T::FILL); window.pixels()]).collect();
        Block::new(grid, window, self.bands, data).map_or(block, |b| b.with_nodata(nodata))
    }
}

/// Sources are shared between threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Input>>();
};
