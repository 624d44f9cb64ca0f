//! Predictors 2 and 3 of TIFF on one codec tile of one band, to little-endian bytes and back.
//!
//! Forward is the hot path of writing: one pass from values to predicted bytes, compiled for several instruction
//! sets. Backward serves only the coarse levels, which read this writer's own tiles; it is the reader's. Bytes always come out as on
//! a little-endian machine, whatever this one is.

use crate::PixelsMut;
use crate::cast::bits;
use crate::tiff::predict::{undo_float, undo_horizontal};
use mapfold_grid::Pixel;

/// Writes `values` (rows of `width`) to `out`, which has room for exactly their bytes.
pub(crate) fn apply<T: Pixel>(values: &[T], width: usize, predictor: u16, out: &mut [u8]) {
    match (predictor, size_of::<T>()) {
        (1, 1) => plain1(bits(values), out),
        (1, 2) => plain2(bits(values), out),
        (1, 4) => plain4(bits(values), out),
        (1, _) => plain8(bits(values), out),
        (2, 1) => horizontal1(bits(values), width, out),
        (2, 2) => horizontal2(bits(values), width, out),
        (2, 4) => horizontal4(bits(values), width, out),
        (2, _) => horizontal8(bits(values), width, out),
        (_, 8) => float8(bits(values), width, out),
        _ => float4(bits(values), width, out),
    }
}

macro_rules! predictors {
    ($t:ty, $n:literal, $plain:ident, $horizontal:ident) => {
        fn $plain(values: &[$t], out: &mut [u8]) {
            values.iter().zip(out.as_chunks_mut::<$n>().0).for_each(|(v, o)| *o = v.to_le_bytes());
        }

        #[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
        fn $horizontal(values: &[$t], width: usize, out: &mut [u8]) {
            for (row, out) in values.chunks_exact(width).zip(out.chunks_exact_mut(width * $n)) {
                let out = out.as_chunks_mut::<$n>().0;
                out[0] = row[0].to_le_bytes();
                for (o, (a, b)) in out[1..].iter_mut().zip(row.iter().zip(&row[1..])) {
                    *o = b.wrapping_sub(*a).to_le_bytes();
                }
            }
        }
    };
}
predictors!(u8, 1, plain1, horizontal1);
predictors!(u16, 2, plain2, horizontal2);
predictors!(u32, 4, plain4, horizontal4);
predictors!(u64, 8, plain8, horizontal8);

/// Byte planes, most significant first, then differences of bytes along the whole row of planes.
macro_rules! float_predictor {
    ($t:ty, $n:literal, $float:ident) => {
        #[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
        fn $float(values: &[$t], width: usize, out: &mut [u8]) {
            for (row, out) in values.chunks_exact(width).zip(out.chunks_exact_mut(width * $n)) {
                let mut before = 0;
                for (k, plane) in out.chunks_exact_mut(width).enumerate() {
                    let shift = 8 * ($n - 1 - k);
                    plane[0] = ((row[0] >> shift) as u8).wrapping_sub(before);
                    for (o, (a, b)) in plane[1..].iter_mut().zip(row.iter().zip(&row[1..])) {
                        *o = ((b >> shift) as u8).wrapping_sub((a >> shift) as u8);
                    }
                    before = (row[width - 1] >> shift) as u8;
                }
            }
        }
    };
}
float_predictor!(u32, 4, float4);
float_predictor!(u64, 8, float8);

/// The values of `bytes` (changed in place on the way), one tile with rows of `width`: with the reader's own predictors.
pub(crate) fn undo<T: Pixel>(bytes: &mut [u8], width: usize, predictor: u16, out: &mut [T]) {
    let size = size_of::<T>();
    let mut room = vec![0; if predictor == 3 { width * size } else { 0 }];
    for (row, out) in bytes.chunks_exact_mut(width * size).zip(out.chunks_exact_mut(width)) {
        match predictor {
            1 => {
                row.chunks_exact(size).zip(out).for_each(|(b, o)| *o = T::from_le(b));
                continue;
            }
            2 => undo_horizontal(row, size, 1, false),
            _ => undo_float(row, size, 1, &mut room),
        }
        // Native bytes by now.
        if let Some(bytes) = PixelsMut::of(out).bytes_mut(0..width) {
            bytes.copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Pixel>(values: &[T], width: usize, predictor: u16) {
        let mut bytes = vec![0; size_of_val(values)];
        apply(values, width, predictor, &mut bytes);
        let mut back = vec![T::default(); values.len()];
        undo(&mut bytes, width, predictor, &mut back);
        assert_eq!(back, values, "predictor {predictor}");
    }

    #[test]
    fn undo_inverts_apply_for_every_type() {
        for p in [1, 2] {
            round_trip(&[255u8, 0, 3, 128, 7, 7], 3, p);
            round_trip(&[-128i8, 127, 3, 0, 7, 7], 3, p);
            round_trip(&[65535u16, 0, 3, 4000, 7, 7], 3, p);
            round_trip(&[-32768i16, 32767, 3, 0, 7, 7], 2, p);
            round_trip(&[u32::MAX, 0, 3, 1 << 31, 7, 7], 3, p);
            round_trip(&[i32::MIN, i32::MAX, 3, 0, 7, 7], 3, p);
        }
        for p in [1, 3] {
            round_trip(&[-0.5f32, 1e30, 3.0, f32::INFINITY, 7.0, 7.25], 3, p);
            round_trip(&[-0.5f64, 1e300, 3.0, f64::MIN_POSITIVE, 7.0, 7.25], 3, p);
        }
    }

    #[test]
    fn float_planes_are_those_of_the_specification() {
        // 1.0 = 3f800000, 2.0 = 40000000: planes 3f 40 | 80 00 | 00 00 | 00 00, then differences.
        let mut out = [0; 8];
        apply(&[1.0f32, 2.0], 2, 3, &mut out);
        assert_eq!(out, [0x3f, 0x01, 0x40, 0x80, 0, 0, 0, 0]);
    }
}
