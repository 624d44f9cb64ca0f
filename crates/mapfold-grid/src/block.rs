//! Pixels of one window, as computed: all bands, with validity.
//!
//! Nodata stays in the band as long as the data is untouched (each band keeps the value of its own file); a mask is
//! made when an operator needs one. Floats that are computed say "invalid" with NaN, integers with the mask, so that
//! a computed 0 that happens to be some file's nodata value is never lost. User closures never see invalid pixels.

use crate::{GeoBox, Pixel, Shape, Window};
use std::sync::Arc;

/// Why a block cannot be built from its pieces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Number of values is not bands x rows x columns.
    #[error("{got} values for {bands} bands of {shape} pixels ({want} wanted)")]
    Length {
        /// Bands.
        bands: usize,
        /// Rows and columns.
        shape: Shape,
        /// Values wanted.
        want: usize,
        /// Values given.
        got: usize,
    },
}

/// Pixels of one window: `bands` x rows x columns, row by row, band after band.
#[derive(Clone, Debug, PartialEq)]
pub struct Block<T> {
    window: Window,
    grid: Arc<GeoBox>,
    bands: usize,
    data: Vec<T>,
    nodata: Vec<Option<T>>,
    valid: Option<Vec<u8>>,
}

/// Pixels looked at together: small enough to stay in the first cache, long enough to vectorise.
const PIECE: usize = 1024;

impl<T: Pixel> Block<T> {
    /// A block from its values.
    ///
    /// # Errors
    /// [`BlockError::Length`] when the number of values does not fit.
    pub fn new(grid: Arc<GeoBox>, window: Window, bands: usize, data: Vec<T>) -> Result<Self, BlockError> {
        let want = bands * window.pixels();
        if data.len() != want {
            return Err(BlockError::Length { bands, shape: window.shape(), want, got: data.len() });
        }
        Ok(Block { window, grid, bands, data, nodata: vec![None; bands], valid: None })
    }

    /// A block of `bands` bands in which no pixel is valid.
    pub fn invalid(grid: Arc<GeoBox>, window: Window, bands: usize) -> Self {
        let n = window.pixels();
        let valid = T::IN_BAND.is_none().then(|| vec![0; n]);
        Block { window, grid, bands, data: vec![T::FILL; bands * n], nodata: vec![T::IN_BAND; bands], valid }
    }

    /// The same block with one nodata value per band (`None` = the band has none).
    ///
    /// # Panics
    /// When there is not one entry per band.
    pub fn with_nodata(mut self, nodata: Vec<Option<T>>) -> Self {
        assert_eq!(nodata.len(), self.bands, "one nodata entry per band");
        self.nodata = nodata;
        self
    }

    /// The same block with a validity mask, 0 = invalid: one entry per pixel for all bands together, or one per pixel
    /// and band.
    ///
    /// # Panics
    /// When the mask has another length.
    pub fn with_valid(mut self, valid: Option<Vec<u8>>) -> Self {
        let n = self.window.pixels();
        let fits = |v: &Vec<u8>| v.len() == n || v.len() == n * self.bands;
        assert!(valid.as_ref().is_none_or(fits), "one mask entry per pixel, or per pixel and band");
        self.valid = valid;
        self
    }

    /// Where the pixels are, in pixels of the whole grid.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The whole grid that the window belongs to.
    pub fn grid(&self) -> &Arc<GeoBox> {
        &self.grid
    }

    /// Number of bands.
    pub fn band_count(&self) -> usize {
        self.bands
    }

    /// Number of pixels of the window.
    pub fn pixel_count(&self) -> usize {
        self.window.pixels()
    }

    /// Values of one band, row by row (nodata values included: see [`Block::band_valid`]).
    ///
    /// # Panics
    /// When there is no such band.
    pub fn band(&self, band: usize) -> &[T] {
        let n = self.window.pixels();
        &self.data[band * n..(band + 1) * n]
    }

