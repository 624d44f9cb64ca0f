//! Stored tiles as the blocks of a flow.

use super::layout::{HEAD, Layout, Tile};
use super::write::{ABSENT, MASKED, SHARED};
use super::{StoredFile, agree};
use crate::node::{Need, Node, Step};
use crate::{Cx, Domain, Error, Phase, Place, RasterDomain, Result, hash64};
use mapfold_grid::{Block, GeoBox, Pixel, Window};
use std::sync::Arc;

/// The source over a file of stored blocks.
pub(super) struct Read<T> {
    layout: Arc<Layout>,
    domain: Domain,
    grid: Arc<GeoBox>,
    stored: StoredFile,
    template: Block<T>,
    at: String,
}

/// What is put together for a place.
struct Made<T> {
    data: Vec<T>,
    /// One byte for each value, once a tile has a mask.
    valid: Option<Vec<u8>>,
    shared: bool,
    nodata: Option<Vec<Option<T>>>,
}

impl<T: Pixel> Read<T> {
    pub fn new(layout: Arc<Layout>, ground: &RasterDomain, stored: StoredFile, template: Block<T>, at: String) -> Self {
        let domain = Domain::Raster(RasterDomain { align: layout.tile(), ..ground.clone() });
        Read { layout, domain, grid: ground.grid.clone(), stored, template, at }
    }

    fn need(&self, tile: Tile) -> Need {
        let from = self.layout.offset(tile);
        Need { file: self.stored.file, range: from..from + self.layout.tile_len(tile.window.pixels()) }
    }

    /// Invalid pixels of a window, as those that will be stored are.
    fn template(&self, window: Window) -> Result<Block<T>> {
        let (n, nodata) = (window.pixels(), self.template.nodata().to_vec());
        let data = nodata.iter().flat_map(|v| std::iter::repeat_n(v.unwrap_or(T::FILL), n)).collect();
        let masked = nodata.iter().any(Option::is_none).then(|| vec![0; n]);
        let block = Block::new(self.grid.clone(), window, nodata.len(), data)?;
        Ok(block.with_nodata(nodata).with_valid(masked))
    }

    /// The block of a place; none where nothing of it is there.
    fn block(&self, at: &Place, cx: &Cx<'_>) -> Result<Option<Block<T>>> {
        let (_, window) = at.window();
        let (n, bands, files) = (window.pixels(), self.layout.bands, cx.fetched());
        let (data, valid) = (vec![T::FILL; bands * n], None);
        let mut made = Made { data, valid, shared: true, nodata: None };
        let mut holes = Vec::new();
        for tile in self.layout.covering(at) {
            let need = self.need(tile);
            let bytes = files.bytes(need.file, &need.range)?;
            match self.checked(tile, &bytes)? {
                ABSENT => holes.push(tile.window.intersect(window)),
                kind => made.take(kind, &bytes, tile.window, window, &self.layout)?,
            }
        }
        let Some(nodata) = made.nodata.take() else { return Ok(None) };
        holes.into_iter().for_each(|hole| made.invalidate(hole, window));
        let Made { data, valid, shared, .. } = made;
        let valid = valid.map(|mut v| {
            v.truncate(if shared { n } else { v.len() });
            v
        });
        Ok(Some(Block::new(self.grid.clone(), window, bands, data)?.with_nodata(nodata).with_valid(valid)))
    }

    /// The kind of a tile whose bytes are those that were stored.
    fn checked(&self, tile: Tile, bytes: &[u8]) -> Result<u64> {
        let damaged = || {
            let what = format!("{}: stored blocks are damaged or were never written", self.stored.name);
            Error::job(what).at_place(tile.window.to_string()).with_remedy("start over with --overwrite")
        };
        let (kind, values) = (number(bytes, 16), tile.window.pixels() * self.layout.bands);
        let masked = match kind & (MASKED | SHARED) {
            MASKED => values.div_ceil(8),
            0 | SHARED => 0,
            _ => tile.window.pixels().div_ceil(8),
        };
        let body = if kind == ABSENT { 0 } else { values * self.layout.value as usize + masked };
        let all = bytes.get(8..self.layout.head() as usize + body).ok_or_else(damaged)?;
        let is_it = number(bytes, 0) == hash64(all) && number(bytes, 8) == tile.number;
        if is_it { Ok(kind) } else { Err(damaged()) }
    }
}

