//! Coarse levels: those whose footprints cross superblock borders, made from the encoded tiles of the level before.
//!
//! Work is cut into units of 2 x 2 tiles, independent of each other inside a level. A unit reads the tiles that its
//! footprints touch, so memory is bounded by the tile size, not by the image.

use super::codec;
use super::index::{Place, Streams, TileIndex};
use super::layout::{Layout, wrong};
use super::overview::{Coarser, Finer, resample, source_window};
use super::part::{EncodedPart, LevelLens, PartMeta, Segment};
use super::tile::{OpenTile, Rule};
use crate::RasterError;
use mapfold_grid::{Pixel, Shape, Window};

/// Encodes one unit (of [`Layout::coarse_units`]) of a coarse level. `index` must hold the level before.
///
/// # Errors
/// When the level before is missing or cannot be read, when `T` is not the image's type, or a codec fails.
pub fn encode_coarse<T: Pixel>(
    layout: &Layout,
    level: usize,
    unit: Window,
    index: &TileIndex,
    streams: &dyn Streams,
) -> Result<EncodedPart, RasterError> {
    if T::DTYPE != layout.spec.dtype || !layout.coarse_levels().contains(&level) {
        return Err(wrong(format!("level {level} of {} is not made from {} pixels", layout.spec.dtype, T::DTYPE)));
    }
    let source = Source::<T>::read(layout, level, unit, index, streams)?;
    // Room at once, as in the encoder: growing would hold the bytes twice.
    let mut bytes = Vec::with_capacity(layout.max_unit_bytes(unit) as usize);
    let mut lens = Vec::new();
    let mut tile = OpenTile::new(layout);
    let mut room = vec![0; layout.tile * layout.tile];
    for window in unit.tiles(Shape { rows: layout.tile, cols: layout.tile }) {
        for band in 0..layout.spec.bands {
            source.make(layout, level, band, window, &mut tile, &mut room);
        }
        tile.pad(layout, window.shape());
        lens.extend(tile.encode(layout, &mut bytes)?);
    }
    let levels = vec![LevelLens { level: level as u32, lens }];
    Ok(EncodedPart {
        segments: vec![Segment { stream: level as u32, bytes }],
        meta: PartMeta { levels, sums: Vec::new(), moved_off_nodata: 0 },
    })
}

/// The pixels of the level before that a unit needs.
struct Source<T> {
    window: Window,
    values: Vec<T>,
    valid: Vec<Vec<u8>>,
}

impl<T: Pixel> Source<T> {
    fn read(
        layout: &Layout,
        level: usize,
        unit: Window,
        index: &TileIndex,
        streams: &dyn Streams,
    ) -> Result<Source<T>, RasterError> {
        let finer = level - 1;
        let window = source_window(unit, layout.levels()[finer].shape, layout.levels()[level].shape);
        let n = window.pixels();
        let planes = if layout.has_mask() { 1 } else { layout.spec.bands };
        let mut source =
            Source { window, values: vec![T::default(); n * layout.spec.bands], valid: vec![vec![0; n]; planes] };
        let mut tile = OpenTile::new(layout);
        let mut ok = Vec::new();
        for (number, place) in touched(layout, finer, window) {
            let pieces = index.tile(layout, finer, number)?;
            read_tile(layout, finer, pieces, streams, &mut tile)?;
            source.paste(layout, place, &tile, &mut ok);
        }
        Ok(source)
    }

    /// Copies what a tile has of the window.
    fn paste(&mut self, layout: &Layout, place: Window, tile: &OpenTile<T>, ok: &mut Vec<u8>) {
        let (common, n) = (self.window.intersect(place), self.window.pixels());
        for band in 0..layout.spec.bands {
            if band < self.valid.len() {
                tile.valid(layout, band, ok);
            }
            for r in 0..common.rows {
                let row = common.row + r as i64;
                let from = (row - place.row) as usize * layout.tile + (common.col - place.col) as usize;
                let to = (row - self.window.row) as usize * self.window.cols + (common.col - self.window.col) as usize;
                self.values[band * n + to..][..common.cols]
                    .copy_from_slice(&tile.band(layout, band)[from..][..common.cols]);
                if let Some(valid) = self.valid.get_mut(band) {
                    valid[to..to + common.cols].copy_from_slice(&ok[from..from + common.cols]);
                }
            }
        }
    }

    /// Makes one band of one tile of the coarse level.
    fn make(&self, layout: &Layout, level: usize, band: usize, to: Window, tile: &mut OpenTile<T>, room: &mut [u8]) {
        let (n, rule) = (self.window.pixels(), Rule::<T>::of(layout));
        let finer = Finer {
            values: &self.values[band * n..(band + 1) * n],
            valid: self.valid.get(band).unwrap_or(&self.valid[0]),
            window: self.window,
            stride: self.window.cols,
            shape: layout.levels()[level - 1].shape,
        };
        let mut coarser = Coarser {
            values: tile.band_mut(layout, band),
            valid: room,
            window: to,
            stride: layout.tile,
            shape: layout.levels()[level].shape,
            fill: rule.fill,
            nodata: rule.nodata,
        };
        resample(layout.resampling, &finer, &mut coarser);
        if layout.has_mask() && band == 0 {
            tile.mask.copy_from_slice(room);
        }
    }
}

/// Tiles of a level that a window touches: number and window (not cut at the image's edge).
fn touched(layout: &Layout, level: usize, w: Window) -> Vec<(usize, Window)> {
    let (side, across) = (layout.tile, layout.tile_grid(level).cols);
    let rows = w.row as usize / side..(w.row_end() as usize).div_ceil(side);
    let cols = w.col as usize / side..(w.col_end() as usize).div_ceil(side);
    let place = |r: usize, c: usize| Window { row: (r * side) as i64, col: (c * side) as i64, rows: side, cols: side };
    rows.flat_map(|r| cols.clone().map(move |c| (r * across + c, place(r, c)))).collect()
}

fn read_tile<T: Pixel>(
    layout: &Layout,
    level: usize,
    pieces: &[Place],
    streams: &dyn Streams,
    tile: &mut OpenTile<T>,
) -> Result<(), RasterError> {
    let fetch = |p: &Place| streams.read(level as u32, p.part as usize, p.offset, p.len as usize);
    let empty = Rule::<T>::of(layout).nodata.unwrap_or_default();
    for (band, piece) in pieces[..layout.spec.bands].iter().enumerate() {
        match piece.len {
            0 => tile.band_mut(layout, band).fill(empty),
            _ => codec::read_tile(layout, &fetch(piece)?, tile.band_mut(layout, band))?,
        }
    }
    match pieces.get(layout.spec.bands) {
        Some(piece) if piece.len == 0 => tile.mask.fill(0),
        Some(piece) => codec::read_mask(layout, &fetch(piece)?, &mut tile.mask)?,
        None => {}
    }
    Ok(())
}