    /// Values of one band, to be changed in place.
    ///
    /// # Panics
    /// When there is no such band.
    pub fn band_mut(&mut self, band: usize) -> &mut [T] {
        let n = self.window.pixels();
        &mut self.data[band * n..(band + 1) * n]
    }

    /// Nodata value of each band.
    pub fn nodata(&self) -> &[Option<T>] {
        &self.nodata
    }

    /// The mask of a band, if there is one: 0 = invalid. Nodata values are not in it: see [`Block::band_valid`].
    pub fn band_mask(&self, band: usize) -> Option<&[u8]> {
        let (n, mask) = (self.window.pixels(), self.valid.as_deref()?);
        Some(if mask.len() == n { mask } else { &mask[band * n..(band + 1) * n] })
    }

    /// Writes 1 into `out` where `band` is valid from pixel `start` on, else 0. NaN is never valid.
    pub fn band_valid(&self, band: usize, start: usize, out: &mut [u8]) {
        let values = &self.band(band)[start..start + out.len()];
        match self.nodata[band] {
            Some(nd) => values.iter().zip(&mut *out).for_each(|(v, o)| *o = u8::from(!v.is(nd) & !v.is_nan())),
            None => values.iter().zip(&mut *out).for_each(|(v, o)| *o = u8::from(!v.is_nan())),
        }
        if let Some(mask) = self.band_mask(band) {
            mask[start..start + out.len()].iter().zip(out).for_each(|(m, o)| *o &= u8::from(*m != 0));
        }
    }

    /// The value at a pixel counted from the block's first, or `None` where it is invalid.
    pub fn value(&self, band: usize, row: usize, col: usize) -> Option<T> {
        let i = row * self.window.cols + col;
        let mut ok = [0];
        self.band_valid(band, i, &mut ok);
        (ok[0] != 0).then(|| self.band(band)[i])
    }

    /// Calls `see` with every valid value of a band, in row order.
    pub fn for_each_valid(&self, band: usize, mut see: impl FnMut(T)) {
        let mut ok = [0u8; PIECE];
        for (start, values) in pieces(self.band(band)) {
            let ok = &mut ok[..values.len()];
            self.band_valid(band, start, ok);
            values.iter().zip(&*ok).filter(|(_, ok)| **ok != 0).for_each(|(v, _)| see(*v));
        }
    }

    /// One value from all bands of a pixel: the usual band arithmetic. Invalid in any band is invalid in the result;
    /// `f` is not called there. A float result of NaN (0/0) is invalid.
    ///
    /// # Panics
    /// When the block has not `N` bands: the engine tries this while planning, on one pixel, and reports it.
    ///
    /// ```
    /// # use mapfold_grid::*; use std::sync::Arc;
    /// let grid = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 3 }));
    /// let b = Block::new(grid.clone(), grid.shape.window(), 2, vec![1u16, 0, 5, 2, 2, 5]).unwrap().with_nodata(vec![Some(0), None]);
    /// let sum = b.pixels(|[a, b]| a + b);
    /// assert_eq!((sum.value(0, 0, 0), sum.value(0, 0, 1), sum.value(0, 0, 2)), (Some(3), None, Some(10)));
    /// ```
    pub fn pixels<const N: usize, U: Pixel>(&self, f: impl Fn([T; N]) -> U) -> Block<U> {
        assert!(N == self.bands, "the closure takes {N} bands, but the block has {}", self.bands);
        let n = self.window.pixels();
        let bands: [&[T]; N] = std::array::from_fn(|b| self.band(b));
        let mut data = Vec::with_capacity(n);
        let mut valid: Option<Vec<u8>> = None;
        let mut ok = [0u8; PIECE];
        for start in (0..n).step_by(PIECE) {
            let ok = &mut ok[..PIECE.min(n - start)];
            self.all_valid(start, ok);
            let piece: [&[T]; N] = std::array::from_fn(|b| &bands[b][start..start + ok.len()]);
            let at = |i: usize| f(std::array::from_fn(|b| piece[b][i]));
            if ok.iter().fold(1, |a, b| a & b) != 0 {
                data.extend((0..ok.len()).map(at));
            } else {
                data.extend((0..ok.len()).map(|i| if ok[i] != 0 { at(i) } else { U::FILL }));
                note_invalid::<U>(&mut valid, n, start, ok);
            }
        }
        Block { window: self.window, grid: self.grid.clone(), bands: 1, data, nodata: vec![U::IN_BAND], valid }
    }

