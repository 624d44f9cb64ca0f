//! Combiners: folds whose partial results can be made anywhere and merged in any order.
//!
//! A [`Combine`] is folded beside the data, sent as bytes through an exchange, and merged. That is correct only under
//! laws, so a test of every combiner calls [`assert_combine_laws`]. The library's own combiners are exact (integers in
//! i128, floats in an [`ExactSum`]): their results are the same bits for any sharding, order and number of threads.
//!
//! A tuple of combiners gives every value to each of its members: `(Count, Mean)` is count and mean in one pass.
//!
//! Deliberately absent: combiners with a remainder (median, distinct values in bounded memory); those are reducers.

mod laws;

pub use laws::assert_combine_laws;

use crate::exact::{ExactSum, Moments};
use mapfold_grid::Pixel;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::cmp::Ordering;
use std::fmt::Debug;

/// A fold that can be cut into pieces and merged again.
///
/// Laws, checked by [`assert_combine_laws`]: `default()` is the unit of `merge`; `merge` is associative and
/// commutative; adding a value equals merging what that value alone gives; serde gives back an equal state.
///
/// ```
/// use mapfold_plan::Combine;
/// use serde::{Deserialize, Serialize};
///
/// /// How many pixels are cloudy, of how many.
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Clouds { cloudy: u64, all: u64 }
///
/// impl Combine<bool> for Clouds {
///     type Out = f64;
///     fn add(&mut self, is_cloud: bool) {
///         self.cloudy += u64::from(is_cloud);
///         self.all += 1;
///     }
///     fn merge(&mut self, other: Self) {
///         self.cloudy += other.cloudy;
///         self.all += other.all;
///     }
///     fn finish(self) -> f64 {
///         self.cloudy as f64 / self.all as f64
///     }
/// }
/// mapfold_plan::assert_combine_laws::<Clouds, _>(vec![true, false, true, true]);
/// ```
pub trait Combine<V>: Default + Serialize + DeserializeOwned + Clone + Send + 'static {
    /// What comes out at the end.
    type Out;
    /// Takes one value in.
    fn add(&mut self, value: V);
    /// Takes many values in; `ok` has one byte for each, 0 leaves it out. For combiners that can do better than one by
    /// one; it must be the same.
    fn add_all(&mut self, values: &[V], ok: Option<&[u8]>)
    where
        V: Copy,
    {
        match ok {
            None => values.iter().for_each(|v| self.add(*v)),
            Some(ok) => values.iter().zip(ok).filter(|(_, ok)| **ok != 0).for_each(|(v, _)| self.add(*v)),
        }
    }
    /// Takes in all that another one has taken in.
    fn merge(&mut self, other: Self);
    /// The result.
    fn finish(self) -> Self::Out;
}

/// Number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count(u64);

impl<V> Combine<V> for Count {
    type Out = u64;
    fn add(&mut self, _: V) {
        self.0 += 1;
    }
    fn merge(&mut self, other: Count) {
        self.0 += other.0;
    }
    fn finish(self) -> u64 {
        self.0
    }
}

/// What [`Sum`] can add: integers in i128, floats exactly.
pub trait Addend: Copy + Send + 'static {
    /// The running sum.
    type Total: Default + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send;
    /// The sum: i128 for integers; for floats f64, rounded once.
    type Out;
    /// Adds to the running sum.
    fn add_to(self, total: &mut Self::Total);
    /// Adds two running sums.
    fn join(total: &mut Self::Total, other: Self::Total);
    /// The sum.
    fn finish(total: Self::Total) -> Self::Out;
}

macro_rules! addends {
    ($total:ty, $out:ty, |$t:ident, $v:ident| $add:expr, |$a:ident, $b:ident| $join:expr, |$f:ident| $finish:expr; $($n:ty)*) => {$(
        impl Addend for $n {
            type Total = $total;
            type Out = $out;
            fn add_to(self, $t: &mut $total) {
                let $v = self;
                $add;
            }
            fn join($a: &mut $total, $b: $total) {
                $join;
            }
            fn finish($f: $total) -> $out {
                $finish
            }
        }
    )*};
}
addends!(i128, i128, |t, v| *t += i128::from(v), |a, b| *a += b, |f| f; u8 i8 u16 i16 u32 i32 u64 i64);
addends!(ExactSum, f64, |t, v| t.add(v.to_f64()), |a, b| a.merge(&b), |f| f.to_f64(); f32 f64);

/// Sum of values, without overflow and without rounding on the way.
///
/// ```
/// use mapfold_plan::{Combine, Sum};
/// let mut sum = Sum::<u64>::default();
/// sum.add(u64::MAX);
/// sum.add(1);
/// assert_eq!(sum.finish(), 1 << 64);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Sum<T: Addend> {
    total: T::Total,
}

impl<T: Addend> Default for Sum<T> {
    fn default() -> Self {
        Sum { total: T::Total::default() }
    }
}

