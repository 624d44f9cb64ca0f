//! The exact sum: a wide fixed-point number held as overlapping limbs.
//!
//! Limb `i` counts units of 2^(32·i). A term is shifted to its limb and added to it in one go: no carry is propagated
//! then, because an i128 limb has room for 2^31 terms of 95 bits. Limbs are kept for the exponents that occurred only
//! (elevations need two or three), so a sum per key of a large group-by stays small.

use super::blocks;
use super::round::ratio_to_f64;
use num_bigint::{BigInt, BigUint, Sign};
use serde::{Deserialize, Serialize};

const LIMB_BITS: i32 = 32;
/// Terms, each below 2^95, that a limb takes between two carries.
const MAX_PENDING: u64 = 1 << 31;
/// Exponent of the lowest bit of an `f64`.
pub(super) const LOWEST: i32 = -1074;
/// Limbs beyond this distance from 0 cannot arise, not even from squares of f64 (2^-2148 to 2^2048).
const MAX_LIMB: i32 = 96;

/// Exact sum of `f64` or `f32` values, independent of the order of adding and merging.
///
/// NaN and the infinities are counted apart and decide the result as IEEE arithmetic would.
///
/// ```
/// use mapfold_plan::exact::ExactSum;
/// let mut sum = ExactSum::default();
/// for x in [1e100, 1.0, -1e100, 0.25] {
///     sum.add(x);
/// }
/// assert_eq!(sum.to_f64(), 1.25); // adding as f64 gives 0.25
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ExactSum {
    /// Index of `limbs[0]`.
    base: i32,
    limbs: Vec<i128>,
    /// Terms added since the last carry.
    pending: u64,
    special: Special,
}

/// How many values were no numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Special {
    nan: u64,
    pos_inf: u64,
    neg_inf: u64,
}

impl Special {
    fn merge(&mut self, other: &Special) {
        self.nan += other.nan;
        self.pos_inf += other.pos_inf;
        self.neg_inf += other.neg_inf;
    }
}

/// The one serialised form of a value: sign and magnitude, without zero digits at either end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wire {
    base: i32,
    negative: bool,
    digits: Vec<u32>,
    special: Special,
}

/// Serialised bytes that are no exact sum.
#[derive(Debug, thiserror::Error)]
#[error("not an exact sum: limb {0} is out of range")]
struct BadSum(i64);

