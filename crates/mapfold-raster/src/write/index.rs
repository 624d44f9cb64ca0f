//! Where every encoded piece lies, collected from the records of the parts.

use super::layout::{Layout, wrong};
use super::part::PartMeta;
use crate::RasterError;
use bytes::Bytes;
use mapfold_grid::Window;

/// The encoded bytes of parts that are done: what coarse levels are made from.
pub trait Streams: Sync {
    /// `len` bytes of the segment that part `part` gave to `stream`, from `offset` on.
    ///
    /// # Errors
    /// When they cannot be had.
    fn read(&self, stream: u32, part: usize, offset: u64, len: usize) -> Result<Bytes, RasterError>;
}

/// One encoded piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub part: u32,
    /// Bytes before it in its segment, its own frame included.
    pub offset: u64,
    /// 0 = left out.
    pub len: u32,
}

/// Where every encoded piece of a file lies: filled level by level.
#[derive(Clone, Debug)]
pub struct TileIndex {
    /// Per level: planes of tile 0, planes of tile 1, ...
    places: Vec<Vec<Place>>,
    /// Per level: bytes of each part's segment.
    segments: Vec<Vec<u64>>,
}

impl TileIndex {
    /// An index without pieces.
    pub fn new(layout: &Layout) -> TileIndex {
        let levels = layout.levels().len();
        TileIndex { places: vec![Vec::new(); levels], segments: vec![Vec::new(); levels] }
    }

    /// Enters the parts of all superblocks, in the order of [`Layout::superblocks`].
    ///
    /// # Errors
    /// When there is not one part per superblock, or a part is not of this layout.
    pub fn add_superblocks(&mut self, layout: &Layout, parts: &[PartMeta]) -> Result<(), RasterError> {
        let grid = layout.superblocks();
        for level in 0..layout.in_pass() {
            let windows: Vec<Window> = (0..grid.len()).map(|i| layout.share(grid.window(i), level)).collect();
            self.add(layout, level, &windows, parts)?;
        }
        Ok(())
    }

    /// Enters the parts of a coarse level, in the order of [`Layout::coarse_units`].
    ///
    /// # Errors
    /// When there is not one part per unit, or a part is not of this layout.
    pub fn add_level(&mut self, layout: &Layout, level: usize, parts: &[PartMeta]) -> Result<(), RasterError> {
        self.add(layout, level, &layout.coarse_units(level), parts)
    }

    fn add(
        &mut self,
        layout: &Layout,
        level: usize,
        windows: &[Window],
        parts: &[PartMeta],
    ) -> Result<(), RasterError> {
        if parts.len() != windows.len() {
            return Err(wrong(format!("level {level} has {} parts, not {}", windows.len(), parts.len())));
        }
        let (planes, across) = (layout.planes(), layout.tile_grid(level).cols);
        let mut places = vec![Place::default(); layout.tile_count(level) * planes];
        let mut segments = Vec::with_capacity(parts.len());
        let frame = if layout.framed() { 4 } else { 0 };
        for (p, (window, meta)) in windows.iter().zip(parts).enumerate() {
            let lens =
                lens_of(layout, level, *window, meta).ok_or_else(|| wrong(format!("part {p} is of another layout")))?;
            let (down, wide) = (window.row as usize / layout.tile, window.cols.div_ceil(layout.tile));
            let mut offset = 0;
            for (i, len) in lens.iter().enumerate() {
                let (t, plane) = (i / planes, i % planes);
                let tile = (down + t / wide) * across + window.col as usize / layout.tile + t % wide;
                places[tile * planes + plane] = Place { part: p as u32, offset: offset + frame, len: *len };
                offset += if *len == 0 { 0 } else { u64::from(*len) + 2 * frame };
            }
            segments.push(offset);
        }
        self.places[level] = places;
        self.segments[level] = segments;
        Ok(())
    }

    /// Pieces of a tile of a level (counted in row order), band by band, then the mask.
    pub(crate) fn tile(&self, layout: &Layout, level: usize, tile: usize) -> Result<&[Place], RasterError> {
        let planes = layout.planes();
        let at = self.places[level].get(tile * planes..(tile + 1) * planes);
        at.ok_or_else(|| wrong(format!("level {level} is needed before its parts were entered")))
    }

    /// Bytes of the segment of each part of a level.
    pub(crate) fn segments(&self, level: usize) -> &[u64] {
        &self.segments[level]
    }
}

/// The lengths that a part has for a level, when they fit its window.
fn lens_of<'a>(layout: &Layout, level: usize, window: Window, meta: &'a PartMeta) -> Option<&'a [u32]> {
    let tiles = window.rows.div_ceil(layout.tile) * window.cols.div_ceil(layout.tile);
    let lens = &meta.levels.iter().find(|l| l.level as usize == level)?.lens;
    (lens.len() == tiles * layout.planes()).then_some(lens)
}