impl<T: Addend> Combine<T> for Sum<T> {
    type Out = T::Out;
    fn add(&mut self, value: T) {
        value.add_to(&mut self.total);
    }
    fn merge(&mut self, other: Self) {
        T::join(&mut self.total, other.total);
    }
    fn finish(self) -> T::Out {
        T::finish(self.total)
    }
}

/// Mean of numbers, rounded once; NaN of none. A NaN among the values makes it NaN; [`Moments`] skips them.
///
/// ```
/// use mapfold_plan::{Combine, Mean};
/// let mut mean = Mean::default();
/// [1e17, 1.0, -1e17].into_iter().for_each(|v| mean.add(v));
/// assert_eq!(Combine::<f64>::finish(mean), 1.0 / 3.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    sum: ExactSum,
    count: u64,
}

impl<V: Pixel> Combine<V> for Mean {
    type Out = f64;
    fn add(&mut self, value: V) {
        self.sum.add(value.to_f64());
        self.count += 1;
    }
    fn merge(&mut self, other: Mean) {
        self.sum.merge(&other.sum);
        self.count += other.count;
    }
    fn finish(self) -> f64 {
        crate::exact::mean(&self.sum, self.count).unwrap_or(f64::NAN)
    }
}

/// NaN is skipped, as in all of [`Moments`].
impl<V: Pixel> Combine<V> for Moments {
    type Out = Moments;
    fn add(&mut self, value: V) {
        Moments::add(self, value);
    }
    fn add_all(&mut self, values: &[V], ok: Option<&[u8]>) {
        self.add_block(values, ok);
    }
    fn merge(&mut self, other: Moments) {
        Moments::merge(self, &other);
    }
    fn finish(self) -> Moments {
        self
    }
}

/// What [`Min`] and [`Max`] compare. Unlike `PartialOrd`, equal values must be indistinguishable: which of two comes
/// first must not show (for floats -0 is below 0).
pub trait Ranked: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// The order; `None` when one of the two is no value (NaN).
    fn rank(&self, other: &Self) -> Option<Ordering>;
}

macro_rules! ranked {
    ($($t:ty)*) => {$(
        impl Ranked for $t {
            fn rank(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    )*};
}
ranked!(bool u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 char String crate::TileKey crate::TimeKey);

macro_rules! ranked_floats {
    ($($t:ty)*) => {$(
        impl Ranked for $t {
            fn rank(&self, other: &Self) -> Option<Ordering> {
                (!self.is_nan() && !other.is_nan()).then(|| self.total_cmp(other))
            }
        }
    )*};
}
ranked_floats!(f32 f64);

impl<A: Ranked, B: Ranked> Ranked for (A, B) {
    fn rank(&self, other: &Self) -> Option<Ordering> {
        let (first, second) = (self.0.rank(&other.0)?, self.1.rank(&other.1)?);
        Some(first.then(second))
    }
}

/// The one of `kept` and `value` that is on the side of `wanted`; values that are no values are dropped.
fn better<T: Ranked>(kept: &mut Option<T>, value: T, wanted: Ordering) {
    if value.rank(&value).is_none() {
        return;
    }
    if kept.as_ref().is_none_or(|k| value.rank(k) == Some(wanted)) {
        *kept = Some(value);
    }
}

/// Smallest value; `None` of none. NaN is skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Ranked")]
pub struct Min<T>(Option<T>);

/// Largest value; `None` of none. NaN is skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Ranked")]
pub struct Max<T>(Option<T>);

macro_rules! extreme {
    ($name:ident, $wanted:expr) => {
        impl<T> Default for $name<T> {
            fn default() -> Self {
                $name(None)
            }
        }
        impl<T: Ranked> Combine<T> for $name<T> {
            type Out = Option<T>;
            fn add(&mut self, value: T) {
                better(&mut self.0, value, $wanted);
            }
            fn merge(&mut self, other: Self) {
                if let Some(value) = other.0 {
                    better(&mut self.0, value, $wanted);
                }
            }
            fn finish(self) -> Option<T> {
                self.0
            }
        }
    };
}
extreme!(Min, Ordering::Less);
extreme!(Max, Ordering::Greater);

macro_rules! tuples {
    ($(($($m:ident $i:tt),*))*) => {$(
        impl<V: Clone, $($m: Combine<V>),*> Combine<V> for ($($m,)*) {
            type Out = ($($m::Out,)*);
            fn add(&mut self, value: V) {
                $( self.$i.add(value.clone()); )*
            }
            fn add_all(&mut self, values: &[V], ok: Option<&[u8]>)
            where
                V: Copy,
            {
                $( self.$i.add_all(values, ok); )*
            }
            fn merge(&mut self, other: Self) {
                $( self.$i.merge(other.$i); )*
            }
            fn finish(self) -> Self::Out {
                ($(self.$i.finish(),)*)
            }
        }
    )*};
}
tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));
