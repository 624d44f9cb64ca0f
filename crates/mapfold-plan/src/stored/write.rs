//! Blocks of any windows into tiles: a tile is written when its last pixel has come.

use super::agree;
use super::layout::{HEAD, Layout, Tile};
use crate::{Error, Place, Result, hash64};
use mapfold_grid::{Block, Pixel, Window};
use std::collections::BTreeMap;

/// Kinds of a tile, added up.
pub(super) const ABSENT: u64 = 1;
pub(super) const MASKED: u64 = 2;
/// One bit of validity for each pixel, for all bands together.
pub(super) const SHARED: u64 = 4;

/// A tile whose pixels come.
struct Open<T> {
    window: Window,
    data: Vec<T>,
    /// One byte for each value, once a block has a mask.
    valid: Option<Vec<u8>>,
    /// All masks so far were for all bands together.
    shared: bool,
    nodata: Option<Vec<Option<T>>>,
    left: usize,
}

/// The tiles of one split.
pub(super) struct Tiles<'a, T, W> {
    layout: &'a Layout,
    split: Place,
    write: W,
    open: BTreeMap<u64, Open<T>>,
    room: Vec<u8>,
    written: u64,
}

impl<'a, T: Pixel, W: FnMut(u64, &[u8]) -> Result<()>> Tiles<'a, T, W> {
    pub fn new(layout: &'a Layout, split: &Place, write: W) -> Self {
        Tiles { layout, split: *split, write, open: BTreeMap::new(), room: Vec::new(), written: 0 }
    }

    /// Takes a block of the split.
    pub fn put(&mut self, block: &Block<T>) -> Result<()> {
        if block.band_count() != self.layout.bands {
            let what = format!("a block of {} bands, the others have {}", block.band_count(), self.layout.bands);
            return Err(Error::job(what));
        }
        let at = self.within(block.window())?;
        for tile in self.layout.covering(&at) {
            let bands = self.layout.bands;
            self.open.entry(tile.number).or_insert_with(|| Open::new(tile.window, bands)).take(block)?;
            self.close_if_whole(tile)?;
        }
        Ok(())
    }

    /// There is no block for these pixels.
    pub fn put_absent(&mut self, at: &Place) -> Result<()> {
        for tile in self.layout.covering(at) {
            let open = self.open.entry(tile.number).or_insert_with(|| Open::new(tile.window, self.layout.bands));
            open.invalidate(tile.window.intersect(at.window().1));
            self.close_if_whole(tile)?;
        }
        Ok(())
    }

    /// The bytes that were written.
    pub fn finish(self) -> Result<u64> {
        match self.open.first_key_value() {
            None => Ok(self.written),
            Some((_, open)) => Err(Error::job(format!("pixels of {} did not come", open.window))),
        }
    }

    fn within(&self, window: Window) -> Result<Place> {
        let (scene, whole) = self.split.window();
        let fits = whole.contains(window);
        let stray = || Error::job(format!("a block at {window} came where {whole} was asked for"));
        if fits { Ok(Place::Window { scene, window }) } else { Err(stray()) }
    }

    fn close_if_whole(&mut self, tile: Tile) -> Result<()> {
        let Some(open) = self.open.remove(&tile.number) else { return Ok(()) };
        if open.left > 0 {
            self.open.insert(tile.number, open);
            return Ok(());
        }
        encode(tile.number, &open, self.layout.bands, &mut self.room);
        self.written += self.room.len() as u64;
        (self.write)(self.layout.offset(tile), &self.room)
    }
}

impl<T: Pixel> Open<T> {
    fn new(window: Window, bands: usize) -> Open<T> {
        let data = vec![T::FILL; bands * window.pixels()];
        Open { window, data, valid: None, shared: true, nodata: None, left: window.pixels() }
    }

    /// The rows of `common` in this tile: first value and length of each.
    fn rows(&self, common: Window) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let (r0, c0) = ((common.row - self.window.row) as usize, (common.col - self.window.col) as usize);
        let cols = self.window.cols;
        (0..common.rows).map(move |r| ((r0 + r) * cols + c0, common.cols))
    }

    fn take(&mut self, block: &Block<T>) -> Result<()> {
        let common = self.window.intersect(block.window());
        let known = self.nodata.get_or_insert_with(|| block.nodata().to_vec());
        agree(known, block.nodata())?;
        let (n, from) = (self.window.pixels(), block.window());
        let first = ((common.row - from.row) as usize, (common.col - from.col) as usize);
        for band in 0..block.band_count() {
            let (values, mask) = (block.band(band), block.band_mask(band));
            for (r, (to, len)) in self.rows(common).enumerate() {
                let at = (first.0 + r) * from.cols + first.1;
                self.data[band * n + to..][..len].copy_from_slice(&values[at..at + len]);
                if let Some(mask) = mask {
                    let all = self.valid.get_or_insert_with(|| vec![1; self.data.len()]);
                    all[band * n + to..][..len].copy_from_slice(&mask[at..at + len]);
                }
            }
        }
        let bands = block.band_count();
        let same_mask = |b: usize| block.band_mask(b) == block.band_mask(0);
        self.shared &= (1..bands).all(same_mask);
        self.left -= common.pixels();
        Ok(())
    }

    fn invalidate(&mut self, common: Window) {
        let n = self.window.pixels();
        let rows: Vec<(usize, usize)> = self.rows(common).collect();
        let all = self.valid.get_or_insert_with(|| vec![1; self.data.len()]);
        all.chunks_mut(n.max(1)).for_each(|band| rows.iter().for_each(|(to, len)| band[*to..][..*len].fill(0)));
        self.left -= common.pixels();
    }
}

/// See [`super::layout`].
fn encode<T: Pixel>(number: u64, tile: &Open<T>, bands: usize, out: &mut Vec<u8>) {
    let masked = if tile.valid.is_some() { MASKED } else { 0 };
    let kind = match tile.nodata {
        None => ABSENT,
        Some(_) if tile.shared => masked | SHARED,
        Some(_) => masked,
    };
    out.clear();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    for band in 0..bands {
        let nodata = tile.nodata.as_ref().and_then(|n| n[band]);
        out.extend_from_slice(&u64::from(nodata.is_some()).to_le_bytes());
        out.extend_from_slice(&nodata.map_or(0.0, T::to_f64).to_le_bytes());
    }
    debug_assert!(out.len() >= HEAD);
    if kind != ABSENT {
        tile.data.iter().for_each(|v| v.push_le(out));
        let n = if tile.shared { tile.window.pixels() } else { tile.data.len() };
        tile.valid.iter().for_each(|v| out.extend(v[..n].chunks(8).map(bits)));
    }
    let sum = hash64(&out[8..]);
    out[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Eight bytes of validity as bits.
fn bits(eight: &[u8]) -> u8 {
    eight.iter().enumerate().fold(0, |all, (i, v)| all | u8::from(*v != 0) << i)
}
