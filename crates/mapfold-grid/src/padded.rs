//! Blocks with a halo: the type that makes forgetting to trim a compile error.

use crate::{Block, Pixel, Window};

/// What a halo finds beyond the edge of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Edge {
    /// Nothing: neighbours there are invalid.
    Nodata,
    /// The nearest pixel of the image, repeated.
    Nearest,
}

/// A block with `halo` more pixels on every side. It cannot be written: [`Padded::stencil`] or [`Padded::trim`]
/// give a block of the core's size back.
#[derive(Clone, Debug)]
pub struct Padded<T> {
    block: Block<T>,
    halo: usize,
}

/// The surroundings of one pixel of one band.
#[derive(Clone, Copy)]
pub struct Neighbours<'a, T> {
    values: &'a [T],
    ok: &'a [u8],
    stride: usize,
    at: usize,
    halo: isize,
}

impl<T: Pixel> Neighbours<'_, T> {
    /// The value `down` rows below and `right` columns beside the pixel (negative: above, left); `None` where it is
    /// invalid or beyond the image.
    ///
    /// # Panics
    /// When the offset is larger than the halo.
    #[inline]
    pub fn at(&self, down: isize, right: isize) -> Option<T> {
        assert!(
            down.abs() <= self.halo && right.abs() <= self.halo,
            "offset ({down}, {right}) is outside the halo of {}",
            self.halo
        );
        let i = (self.at as isize + down * self.stride as isize + right) as usize;
        (self.ok[i] != 0).then(|| self.values[i])
    }

    /// All valid values within the halo, the pixel itself included, row by row.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let h = self.halo;
        (-h..=h).flat_map(move |r| (-h..=h).filter_map(move |c| self.at(r, c)))
    }
}

impl<T: Pixel> Padded<T> {
    /// A padded block from a block that already holds the halo.
    ///
    /// # Panics
    /// When the block is smaller than the halo needs.
    pub fn new(block: Block<T>, halo: usize) -> Self {
        let w = block.window();
        assert!(w.rows >= 2 * halo && w.cols >= 2 * halo, "{w} holds no core within a halo of {halo}");
        Padded { block, halo }
    }

    /// The window without the halo.
    pub fn core(&self) -> Window {
        let (w, h) = (self.block.window(), self.halo);
        Window { row: w.row + h as i64, col: w.col + h as i64, rows: w.rows - 2 * h, cols: w.cols - 2 * h }
    }

    /// Pixels borrowed on each side.
    pub fn halo(&self) -> usize {
        self.halo
    }

    /// The block with its halo, to look at.
    pub fn block(&self) -> &Block<T> {
        &self.block
    }

    /// The core, the halo dropped.
    pub fn trim(&self) -> Block<T> {
        self.block.crop(self.core())
    }

    /// A new value for every pixel of the core from its neighbours, band by band; `None` is invalid.
    ///
    /// ```
    /// # use mapfold_grid::*; use std::sync::Arc;
    /// let grid = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 1 }));
    /// let w = Window { row: -1, col: -1, rows: 3, cols: 3 };
    /// let p = Padded::new(Block::new(grid, w, 1, (1u8..10).collect()).unwrap(), 1);
    /// assert_eq!(p.stencil(|n| n.iter().max()).band(0), [9]);
    /// ```
    pub fn stencil<U: Pixel>(&self, f: impl Fn(Neighbours<'_, T>) -> Option<U>) -> Block<U> {
        let bands = (0..self.block.band_count()).map(|b| self.stencil_band(b, &f)).collect();
        Block::stack(bands)
    }

    fn stencil_band<U: Pixel>(&self, band: usize, f: &impl Fn(Neighbours<'_, T>) -> Option<U>) -> Block<U> {
        let (core, outer) = (self.core(), self.block.window());
        let mut ok = vec![0; outer.pixels()];
        self.block.band_valid(band, 0, &mut ok);
        let (mut data, mut valid) = (Vec::with_capacity(core.pixels()), Vec::with_capacity(core.pixels()));
        for r in 0..core.rows {
            for c in 0..core.cols {
                let at = (r + self.halo) * outer.cols + c + self.halo;
                let n = Neighbours {
                    values: self.block.band(band),
                    ok: &ok,
                    stride: outer.cols,
                    at,
                    halo: self.halo as isize,
                };
                let v = f(n);
                valid.push(u8::from(v.is_some()));
                data.push(v.unwrap_or(U::FILL));
            }
        }
        let valid = (U::IN_BAND.is_none() && valid.contains(&0)).then_some(valid);
        Block::new(self.block.grid().clone(), core, 1, data)
            .expect("one value per core pixel")
            .with_nodata(vec![U::IN_BAND])
            .with_valid(valid)
    }
}
