//! Undoing the predictors of DEFLATE and ZSTD, row by row, in place.
//!
//! Predictor 2 stores each sample as the difference to the same band of the pixel before; the sums are over the
//! samples' bits, also for floats. Predictor 3 cuts floats into byte planes, most significant first whatever the
//! file's byte order, and stores differences of bytes. After either, a row holds samples in native byte order.

/// Undoes predictor 2 on one row of `size`-byte samples, `bands` of them per pixel.
pub(crate) fn undo_horizontal(row: &mut [u8], size: usize, bands: usize, big_endian: bool) {
    macro_rules! sum {
        ($t:ty) => {
            match big_endian {
                true => {
                    sum_row(row, bands, <$t>::from_be_bytes, <$t>::to_ne_bytes, <$t>::from_ne_bytes, <$t>::wrapping_add)
                }
                false => {
                    sum_row(row, bands, <$t>::from_le_bytes, <$t>::to_ne_bytes, <$t>::from_ne_bytes, <$t>::wrapping_add)
                }
            }
        };
    }
    match size {
        1 => sum!(u8),
        2 => sum!(u16),
        4 => sum!(u32),
        _ => sum!(u64),
    }
}

/// Running sums with a stride of `bands` samples of `N` bytes.
#[inline(always)]
fn sum_row<T: Copy + Default, const N: usize>(
    row: &mut [u8],
    bands: usize,
    from_file: impl Fn([u8; N]) -> T,
    to_native: impl Fn(T) -> [u8; N],
    from_native: impl Fn([u8; N]) -> T,
    add: impl Fn(T, T) -> T,
) {
    let samples = row.as_chunks_mut::<N>().0;
    if bands == 1 {
        let mut acc = T::default();
        for s in samples {
            acc = add(acc, from_file(*s));
            *s = to_native(acc);
        }
        return;
    }
    let first = bands.min(samples.len());
    samples[..first].iter_mut().for_each(|s| *s = to_native(from_file(*s)));
    for i in bands..samples.len() {
        samples[i] = to_native(add(from_native(samples[i - bands]), from_file(samples[i])));
    }
}

/// Undoes predictor 3 on one row of floats of `size` bytes (4 or 8). `room` has the row's length.
pub(crate) fn undo_float(row: &mut [u8], size: usize, bands: usize, room: &mut [u8]) {
    undo_horizontal(row, 1, bands, false);
    match size {
        4 => join_planes::<4>(row, room, |b| u32::from_be_bytes(b).to_ne_bytes()),
        _ => join_planes::<8>(row, room, |b| u64::from_be_bytes(b).to_ne_bytes()),
    }
    row.copy_from_slice(room);
}

#[inline(always)]
fn join_planes<const N: usize>(planes: &[u8], out: &mut [u8], native: impl Fn([u8; N]) -> [u8; N]) {
    let out = out.as_chunks_mut::<N>().0;
    let count = out.len();
    let plane: [&[u8]; N] = std::array::from_fn(|k| &planes[k * count..(k + 1) * count]);
    for (i, o) in out.iter_mut().enumerate() {
        *o = native(std::array::from_fn(|k| plane[k][i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_run_per_band_in_either_byte_order() {
        let mut row: Vec<u8> = [1u16, 10, 1, 65535].iter().flat_map(|v| v.to_be_bytes()).collect();
        undo_horizontal(&mut row, 2, 2, true);
        let values: Vec<u16> = row.as_chunks::<2>().0.iter().map(|b| u16::from_ne_bytes(*b)).collect();
        assert_eq!(values, [1, 10, 2, 9]);
    }

    #[test]
    fn byte_planes_join_to_floats() {
        let values = [1.5f32, -2.0e10, f32::MIN];
        let mut row = vec![0u8; 12];
        for (i, v) in values.iter().enumerate() {
            v.to_be_bytes().iter().enumerate().for_each(|(k, b)| row[k * 3 + i] = *b);
        }
        (1..12).rev().for_each(|i| row[i] = row[i].wrapping_sub(row[i - 1]));
        undo_float(&mut row, 4, 1, &mut [0; 12]);
        let back: Vec<f32> = row.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();
        assert_eq!(back, values);
    }
}
