//! Count, extremes and exact sums of one column, for every group.
//!
//! A float is an integer times a power of two. Most columns hold values of similar size, so a window of exponents is laid
//! around the first batch, and sums are kept in an `i128` per group that counts units of the window's lowest bit: one
//! shift and one addition per value, and exact. A value outside the window (a tiny one, or a stray huge one) goes into an
//! [`ExactSum`] of its group. Where the window lies has no influence on the result: both sums are exact, and added at
//! the end. So the same bits come out for any order, split and number of workers.

use mapfold_plan::exact::{ExactSum, Moments};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Exponents of a window: 53 bits of a value, shifted by up to this, leave 31 bits for additions.
const WINDOW: u32 = 43;
/// Exponents of the window above the largest of the first batch.
const ABOVE: i32 = 8;
/// Additions until the sums are carried into their [`ExactSum`]s.
const ROOM: u64 = 1 << 31;
/// Lanes of 32 bits for squares: 2 x 43 bits of shift, and the upper half two lanes on.
const LANES: usize = 5;

/// A group's part of a column.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    /// In units of 2^base.
    sum: i128,
    count: u64,
    /// As numbers that order as the values do: [`rank`] of floats, integers as they are.
    min: i64,
    max: i64,
}

const NONE: Slot = Slot { sum: 0, count: 0, min: i64::MAX, max: i64::MIN };

/// What did not fit into the window: Σx and Σx².
type Wide = (ExactSum, ExactSum);

/// What one group has of a column: what is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    slot: Slot,
    squares: Option<[u128; LANES]>,
    base: Option<i32>,
    wide: Option<Box<Wide>>,
}

/// The running aggregates of one column, group by group.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    slots: Vec<Slot>,
    /// Σx² in units of 2^(2·base), where a standard deviation is wanted.
    squares: Option<Vec<[u128; LANES]>>,
    /// Exponent of the lowest bit of the window; `None` before the first value.
    base: Option<i32>,
    wide: BTreeMap<u32, Box<Wide>>,
    pending: u64,
}

/// A number that orders as the float does; -0 and 0 are one.
#[inline(always)]
fn rank(v: f64) -> i64 {
    let bits = (v + 0.0).to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The float of a [`rank`].
pub(super) fn unrank(rank: i64) -> f64 {
    f64::from_bits((rank ^ ((rank >> 63) as u64 >> 1) as i64) as u64)
}

/// Mantissa and exponent of its lowest bit. The exponent of infinities and NaN is 972, that of no finite value.
#[inline(always)]
fn parts(v: f64) -> (u64, i32) {
    let bits = v.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) }
}

impl Column {
    pub(super) fn new(with_squares: bool) -> Column {
        Column { squares: with_squares.then(Vec::new), ..Column::default() }
    }

    /// Makes room for groups up to `groups`.
    pub(super) fn resize(&mut self, groups: usize) {
        self.slots.resize(groups, NONE);
        if let Some(squares) = &mut self.squares {
            squares.resize(groups, [0; LANES]);
        }
    }

    /// Adds floats, one group each; NaN is no value.
    pub(super) fn add_floats(&mut self, groups: &[u32], values: &[f64], valid: impl Fn(usize) -> bool) {
        self.make_room(values.len());
        self.base = self.base.or_else(|| base_for(values));
        let base = self.base.unwrap_or(0);
        for (i, (group, v)) in groups.iter().zip(values).enumerate() {
            if v.is_nan() || !valid(i) {
                continue;
            }
            let slot = &mut self.slots[*group as usize];
            let rank = rank(*v);
            slot.count += 1;
            slot.min = slot.min.min(rank);
            slot.max = slot.max.max(rank);
            let (mantissa, exponent) = parts(*v);
            let shift = if mantissa == 0 { 0 } else { exponent.wrapping_sub(base) as u32 };
            if shift > WINDOW || exponent == 972 {
                self.add_wide(*group, *v);
                continue;
            }
            let sign = i64::from(*v < 0.0).wrapping_neg();
            slot.sum += i128::from((mantissa as i64 ^ sign) - sign) << shift;
            if let Some(squares) = &mut self.squares {
                add_square(&mut squares[*group as usize], mantissa, 2 * shift);
            }
        }
    }

    /// Adds integers, one group each. Their sums have room for 2^63 of them: nothing is ever carried.
    pub(super) fn add_ints(&mut self, groups: &[u32], values: &[i64], valid: impl Fn(usize) -> bool) {
        self.base = Some(0);
        for (i, (group, v)) in groups.iter().zip(values).enumerate() {
            if !valid(i) {
                continue;
            }
            let slot = &mut self.slots[*group as usize];
            slot.count += 1;
            slot.min = slot.min.min(*v);
            slot.max = slot.max.max(*v);
            slot.sum += i128::from(*v);
            if let Some(squares) = &mut self.squares {
                add_square(&mut squares[*group as usize], v.unsigned_abs(), 0);
            }
        }
    }

