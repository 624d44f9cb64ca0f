//! The finish: a header, and the order in which the encoded bytes follow it. Nothing is encoded again.
//!
//! Coarse levels come first, each in the order of its parts; level 0 comes last, superblock after superblock. A file
//! of one level is therefore its header and then the segments as they are. Behind coarse levels, level 0 begins at a
//! multiple of [`STEP`], by zeros at the end of the header: file systems can then put the front before it, or share
//! its blocks, instead of copying it.

use super::BigTiff;
use super::ifd::{Ending, Offsets, render};
use super::index::TileIndex;
use super::layout::{Layout, wrong};
use super::part::PartMeta;
use super::stats::{BandStatistics, BandSums, ExactSums, TileMoments};
use crate::RasterError;

/// What the file is made of: `header`, then the pieces one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembly {
    /// [`Layout::header_size`] bytes, and less than [`STEP`] zeros when coarse levels follow.
    pub header: Vec<u8>,
    /// Segments in file order; empty ones are left out.
    pub pieces: Vec<Piece>,
    /// Size of the file.
    pub size: u64,
    /// Whether it is a BigTIFF.
    pub big: bool,
    /// Statistics of each band, as the header has them.
    pub statistics: Vec<BandStatistics>,
    /// Valid pixels of level 0 that were moved off the nodata value.
    pub moved_off_nodata: u64,
}

/// A whole segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The stream (level).
    pub stream: u32,
    /// The part: superblock number, or unit number in a coarse level.
    pub part: usize,
    /// Its length in bytes.
    pub len: u64,
}

/// What the start of level 0 is a multiple of, in files of several levels: a block of the usual file systems.
pub const STEP: u64 = 4096;

/// Lays out the file. `index` holds all levels, `superblocks` the records of the superblocks in their order.
///
/// # Errors
/// When a level is missing, or the file is too large for the classic TIFF that was asked for.
pub fn assemble(layout: &Layout, index: &TileIndex, superblocks: &[PartMeta]) -> Result<Assembly, RasterError> {
    let statistics = statistics(layout, superblocks)?;
    let front = front(layout, index);
    let (pieces, starts, size) = order(layout, index, front);
    let big = choose_big(layout, size)?;
    let offsets = (0..layout.levels().len()).map(|k| offsets_of(layout, index, k, &starts[k]));
    let offsets = offsets.collect::<Result<Vec<Offsets>, _>>()?;
    let mut header = render(layout, &Ending { offsets: &offsets, statistics: Some(&statistics), big });
    let room = layout.header_size() as usize;
    if header.len() > room {
        return Err(wrong(format!("the header of {} bytes outgrew its room of {room}", header.len())));
    }
    header.resize(front as usize, 0);
    let moved_off_nodata = superblocks.iter().map(|p| p.moved_off_nodata).sum();
    Ok(Assembly { header, pieces, size, big, statistics, moved_off_nodata })
}

/// Bytes of the header with its zeros at the end.
fn front(layout: &Layout, index: &TileIndex) -> u64 {
    let bytes = |level: usize| index.segments(level).iter().sum::<u64>();
    let coarse: u64 = (1..layout.levels().len()).map(bytes).sum();
    if coarse == 0 || bytes(0) == 0 {
        return layout.header_size();
    }
    (layout.header_size() + coarse).next_multiple_of(STEP) - coarse
}

/// Pieces in file order behind a front of so many bytes, the file offset of every segment (level, part), and the file's size.
fn order(layout: &Layout, index: &TileIndex, front: u64) -> (Vec<Piece>, Vec<Vec<u64>>, u64) {
    let levels = layout.levels().len();
    let mut pieces = Vec::new();
    let mut starts = vec![Vec::new(); levels];
    let mut at = front;
    for level in (0..levels).rev() {
        for (part, len) in index.segments(level).iter().enumerate() {
            starts[level].push(at);
            at += len;
            if *len > 0 {
                pieces.push(Piece { stream: level as u32, part, len: *len });
            }
        }
    }
    (pieces, starts, at)
}

fn choose_big(layout: &Layout, size: u64) -> Result<bool, RasterError> {
    let fits = size <= u64::from(u32::MAX);
    match layout.bigtiff {
        BigTiff::Yes => Ok(true),
        BigTiff::Auto => Ok(!fits),
        BigTiff::No if fits => Ok(false),
        BigTiff::No => {
            Err(wrong(format!("the file has {size} bytes, more than a classic TIFF can hold; use bigtiff auto")))
        }
    }
}

fn offsets_of(layout: &Layout, index: &TileIndex, level: usize, starts: &[u64]) -> Result<Offsets, RasterError> {
    let tiles = layout.tile_count(level);
    let mut planes = vec![Vec::with_capacity(tiles); layout.planes()];
    for tile in 0..tiles {
        for (plane, p) in planes.iter_mut().zip(index.tile(layout, level, tile)?) {
            plane.push(if p.len == 0 { (0, 0) } else { (starts[p.part as usize] + p.offset, p.len) });
        }
    }
    Ok(planes)
}

/// Statistics of each band. Integer sums may be added in any order; tiles of floats are combined by ascending index,
/// so that the result is the same for every superblock.
fn statistics(layout: &Layout, parts: &[PartMeta]) -> Result<Vec<BandStatistics>, RasterError> {
    (0..layout.spec.bands).map(|band| band_statistics(layout, parts, band)).collect()
}

fn band_statistics(layout: &Layout, parts: &[PartMeta], band: usize) -> Result<BandStatistics, RasterError> {
    let lost = || wrong("a part has no sums for the statistics");
    let mut exact = ExactSums::default();
    let mut tiles = vec![TileMoments::default(); if layout.spec.dtype.is_float() { layout.tile_count(0) } else { 0 }];
    let across = layout.tile_grid(0).cols;
    let grid = layout.superblocks();
    for (p, part) in parts.iter().enumerate() {
        match part.sums.get(band).ok_or_else(lost)? {
            BandSums::Exact(sums) => exact.merge(sums),
            BandSums::Tiles(moments) => {
                let w = grid.window(p);
                let (row, col) = (w.row as usize / layout.tile, w.col as usize / layout.tile);
                let wide = w.cols.div_ceil(layout.tile);
                for (i, m) in moments.iter().enumerate() {
                    *tiles.get_mut((row + i / wide) * across + col + i % wide).ok_or_else(lost)? = *m;
                }
            }
        }
    }
    if !layout.spec.dtype.is_float() {
        return Ok(exact.statistics());
    }
    let mut all = TileMoments::default();
    tiles.iter().for_each(|t| all.merge(t));
    Ok(all.statistics())
}
