//! The inner loops: sums of blocks of pixels, exact, at memory speed for integers.
//!
//! Integers of 8 and 16 bits are summed in machine integers that cannot overflow within [`RUN`] values, so that the
//! compiler vectorises the loop; 32-bit squares are summed in two halves. Floats are spread over one bin per
//! exponent: within a bin the mantissas are integers.

use super::sum::{ExactSum, LOWEST, decompose};
use mapfold_grid::Pixel;
use std::any::Any;

/// Values per run of an inner loop: no accumulator overflows within it.
pub(super) const RUN: usize = 1 << 14;
/// Below this many values the 256 bins of `f32` cost more than they save.
const FEW: usize = 64;
/// Likewise the 2048 bins of `f64`.
const FEW_DOUBLES: usize = 1024;

/// What one run of valid values comes to; `range` is meaningless when `count` is 0.
pub(super) struct Run<T> {
    pub(super) count: u64,
    pub(super) range: (T, T),
}

/// The unit of taking extremes: the infinities, or the ends of an integer type, swapped.
fn no_range<T: Pixel>() -> (T, T) {
    (T::from_f64(f64::INFINITY), T::from_f64(f64::NEG_INFINITY))
}

#[inline(always)]
fn widen<T: Pixel>(range: &mut (T, T), v: T) {
    range.0 = if v < range.0 { v } else { range.0 };
    range.1 = if v > range.1 { v } else { range.1 };
}

/// The valid ones of `values`, moved together without a branch per value.
pub(super) fn compact<'a, T: Pixel>(values: &[T], ok: &[u8], room: &'a mut Vec<T>) -> &'a [T] {
    room.resize(values.len(), T::FILL);
    let mut n = 0;
    for (v, ok) in values.iter().zip(ok) {
        room[n] = *v;
        n += usize::from(*ok != 0);
    }
    &room[..n]
}

/// A pixel of an integer type as an integer: the comparison of types is decided by the compiler.
#[inline(always)]
fn int<T: Pixel>(v: T) -> i64 {
    macro_rules! first_of {
        ($($t:ty),*) => { $( if let Some(v) = (&v as &dyn Any).downcast_ref::<$t>() { return i64::from(*v); } )* };
    }
    first_of!(u8, i8, u16, i16, u32, i32);
    v.to_f64() as i64
}

/// Integers of up to 16 bits.
pub(super) fn small_ints<T: Pixel>(values: &[T], sum: &mut ExactSum, squares: &mut ExactSum) -> Run<T> {
    let (mut s1, mut s2, mut range) = (0i32, 0u64, no_range::<T>());
    for &v in values {
        let x = int(v) as i32;
        s1 += x;
        s2 += u64::from(x.unsigned_abs() * x.unsigned_abs());
        widen(&mut range, v);
    }
    sum.add_int(i128::from(s1));
    squares.add_scaled(false, s2, 0);
    Run { count: values.len() as u64, range }
}

/// Integers of 32 bits: their squares need 64, so the halves of the squares are summed apart.
pub(super) fn wide_ints<T: Pixel>(values: &[T], sum: &mut ExactSum, squares: &mut ExactSum) -> Run<T> {
    let (mut s1, mut low, mut high, mut range) = (0i64, 0u64, 0u64, no_range::<T>());
    for &v in values {
        let x = int(v);
        let square = x.unsigned_abs() * x.unsigned_abs();
        s1 += x;
        low += square & 0xffff_ffff;
        high += square >> 32;
        widen(&mut range, v);
    }
    sum.add_int(i128::from(s1));
    squares.add_scaled(false, low, 0);
    squares.add_scaled(false, high, 32);
    Run { count: values.len() as u64, range }
}

/// Any values, without set-up. NaN is not a value.
fn one_by_one<T: Pixel>(values: &[T], sum: &mut ExactSum, squares: &mut ExactSum) -> Run<T> {
    let (mut count, mut range) = (0, no_range::<T>());
    for &v in values.iter().filter(|v| !v.is_nan()) {
        count += 1;
        sum.add(v.to_f64());
        squares.add_square(v.to_f64());
        widen(&mut range, v);
    }
    Run { count, range }
}

