//! Writes whole files in memory through the public API, as an engine would: any cut, any order of superblocks.
#![allow(dead_code, clippy::unwrap_used)]

use bytes::Bytes;
use mapfold_grid::{Affine, Block, Crs, GeoBox, Pixel, Shape, Window};
use mapfold_raster::RasterError;
use mapfold_raster::write::*;
use std::sync::Arc;

/// An image in memory.
#[derive(Clone)]
pub struct Image<T> {
    pub spec: ImageSpec,
    /// Band after band.
    pub values: Vec<T>,
    /// Nodata of the blocks that are pushed.
    pub nodata: Option<T>,
    /// Mask of the blocks that are pushed.
    pub mask: Option<Vec<u8>>,
}

/// How the work is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub superblock: Shape,
    pub block: Shape,
    pub reversed: bool,
}

pub fn shape(rows: usize, cols: usize) -> Shape {
    Shape { rows, cols }
}

pub fn whole(image: Shape, tile: usize) -> Cut {
    let up = |n: usize| n.next_multiple_of(tile);
    Cut { superblock: shape(up(image.rows), up(image.cols)), block: image, reversed: false }
}

/// A deterministic image: value `f(band, row, col)`.
pub fn image<T: Pixel>(s: Shape, bands: usize, f: impl Fn(usize, usize, usize) -> T) -> Image<T> {
    let geobox =
        GeoBox { shape: s, affine: Affine::north_up(499_980.0, 5_300_040.0, 10.0, 10.0), crs: Crs::from_epsg(32633) };
    let mut values = Vec::with_capacity(bands * s.pixels());
    for b in 0..bands {
        for r in 0..s.rows {
            values.extend((0..s.cols).map(|c| f(b, r, c)));
        }
    }
    Image { spec: ImageSpec::plain(geobox, T::DTYPE, bands), values, nodata: None, mask: None }
}

/// Noise without a dependency: the same for the same numbers.
pub fn noise(b: usize, r: usize, c: usize) -> u64 {
    let mut x = (b as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((r as u64) << 32) ^ c as u64;
    for _ in 0..3 {
        x ^= x >> 30;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
    }
    x
}

impl<T: Pixel> Image<T> {
    pub fn block(&self, w: Window) -> Block<T> {
        let s = self.spec.geobox.shape;
        let grid = Arc::new(self.spec.geobox.clone());
        let whole = Block::new(grid, s.window(), self.spec.bands, self.values.clone()).unwrap();
        whole.with_nodata(vec![self.nodata; self.spec.bands]).with_valid(self.mask.clone()).crop(w)
    }

    fn cropped(&self, whole: &Block<T>, w: Window) -> Block<T> {
        whole.crop(w)
    }
}

/// Everything a finished file is.
pub struct Written {
    pub layout: Arc<Layout>,
    pub assembly: Assembly,
    pub bytes: Vec<u8>,
}

struct Kept(Vec<Vec<Vec<u8>>>);

impl Streams for Kept {
    fn read(&self, stream: u32, part: usize, offset: u64, len: usize) -> Result<Bytes, RasterError> {
        Ok(Bytes::copy_from_slice(&self.0[stream as usize][part][offset as usize..][..len]))
    }
}

pub fn write<T: Pixel>(image: &Image<T>, options: &WriteOptions, cut: Cut) -> Result<Written, RasterError> {
    let layout = Arc::new(Layout::new(image.spec.clone(), options, cut.superblock)?);
    let grid = layout.superblocks();
    let pixels = image.block(image.spec.geobox.shape.window());
    let mut order: Vec<usize> = (0..grid.len()).collect();
    if cut.reversed {
        order.reverse();
    }
    let mut parts: Vec<Option<EncodedPart>> = vec![None; grid.len()];
    for i in order {
        let mut encoder = layout.encoder::<T>(grid.window(i))?;
        for w in grid.window(i).tiles(cut.block) {
            encoder.push(&image.cropped(&pixels, w))?;
        }
        let part = encoder.finish()?;
        let bytes: usize = part.segments.iter().map(|s| s.bytes.len()).sum();
        assert!(bytes as u64 <= layout.max_part_bytes(grid.window(i)));
        parts[i] = Some(part);
    }
    let mut kept = Kept(vec![Vec::new(); layout.streams()]);
    let metas = keep(&mut kept, parts.into_iter().map(Option::unwrap));
    let mut index = TileIndex::new(&layout);
    index.add_superblocks(&layout, &metas)?;
    for level in layout.coarse_levels() {
        let make = |unit| encode_coarse::<T>(&layout, level, unit, &index, &kept);
        let parts = layout.coarse_units(level).into_iter().map(make).collect::<Result<Vec<_>, _>>()?;
        let metas = keep(&mut kept, parts.into_iter());
        index.add_level(&layout, level, &metas)?;
    }
    let assembly = assemble(&layout, &index, &metas)?;
    let mut bytes = assembly.header.clone();
    let zeros = bytes.len() as u64 - layout.header_size();
    let coarse: u64 = assembly.pieces.iter().filter(|p| p.stream > 0).map(|p| p.len).sum();
    match zeros {
        0 => {}
        n => assert!(n < STEP && layout.levels().len() > 1 && (bytes.len() as u64 + coarse).is_multiple_of(STEP)),
    }
    for p in &assembly.pieces {
        let segment = &kept.0[p.stream as usize][p.part];
        assert_eq!(segment.len() as u64, p.len);
        bytes.extend_from_slice(segment);
    }
    assert_eq!(bytes.len() as u64, assembly.size);
    Ok(Written { layout, assembly, bytes })
}

fn keep(kept: &mut Kept, parts: impl Iterator<Item = EncodedPart>) -> Vec<PartMeta> {
    let store = |part: EncodedPart| {
        part.segments.into_iter().for_each(|s| kept.0[s.stream as usize].push(s.bytes));
        part.meta
    };
    parts.map(store).collect()
}
