//! Sums and statistics without rounding: the same bits for any order, sharding, thread count and chunk size.
//!
//! - [`ExactSum`] adds floats into a fixed-point number that is wide enough for all of them (the idea of Neal's small
//!   superaccumulator, "Fast exact summation using small and large superaccumulators", 2015, arXiv:1505.05571).
//! - [`Moments`] holds count, extremes, Σx and Σx² of pixels, all exact; mean and variance are rounded once, at the end.
//! - [`Histogram`] counts values in equal bins.
//!
//! Why not the binned sums of Demmel and Nguyen: those promise the *same* error for every order, an exact sum has no
//! error at all. It follows that its order cannot matter, which needs no proof, and that two different shardings can
//! be compared with `==`. The price is a few more bytes per sum and about a nanosecond per value.
//!
//! Why not `E[x²] - E[x]²` or Welford's update in floating point: the first cancels (a constant raster of 1e8 gets a
//! negative variance), the second depends on the order.
//!
//! Deliberately absent: quantiles (not mergeable exactly in bounded memory) and weighted sums.

mod blocks;
mod histogram;
mod moments;
mod round;
mod sum;

pub use histogram::Histogram;
pub use moments::Moments;
pub(crate) use moments::mean;
pub use sum::ExactSum;
