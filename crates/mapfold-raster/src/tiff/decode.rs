//! From fetched bytes to pixels: the hot path of every job.
//!
//! A tile is decompressed into room of exactly its size that the thread keeps; then the predictor is undone and the
//! rows inside the window converted, some rows at a time while they are in the first cache. A tile that needs no
//! change and fills whole rows of the destination is decompressed straight into it. Nothing is ever silently zero:
//! only tiles that were never written are filled, with nodata (0 without).

use super::codec::{Codec, Tools};
use super::level::{Level, TileAt};
use super::place::{Place, place, place_bits};
use super::predict::{undo_float, undo_horizontal};
use crate::{Fetched, PixelsMut, RasterError, Scratch};
use bytes::Bytes;
use mapfold_grid::Window;
use mapfold_store::Loc;
use std::ops::Range;

/// Bytes of a tile that are finished together: half of a small first cache.
const GROUP: usize = 16 << 10;
const NATIVE_BIG: bool = cfg!(target_endian = "big");

/// One level of one file, being decoded.
pub(crate) struct Job<'a> {
    pub(crate) loc: &'a Loc,
    pub(crate) file_size: u64,
    pub(crate) level: &'a Level,
    pub(crate) level_number: usize,
    pub(crate) window: Window,
    /// What stands in tiles that were never written.
    pub(crate) fill: f64,
}

/// A band of the destination and the sample of a tile's pixel that goes there.
#[derive(Clone, Copy)]
struct Pair {
    out: usize,
    sample: usize,
}

/// A tile and the part of it that is wanted.
struct Part<'a> {
    tile: TileAt,
    /// In pixels of the level.
    window: Window,
    pairs: &'a [Pair],
}