/// The number at a byte of a tile.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The rows of `common` in `of`: first pixel of each.
fn rows(of: Window, common: Window) -> impl Iterator<Item = usize> {
    let (r0, c0) = ((common.row - of.row) as usize, (common.col - of.col) as usize);
    (0..common.rows).map(move |r| (r0 + r) * of.cols + c0)
}

impl<T: Pixel> Made<T> {
    fn take(&mut self, kind: u64, bytes: &[u8], tile: Window, window: Window, layout: &Layout) -> Result<()> {
        self.take_nodata(bytes, layout.bands)?;
        let (common, value) = (tile.intersect(window), layout.value as usize);
        let (from, to) = (tile.pixels(), window.pixels());
        let values = &bytes[layout.head() as usize..];
        let mask = &values[from * layout.bands * value..];
        self.shared &= kind & SHARED != 0;
        for band in 0..layout.bands {
            let of_band = &values[band * from * value..];
            for (src, dst) in rows(tile, common).zip(rows(window, common)) {
                let row = of_band[src * value..][..common.cols * value].chunks_exact(value);
                let out = &mut self.data[band * to + dst..][..common.cols];
                out.iter_mut().zip(row).for_each(|(o, v)| *o = T::from_le(v));
                if kind & MASKED != 0 {
                    let first = if kind & SHARED != 0 { src } else { band * from + src };
                    let all = self.valid.get_or_insert_with(|| vec![1; self.data.len()]);
                    let out = &mut all[band * to + dst..][..common.cols];
                    out.iter_mut().enumerate().for_each(|(i, o)| *o = mask[(first + i) / 8] >> ((first + i) % 8) & 1);
                }
            }
        }
        Ok(())
    }

    fn take_nodata(&mut self, bytes: &[u8], bands: usize) -> Result<()> {
        let of_band = |b: usize| {
            let at = HEAD + 16 * b;
            (number(bytes, at) != 0).then(|| T::from_f64(f64::from_bits(number(bytes, at + 8))))
        };
        let mine: Vec<Option<T>> = (0..bands).map(of_band).collect();
        agree(self.nodata.get_or_insert_with(|| mine.clone()), &mine)
    }

    fn invalidate(&mut self, hole: Window, window: Window) {
        let all = self.valid.get_or_insert_with(|| vec![1; self.data.len()]);
        for band in all.chunks_mut(window.pixels().max(1)) {
            rows(window, hole).for_each(|dst| band[dst..][..hole.cols].fill(0));
        }
    }
}

impl<T: Pixel> Node<Block<T>> for Read<T> {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn eval(&self, at: &Place, cx: &Cx<'_>, emit: &mut dyn FnMut(Block<T>) -> Result<()>) -> Result<()> {
        if cx.is_template() {
            return emit(self.template(at.window().1)?);
        }
        let block = cx.during(Phase::Decode, || self.block(at, cx)).map_err(|e| e.at_place(at.to_string()))?;
        block.map_or(Ok(()), emit)
    }

    fn needs(&self, at: &Place, out: &mut Vec<Need>) -> Result<()> {
        out.extend(self.layout.covering(at).map(|tile| self.need(tile)));
        Ok(())
    }

    fn held(&self, at: &Place) -> u64 {
        at.pixels() * self.layout.bands as u64 * (self.layout.value + 1)
    }

    fn memory(&self, at: &Place) -> u64 {
        self.held(at)
    }

    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }

    fn steps(&self, out: &mut Vec<Step>) {
        out.push(Step { what: format!("read stored blocks ({})", self.stored.name), at: self.at.clone() });
    }

    fn input_bytes(&self) -> u64 {
        self.stored.bytes
    }
}
