//! From samples as they lie in a decompressed tile to pixels of the type that was asked for.
//!
//! One loop per pair of types, without f64 in between where a direct cast gives the same number, so that the
//! compiler can vectorise it; the rule is that of [`mapfold_grid::convert`] and a test holds every pair to it.

use crate::PixelsMut;
use mapfold_grid::DType;

/// Where some samples lie in decompressed bytes, and where they go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Bytes of one row of the tile.
    pub(crate) row_bytes: usize,
    /// Rows to take, from the first of the bytes given.
    pub(crate) rows: usize,
    /// First sample of a row, counted in samples.
    pub(crate) first: usize,
    /// From one sample to the next of the same band.
    pub(crate) step: usize,
    /// Samples per row.
    pub(crate) cols: usize,
    /// The bytes are in the other byte order.
    pub(crate) swap: bool,
    /// First pixel in the destination.
    pub(crate) out: usize,
    /// From one row of the destination to the next.
    pub(crate) out_row: usize,
}

/// Conversion of one value as loading does it.
trait CastTo<D> {
    fn cast(self) -> D;
}

/// A sample type that can be read from a row of bytes.
trait Sample: Sized {
    fn row<D>(bytes: &[u8], place: &Place, out: &mut [D])
    where
        Self: CastTo<D>;
}

macro_rules! casts {
    (int $($s:ident)* => int $d:tt) => {$(casts!(@int $s $d);)*};
    (@int $s:ident [$($d:ident)*]) => {$(
        impl CastTo<$d> for $s {
            #[inline(always)]
            fn cast(self) -> $d { i64::from(self).clamp(i64::from($d::MIN), i64::from($d::MAX)) as $d }
        }
    )*};
    (as $($s:ident)* => $d:tt) => {$(casts!(@as $s $d);)*};
    (@as $s:ident [$($d:ident)*]) => {$(
        impl CastTo<$d> for $s {
            #[inline(always)]
            #[allow(clippy::cast_lossless, clippy::unnecessary_cast)] // one macro for all pairs, u8 to f32 as well as f64 to f32
            fn cast(self) -> $d { self as $d }
        }
    )*};
    (round $($s:ident)* => $d:tt) => {$(casts!(@round $s $d);)*};
    (@round $s:ident [$($d:ident)*]) => {$(
        impl CastTo<$d> for $s {
            #[inline(always)]
            fn cast(self) -> $d { self.round() as $d }
        }
    )*};
}
casts!(int u8 i8 u16 i16 u32 i32 => int [u8 i8 u16 i16 u32 i32]);
casts!(as u8 i8 u16 i16 u32 i32 f32 f64 => [f32 f64]);
casts!(round f32 f64 => [u8 i8 u16 i16 u32 i32]);

macro_rules! samples {
    ($($s:ident)*) => {$(
        impl Sample for $s {
            #[inline(always)]
            fn row<D>(bytes: &[u8], place: &Place, out: &mut [D]) where $s: CastTo<D> {
                let samples = &bytes.as_chunks::<{ size_of::<$s>() }>().0[place.first..];
                let swapped = |b: &[u8; size_of::<$s>()]| { let mut b = *b; b.reverse(); $s::from_ne_bytes(b) };
                match (place.step, place.swap) {
                    (1, false) => out.iter_mut().zip(samples).for_each(|(o, b)| *o = $s::from_ne_bytes(*b).cast()),
                    (n, false) => out.iter_mut().zip(samples.iter().step_by(n)).for_each(|(o, b)| *o = $s::from_ne_bytes(*b).cast()),
                    (n, true) => out.iter_mut().zip(samples.iter().step_by(n)).for_each(|(o, b)| *o = swapped(b).cast()),
                }
            }
        }
    )*};
}
samples!(u8 i8 u16 i16 u32 i32 f32 f64);

