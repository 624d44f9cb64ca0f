//! A superblock from pixels to encoded tiles of every in-pass level, while it streams by.
//!
//! Blocks are scattered into tiles; a tile is encoded as soon as its last pixel is there and leaves a quarter of the
//! tile above, which is encoded in the same way. Strips therefore keep one row of tiles, not the superblock.
//! Pieces are laid down in row order whatever the order in which tiles got ready, so the bytes do not depend on
//! how the superblock was cut into blocks.

use super::layout::{Layout, Validity, wrong};
use super::overview;
use super::part::{EncodedPart, LevelLens, PartMeta, Segment};
use super::stats::{BandSums, ExactSums};
use super::tile::{OpenTile, Rule, Step, TileSums};
use crate::RasterError;
use mapfold_grid::{Block, Pixel, Shape, Window};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Encodes one superblock. Feed it with [`SuperblockEncoder::push`], end with [`SuperblockEncoder::finish`].
pub struct SuperblockEncoder<T> {
    layout: Arc<Layout>,
    window: Window,
    levels: Vec<Level<T>>,
    spare: Vec<OpenTile<T>>,
    sums: Vec<BandSums>,
    moved: u64,
    rooms: Rooms,
}

/// One in-pass level of the superblock.
struct Level<T> {
    /// The superblock's share of the level.
    window: Window,
    tiles: Shape,
    open: Vec<Option<OpenTile<T>>>,
    out: Vec<u8>,
    lens: Vec<u32>,
    /// Next tile in row order, and those that got ready before their turn.
    next: usize,
    early: BTreeMap<usize, Ready>,
}

/// An encoded tile.
struct Ready {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    sums: Vec<TileSums>,
}

/// Validity of a tile, of a coarser tile, and of a row.
#[derive(Default)]
struct Rooms {
    valid: Vec<u8>,
    coarse: Vec<u8>,
    row: Vec<u8>,
    band: Vec<u8>,
}

impl Layout {
    /// An encoder for one superblock, a cell of [`Layout::superblocks`].
    ///
    /// # Errors
    /// When `T` is not the image's type or `superblock` is not a cell of the grid.
    pub fn encoder<T: Pixel>(self: &Arc<Self>, superblock: Window) -> Result<SuperblockEncoder<T>, RasterError> {
        if T::DTYPE != self.spec.dtype {
            return Err(wrong(format!("a {} file cannot take {} pixels", self.spec.dtype, T::DTYPE)));
        }
        let grid = self.superblocks();
        let is_cell = grid.covering(superblock).map(|i| grid.window(i)).eq([superblock]);
        if !is_cell {
            return Err(wrong(format!("{superblock} is not one superblock of {} pixels", grid.block)));
        }
        let sums =
            if T::DTYPE.is_float() { BandSums::Tiles(Vec::new()) } else { BandSums::Exact(ExactSums::default()) };
        Ok(SuperblockEncoder {
            window: superblock,
            levels: (0..self.in_pass()).map(|k| Level::new(self, self.share(superblock, k))).collect(),
            spare: Vec::new(),
            sums: vec![sums; self.spec.bands],
            moved: 0,
            rooms: Rooms::default(),
            layout: self.clone(),
        })
    }
}

impl<T> Level<T> {
    fn new(layout: &Layout, window: Window) -> Level<T> {
        let tiles = Shape { rows: window.rows.div_ceil(layout.tile), cols: window.cols.div_ceil(layout.tile) };
        let open = (0..tiles.pixels()).map(|_| None).collect();
        // Room for the worst case at once: pages that are not written cost nothing, growing would hold the bytes twice.
        let out = Vec::with_capacity(tiles.pixels() * layout.max_tile_bytes() as usize);
        Level { window, tiles, open, out, lens: Vec::new(), next: 0, early: BTreeMap::new() }
    }

