//! Coarser pixels from finer ones, registered: nothing shifts, whatever the sizes.
//!
//! A level with n pixels made from m (n = m/2 rounded up) has pixels that cover `[i*m/n, (i+1)*m/n)` of the finer
//! level: exactly two where m is even, three in part where m is odd. Strict halving with rounded-up sizes would
//! shift the far edge by up to a pixel. Weights are whole numbers (overlaps in units of 1/n), invalid pixels weigh
//! nothing and the rest is renormalised. Integers are rounded half up from exact sums.

use super::Resampling;
use mapfold_grid::{Pixel, Shape, Window};

/// Which finer pixels a coarser one covers along one axis, and how much of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// First finer pixel.
    pub first: usize,
    /// Overlap with it and the next ones; the first `len` count.
    pub weights: [u64; 3],
    /// Number of finer pixels.
    pub len: usize,
}

/// The footprint of coarse pixel `i` when `m` pixels become `n`.
pub(crate) fn footprint(i: usize, m: usize, n: usize) -> Footprint {
    let g = gcd(m, n);
    let (m, n) = (m / g, n / g);
    let (from, to) = (i * m, (i + 1) * m);
    let (first, last) = (from / n, (to - 1) / n);
    let mut weights = [0; 3];
    for j in first..=last {
        weights[j - first] = (to.min((j + 1) * n) - from.max(j * n)) as u64;
    }
    Footprint { first, weights, len: last + 1 - first }
}

/// The finer pixel under the centre of coarse pixel `i`; the one before where the centre is on a border.
fn nearest(i: usize, m: usize, n: usize) -> usize {
    ((2 * i + 1) * m - 1) / (2 * n)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The finer pixels that a window of a coarser level needs.
pub(crate) fn source_window(coarse: Window, from: Shape, to: Shape) -> Window {
    let axis = |start: i64, len: usize, m: usize, n: usize| {
        let (start, end) = (start as usize, start as usize + len);
        let (a, b) = (start * m / n, (end * m).div_ceil(n));
        (a as i64, b - a)
    };
    let (row, rows) = axis(coarse.row, coarse.rows, from.rows, to.rows);
    let (col, cols) = axis(coarse.col, coarse.cols, from.cols, to.cols);
    Window { row, col, rows, cols }
}

/// Pixels of one band of a finer level: `values` and `valid` (0 or 1) start at the window's first pixel, their rows
/// are `stride` apart.
pub(crate) struct Finer<'a, T> {
    pub values: &'a [T],
    pub valid: &'a [u8],
    pub window: Window,
    pub stride: usize,
    /// Shape of its whole level.
    pub shape: Shape,
}

/// Where coarser pixels go: row `r`, column `c` of `window` is at `r * stride + c`.
pub(crate) struct Coarser<'a, T> {
    pub values: &'a mut [T],
    pub valid: &'a mut [u8],
    pub window: Window,
    pub stride: usize,
    /// Shape of its whole level.
    pub shape: Shape,
    /// Written at invalid pixels.
    pub fill: T,
    /// A valid result equal to it is moved to the value beside.
    pub nodata: Option<T>,
}

/// Makes the pixels of `to.window` from those of `from`, whose window must hold [`source_window`].
pub(crate) fn resample<T: Pixel>(rule: Resampling, from: &Finer<'_, T>, to: &mut Coarser<'_, T>) {
    let halves = from.shape.rows == 2 * to.shape.rows && from.shape.cols == 2 * to.shape.cols;
    match rule {
        Resampling::Average if halves => halve(from, to),
        Resampling::Average => each(from, to, mean),
        Resampling::Nearest => pick(from, to),
        Resampling::Mode => each(from, to, mode),
    }
    settle(to);
}

