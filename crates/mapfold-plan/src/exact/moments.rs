//! Count, extremes, mean and spread of pixels.

use super::blocks::{self, RUN, Run};
use super::round::{ratio_to_f64, sqrt_ratio_to_f64};
use super::sum::ExactSum;
use mapfold_grid::{DType, Pixel};
use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

/// Exact statistics of values: count, minimum, maximum, Σx and Σx².
///
/// NaN is "no value" and is not counted. An infinity is a value: it makes the mean infinite and the variance NaN.
///
/// ```
/// use mapfold_plan::exact::Moments;
/// let mut m = Moments::default();
/// m.add_block(&[2u16, 4, 4, 4, 5, 5, 7, 9, 60000], Some(&[1, 1, 1, 1, 1, 1, 1, 1, 0]));
/// assert_eq!((m.count(), m.min(), m.max()), (8, Some(2.0), Some(9.0)));
/// assert_eq!((m.mean(), m.std(0)), (Some(5.0), Some(2.0)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    range: Option<(f64, f64)>,
    sum: ExactSum,
    squares: ExactSum,
}

impl Moments {
    /// Statistics that were gathered in parts: number of values, smallest and largest (of one or more), Σx and Σx².
    pub fn from_sums(count: u64, range: Option<(f64, f64)>, sum: ExactSum, squares: ExactSum) -> Moments {
        Moments { count, range, sum, squares }
    }

    /// Adds one value; NaN is skipped.
    pub fn add<T: Pixel>(&mut self, value: T) {
        if value.is_nan() {
            return;
        }
        self.sum.add(value.to_f64());
        self.squares.add_square(value.to_f64());
        self.take(&Run { count: 1, range: (value, value) });
    }

    /// Adds a block of values; `ok` has one byte per value, 0 = invalid.
    ///
    /// # Panics
    /// When `ok` and `values` differ in length.
    pub fn add_block<T: Pixel>(&mut self, values: &[T], ok: Option<&[u8]>) {
        let Some(ok) = ok else {
            return values.chunks(RUN).for_each(|run| self.add_run(run));
        };
        assert_eq!(values.len(), ok.len(), "one validity byte per value");
        let mut room = Vec::new();
        for (run, ok) in values.chunks(RUN).zip(ok.chunks(RUN)) {
            let all = !ok.contains(&0);
            self.add_run(if all { run } else { blocks::compact(run, ok, &mut room) });
        }
    }

    /// Adds at most [`RUN`] valid values.
    fn add_run<T: Pixel>(&mut self, values: &[T]) {
        let (sum, squares) = (&mut self.sum, &mut self.squares);
        let run = match T::DTYPE {
            DType::U8 | DType::I8 | DType::U16 | DType::I16 => blocks::small_ints(values, sum, squares),
            DType::U32 | DType::I32 => blocks::wide_ints(values, sum, squares),
            DType::F32 => blocks::singles(values, sum, squares),
            DType::F64 => blocks::doubles(values, sum, squares),
        };
        self.take(&run);
    }

    fn take<T: Pixel>(&mut self, run: &Run<T>) {
        if run.count > 0 {
            self.count += run.count;
            // Adding 0 turns -0 into 0: which of the two came first must not show.
            self.widen((run.range.0.to_f64() + 0.0, run.range.1.to_f64() + 0.0));
        }
    }

    fn widen(&mut self, (low, high): (f64, f64)) {
        let (min, max) = self.range.unwrap_or((low, high));
        self.range = Some((min.min(low), max.max(high)));
    }

    /// Adds the values of another one.
    pub fn merge(&mut self, other: &Moments) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        if let Some(range) = other.range {
            self.widen(range);
        }
    }

    /// Number of valid values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Smallest value; `None` without values.
    pub fn min(&self) -> Option<f64> {
        self.range.map(|r| r.0)
    }

    /// Largest value; `None` without values.
    pub fn max(&self) -> Option<f64> {
        self.range.map(|r| r.1)
    }

    /// Sum of the values, correctly rounded; 0 without values.
    pub fn sum(&self) -> f64 {
        self.sum.to_f64()
    }

    /// Mean, correctly rounded; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.sum, self.count)
    }

    /// Variance, correctly rounded: Σ(x - mean)² / (count - ddof). `ddof` is 0 for the values as a population and 1
    /// for the values as a sample. `None` when there are no more than `ddof` values.
    pub fn variance(&self, ddof: u32) -> Option<f64> {
        self.spread(ddof, ratio_to_f64)
    }

    /// Standard deviation: the root of the exact variance, correctly rounded. `None` as for [`Moments::variance`].
    pub fn std(&self, ddof: u32) -> Option<f64> {
        self.spread(ddof, |n, d, e| sqrt_ratio_to_f64(n.magnitude(), d, e))
    }

    /// Hands the exact variance `(nΣx² - (Σx)²) / (n(n - ddof))` to `finish`, as numerator, denominator, exponent.
    fn spread(&self, ddof: u32, finish: impl Fn(&BigInt, &BigUint, i32) -> f64) -> Option<f64> {
        let free = self.count.checked_sub(u64::from(ddof)).filter(|free| *free > 0)?;
        if self.sum.not_finite().is_some() {
            return Some(f64::NAN);
        }
        let ((s1, e1), (s2, e2)) = (self.sum.to_bigint_scaled(), self.squares.to_bigint_scaled());
        let exponent = e2.min(2 * e1);
        let scaled_squares: BigInt = (s2 * self.count) << (e2 - exponent) as u32;
        let square_of_sum: BigInt = (&s1 * &s1) << (2 * e1 - exponent) as u32;
        let denominator = BigUint::from(self.count) * free;
        Some(finish(&(scaled_squares - square_of_sum), &denominator, exponent))
    }
}

/// The sum divided by a count, rounded once; `None` for a count of 0.
pub(crate) fn mean(sum: &ExactSum, count: u64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    if let Some(special) = sum.not_finite() {
        return Some(special);
    }
    let (integer, exponent) = sum.to_bigint_scaled();
    Some(ratio_to_f64(&integer, &BigUint::from(count), exponent))
}