    /// The window of a tile, cut at the image's edge.
    fn tile_window(&self, side: usize, index: usize) -> Window {
        let (r, c) = (index / self.tiles.cols * side, index % self.tiles.cols * side);
        Window {
            row: self.window.row + r as i64,
            col: self.window.col + c as i64,
            rows: side.min(self.window.rows - r),
            cols: side.min(self.window.cols - c),
        }
    }
}

impl<T: Pixel> SuperblockEncoder<T> {
    /// Takes the pixels of a block. Blocks tile the superblock; their cut does not change the result.
    ///
    /// # Errors
    /// When the block reaches out of the superblock, covers pixels that came before, has another number of bands, or
    /// has invalid pixels that the file cannot store; when a codec fails.
    pub fn push(&mut self, block: &Block<T>) -> Result<(), RasterError> {
        let (w, bands) = (block.window(), self.layout.spec.bands);
        if block.band_count() != bands {
            return Err(wrong(format!("a block of {} bands for a file of {bands}", block.band_count())));
        }
        if !self.window.contains(w) {
            return Err(wrong(format!("a block of {w} reaches out of the superblock of {}", self.window)));
        }
        for index in self.touched(w) {
            let inside = self.levels[0].tile_window(self.layout.tile, index);
            let mut tile = self.take_open(0, index)?;
            self.fill(&mut tile, inside, block)?;
            self.give(0, index, tile)?;
        }
        Ok(())
    }

    /// Ends the superblock.
    ///
    /// # Errors
    /// When pixels are missing.
    pub fn finish(self) -> Result<EncodedPart, RasterError> {
        if self.levels.iter().any(|l| l.next < l.tiles.pixels()) {
            return Err(wrong(format!("pixels of the superblock of {} are missing", self.window)));
        }
        let mut meta = PartMeta { levels: Vec::new(), sums: self.sums, moved_off_nodata: self.moved };
        let mut segments = Vec::new();
        for (k, level) in self.levels.into_iter().enumerate() {
            meta.levels.push(LevelLens { level: k as u32, lens: level.lens });
            segments.push(Segment { stream: k as u32, bytes: level.out });
        }
        Ok(EncodedPart { segments, meta })
    }

    /// Tiles of level 0 that a window touches, in row order.
    fn touched(&self, w: Window) -> Vec<usize> {
        let (side, level) = (self.layout.tile, &self.levels[0]);
        if w.is_empty() {
            return Vec::new();
        }
        let (r, c) = ((w.row - self.window.row) as usize, (w.col - self.window.col) as usize);
        let (rows, cols) = (r / side..(r + w.rows).div_ceil(side), c / side..(c + w.cols).div_ceil(side));
        rows.flat_map(|r| cols.clone().map(move |c| r * level.tiles.cols + c)).collect()
    }

    fn take_open(&mut self, k: usize, index: usize) -> Result<OpenTile<T>, RasterError> {
        let level = &mut self.levels[k];
        if index < level.next || level.early.contains_key(&index) {
            return Err(wrong(format!("pixels of tile {index} of the superblock of {} came twice", self.window)));
        }
        let kept = level.open[index].take().or_else(|| self.spare.pop());
        Ok(kept.unwrap_or_else(|| OpenTile::new(&self.layout)))
    }

    /// Puts a tile back, or encodes it when it is whole.
    fn give(&mut self, k: usize, index: usize, mut tile: OpenTile<T>) -> Result<(), RasterError> {
        let inside = self.levels[k].tile_window(self.layout.tile, index);
        if tile.filled < inside.pixels() {
            self.levels[k].open[index] = Some(tile);
            return Ok(());
        }
        if tile.filled > inside.pixels() {
            return Err(wrong(format!("pixels of {inside} came twice")));
        }
        let sums = self.reduce(k, index, inside, &tile)?;
        tile.pad(&self.layout, inside.shape());
        self.lay_down(k, index, &tile, sums)?;
        tile.filled = 0;
        self.spare.push(tile);
        Ok(())
    }