    /// Each value by itself, every band alike. `f` is not called for invalid values.
    pub fn values<U: Pixel>(&self, f: impl Fn(T) -> U) -> Block<U> {
        self.band_values(|_, v| f(v))
    }

    /// Each value by itself, with the number of its band (from 0). `f` is not called for invalid values.
    ///
    /// ```
    /// # use mapfold_grid::*; use std::sync::Arc;
    /// let grid = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 2 }));
    /// let b = Block::new(grid.clone(), grid.shape.window(), 2, vec![1u8, 2, 3, 4]).unwrap();
    /// assert_eq!(b.band_values(|band, v| v * [1, 10][band]).into_data(), [1, 2, 30, 40]);
    /// ```
    pub fn band_values<U: Pixel>(&self, f: impl Fn(usize, T) -> U) -> Block<U> {
        let one = |b: usize| self.clone_band(b).pixels(|[v]| f(b, v));
        Block::stack((0..self.bands).map(one).collect())
    }

    fn clone_band(&self, b: usize) -> Block<T> {
        Block {
            window: self.window,
            grid: self.grid.clone(),
            bands: 1,
            data: self.band(b).to_vec(),
            nodata: vec![self.nodata[b]],
            valid: self.band_mask(b).map(<[u8]>::to_vec),
        }
    }

    /// Marks pixels as invalid where `drop` says so (cloud, water, ...). It sees only pixels valid in all bands;
    /// pixels invalid in any band are left as they are.
    ///
    /// # Panics
    /// When the block has not `N` bands.
    pub fn mask<const N: usize>(mut self, drop: impl Fn([T; N]) -> bool) -> Self {
        assert!(N == self.bands, "the closure takes {N} bands, but the block has {}", self.bands);
        let n = self.window.pixels();
        let mut ok = vec![0; n];
        self.all_valid(0, &mut ok);
        let bands: [&[T]; N] = std::array::from_fn(|b| self.band(b));
        let keep: Vec<u8> =
            (0..n).map(|i| u8::from(ok[i] == 0 || !drop(std::array::from_fn(|b| bands[b][i])))).collect();
        self.valid = Some(match self.valid.take() {
            Some(mut mask) => {
                mask.chunks_mut(n.max(1)).for_each(|band| band.iter_mut().zip(&keep).for_each(|(m, k)| *m &= k));
                mask
            }
            None => keep,
        });
        self
    }

    /// Only these bands.
    ///
    /// # Panics
    /// When the range reaches beyond the last band.
    pub fn bands(mut self, range: std::ops::Range<usize>) -> Self {
        let n = self.window.pixels();
        self.data.truncate(range.end * n);
        self.data.drain(..range.start * n);
        if let Some(mask) = self.valid.as_mut().filter(|m| m.len() > n) {
            mask.truncate(range.end * n);
            mask.drain(..range.start * n);
        }
        self.nodata = self.nodata[range.clone()].to_vec();
        self.bands = range.len();
        self
    }

    /// Blocks of the same window, one band after the other; each band keeps its own validity.
    ///
    /// # Panics
    /// When there is no block or the windows differ.
    pub fn stack(blocks: Vec<Block<T>>) -> Block<T> {
        let valid = stacked_mask(&blocks);
        let mut all = blocks.into_iter();
        let mut first = all.next().expect("at least one block to stack");
        for b in all {
            assert_eq!(b.window, first.window, "stacked blocks cover one window");
            first.bands += b.bands;
            first.data.extend_from_slice(&b.data);
            first.nodata.extend(b.nodata);
        }
        first.valid = valid;
        first
    }

