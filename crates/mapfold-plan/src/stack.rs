//! All dates of one tile in hand.

use crate::{Time, TimeKey};
use mapfold_grid::{Block, Pixel};

/// Blocks of one window at several times, ascending.
#[derive(Clone, Debug)]
pub struct Stack<T> {
    times: Vec<TimeKey>,
    blocks: Vec<Block<T>>,
}

impl<T: Pixel> Stack<T> {
    /// A stack from blocks of one window; `times` ascending, one per block.
    ///
    /// # Panics
    /// When there is no block, or not one time per block.
    pub fn new(times: Vec<TimeKey>, blocks: Vec<Block<T>>) -> Stack<T> {
        assert!(!blocks.is_empty() && times.len() == blocks.len(), "one time per block, and at least one");
        Stack { times, blocks }
    }

    /// The times, ascending.
    pub fn times(&self) -> &[TimeKey] {
        &self.times
    }

    /// The blocks, in the order of the times.
    pub fn blocks(&self) -> &[Block<T>] {
        &self.blocks
    }

    /// One value per pixel and band from its valid values in the order of time; `None` (and no valid value at all)
    /// is invalid.
    pub fn pixels<U: Pixel>(&self, f: impl Fn(&mut Vec<T>) -> Option<U>) -> Block<U> {
        let first = &self.blocks[0];
        let n = first.pixel_count();
        let bands = (0..first.band_count()).map(|band| {
            let ok: Vec<Vec<u8>> = self.blocks.iter().map(|b| valid(b, band)).collect();
            let (mut data, mut mask, mut seen) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::new());
            for i in 0..n {
                seen.clear();
                seen.extend(self.blocks.iter().zip(&ok).filter(|(_, ok)| ok[i] != 0).map(|(b, _)| b.band(band)[i]));
                let v = if seen.is_empty() { None } else { f(&mut seen) };
                mask.push(u8::from(v.is_some()));
                data.push(v.unwrap_or(U::FILL));
            }
            let mask = (U::IN_BAND.is_none() && mask.contains(&0)).then_some(mask);
            Block::new(first.grid().clone(), first.window(), 1, data)
                .expect("one value per pixel")
                .with_nodata(vec![U::IN_BAND])
                .with_valid(mask)
        });
        Block::stack(bands.collect())
    }

    /// Median over time of the valid values; the mean of the two middle ones for an even number (hence f32).
    ///
    /// ```
    /// # use mapfold_plan::*; use mapfold_grid::*; use std::sync::Arc;
    /// let g = Arc::new(GeoBox::plain(Shape { rows: 1, cols: 1 }));
    /// let b = |v: u16| Block::new(g.clone(), g.shape.window(), 1, vec![v]).unwrap();
    /// let s = Stack::new(vec![TimeKey(0), TimeKey(1), TimeKey(2), TimeKey(3)], vec![b(9), b(1), b(4), b(3)]);
    /// assert_eq!(s.median(Time).band(0), [3.5]);
    /// ```
    pub fn median(&self, _over: Time) -> Block<f32> {
        self.pixels(|v| {
            let (n, mid) = (v.len(), v.len() / 2);
            let order = |a: &T, b: &T| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
            let (below, upper, _) = v.select_nth_unstable_by(mid, order);
            let upper = upper.to_f64();
            if n % 2 == 1 {
                return Some(upper as f32);
            }
            let lower = below.iter().map(|x| x.to_f64()).fold(f64::MIN, f64::max);
            Some(((lower + upper) / 2.0) as f32)
        })
    }

    /// Mean over time of the valid values.
    pub fn mean(&self, _over: Time) -> Block<f32> {
        self.pixels(|v| Some((v.iter().map(|x| x.to_f64()).sum::<f64>() / v.len() as f64) as f32))
    }
}

fn valid<T: Pixel>(block: &Block<T>, band: usize) -> Vec<u8> {
    let mut ok = vec![0; block.pixel_count()];
    block.band_valid(band, 0, &mut ok);
    ok
}