    /// A value outside the window.
    #[cold]
    fn add_wide(&mut self, group: u32, v: f64) {
        let with_squares = self.squares.is_some();
        let wide = self.wide.entry(group).or_default();
        wide.0.add(v);
        if with_squares {
            wide.1.add_square(v);
        }
    }

    fn make_room(&mut self, more: usize) {
        if self.pending.saturating_add(more as u64) > ROOM {
            (0..self.slots.len() as u32).for_each(|group| self.carry(group));
            self.pending = 0;
        }
        self.pending = self.pending.saturating_add(more as u64);
    }

    /// Moves the sums of a group into its [`ExactSum`]s.
    fn carry(&mut self, group: u32) {
        let wide = self.exact(group);
        self.wide.insert(group, Box::new(wide));
        self.slots[group as usize].sum = 0;
        if let Some(squares) = &mut self.squares {
            squares[group as usize] = [0; LANES];
        }
    }

    /// All of Σx and Σx² of a group.
    fn exact(&self, group: u32) -> Wide {
        let mut wide = self.wide.get(&group).map(|wide| (**wide).clone()).unwrap_or_default();
        let squares = self.squares.as_ref().map_or([0; LANES], |squares| squares[group as usize]);
        add_units(&mut wide, self.slots[group as usize].sum, squares, self.base.unwrap_or(0));
        wide
    }

    /// An empty column for the same aggregates.
    pub(super) fn like(&self) -> Column {
        Column::new(self.squares.is_some())
    }

    /// What a group has.
    pub(super) fn cell(&self, group: u32) -> Cell {
        Cell {
            slot: self.slots[group as usize],
            squares: self.squares.as_ref().map(|squares| squares[group as usize]),
            base: self.base,
            wide: self.wide.get(&group).cloned(),
        }
    }

    /// Adds what another column had of a group; `false` when that one kept other things. Sums of `ints` stay where they
    /// are: they have room enough.
    pub(super) fn take_in(&mut self, group: usize, cell: Cell, ints: bool) -> bool {
        if cell.squares.is_some() != self.squares.is_some() || group >= self.slots.len() {
            return false;
        }
        self.base = self.base.or(cell.base);
        if !ints {
            self.make_room(usize::try_from(cell.slot.count).unwrap_or(usize::MAX));
        }
        let mine = &mut self.slots[group];
        mine.count += cell.slot.count;
        mine.min = mine.min.min(cell.slot.min);
        mine.max = mine.max.max(cell.slot.max);
        if cell.base == self.base {
            mine.sum += cell.slot.sum;
            if let (Some(mine), Some(theirs)) = (&mut self.squares, cell.squares) {
                mine[group].iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
            }
        } else if let Some(base) = cell.base {
            let wide = self.wide.entry(group as u32).or_default();
            add_units(wide, cell.slot.sum, cell.squares.unwrap_or_default(), base);
        }
        if let Some(theirs) = cell.wide {
            let mine = self.wide.entry(group as u32).or_default();
            mine.0.merge(&theirs.0);
            mine.1.merge(&theirs.1);
        }
        true
    }

    /// Number of values of a group.
    pub(super) fn count(&self, group: u32) -> u64 {
        self.slots[group as usize].count
    }

    /// Smallest and largest value of a group as ranks; `None` without values.
    pub(super) fn range(&self, group: u32) -> Option<(i64, i64)> {
        let slot = self.slots[group as usize];
        (slot.count > 0).then_some((slot.min, slot.max))
    }

    /// The sum of a column of integers.
    pub(super) fn int_sum(&self, group: u32) -> i128 {
        self.slots[group as usize].sum
    }

    /// Exact statistics of a group, but for the extremes.
    pub(super) fn moments(&self, group: u32) -> Moments {
        let (sum, squares) = self.exact(group);
        Moments::from_sums(self.count(group), None, sum, squares)
    }

    /// Bytes held, without what is outside the window.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.squares.as_ref().map_or(0, |s| s.capacity() * size_of::<[u128; LANES]>())
            + self.wide.len() * 400
    }
}

/// Adds sums that count units of a window whose lowest bit is worth 2^base.
fn add_units(wide: &mut Wide, sum: i128, squares: [u128; LANES], base: i32) {
    wide.0.add_signed(sum, base);
    for (lane, square) in (0..).zip(squares) {
        wide.1.add_signed(square as i128, 2 * base + 32 * lane);
    }
}

/// The window's lowest exponent for values like these, a few above the largest and most below; `None` for zeros only.
fn base_for(values: &[f64]) -> Option<i32> {
    let numbers = values.iter().filter(|v| v.is_finite() && **v != 0.0);
    let top = numbers.map(|v| parts(*v).1).max()?;
    Some((top + ABOVE - WINDOW as i32).max(-1074))
}

/// Adds `mantissa² · 2^shift`: no carry between the lanes until they are read.
#[inline(always)]
fn add_square(lanes: &mut [u128; LANES], mantissa: u64, shift: u32) {
    let square = u128::from(mantissa) * u128::from(mantissa);
    let lane = (shift / 32) as usize % 3;
    lanes[lane] += u128::from(square as u64) << (shift % 32);
    lanes[lane + 2] += (square >> 64) << (shift % 32);
}