    /// Only the pixels of `window`, which must lie inside.
    ///
    /// # Panics
    /// When `window` reaches out of the block.
    pub fn crop(&self, window: Window) -> Block<T> {
        assert!(self.window.contains(window), "{window} is not inside {}", self.window);
        let (r0, c0) = ((window.row - self.window.row) as usize, (window.col - self.window.col) as usize);
        let cut = |src: &[T], out: &mut Vec<T>| {
            rows_of(src, self.window.cols, r0, c0, window.shape()).for_each(|r| out.extend_from_slice(r));
        };
        let mut data = Vec::with_capacity(self.bands * window.pixels());
        (0..self.bands).for_each(|b| cut(self.band(b), &mut data));
        let n = self.window.pixels().max(1);
        let cut_mask = |band: &[u8]| {
            rows_of(band, self.window.cols, r0, c0, window.shape()).flatten().copied().collect::<Vec<u8>>()
        };
        let valid = self.valid.as_ref().map(|v| v.chunks(n).flat_map(cut_mask).collect());
        Block { window, grid: self.grid.clone(), bands: self.bands, data, nodata: self.nodata.clone(), valid }
    }

    /// Bytes that the block holds.
    pub fn bytes(&self) -> usize {
        self.data.len() * T::DTYPE.size() + self.valid.as_ref().map_or(0, Vec::len)
    }

    /// The values of all bands, given away.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    fn all_valid(&self, start: usize, out: &mut [u8]) {
        out.fill(1);
        for b in 0..self.bands {
            if let Some(mask) = self.band_mask(b) {
                mask[start..start + out.len()].iter().zip(&mut *out).for_each(|(m, o)| *o &= u8::from(*m != 0));
            }
            let values = &self.band(b)[start..start + out.len()];
            match self.nodata[b] {
                Some(nd) => values.iter().zip(&mut *out).for_each(|(v, o)| *o &= u8::from(!v.is(nd) & !v.is_nan())),
                None if T::IN_BAND.is_some() => {
                    values.iter().zip(&mut *out).for_each(|(v, o)| *o &= u8::from(!v.is_nan()));
                }
                None => {}
            }
        }
    }
}

fn pieces<T>(values: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    values.chunks(PIECE).enumerate().map(|(i, v)| (i * PIECE, v))
}

/// Integers have no NaN: the first invalid pixel brings the mask into being.
fn note_invalid<U: Pixel>(valid: &mut Option<Vec<u8>>, n: usize, start: usize, ok: &[u8]) {
    if U::IN_BAND.is_none() {
        valid.get_or_insert_with(|| vec![1; n])[start..start + ok.len()].copy_from_slice(ok);
    }
}

/// The masks of blocks one after the other; one for all where they are the same, none where nothing is masked.
fn stacked_mask<T: Pixel>(blocks: &[Block<T>]) -> Option<Vec<u8>> {
    let first = blocks.first()?;
    let mut masks = blocks.iter().flat_map(|b| (0..b.bands).map(|i| b.band_mask(i)));
    if masks.clone().all(|m| m == first.band_mask(0)) {
        return masks.next().flatten().map(<[u8]>::to_vec);
    }
    let n = first.window.pixels();
    Some(masks.flat_map(|m| m.map_or_else(|| vec![1; n], <[u8]>::to_vec)).collect())
}

fn rows_of<T>(src: &[T], stride: usize, r0: usize, c0: usize, shape: Shape) -> impl Iterator<Item = &[T]> {
    (r0..r0 + shape.rows).map(move |r| &src[r * stride + c0..][..shape.cols])
}