    /// Sums of a whole tile (level 0 only), and its quarter of the tile above.
    fn reduce(
        &mut self,
        k: usize,
        index: usize,
        inside: Window,
        tile: &OpenTile<T>,
    ) -> Result<Vec<TileSums>, RasterError> {
        let layout = self.layout.clone();
        let mut above = match k + 1 < self.levels.len() {
            true => Some(self.above(k, index, inside)?),
            false => None,
        };
        let mut sums = Vec::new();
        for band in 0..layout.spec.bands {
            if k > 0 && above.is_none() {
                break;
            }
            tile.valid(&layout, band, &mut self.rooms.valid);
            if k == 0 {
                sums.push(tile.sums(&layout, band, &self.rooms.valid, inside.shape()));
            }
            if let Some((_, step, into)) = &mut above {
                tile.quarter(&layout, band, &self.rooms.valid, step, into, &mut self.rooms.coarse);
            }
        }
        if let Some((index, step, mut into)) = above {
            into.filled += step.to.pixels();
            self.give(k + 1, index, into)?;
        }
        Ok(sums)
    }

    /// The tile above, and the step to its quarter.
    fn above(&mut self, k: usize, index: usize, inside: Window) -> Result<(usize, Step, OpenTile<T>), RasterError> {
        let (side, across) = (self.layout.tile, self.levels[k].tiles.cols);
        let (r, c) = (index / across, index % across);
        let to = Window { row: inside.row / 2, col: inside.col / 2, rows: inside.rows / 2, cols: inside.cols / 2 };
        let at = Window { row: (r % 2 * side / 2) as i64, col: (c % 2 * side / 2) as i64, ..to };
        let (from_shape, to_shape) = (self.layout.levels()[k].shape, self.layout.levels()[k + 1].shape);
        debug_assert_eq!(overview::source_window(to, from_shape, to_shape), inside);
        let above = r / 2 * self.levels[k + 1].tiles.cols + c / 2;
        let tile = self.take_open(k + 1, above)?;
        Ok((above, Step { from: inside, from_shape, to, to_shape, at }, tile))
    }

    /// Encodes a tile in its turn, or keeps its bytes until its turn comes.
    fn lay_down(&mut self, k: usize, index: usize, tile: &OpenTile<T>, sums: Vec<TileSums>) -> Result<(), RasterError> {
        let level = &mut self.levels[k];
        if index != level.next {
            let mut bytes = Vec::new();
            let lens = tile.encode(&self.layout, &mut bytes)?;
            level.early.insert(index, Ready { bytes, lens, sums });
            return Ok(());
        }
        let lens = tile.encode(&self.layout, &mut level.out)?;
        level.lens.extend(lens);
        level.next += 1;
        note(&mut self.sums, &sums);
        while let Some(ready) = level.early.remove(&level.next) {
            level.out.extend_from_slice(&ready.bytes);
            level.lens.extend(ready.lens);
            level.next += 1;
            note(&mut self.sums, &ready.sums);
        }
        Ok(())
    }

    /// Copies what a block has of a tile, in the form that the file stores.
    fn fill(&mut self, tile: &mut OpenTile<T>, inside: Window, block: &Block<T>) -> Result<(), RasterError> {
        let layout = self.layout.clone();
        let common = block.window().intersect(inside);
        let rule = Rule::<T>::of(&layout);
        self.rooms.row.resize(common.cols, 0);
        for r in 0..common.rows {
            let row = common.row + r as i64;
            let from =
                (row - block.window().row) as usize * block.window().cols + (common.col - block.window().col) as usize;
            let to = (row - inside.row) as usize * layout.tile + (common.col - inside.col) as usize;
            if layout.validity != Validity::Mask {
                self.moved += self.fill_row(tile, block, from, to, rule)?;
                continue;
            }
            self.valid_in_all(block, from);
            tile.mask[to..to + common.cols].copy_from_slice(&self.rooms.row);
            for band in 0..layout.spec.bands {
                let values = &block.band(band)[from..from + common.cols];
                store(values, &self.rooms.row, rule.fill, &mut tile.band_mut(&layout, band)[to..to + common.cols]);
            }
        }
        tile.filled += common.pixels();
        Ok(())
    }

