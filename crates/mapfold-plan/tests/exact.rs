//! Laws and oracles of exact sums: big integers for the value, every sharding and order for the bits.
#![allow(clippy::unwrap_used)]

use mapfold_grid::Pixel;
use mapfold_plan::exact::{ExactSum, Histogram, Moments};
use mapfold_plan::{Combine, Count, Max, Mean, Min, Sum, assert_combine_laws};
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    /// Any finite f64: all exponents, subnormals and both zeros among them.
    fn finite(&mut self) -> f64 {
        std::iter::repeat_with(|| f64::from_bits(self.next())).find(|x| x.is_finite()).unwrap()
    }
    fn finite_f32(&mut self) -> f32 {
        std::iter::repeat_with(|| f32::from_bits(self.next() as u32)).find(|x| x.is_finite()).unwrap()
    }
}

fn sum_of(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|v| sum.add(*v));
    sum
}

/// Oracle: the value in units of 2^-1074.
fn units(x: f64) -> BigInt {
    let biased = x.to_bits() >> 52 & 0x7ff;
    let mantissa = x.to_bits() & ((1 << 52) - 1) | u64::from(biased != 0) << 52;
    let magnitude = BigInt::from(mantissa) << (biased.max(1) - 1);
    if x < 0.0 { -magnitude } else { magnitude }
}

/// A sum as an integer, in units of 2^-`scale`.
fn scaled(sum: &ExactSum, scale: i32) -> BigInt {
    let (integer, exponent) = sum.to_bigint_scaled();
    let shift = exponent + scale;
    if shift >= 0 { integer << shift as u32 } else { integer >> -shift as u32 }
}

#[test]
fn sums_equal_big_integers() {
    let mut random = Random(7);
    for n in [0, 1, 2, 10, 1000] {
        let values: Vec<f64> = (0..n).map(|_| random.finite()).collect();
        let expected: BigInt = values.iter().map(|v| units(*v)).sum();
        assert_eq!(scaled(&sum_of(&values), 1074), expected, "{n} values");
    }
}

#[test]
fn squares_equal_big_integers_beyond_the_range_of_f64() {
    let mut random = Random(8);
    let mut values: Vec<f64> = (0..500).map(|_| random.finite()).collect();
    values.extend([f64::MAX, f64::from_bits(1), -1e-200, 1e200]);
    let mut sum = ExactSum::default();
    values.iter().for_each(|v| sum.add_square(*v));
    let expected: BigInt = values.iter().map(|v| units(*v) * units(*v)).sum();
    assert_eq!(scaled(&sum, 2148), expected);
    assert_eq!(sum.to_f64(), f64::INFINITY, "exact inside, out of range outside");
}

#[test]
fn one_value_comes_back_and_two_add_as_ieee() {
    let mut random = Random(9);
    for _ in 0..5000 {
        let (a, b) = (random.finite(), random.finite());
        assert_eq!(sum_of(&[a]).to_f64(), a);
        assert_eq!(sum_of(&[a, b]).to_f64(), a + b, "{a:e} + {b:e}");
        assert_eq!(sum_of(&[a, b, -a]).to_f64(), b);
    }
}