impl Job<'_> {
    /// Appends the ranges of the tiles that hold `bands` of the window.
    pub(crate) fn needs(&self, bands: &[usize], out: &mut Vec<Range<u64>>) -> Result<(), RasterError> {
        let one = [0];
        let bands = if self.level.planar { bands } else { &one[..] };
        for &band in bands {
            for cell in self.level.grid().covering(self.window) {
                let tile = self.level.tile(cell, band);
                out.extend(self.range(tile)?);
            }
        }
        Ok(())
    }

    /// Decodes `bands` into `out`, band after band.
    pub(crate) fn bands(
        &self,
        bands: &[usize],
        fetched: &dyn Fetched,
        scratch: &mut Scratch,
        out: &mut PixelsMut<'_>,
    ) -> Result<(), RasterError> {
        if self.level.planar {
            for (k, &band) in bands.iter().enumerate() {
                self.plane(band, &[Pair { out: k, sample: 0 }], fetched, scratch, out)?;
            }
            return Ok(());
        }
        let pairs: Vec<Pair> = bands.iter().enumerate().map(|(out, &sample)| Pair { out, sample }).collect();
        self.plane(0, &pairs, fetched, scratch, out)
    }

    fn plane(
        &self,
        band: usize,
        pairs: &[Pair],
        fetched: &dyn Fetched,
        scratch: &mut Scratch,
        out: &mut PixelsMut<'_>,
    ) -> Result<(), RasterError> {
        for cell in self.level.grid().covering(self.window) {
            let tile = self.level.tile(cell, band);
            let window = self.level.grid().window(cell).intersect(self.window);
            let part = Part { tile, window, pairs };
            match self.range(tile)? {
                Some(range) => self.part(&part, &fetched.bytes(range)?, scratch, out)?,
                None => self.fill_part(&part, out),
            }
        }
        Ok(())
    }

    /// The range of a tile, inside the file.
    fn range(&self, tile: TileAt) -> Result<Option<Range<u64>>, RasterError> {
        let Some(range) = self.level.range(tile) else { return Ok(None) };
        if range.end > self.file_size {
            let (r, size) = (range, self.file_size);
            return Err(self.error(
                tile,
                format!("is truncated: it lies at bytes {}..{}, but the file has {size}", r.start, r.end),
            ));
        }
        if range.is_empty() {
            return Err(self.error(tile, "is truncated: it has 0 bytes".into()));
        }
        Ok(Some(range))
    }

    fn error(&self, tile: TileAt, why: String) -> RasterError {
        let (level, row, col) = (self.level_number as u32, tile.row as u32, tile.col as u32);
        RasterError::Tile { loc: self.loc.clone(), level, row, col, why }
    }

    fn part(
        &self,
        part: &Part<'_>,
        packed: &Bytes,
        scratch: &mut Scratch,
        out: &mut PixelsMut<'_>,
    ) -> Result<(), RasterError> {
        let level = self.level;
        let want = level.row_bytes() * level.tile_rows(part.tile.row);
        if level.codec == Codec::None {
            if packed.len() < want {
                let why = format!("is truncated: it holds {} of {want} bytes", packed.len());
                return Err(self.error(part.tile, why));
            }
            self.place_rows(part, &packed[self.first_row(part) * level.row_bytes()..], 0, part.window.rows, false, out);
            return Ok(());
        }
        if !level.codec.can_hold(packed, want) {
            let why = format!("is truncated: {} bytes cannot hold its {want}", packed.len());
            return Err(self.error(part.tile, why));
        }
        let tools = Tools { inflate: &mut scratch.inflate, unzstd: &mut scratch.unzstd };
        if let Some(room) = self.direct(part, out) {
            return level.codec.unpack(packed, room, tools).map_err(|why| self.error(part.tile, why));
        }
        if scratch.tile.len() < want {
            scratch.tile.resize(want, 0);
        }
        let tile = &mut scratch.tile[..want];
        level.codec.unpack(packed, tile, tools).map_err(|why| self.error(part.tile, why))?;
        self.finish(part, tile, &mut scratch.other, out);
        Ok(())
    }

    /// The destination itself, when the whole tile is to stand there byte by byte.
    fn direct<'o>(&self, part: &Part<'_>, out: &'o mut PixelsMut<'_>) -> Option<&'o mut [u8]> {
        let level = self.level;
        let plain = level.predictor == 1 && !level.one_bit && level.tile_bands() == 1 && !self.swap(false);
        let whole = part.window.cols == level.block.cols
            && part.window.cols == self.window.cols
            && part.window.rows == level.tile_rows(part.tile.row);
        if !plain || !whole || out.dtype() != level.dtype {
            return None;
        }
        let at = self.out_start(part, part.pairs[0].out);
        out.bytes_mut(at..at + part.window.pixels())
    }

    /// Whether samples are still in the other byte order.
    fn swap(&self, undone: bool) -> bool {
        !undone && self.level.big_endian != NATIVE_BIG && self.level.dtype.size() > 1
    }

    /// Undoes the predictor and converts, group of rows by group of rows.
    fn finish(&self, part: &Part<'_>, tile: &mut [u8], other: &mut Vec<u8>, out: &mut PixelsMut<'_>) {
        let (row_bytes, first) = (self.level.row_bytes(), self.first_row(part));
        if self.level.predictor == 1 {
            self.place_rows(part, &tile[first * row_bytes..], 0, part.window.rows, false, out);
            return;
        }
        let group = (GROUP / row_bytes).max(1);
        for start in (0..part.window.rows).step_by(group) {
            let rows = group.min(part.window.rows - start);
            let bytes = &mut tile[(first + start) * row_bytes..(first + start + rows) * row_bytes];
            bytes.chunks_exact_mut(row_bytes).for_each(|row| self.undo(part, row, other));
            self.place_rows(part, bytes, start, rows, true, out);
        }
    }

    fn undo(&self, part: &Part<'_>, row: &mut [u8], other: &mut Vec<u8>) {
        let (size, bands) = (self.level.dtype.size(), self.level.tile_bands());
        if self.level.predictor == 2 {
            // Sums need the pixels to the left, not those to the right.
            let end = (self.first_col(part) + part.window.cols) * bands * size;
            return undo_horizontal(&mut row[..end], size, bands, self.level.big_endian);
        }
        if other.len() < row.len() {
            other.resize(row.len(), 0);
        }
        undo_float(row, size, bands, &mut other[..row.len()]);
    }

    /// First wanted row and column of the tile.
    fn first_row(&self, part: &Part<'_>) -> usize {
        part.window.row as usize - part.tile.row * self.level.block.rows
    }

    fn first_col(&self, part: &Part<'_>) -> usize {
        part.window.col as usize - part.tile.col * self.level.block.cols
    }

    /// Index of the part's first pixel in band `k` of the destination.
    fn out_start(&self, part: &Part<'_>, k: usize) -> usize {
        let (r, c) = ((part.window.row - self.window.row) as usize, (part.window.col - self.window.col) as usize);
        k * self.window.pixels() + r * self.window.cols + c
    }

    /// Converts `rows` rows, the first of which is row `start` of the part.
    fn place_rows(
        &self,
        part: &Part<'_>,
        bytes: &[u8],
        start: usize,
        rows: usize,
        undone: bool,
        out: &mut PixelsMut<'_>,
    ) {
        let step = self.level.tile_bands();
        for pair in part.pairs {
            let at = Place {
                row_bytes: self.level.row_bytes(),
                rows,
                first: self.first_col(part) * step + pair.sample,
                step,
                cols: part.window.cols,
                swap: self.swap(undone),
                out: self.out_start(part, pair.out) + start * self.window.cols,
                out_row: self.window.cols,
            };
            match out {
                PixelsMut::U8(values) if self.level.one_bit => place_bits(bytes, &at, values),
                _ => place(self.level.dtype, bytes, &at, out),
            }
        }
    }

    fn fill_part(&self, part: &Part<'_>, out: &mut PixelsMut<'_>) {
        for pair in part.pairs {
            let start = self.out_start(part, pair.out);
            for r in 0..part.window.rows {
                let at = start + r * self.window.cols;
                out.fill(at..at + part.window.cols, self.fill);
            }
        }
    }
}