/// Floats of 64 bits. NaN is not a value.
pub(super) fn doubles<T: Pixel>(values: &[T], sum: &mut ExactSum, squares: &mut ExactSum) -> Run<T> {
    if values.len() < FEW_DOUBLES {
        return one_by_one(values, sum, squares);
    }
    let (mut bins, mut count, mut range) = ([(0i128, 0u128); 2048], 0, no_range::<T>());
    for &v in values.iter().filter(|v| !v.is_nan()) {
        count += 1;
        widen(&mut range, v);
        let x = v.to_f64();
        let Some((mantissa, exponent)) = decompose(x) else {
            sum.add(x);
            squares.add_square(x);
            continue;
        };
        let bin = &mut bins[(exponent - LOWEST) as usize & 2047];
        let sign = i64::from(x.is_sign_negative()).wrapping_neg();
        bin.0 += i128::from((mantissa as i64 ^ sign) - sign);
        bin.1 += u128::from(mantissa) * u128::from(mantissa);
    }
    for (exponent, (s1, s2)) in (LOWEST..).zip(bins).filter(|(_, bin)| bin.1 != 0) {
        sum.add_signed(s1, exponent);
        squares.add_wide(s2, 2 * exponent);
    }
    Run { count, range }
}

/// Floats of 32 bits. NaN is not a value.
pub(super) fn singles<T: Pixel>(values: &[T], sum: &mut ExactSum, squares: &mut ExactSum) -> Run<T> {
    if values.len() < FEW {
        return one_by_one(values, sum, squares);
    }
    let (mut bins, mut count, mut range) = (Bins::new(), 0, no_range::<T>());
    for &v in values.iter().filter(|v| !v.is_nan()) {
        count += 1;
        if !bins.add(v.to_f64() as f32) {
            sum.add(v.to_f64());
            squares.add_square(v.to_f64());
        }
        widen(&mut range, v);
    }
    bins.flush(sum, squares);
    Run { count, range }
}

/// Sum of many `f32`, NaN and infinities included.
pub(super) fn sum_f32(values: &[f32], sum: &mut ExactSum) {
    if values.len() < FEW {
        return values.iter().for_each(|v| sum.add(f64::from(*v)));
    }
    for run in values.chunks(RUN) {
        let mut bins = Bins::new();
        for v in run {
            if !bins.add(*v) {
                sum.add(f64::from(*v));
            }
        }
        bins.flush(sum, &mut ExactSum::default());
    }
}

/// Sums of mantissas (24 bits) and of their squares (48 bits), one pair per exponent: room for 2^16 values.
struct Bins([(i64, u64); 256]);

impl Bins {
    fn new() -> Bins {
        Bins([(0, 0); 256])
    }

    /// Adds a finite value; false for NaN and infinities.
    #[inline(always)]
    fn add(&mut self, x: f32) -> bool {
        let bits = x.to_bits();
        let exponent = (bits >> 23 & 0xff) as usize;
        if exponent == 0xff {
            return false;
        }
        let mantissa = i64::from(bits & 0x7f_ffff | u32::from(exponent != 0) << 23);
        let sign = i64::from(bits as i32 >> 31);
        let bin = &mut self.0[exponent];
        bin.0 += (mantissa ^ sign) - sign;
        bin.1 += (mantissa * mantissa) as u64;
        true
    }

    fn flush(self, sum: &mut ExactSum, squares: &mut ExactSum) {
        for (exponent, (s1, s2)) in self.0.into_iter().enumerate().filter(|(_, bin)| bin.1 != 0) {
            let lowest = exponent.max(1) as i32 - 150;
            sum.add_scaled(s1 < 0, s1.unsigned_abs(), lowest);
            squares.add_scaled(false, s2, 2 * lowest);
        }
    }
}