#[test]
fn ties_and_subnormals_round_to_even() {
    let half_ulp = f64::EPSILON / 2.0;
    assert_eq!(sum_of(&[1.0, half_ulp]).to_f64(), 1.0);
    assert_eq!(sum_of(&[1.0 + f64::EPSILON, half_ulp]).to_f64(), 1.0 + 2.0 * f64::EPSILON);
    assert_eq!(sum_of(&[1.0, half_ulp, f64::from_bits(1)]).to_f64(), 1.0 + f64::EPSILON, "a hair above the tie");
    assert_eq!(sum_of(&[f64::from_bits(3), -f64::from_bits(1)]).to_f64(), f64::from_bits(2));
    assert_eq!(sum_of(&[f64::MAX, f64::MAX, -f64::MAX]).to_f64(), f64::MAX, "no overflow on the way");
    assert_eq!(sum_of(&[f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
}

#[test]
fn values_that_are_no_numbers_decide() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!(sum_of(&[1.0, inf]).to_f64(), inf);
    assert_eq!(sum_of(&[-inf, 1e300]).to_f64(), -inf);
    assert!(sum_of(&[inf, -inf]).to_f64().is_nan());
    assert!(sum_of(&[1.0, nan]).to_f64().is_nan());
    assert_eq!(sum_of(&[]).to_f64().to_bits(), 0);
}

#[test]
fn every_order_and_sharding_gives_the_same_bytes() {
    let mut random = Random(10);
    let mut values: Vec<f64> = (0..300).map(|_| random.finite()).collect();
    let bytes = |sum: &ExactSum| postcard::to_stdvec(sum).unwrap();
    let expected = bytes(&sum_of(&values));
    for size in [1, 2, 7, 100] {
        values.rotate_left(17);
        values.reverse();
        let mut total = ExactSum::default();
        for shard in values.chunks(size) {
            let sent: ExactSum = postcard::from_bytes(&bytes(&sum_of(shard))).unwrap();
            total.merge(&sent);
        }
        assert_eq!(bytes(&total), expected, "shards of {size}");
    }
}

#[test]
fn small_data_makes_small_sums() {
    let heights: Vec<f64> = (0..1000).map(|i| f64::from(i) * 0.01).collect();
    assert!(postcard::to_stdvec(&sum_of(&heights)).unwrap().len() < 32);
}

#[test]
fn merging_in_a_tree_carries_before_a_limb_overflows() {
    // Doubling 80 times stands for 2^80 added values: far more than a limb takes without a carry.
    for x in [f64::MAX / 2f64.powi(90), -1.5, f64::from_bits(1)] {
        let mut sum = sum_of(&[x]);
        for _ in 0..80 {
            let twin = sum.clone();
            sum.merge(&twin);
        }
        assert_eq!(sum.to_f64(), x * 2f64.powi(80));
        assert_eq!(scaled(&sum, 1074), units(x) << 80u32);
    }
}

#[test]
fn foreign_bytes_are_an_error_not_an_allocation() {
    let huge = (i32::MAX, false, vec![1u32], (0u64, 0u64, 0u64));
    let bytes = postcard::to_stdvec(&huge).unwrap();
    assert!(postcard::from_bytes::<ExactSum>(&bytes).is_err());
    let low = postcard::to_stdvec(&(-70_000i32, false, vec![1u32], (0u64, 0u64, 0u64))).unwrap();
    assert!(postcard::from_bytes::<ExactSum>(&low).is_err());
}

#[test]
fn the_slice_path_equals_one_by_one() {
    let mut random = Random(11);
    for n in [0, 1, 63, 64, 65, 70_000] {
        let mut values: Vec<f32> = (0..n).map(|_| random.finite_f32()).collect();
        values.extend([-0.0, f32::from_bits(1), f32::MAX].iter().take(n));
        let mut fast = ExactSum::default();
        fast.add_f32_slice(&values);
        let wide: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        assert!(fast == sum_of(&wide), "{n} values");
    }
    let mut sum = ExactSum::default();
    sum.add_f32_slice(&[f32::INFINITY; 100]);
    assert_eq!(sum.to_f64(), f64::INFINITY);
}

/// Blocks, single values and shards agree to the last bit, with and without validity.
fn moments_agree<T: Pixel>(values: &[T]) {
    let ok: Vec<u8> = (0..values.len()).map(|i| u8::from(i % 3 != 1)).collect();
    for ok in [None, Some(&ok[..])] {
        let mut block = Moments::default();
        block.add_block(values, ok);
        let mut single = Moments::default();
        let valid = values.iter().enumerate().filter(|(i, _)| ok.is_none_or(|ok| ok[*i] != 0));
        valid.for_each(|(_, v)| single.add(*v));
        assert_eq!(block, single, "{} block", T::DTYPE);
        let mut shards = Moments::default();
        for k in (0..values.len()).step_by(1000).rev() {
            let end = values.len().min(k + 1000);
            let mut shard = Moments::default();
            shard.add_block(&values[k..end], ok.map(|ok| &ok[k..end]));
            shards.merge(&shard);
        }
        assert_eq!(shards, single, "{} shards", T::DTYPE);
    }
}

#[test]
fn blocks_of_every_type_equal_single_values() {
    let mut random = Random(12);
    let n = 70_001;
    moments_agree(&(0..n).map(|_| random.next() as u8).collect::<Vec<_>>());
    moments_agree(&(0..n).map(|_| random.next() as i8).collect::<Vec<_>>());
    moments_agree(&(0..n).map(|_| random.next() as u16).collect::<Vec<_>>());
    moments_agree(&(0..n).map(|_| random.next() as i16).collect::<Vec<_>>());
    moments_agree(&(0..n).map(|_| random.next() as u32).collect::<Vec<_>>());
    moments_agree(&(0..n).map(|_| random.next() as i32).collect::<Vec<_>>());
    let mut singles: Vec<f32> = (0..n).map(|_| random.finite_f32()).collect();
    singles.extend([f32::NAN, f32::INFINITY, -0.0, 0.0]);
    moments_agree(&singles);
    let mut doubles: Vec<f64> = (0..5000).map(|_| random.finite()).collect();
    doubles.extend([f64::NAN, f64::NEG_INFINITY, -0.0, 0.0]);
    moments_agree(&doubles);
}

#[test]
fn blocks_of_extremes_do_not_overflow() {
    moments_agree(&[u16::MAX; 70_001]);
    moments_agree(&[i16::MIN; 70_001]);
    moments_agree(&[u32::MAX; 70_001]);
    moments_agree(&[i32::MIN; 70_001]);
    moments_agree(&[f32::MAX; 70_001]);
    moments_agree(&[f32::INFINITY; 2000]);
    moments_agree(&[f64::NEG_INFINITY; 2000]);
    moments_agree(&[f32::from_bits(0x3fff_ffff); 70_001]);
}

#[test]
fn spread_of_known_values() {
    let mut m = Moments::default();
    m.add_block(&[1e8f32 + 8.0; 100_000], None);
    assert_eq!(m.variance(0), Some(0.0), "E[x²] - E[x]² gives noise here");
    let mut m = Moments::default();
    m.add_block(&[1e9f64 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], None);
    assert_eq!((m.mean(), m.variance(1), m.variance(0)), (Some(1e9 + 10.0), Some(30.0), Some(22.5)));
    assert_eq!(m.std(1), Some(30f64.sqrt()));
    let mut m = Moments::default();
    m.add_block(&[f64::MAX, f64::MAX], None);
    assert_eq!((m.mean(), m.variance(0)), (Some(f64::MAX), Some(0.0)), "though the sum is out of range");
}

#[test]
fn variance_of_integers_equals_the_sum_of_squared_distances() {
    let mut random = Random(13);
    let values: Vec<i32> = (0..997).map(|_| random.next() as i32).collect();
    let mut m = Moments::default();
    m.add_block(&values, None);
    let n = values.len() as i128;
    let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
    // Σ(n x - Σx)² = n²·Σ(x - mean)², all in integers; the nearest f64 is at most half of the last bit away.
    let squares: i128 = values.iter().map(|v| (n * i128::from(*v) - total).pow(2)).sum();
    let variance = m.variance(0).unwrap();
    let (found, last_bit) = (variance as i128, (variance.next_up() - variance) as i128);
    assert!((found * n.pow(3) - squares).abs() * 2 <= last_bit * n.pow(3), "{variance}");
    assert_eq!(m.mean().unwrap(), total as f64 / n as f64);
}

#[test]
fn nothing_and_infinity() {
    let mut m = Moments::default();
    assert_eq!((m.mean(), m.variance(0), m.std(1), m.min(), m.sum()), (None, None, None, None, 0.0));
    m.add_block(&[f32::NAN; 100], None);
    assert_eq!(m, Moments::default());
    m.add(3u8);
    assert_eq!((m.variance(0), m.variance(1)), (Some(0.0), None));
    m.add(f32::INFINITY);
    assert_eq!((m.mean(), m.max()), (Some(f64::INFINITY), Some(f64::INFINITY)));
    assert!(m.std(0).unwrap().is_nan());
}

#[test]
fn every_value_lies_between_the_edges_of_its_bin() {
    let mut random = Random(14);
    for (low, high, n) in [(0.0, 1.0, 10), (-1e9, 1e-9, 7), (0.1, 0.7, 3), (1e300, 1.1e300, 1000)] {
        let shape = Histogram::new(low, high, n).unwrap();
        let edges = (0..=n).map(|i| shape.edge(i));
        let inside = (0..500).map(|_| low + (high - low) * (random.next() as f64 / u64::MAX as f64));
        for v in edges.chain(inside.collect::<Vec<_>>()).filter(|v| *v <= high) {
            let mut h = shape.clone();
            h.add(v);
            let bin = h.counts().iter().position(|c| *c == 1).unwrap();
            assert!(h.edge(bin) <= v && (v < h.edge(bin + 1) || bin + 1 == n), "{v} in bin {bin}");
        }
    }
}

#[test]
fn histograms_merge_only_over_the_same_bins() {
    let mut a = Histogram::new(0.0, 10.0, 5).unwrap();
    let mut b = a.clone();
    a.add_block(&[f32::NAN, -1.0, 0.0, 10.0], None);
    b.add_block(&[3u16, 3, 400], Some(&[1, 0, 1]));
    a.merge(&b).unwrap();
    assert_eq!((a.counts(), a.below(), a.above()), (&[1, 1, 0, 0, 1][..], 1, 1));
    assert!(a.merge(&Histogram::new(0.0, 10.0, 6).unwrap()).is_err());
    for (low, high, n) in [(1.0, 1.0, 5), (0.0, f64::NAN, 5), (f64::MIN, f64::MAX, 5), (0.0, 1.0, 0)] {
        assert!(Histogram::new(low, high, n).is_err());
    }
}

#[test]
fn library_combiners_keep_the_laws() {
    let awkward = vec![1e300, 0.1, -1e300, f64::NAN, 0.2, -0.0, 0.0, f64::MIN_POSITIVE, 1e17, -3.0];
    assert_combine_laws::<(Min<f64>, Max<f64>, Moments), _>(awkward.clone());
    assert_combine_laws::<(Sum<f64>, Mean), _>(awkward.iter().copied().filter(|v| !v.is_nan()).collect());
    assert_combine_laws::<(Sum<f64>, Mean), _>(awkward);
    assert_combine_laws::<(Count, Sum<u64>, Min<u64>, Max<u64>), _>(vec![u64::MAX, 1, 0, 7, u64::MAX]);
    assert_combine_laws::<(Count, Max<String>), _>(vec!["b".to_string(), String::new(), "é".into()]);
    assert_combine_laws::<Sum<i64>, i64>(vec![]);
}

#[test]
fn signs_of_zero_do_not_depend_on_the_order() {
    for values in [[-0.0, 0.0], [0.0, -0.0]] {
        let (mut min, mut max) = (Min::<f64>::default(), Max::<f64>::default());
        values.iter().for_each(|v| min.add(*v));
        values.iter().for_each(|v| max.add(*v));
        assert!(min.finish().unwrap().is_sign_negative() && max.finish().unwrap().is_sign_positive());
    }
}

/// Combiners that break one law each.
macro_rules! broken {
    ($name:ident, |$a:ident, $v:ident| $add:expr, |$m:ident, $o:ident| $merge:expr) => {
        #[derive(Clone, Default, Serialize, Deserialize)]
        struct $name {
            n: i64,
            #[serde(skip)]
            lost: i64,
        }
        impl Combine<i64> for $name {
            type Out = (i64, i64);
            fn add(&mut self, $v: i64) {
                let $a = self;
                $add;
            }
            fn merge(&mut self, $o: Self) {
                let $m = self;
                $merge;
            }
            fn finish(self) -> (i64, i64) {
                (self.n, self.lost)
            }
        }
    };
}
broken!(Forgets, |c, v| c.lost += v, |c, o| c.lost += o.lost);
broken!(NoUnit, |c, v| c.n += v, |c, o| c.n += o.n + 1);
broken!(Difference, |c, v| c.n += v, |c, o| c.n = if c.n == 0 { o.n } else { c.n - o.n });
broken!(Halves, |c, v| c.n += v, |c, o| c.n = if c.n * o.n == 0 { c.n + o.n } else { (c.n + o.n) / 2 });
broken!(Resets, |c, v| c.n = v, |c, o| c.n = c.n.max(o.n));

fn complaint<C: Combine<i64, Out: PartialEq + std::fmt::Debug>>() -> String {
    let caught = std::panic::catch_unwind(|| assert_combine_laws::<C, _>(vec![9, 5, 1, 8, 2, 4, 7]));
    *caught.expect_err("a broken combiner").downcast::<String>().unwrap()
}

#[test]
fn broken_combiners_are_caught_by_the_law_they_break() {
    for (text, law) in [
        (complaint::<Forgets>(), "went through serde"),
        (complaint::<NoUnit>(), "default() is the unit"),
        (complaint::<Difference>(), "merge is commutative"),
        (complaint::<Halves>(), "merge is associative"),
        (complaint::<Resets>(), "shards of 1 values"),
    ] {
        assert!(text.contains(law), "{law}: {text}");
    }
}