impl ExactSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, x: f64) {
        match decompose(x) {
            Some((mantissa, exponent)) => self.add_scaled(x.is_sign_negative(), mantissa, exponent),
            None => self.add_special(x),
        }
    }

    /// Adds the exact square of one value, also where `x * x` overflows or underflows.
    #[inline]
    pub fn add_square(&mut self, x: f64) {
        let Some((mantissa, exponent)) = decompose(x) else {
            return self.add_special(x * x);
        };
        self.add_wide(u128::from(mantissa) * u128::from(mantissa), 2 * exponent);
    }

    /// Adds many `f32` values: several times as fast as one by one.
    pub fn add_f32_slice(&mut self, values: &[f32]) {
        blocks::sum_f32(values, self);
    }

    /// Adds an integer.
    pub fn add_int(&mut self, v: i128) {
        self.add_signed(v, 0);
    }

    /// Adds `v · 2^exponent`, which lies between the smallest and the largest square of an `f64`: what an accumulator
    /// of fewer bits has gathered.
    pub fn add_signed(&mut self, v: i128, exponent: i32) {
        let magnitude = v.unsigned_abs();
        self.add_scaled(v < 0, magnitude as u64, exponent);
        self.add_scaled(v < 0, (magnitude >> 64) as u64, exponent + 64);
    }

    /// Adds `magnitude · 2^exponent`.
    pub(super) fn add_wide(&mut self, magnitude: u128, exponent: i32) {
        self.add_scaled(false, magnitude as u64, exponent);
        self.add_scaled(false, (magnitude >> 64) as u64, exponent + 64);
    }

    /// Adds `±magnitude · 2^exponent`.
    #[inline]
    pub(super) fn add_scaled(&mut self, negative: bool, magnitude: u64, exponent: i32) {
        if magnitude == 0 {
            return;
        }
        let term = i128::from(magnitude) << exponent.rem_euclid(LIMB_BITS);
        *self.limb(exponent.div_euclid(LIMB_BITS)) += if negative { -term } else { term };
        self.count_terms(1);
    }

    /// Counts a NaN or an infinity.
    #[cold]
    pub(super) fn add_special(&mut self, x: f64) {
        match (x.is_nan(), x > 0.0) {
            (true, _) => self.special.nan += 1,
            (false, true) => self.special.pos_inf += 1,
            (false, false) => self.special.neg_inf += 1,
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        self.special.merge(&other.special);
        if other.limbs.is_empty() {
            return;
        }
        // A carried sum has limbs below 2^33 and counts as one term, so two halves of the room always fit together.
        self.count_terms(other.pending.max(1));
        self.reserve(other.base, other.base + other.limbs.len() as i32 - 1);
        let at = (other.base - self.base) as usize;
        self.limbs[at..].iter_mut().zip(&other.limbs).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The sum, rounded once to the nearest `f64` (ties to even). An empty sum is 0.
    pub fn to_f64(&self) -> f64 {
        if let Some(special) = self.not_finite() {
            return special;
        }
        let (integer, exponent) = self.to_bigint_scaled();
        ratio_to_f64(&integer, &BigUint::from(1u32), exponent)
    }

    /// The sum of the finite values as `integer · 2^exponent`, exactly.
    pub fn to_bigint_scaled(&self) -> (BigInt, i32) {
        let integer = self.limbs.iter().rev().fold(BigInt::ZERO, |acc, limb| (acc << LIMB_BITS as u32) + limb);
        (integer, self.base * LIMB_BITS)
    }

    /// NaN or an infinity, when values that are no finite numbers decide the sum.
    pub fn not_finite(&self) -> Option<f64> {
        let s = &self.special;
        match (s.nan > 0, s.pos_inf > 0, s.neg_inf > 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    #[inline]
    fn limb(&mut self, index: i32) -> &mut i128 {
        // A negative distance becomes a huge one: one comparison covers both ends.
        if (index.wrapping_sub(self.base) as u32 as usize) >= self.limbs.len() {
            self.reserve(index, index);
        }
        &mut self.limbs[(index - self.base) as usize]
    }

    /// Makes room for the limbs `first..=last`.
    #[cold]
    fn reserve(&mut self, first: i32, last: i32) {
        if self.limbs.is_empty() {
            self.base = first;
        }
        if first < self.base {
            let missing = (self.base - first) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, missing));
            self.base = first;
        }
        let len = (last - self.base) as usize + 1;
        self.limbs.resize(len.max(self.limbs.len()), 0);
    }

    #[inline]
    fn count_terms(&mut self, terms: u64) {
        self.pending += terms;
        if self.pending >= MAX_PENDING {
            self.carry();
            self.pending = terms + 1;
        }
    }

    /// Brings every limb but the last into 0..2^32; the last keeps the sign.
    #[cold]
    fn carry(&mut self) {
        let mut i = 0;
        while i < self.limbs.len() {
            let limb = self.limbs[i];
            let last = i + 1 == self.limbs.len();
            if last && limb.unsigned_abs() <= u128::from(u32::MAX) {
                return;
            }
            if last {
                self.limbs.push(0);
            }
            self.limbs[i] = limb & i128::from(u32::MAX);
            self.limbs[i + 1] += limb >> LIMB_BITS;
            i += 1;
        }
    }
}

/// Magnitude of the mantissa and exponent of its lowest bit; `None` for NaN and infinities.
#[inline]
pub(super) fn decompose(x: f64) -> Option<(u64, i32)> {
    let bits = x.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    match biased {
        0x7ff => None,
        0 => Some((fraction, LOWEST)),
        _ => Some((fraction | 1 << 52, biased - 1075)),
    }
}

impl PartialEq for ExactSum {
    /// Equal as numbers, however they came about.
    fn eq(&self, other: &ExactSum) -> bool {
        Wire::from(self.clone()) == Wire::from(other.clone())
    }
}

impl From<ExactSum> for Wire {
    fn from(sum: ExactSum) -> Wire {
        let (integer, _) = sum.to_bigint_scaled();
        let (sign, digits) = integer.to_u32_digits();
        let zeros = digits.iter().take_while(|d| **d == 0).count();
        let base = if digits.is_empty() { 0 } else { sum.base + zeros as i32 };
        Wire { base, negative: sign == Sign::Minus, digits: digits[zeros..].to_vec(), special: sum.special }
    }
}

impl TryFrom<Wire> for ExactSum {
    type Error = BadSum;
    fn try_from(wire: Wire) -> Result<ExactSum, BadSum> {
        let end = i64::from(wire.base) + wire.digits.len() as i64;
        if wire.base < -MAX_LIMB || end > i64::from(MAX_LIMB) {
            return Err(BadSum(if wire.base < -MAX_LIMB { i64::from(wire.base) } else { end }));
        }
        let sign = if wire.negative { -1 } else { 1 };
        let limbs: Vec<i128> = wire.digits.iter().map(|d| sign * i128::from(*d)).collect();
        Ok(ExactSum { base: wire.base, pending: 1, limbs, special: wire.special })
    }
}