/// Plain 2 x 2 means: the same results as [`mean`] gives there, in a form that vectorises.
fn halve<T: Pixel>(from: &Finer<'_, T>, to: &mut Coarser<'_, T>) {
    let (dr, dc) = ((2 * to.window.row - from.window.row) as usize, (2 * to.window.col - from.window.col) as usize);
    let n = to.window.cols;
    for r in 0..to.window.rows {
        let (a, b) = ((dr + 2 * r) * from.stride + dc, (dr + 2 * r + 1) * from.stride + dc);
        let rows = [&from.values[a..a + 2 * n], &from.values[b..b + 2 * n]];
        let oks = [&from.valid[a..a + 2 * n], &from.valid[b..b + 2 * n]];
        let at = r * to.stride..r * to.stride + n;
        halve_row(rows, oks, to.fill, &mut to.values[at.clone()], &mut to.valid[at]);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn halve_row<T: Pixel>(rows: [&[T]; 2], oks: [&[u8]; 2], fill: T, out: &mut [T], valid: &mut [u8]) {
    let (top, bottom) = (rows[0].as_chunks::<2>().0, rows[1].as_chunks::<2>().0);
    let (top_ok, bottom_ok) = (oks[0].as_chunks::<2>().0, oks[1].as_chunks::<2>().0);
    let sources = top.iter().zip(bottom).zip(top_ok.iter().zip(bottom_ok));
    for (((t, b), (tk, bk)), (o, ok)) in sources.zip(out.iter_mut().zip(valid.iter_mut())) {
        let term = |v: T, ok: u8| if ok != 0 { v.to_f64() } else { 0.0 };
        let sum = (term(t[0], tk[0]) + term(t[1], tk[1])) + (term(b[0], bk[0]) + term(b[1], bk[1]));
        let count = tk[0] + tk[1] + bk[0] + bk[1];
        let mean = sum / f64::from(count.max(1));
        let mean = if T::DTYPE.is_float() { mean } else { (mean + 0.5).floor() };
        *o = if count != 0 { T::from_f64(mean) } else { fill };
        *ok = u8::from(count != 0);
    }
}

/// One value from the finer pixels of a footprint; `None` when none is valid.
type Reduce<T> = fn(&Finer<'_, T>, &Footprint, &Footprint) -> Option<T>;

fn each<T: Pixel>(from: &Finer<'_, T>, to: &mut Coarser<'_, T>, reduce: Reduce<T>) {
    let w = to.window;
    let across: Vec<Footprint> = (0..w.cols)
        .map(|c| local(footprint(w.col as usize + c, from.shape.cols, to.shape.cols), from.window.col))
        .collect();
    for r in 0..w.rows {
        let down = local(footprint(w.row as usize + r, from.shape.rows, to.shape.rows), from.window.row);
        for (c, across) in across.iter().enumerate() {
            let value = reduce(from, &down, across);
            to.values[r * to.stride + c] = value.unwrap_or(to.fill);
            to.valid[r * to.stride + c] = u8::from(value.is_some());
        }
    }
}

/// Counted from the window's first pixel instead of the level's.
fn local(f: Footprint, start: i64) -> Footprint {
    Footprint { first: f.first - start as usize, ..f }
}

fn mean<T: Pixel>(from: &Finer<'_, T>, down: &Footprint, across: &Footprint) -> Option<T> {
    if T::DTYPE.is_float() { mean_float(from, down, across) } else { mean_int(from, down, across) }
}

fn mean_float<T: Pixel>(from: &Finer<'_, T>, down: &Footprint, across: &Footprint) -> Option<T> {
    let (mut sum, mut weight) = (0.0, 0);
    for j in 0..down.len {
        let at = (down.first + j) * from.stride + across.first;
        let (mut row_sum, mut row_weight) = (0.0, 0);
        for i in 0..across.len {
            if from.valid[at + i] != 0 {
                row_sum += across.weights[i] as f64 * from.values[at + i].to_f64();
                row_weight += across.weights[i];
            }
        }
        sum += down.weights[j] as f64 * row_sum;
        weight += down.weights[j] * row_weight;
    }
    (weight != 0).then(|| T::from_f64(sum / weight as f64))
}

fn mean_int<T: Pixel>(from: &Finer<'_, T>, down: &Footprint, across: &Footprint) -> Option<T> {
    let (mut sum, mut weight) = (0i128, 0u64);
    for j in 0..down.len {
        let at = (down.first + j) * from.stride + across.first;
        let (mut row_sum, mut row_weight) = (0i64, 0);
        for i in 0..across.len {
            let w = across.weights[i] * u64::from(from.valid[at + i]);
            row_sum += w as i64 * from.values[at + i].to_f64() as i64;
            row_weight += w;
        }
        sum += i128::from(down.weights[j]) * i128::from(row_sum);
        weight += down.weights[j] * row_weight;
    }
    (weight != 0).then(|| T::from_f64(half_up(sum, weight) as f64))
}

/// `sum / weight` rounded half up. 128-bit divisions are slow, so the usual small ones are done in 64.
fn half_up(sum: i128, weight: u64) -> i64 {
    let (num, den) = (2 * sum + i128::from(weight), 2 * i128::from(weight));
    match (i64::try_from(num), i64::try_from(den)) {
        (Ok(num), Ok(den)) => num.div_euclid(den),
        _ => num.div_euclid(den) as i64,
    }
}

fn mode<T: Pixel>(from: &Finer<'_, T>, down: &Footprint, across: &Footprint) -> Option<T> {
    let mut seen: [Option<(T, u64)>; 9] = [None; 9];
    for j in 0..down.len {
        let at = (down.first + j) * from.stride + across.first;
        for i in (0..across.len).filter(|i| from.valid[at + i] != 0) {
            let (v, w) = (from.values[at + i], down.weights[j] * across.weights[i]);
            let known = |s: &&mut Option<(T, u64)>| s.is_none_or(|(known, _)| known == v);
            if let Some(slot) = seen.iter_mut().find(known) {
                *slot = Some((v, w + slot.map_or(0, |(_, w)| w)));
            }
        }
    }
    let heavier = |a: (T, u64), b: (T, u64)| if b.1 > a.1 { b } else { a };
    seen.into_iter().flatten().reduce(heavier).map(|(v, _)| v)
}

fn pick<T: Pixel>(from: &Finer<'_, T>, to: &mut Coarser<'_, T>) {
    let w = to.window;
    for r in 0..w.rows {
        let row = nearest(w.row as usize + r, from.shape.rows, to.shape.rows) - from.window.row as usize;
        for c in 0..w.cols {
            let col = nearest(w.col as usize + c, from.shape.cols, to.shape.cols) - from.window.col as usize;
            let at = row * from.stride + col;
            let ok = from.valid[at];
            to.values[r * to.stride + c] = if ok != 0 { from.values[at] } else { to.fill };
            to.valid[r * to.stride + c] = ok;
        }
    }
}

/// Keeps valid results off the nodata value, and makes NaN results (infinity - infinity) invalid.
fn settle<T: Pixel>(to: &mut Coarser<'_, T>) {
    let w = to.window;
    for r in 0..w.rows {
        let at = r * to.stride..r * to.stride + w.cols;
        let (values, valid) = (&mut to.values[at.clone()], &mut to.valid[at]);
        if T::DTYPE.is_float() {
            let undefined = |(v, ok): (&mut T, &mut u8)| {
                if v.is_nan() {
                    (*v, *ok) = (to.fill, 0);
                }
            };
            values.iter_mut().zip(valid.iter_mut()).for_each(undefined);
        }
        let Some(nodata) = to.nodata else { continue };
        let clash = values.iter().zip(&*valid).fold(false, |c, (v, ok)| c | (v.is(nodata) & (*ok != 0)));
        if clash {
            let hit = values.iter_mut().zip(&*valid).filter(|(v, ok)| v.is(nodata) && **ok != 0);
            hit.for_each(|(v, _)| *v = v.beside());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footprints_tile_the_finer_level_without_gap_or_overlap() {
        for m in 1..200usize {
            let n = m.div_ceil(2);
            let mut got = vec![0u64; m];
            for i in 0..n {
                let f = footprint(i, m, n);
                (0..f.len).for_each(|j| got[f.first + j] += f.weights[j]);
                assert!((0..f.len).all(|j| f.weights[j] > 0));
            }
            assert!(got.iter().all(|w| *w == got[0]), "{m} pixels: {got:?}");
        }
    }

    #[test]
    fn halves_round_up_below_zero_too() {
        assert_eq!((half_up(3, 2), half_up(-3, 2), half_up(-1, 2), half_up(-5, 3)), (2, -1, 0, -2));
    }
}