fn rows<S: Sample + CastTo<D>, D>(bytes: &[u8], place: &Place, out: &mut [D]) {
    for r in 0..place.rows {
        let row = &bytes[r * place.row_bytes..(r + 1) * place.row_bytes];
        let at = place.out + r * place.out_row;
        S::row(row, place, &mut out[at..at + place.cols]);
    }
}

/// Converts the samples at `place` of `bytes` into `out`.
pub(crate) fn place(dtype: DType, bytes: &[u8], place: &Place, out: &mut PixelsMut<'_>) {
    macro_rules! from {
        ($out:expr) => {
            match dtype {
                DType::U8 => rows::<u8, _>(bytes, place, $out),
                DType::I8 => rows::<i8, _>(bytes, place, $out),
                DType::U16 => rows::<u16, _>(bytes, place, $out),
                DType::I16 => rows::<i16, _>(bytes, place, $out),
                DType::U32 => rows::<u32, _>(bytes, place, $out),
                DType::I32 => rows::<i32, _>(bytes, place, $out),
                DType::F32 => rows::<f32, _>(bytes, place, $out),
                DType::F64 => rows::<f64, _>(bytes, place, $out),
            }
        };
    }
    match out {
        PixelsMut::U8(o) => from!(o),
        PixelsMut::I8(o) => from!(o),
        PixelsMut::U16(o) => from!(o),
        PixelsMut::I16(o) => from!(o),
        PixelsMut::U32(o) => from!(o),
        PixelsMut::I32(o) => from!(o),
        PixelsMut::F32(o) => from!(o),
        PixelsMut::F64(o) => from!(o),
    }
}

/// Writes 1 where the bit is set, most significant bit first, rows padded to bytes.
pub(crate) fn place_bits(bytes: &[u8], place: &Place, out: &mut [u8]) {
    for r in 0..place.rows {
        let row = &bytes[r * place.row_bytes..(r + 1) * place.row_bytes];
        let at = place.out + r * place.out_row;
        let bit = |i: usize| row[i / 8] >> (7 - i % 8) & 1;
        out[at..at + place.cols].iter_mut().zip(place.first..).for_each(|(o, i)| *o = bit(i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapfold_grid::{Pixel, convert};

    fn check<S: Pixel + Sample + CastTo<D>, D: Pixel>(values: &[S]) {
        for v in values {
            let (got, want): (D, D) = (v.cast(), convert(*v));
            assert!(got.is(want), "{v:?} {} to {}: {got:?}, not {want:?}", S::DTYPE, D::DTYPE);
        }
    }

    #[test]
    fn every_pair_of_types_converts_by_the_one_rule() {
        macro_rules! pairs {
            ($($s:ident: $v:expr),*) => {$(
                check::<$s, u8>(&$v); check::<$s, i8>(&$v); check::<$s, u16>(&$v); check::<$s, i16>(&$v);
                check::<$s, u32>(&$v); check::<$s, i32>(&$v); check::<$s, f32>(&$v); check::<$s, f64>(&$v);
            )*};
        }
        pairs!(
            u8: [0, 1, 127, 128, 255], i8: [-128, -1, 0, 127], u16: [0, 255, 256, 32768, 65535],
            i16: [-32768, -1, 0, 300, 32767], u32: [0, 70000, 16777217, 4294967167, u32::MAX],
            i32: [i32::MIN, -1, 16777217, i32::MAX],
            f32: [0.0, -0.5, 0.5, 1.5, 2.5, 254.5, 1e10, -1e10, f32::NAN, f32::INFINITY, f32::MIN, 0.49999997],
            f64: [0.0, -0.5, 0.5, 1.5, 65535.5, 1e300, -1e300, f64::NAN, f64::NEG_INFINITY, 0.49999999999999994]
        );
    }

    #[test]
    fn bits_come_most_significant_first() {
        let place = Place { row_bytes: 2, rows: 1, first: 6, step: 1, cols: 4, swap: false, out: 0, out_row: 4 };
        let mut out = [9; 4];
        place_bits(&[0b0000_0010, 0b0100_0000], &place, &mut out);
        assert_eq!(out, [1, 0, 0, 1]);
    }
}