    /// One row of all bands, each valid for itself. Returns how many values were moved off the nodata value.
    fn fill_row(
        &mut self,
        tile: &mut OpenTile<T>,
        block: &Block<T>,
        from: usize,
        to: usize,
        rule: Rule<T>,
    ) -> Result<u64, RasterError> {
        let (layout, ok) = (&self.layout, &mut self.rooms.row);
        let mut moved = 0;
        for band in 0..layout.spec.bands {
            valid_row(block, band, from, ok);
            if layout.validity == (Validity::All { strict: true }) && ok.contains(&0) {
                let what =
                    "the image has invalid pixels, but the file has neither nodata nor mask; give a nodata value";
                return Err(wrong(what));
            }
            let out = &mut tile.band_mut(layout, band)[to..to + ok.len()];
            store(&block.band(band)[from..from + ok.len()], ok, rule.fill, out);
            if let Some(nodata) = rule.nodata.filter(|v| !v.is_nan()) {
                moved += move_off(out, ok, nodata);
            }
        }
        Ok(moved)
    }

    /// Validity by all bands together, as a mask tells it, into the row's room.
    fn valid_in_all(&mut self, block: &Block<T>, from: usize) {
        let Rooms { row, band: one, .. } = &mut self.rooms;
        valid_row(block, 0, from, row);
        one.resize(row.len(), 0);
        for band in 1..block.band_count() {
            valid_row(block, band, from, one);
            row.iter_mut().zip(&*one).for_each(|(all, ok)| *all &= ok);
        }
    }
}

/// Adds the sums of the next tile in row order.
fn note(sums: &mut [BandSums], tile: &[TileSums]) {
    for (all, tile) in sums.iter_mut().zip(tile) {
        match (all, tile) {
            (BandSums::Exact(all), TileSums::Exact(tile)) => all.merge(tile),
            (BandSums::Tiles(all), TileSums::Moments(tile)) => all.push(*tile),
            _ => {}
        }
    }
}

/// As [`Block::band_valid`], compiled for several instruction sets: it was dearer than the predictor.
fn valid_row<T: Pixel>(block: &Block<T>, band: usize, from: usize, out: &mut [u8]) {
    let span = from..from + out.len();
    valid_values(&block.band(band)[span.clone()], block.nodata()[band], out);
    if let Some(mask) = block.band_mask(band) {
        mask[span].iter().zip(out).for_each(|(m, o)| *o &= u8::from(*m != 0));
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn valid_values<T: Pixel>(values: &[T], nodata: Option<T>, out: &mut [u8]) {
    match nodata.filter(|v| !v.is_nan()) {
        Some(nodata) => values.iter().zip(out).for_each(|(v, o)| *o = u8::from(!(v.is(nodata) | v.is_nan()))),
        None => values.iter().zip(out).for_each(|(v, o)| *o = u8::from(!v.is_nan())),
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn store<T: Pixel>(values: &[T], ok: &[u8], fill: T, out: &mut [T]) {
    for ((v, ok), o) in values.iter().zip(ok).zip(out) {
        *o = if *ok != 0 { *v } else { fill };
    }
}

/// Moves valid values off the nodata value; returns how many.
fn move_off<T: Pixel>(values: &mut [T], ok: &[u8], nodata: T) -> u64 {
    let clash = |v: &T, ok: &u8| v.is(nodata) & (*ok != 0);
    let n: u64 = values.iter().zip(ok).map(|(v, ok)| u64::from(clash(v, ok))).sum();
    if n > 0 {
        let hit = values.iter_mut().zip(ok).filter(|(v, ok)| clash(v, ok));
        hit.for_each(|(v, _)| *v = v.beside());
    }
    n
}
