//! Random numbers without state: a mixer of 64 bits (SplitMix64's finaliser, Vigna, public domain) for lattice points
//! and one of 32 bits (lowbias32, Wellons, public domain) for every pixel.

/// Spreads every bit over all.
#[inline]
pub fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Spreads every bit over all.
#[inline(always)]
pub fn mix32(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A random number of a point of one stream.
#[inline]
pub fn at(key: u64, row: i64, col: i64) -> u64 {
    mix64(
        mix64(key ^ (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            ^ (col as u64).wrapping_mul(0xd1b5_4a32_d192_ed03),
    )
}

/// About standard normal (sum of four uniform numbers, so never beyond 3.47).
#[inline]
pub fn normal(bits: u64) -> f32 {
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    (sum as f32 - 131_070.0) * (1.732_050_8 / 65_535.0)
}

/// The same from 32 bits, 1021 different values: enough for noise on integers.
#[inline(always)]
pub fn normal32(bits: u32) -> f32 {
    let sum = (bits & 0xff) + (bits >> 8 & 0xff) + (bits >> 16 & 0xff) + (bits >> 24);
    (sum as f32 - 510.0) * (1.732_050_8 / 255.0)
}

/// 0 to 1.
pub fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / 16_777_215.0
}
